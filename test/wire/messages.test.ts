import fc from 'fast-check';
import { Parser } from 'pg-protocol/dist/parser.js';
import { serialize } from 'pg-protocol/dist/serializer.js';
import { describe, expect, test } from 'vitest';
import * as backend from '../../gateway/wire/backend.ts';
import { ProtocolError } from '../../gateway/wire/errors.ts';
import * as frontend from '../../gateway/wire/frontend.ts';
import {
  encodeCancelRequest,
  encodeGSSENCRequest,
  encodeSSLRequest,
  encodeStartupMessage,
  readOpening,
} from '../../gateway/wire/opening.ts';
import { MessageReader, type Step } from '../../gateway/wire/reader.ts';
import { BACKEND, FRONTEND } from '../../gateway/wire/types.ts';
import { fuzzRuns } from '../kit/fuzz.ts';

const text = (s: string) => Buffer.from(s);
const fields = [{ name: 'a', tableOid: 1, columnNumber: 2, typeOid: 23, typeSize: 4, typeModifier: -1, format: 0 }];

const CLIENT: readonly (readonly [name: string, bytes: Buffer, fields: object])[] = [
  ['Query', frontend.encodeQuery(text('SELECT 1')), { text: text('SELECT 1') }],
  [
    'Parse',
    frontend.encodeParse({ statement: 's', text: text('SELECT $1'), parameterTypes: [23, 0] }),
    { statement: 's', parameterTypes: [23, 0] },
  ],
  [
    'Bind',
    frontend.encodeBind({
      portal: 'p',
      statement: 's',
      formats: [1],
      parameters: [text('x'), null],
      resultFormats: [0],
    }),
    { portal: 'p', parameters: [text('x'), null] },
  ],
  ['Describe', frontend.encodeDescribe('P', 'p'), { target: 'P', name: 'p' }],
  ['Close', frontend.encodeClose('S', 's'), { target: 'S', name: 's' }],
  ['Execute', frontend.encodeExecute('p', 7), { portal: 'p', maxRows: 7 }],
  [
    'FunctionCall',
    frontend.encodeFunctionCall({ functionOid: 12, formats: [0], parameters: [text('1')], resultFormat: 1 }),
    { functionOid: 12, resultFormat: 1 },
  ],
  ['CopyFail', frontend.encodeCopyFail(text('no')), { message: text('no') }],
  ['CopyDone', frontend.encodeCopyDone(), {}],
  ['Sync', frontend.encodeSync(), {}],
  ['Flush', frontend.encodeFlush(), {}],
  ['Terminate', frontend.encodeTerminate(), {}],
];

const SERVER: readonly (readonly [name: string, bytes: Buffer, decode: (body: Buffer) => unknown])[] = [
  [
    'Authentication SASL',
    backend.encodeAuthentication({ kind: 'SASL', mechanisms: ['OAUTHBEARER'] }),
    backend.decodeAuthentication,
  ],
  [
    'Authentication MD5Password',
    backend.encodeAuthentication({ kind: 'MD5Password', salt: Buffer.alloc(4, 1) }),
    backend.decodeAuthentication,
  ],
  ['Authentication Ok', backend.encodeAuthentication({ kind: 'Ok' }), backend.decodeAuthentication],
  ['CommandComplete', backend.encodeCommandComplete('SELECT 1'), backend.decodeCommandComplete],
  [
    'CopyOutResponse',
    backend.encodeCopyResponse('CopyOutResponse', { format: 0, columnFormats: [0, 1] }),
    backend.decodeCopyResponse,
  ],
  ['DataRow', backend.encodeDataRow([text('a'), null]), backend.decodeDataRow],
  [
    'ErrorResponse',
    backend.encodeErrorResponse({ severity: 'ERROR', code: '42501', message: 'no', hint: 'ask' }),
    backend.decodeErrorResponse,
  ],
  [
    'NegotiateProtocolVersion',
    backend.encodeNegotiateProtocolVersion({ version: 196610, unknownOptions: ['_pq_.x'] }),
    backend.decodeNegotiateProtocolVersion,
  ],
  [
    'NotificationResponse',
    backend.encodeNotificationResponse({ processId: 1, channel: 'c', payload: 'p' }),
    backend.decodeNotificationResponse,
  ],
  ['ParameterDescription', backend.encodeParameterDescription([25]), backend.decodeParameterDescription],
  ['ParameterStatus', backend.encodeParameterStatus('TimeZone', 'UTC'), backend.decodeParameterStatus],
  ['ReadyForQuery', backend.encodeReadyForQuery('T'), backend.decodeReadyForQuery],
  ['RowDescription', backend.encodeRowDescription(fields), backend.decodeRowDescription],
];

test('the count of a ParameterDescription has 16 bits', () => {
  const body = (count: number, told: number) => {
    const bytes = Buffer.alloc(2 + 4 * count, 25);
    bytes.writeUInt16BE(told);
    return bytes;
  };
  expect(backend.decodeParameterDescription(body(65_537, 1)).parameterTypes).toHaveLength(65_537);
  expect(() => backend.decodeParameterDescription(body(65_537, 2))).toThrow(ProtocolError);
  expect(() => backend.decodeParameterDescription(body(2, 1))).toThrow(ProtocolError);
});

function reader(direction: 'frontend' | 'backend', streamed: readonly number[] = []): MessageReader {
  return new MessageReader({ direction, streamed: new Set(streamed), spill: () => 1 << 20, maxLength: () => 1 << 30 });
}

function drain(r: MessageReader): Step[] {
  const steps: Step[] = [];
  for (let step = r.next(); step !== null; step = r.next()) steps.push(step);
  return steps;
}

function split(bytes: Buffer, at: readonly number[]): Buffer[] {
  const cuts = [0, ...[...new Set(at)].filter((n) => n < bytes.length).sort((a, b) => a - b), bytes.length];
  return cuts.slice(1).map((end, i) => bytes.subarray(cuts[i], end));
}

describe('client messages', () => {
  test.each(CLIENT)('%s decodes to what was encoded', (name, bytes, expected) => {
    const [step] = feed(reader('frontend'), [bytes]);
    expect(step).toMatchObject({ kind: 'message', raw: bytes });
    expect(frontend.decodeFrontend(bytes[0]!, bytes.subarray(5))).toMatchObject({ kind: name, ...expected });
  });

  test.each(CLIENT)('trailing bytes are refused in %s', (_name, bytes) => {
    expect(() => frontend.decodeFrontend(bytes[0]!, Buffer.concat([bytes.subarray(5), Buffer.from([0])]))).toThrow(
      ProtocolError,
    );
  });

  test.each(CLIENT.filter(([, bytes]) => bytes.length > 5))('every shorter body of %s is refused', (_name, bytes) => {
    for (let end = 5; end < bytes.length; end++) {
      expect(() => frontend.decodeFrontend(bytes[0]!, bytes.subarray(5, end))).toThrow(ProtocolError);
    }
  });

  test('what pg-protocol writes is what we read', () => {
    expect(frontend.decodeQuery(serialize.query('SELECT 2').subarray(5)).text.toString()).toBe('SELECT 2');
    expect(
      frontend.decodeParse(serialize.parse({ name: 'n', text: 'SELECT $1', types: [23] }).subarray(5)),
    ).toMatchObject({ statement: 'n', parameterTypes: [23] });
    expect(
      frontend.decodeBind(serialize.bind({ portal: 'p', statement: 'n', values: ['1', null] }).subarray(5)).parameters,
    ).toEqual([text('1'), null]);
    expect(frontend.decodeExecute(serialize.execute({ portal: 'p', rows: 3 }).subarray(5))).toMatchObject({
      portal: 'p',
      maxRows: 3,
    });
  });
});

describe('server messages', () => {
  test.each(SERVER)('%s survives a round trip, and trailing bytes are refused', (_name, bytes, decode) => {
    expect(decode(bytes.subarray(5))).toBeDefined();
    expect(() => decode(Buffer.concat([bytes.subarray(5), Buffer.from([0])]))).toThrow(ProtocolError);
  });

  test.each(SERVER)('every shorter body of %s is refused', (_name, bytes, decode) => {
    for (let end = 5; end < bytes.length; end++) expect(() => decode(bytes.subarray(5, end))).toThrow(ProtocolError);
  });

  test('pg-protocol reads what we write', () => {
    const seen: { name: string }[] = [];
    const parser = new Parser();
    const kept = SERVER.filter(([name]) => name !== 'NegotiateProtocolVersion');
    parser.parse(Buffer.concat(kept.map(([, bytes]) => bytes)), (m: { name: string }) => seen.push(m));
    expect(seen.map((m) => m.name)).toEqual([
      'authenticationSASL',
      'authenticationMD5Password',
      'authenticationOk',
      'commandComplete',
      'copyOutResponse',
      'dataRow',
      'error',
      'notification',
      'parameterDescription',
      'parameterStatus',
      'readyForQuery',
      'rowDescription',
    ]);
  });

  test('a secret key of 32 bytes (protocol 3.2) comes back whole', () => {
    const key = Buffer.alloc(32, 9);
    expect(
      backend.decodeBackendKeyData(backend.encodeBackendKeyData({ processId: 5, secretKey: key }).subarray(5)),
    ).toEqual({ processId: 5, secretKey: key });
    expect(() => backend.decodeBackendKeyData(Buffer.alloc(7))).toThrow(ProtocolError);
  });
});

function feed(r: MessageReader, chunks: readonly Buffer[]): Step[] {
  return chunks.flatMap((chunk) => {
    r.push(chunk);
    return drain(r);
  });
}

describe('framing', () => {
  const stream = Buffer.concat(CLIENT.map(([, bytes]) => bytes));

  test('split at every byte gives the same messages', () => {
    for (let at = 1; at < stream.length; at++) {
      const steps = feed(reader('frontend'), split(stream, [at]));
      expect(steps.map((s) => s.raw.toString('hex'))).toEqual(CLIENT.map(([, bytes]) => bytes.toString('hex')));
    }
    const single = feed(
      reader('frontend'),
      [...stream].map((byte) => Buffer.from([byte])),
    );
    expect(single).toHaveLength(CLIENT.length);
  });

  test('a message inside one chunk is a view on it', () => {
    const [step] = feed(reader('frontend'), [stream]);
    expect(step!.raw.buffer).toBe(stream.buffer);
  });

  test('runs of rows joined are exactly the bytes that came, however they were split', () => {
    const rows = Buffer.concat([1, 300, 0, 70].map((n) => backend.encodeDataRow([Buffer.alloc(n, 7)])));
    const bytes = Buffer.concat([rows, backend.encodeCommandComplete('SELECT 4')]);
    fc.assert(
      fc.property(fc.array(fc.nat({ max: bytes.length })), (cuts) => {
        const steps = feed(reader('backend', [BACKEND.DataRow]), split(bytes, cuts));
        expect(Buffer.concat(steps.map((s) => s.raw))).toEqual(bytes);
        expect(steps.reduce((sum, s) => sum + (s.kind === 'run' ? s.count : 0), 0)).toBe(4);
        expect(steps.at(-1)!.kind).toBe('message');
      }),
    );
  });

  test.each([0, 1, 2, 3, 0x40000001, 0x7fffffff, 0xffffffff])(
    'a length field of %i is refused before anything is allocated',
    (length) => {
      const r = reader('frontend');
      const header = Buffer.alloc(5);
      header[0] = FRONTEND.Query;
      header.writeUInt32BE(length, 1);
      r.push(header);
      expect(() => r.next()).toThrow(ProtocolError);
      expect(r.buffered).toBe(0);
    },
  );

  test('an unknown type is refused', () => {
    const r = reader('frontend');
    r.push(Buffer.from([0x7a, 0, 0, 0, 4]));
    expect(() => r.next()).toThrow(ProtocolError);
  });

  test('a long message comes as a bounded head and runs', () => {
    const bytes = frontend.encodeQuery(Buffer.alloc(5000, 65));
    const r = new MessageReader({
      direction: 'frontend',
      streamed: new Set(),
      spill: () => 100,
      maxLength: () => 1 << 30,
    });
    const steps = feed(r, split(bytes, [1, 50, 1000, 4000]));
    expect(steps[0]).toMatchObject({ kind: 'head', total: bytes.length });
    expect(steps[0]!.raw).toHaveLength(100);
    expect(Buffer.concat(steps.map((s) => s.raw))).toEqual(bytes);
  });

  test('random bytes cause a ProtocolError or a wait, nothing else', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('frontend', 'backend'),
        fc.array(fc.uint8Array({ maxLength: 40 })),
        (direction, chunks) => {
          try {
            for (const step of feed(
              reader(direction),
              chunks.map((c) => Buffer.from(c)),
            )) {
              if (step.kind === 'message' && direction === 'frontend') frontend.decodeFrontend(step.type, step.body);
            }
          } catch (error) {
            expect(error).toBeInstanceOf(ProtocolError);
          }
        },
      ),
      { numRuns: fuzzRuns(500) },
    );
  });
});

describe('opening packets', () => {
  const startup = encodeStartupMessage(
    2,
    new Map([
      ['user', 'ann'],
      ['database', 'd'],
    ]),
  );

  test('split byte by byte: waits until whole; what follows is left alone', () => {
    for (let end = 0; end < startup.length; end++) expect(readOpening(startup.subarray(0, end)).kind).toBe('NeedMore');
    const query = frontend.encodeQuery(text('SELECT 1'));
    const opened = readOpening(Buffer.concat([startup, query]));
    expect(opened).toMatchObject({ kind: 'StartupMessage', major: 3, minor: 2, size: startup.length });
    expect(opened.kind === 'StartupMessage' && [...opened.parameters]).toEqual([
      ['user', 'ann'],
      ['database', 'd'],
    ]);
  });

  test.each([
    ['SSLRequest', encodeSSLRequest(), 'SSLRequest'],
    ['GSSENCRequest', encodeGSSENCRequest(), 'GSSENCRequest'],
    ['CancelRequest with a 32-byte key', encodeCancelRequest(7, Buffer.alloc(32, 1)), 'CancelRequest'],
    ['a TLS ClientHello', Buffer.from([0x16, 3, 1]), 'DirectTLS'],
  ])('%s is known', (_name, bytes, kind) => {
    expect(readOpening(bytes).kind).toBe(kind);
  });

  test('_pq_. options are listed and not taken for parameters', () => {
    const opened = readOpening(
      encodeStartupMessage(
        9,
        new Map([
          ['user', 'a'],
          ['_pq_.future', '1'],
        ]),
      ),
    );
    expect(opened).toMatchObject({ unknownOptions: ['_pq_.future'], minor: 9 });
  });

  test.each([
    ['HTTP', text('GET / HTTP/1.1\r\n\r\n')],
    ['a length of 3', Buffer.from([0, 0, 0, 3, 0, 3, 0, 0])],
    ['2 GB', Buffer.from([0x7f, 255, 255, 255, 0, 3, 0, 0])],
    ['a cancel key of 3 bytes', encodeCancelRequest(1, Buffer.alloc(3))],
    ['a missing terminator', Buffer.concat([Buffer.from([0, 0, 0, 13, 0, 3, 0, 0]), text('user\0')])],
  ])('%s is refused', (_name, bytes) => {
    expect(() => readOpening(bytes)).toThrow(ProtocolError);
  });
});

test.each([
  ['SELECT 11', 11],
  ['INSERT 0 5', 5],
  ['UPDATE 0', 0],
  ['MERGE 3', 3],
  ['COPY 4294967296', 4_294_967_296],
  ['BEGIN', null],
  ['CREATE TABLE', null],
  ['SELECT ', null],
  ['', null],
])('the count of the tag %s', (tag, rows) => {
  for (let i = 0; i < 2; i++)
    expect(backend.decodeCommandComplete(backend.encodeCommandComplete(tag).subarray(5))).toEqual({ tag, rows });
});

test('tags are told apart by every byte, and what is no tag is refused beside those that are known', () => {
  const tags = [
    'SELECT 1',
    'UPDATE 1',
    'SELECT 2',
    'SELECT 1',
    'BEGIN',
    '',
    'x'.repeat(40),
    'x'.repeat(40),
    'S\xe9LECT 1',
  ];
  for (const tag of [...tags, ...tags]) {
    const body = backend.encodeCommandComplete(tag).subarray(5);
    expect(backend.decodeCommandComplete(body).tag).toBe(tag);
    // The reader's memory is used again: what was kept is not a view on it.
    body.fill(0x41);
    expect(() => backend.decodeCommandComplete(body)).toThrow(ProtocolError);
  }
  for (const body of ['SELECT\0 1\0', 'SELECT 1\0\0', 'SELECT 11', ''].map((bytes) => Buffer.from(bytes)))
    expect(() => backend.decodeCommandComplete(body)).toThrow(ProtocolError);
});

test('a body that stands among others is read as it is alone, and no byte of its neighbours with it', () => {
  const bind = frontend.encodeBind({
    portal: 'p',
    statement: 's',
    formats: [1],
    parameters: [text('12'), null],
    resultFormats: [0],
  });
  const decoders = [
    [bind, frontend.decodeBind],
    [backend.encodeCommandComplete('INSERT 0 5'), backend.decodeCommandComplete],
    [backend.encodeReadyForQuery('T'), backend.decodeReadyForQuery],
  ] as const;
  const result = (decode: () => unknown) => {
    try {
      return decode();
    } catch (error) {
      expect(error).toBeInstanceOf(ProtocolError);
      return (error as Error).message;
    }
  };
  for (const [message, decode] of decoders) {
    const body = message.subarray(5);
    for (let cut = 0; cut <= body.length; cut++) {
      // Twice: what was read once may be known the second time.
      for (const after of [Buffer.alloc(64), body.subarray(cut), Buffer.alloc(64, 'I')].flatMap((one) => [one, one])) {
        const part = body.subarray(0, cut);
        const among = Buffer.concat([bind, part, after]);
        expect(result(() => decode(among, bind.length, bind.length + cut))).toEqual(result(() => decode(part)));
      }
    }
  }
});
