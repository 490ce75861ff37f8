import fc from 'fast-check';
import { Parser } from 'pg-protocol/dist/parser.js';
import { serialize } from 'pg-protocol/dist/serializer.js';
import { describe, expect, test } from 'vitest';
import * as backend from '../../gateway/wire/backend.ts';
import { ProtocolError } from '../../gateway/wire/errors.ts';
import * as frontend from '../../gateway/wire/frontend.ts';
import { encodeStartupMessage, readOpening } from '../../gateway/wire/opening.ts';
import { trace } from '../../gateway/wire/trace.ts';
import { fuzzRuns } from '../kit/fuzz.ts';
import { BACKEND_SAMPLES, FRONTEND_SAMPLES, type Sample, UNBOUNDED_SAMPLES } from './samples.ts';

const SAMPLES: readonly Sample[] = [...FRONTEND_SAMPLES, ...BACKEND_SAMPLES];

/** Null when `decode` took the body; anything but a ProtocolError is a failure. */
function refusalOf(decode: (body: Buffer) => unknown, body: Buffer): ProtocolError | null {
  try {
    decode(body);
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(ProtocolError);
    return error as ProtocolError;
  }
}

describe('every message', () => {
  test.each(SAMPLES)('%s: trailing bytes are refused in every message', (_name, bytes, decode) => {
    const body = bytes.subarray(5);
    expect(refusalOf(decode, body)).toBeNull();
    for (const tail of [[0], [1], [0, 0, 0, 0]]) {
      expect(refusalOf(decode, Buffer.concat([body, Buffer.from(tail)]))).not.toBeNull();
    }
  });

  test.each(SAMPLES)('%s: a body that ends early is refused at every byte', (_name, bytes, decode) => {
    for (let end = 5; end < bytes.length; end++) expect(refusalOf(decode, bytes.subarray(5, end))).not.toBeNull();
  });

  test.each(SAMPLES)('%s: random changes of a body cause nothing but a ProtocolError', (_name, bytes, decode) => {
    const changes = fc.array(fc.tuple(fc.nat({ max: 80 }), fc.nat({ max: 255 })), { maxLength: 4 });
    fc.assert(
      fc.property(changes, (some) => {
        const body = Buffer.from(bytes.subarray(5));
        for (const [at, byte] of some) if (at < body.length) body[at] = byte;
        refusalOf(decode, body);
      }),
      { numRuns: fuzzRuns(60) },
    );
  });

  test.each(SAMPLES)('%s: random bodies cause nothing but a ProtocolError', (_name, _bytes, decode) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (body) => void refusalOf(decode, Buffer.from(body))),
      { numRuns: fuzzRuns(60) },
    );
  });

  test('the two writings of the layouts, decoders and trace, accept the same bodies', () => {
    // PasswordMessage is opaque to trace; a status, a kind or a copy code it shows whatever it is.
    const lenient = new Set(['PasswordMessage', 'ReadyForQuery', 'Describe', 'Close', 'Authentication']);
    const samples = fc.constantFrom(...SAMPLES.filter(([name]) => !lenient.has(name)));
    const change = fc.option(fc.tuple(fc.nat({ max: 40 }), fc.nat({ max: 255 })));
    fc.assert(
      fc.property(samples, change, fc.nat({ max: 3 }), ([name, bytes, decode], changed, shorter) => {
        const body = Buffer.from(bytes.subarray(5, Math.max(5, bytes.length - shorter)));
        if (changed !== null && changed[0] < body.length) body[changed[0]] = changed[1];
        const header = Buffer.from(bytes.subarray(0, 5));
        header.writeUInt32BE(body.length + 4, 1);
        const direction = FRONTEND_SAMPLES.some((sample) => sample[1] === bytes) ? 'frontend' : 'backend';
        const traced = refusalOf((b) => trace(direction, Buffer.concat([header, b])), body);
        expect([name, traced === null]).toEqual([name, refusalOf(decode, body) === null]);
      }),
      { numRuns: fuzzRuns(2000) },
    );
  });
});

const bytes = (max: number) => fc.uint8Array({ maxLength: max }).map((array) => Buffer.from(array));
const cstring = bytes(80).map((some) => Buffer.from(some.filter((byte) => byte !== 0)));
const name = cstring.map((some) => some.toString('latin1'));
const words = fc.array(fc.nat({ max: 65535 }), { maxLength: 5 });
const oids = fc.array(fc.nat({ max: 0xffffffff }), { maxLength: 5 });
const values = fc.array(fc.option(bytes(300)), { maxLength: 6 });

describe('what is encoded is what is decoded', () => {
  test('Parse, with names and text of any bytes but NUL', () => {
    fc.assert(
      fc.property(fc.record({ statement: name, text: cstring, parameterTypes: oids }), (parse) => {
        expect(frontend.decodeParse(frontend.encodeParse(parse).subarray(5))).toEqual({ kind: 'Parse', ...parse });
      }),
    );
  });

  test('Bind', () => {
    const bind = { portal: name, statement: name, formats: words, parameters: values, resultFormats: words };
    fc.assert(
      fc.property(fc.record(bind), (some) => {
        expect(frontend.decodeBind(frontend.encodeBind(some).subarray(5))).toEqual({ kind: 'Bind', ...some });
      }),
    );
  });

  test('FunctionCall', () => {
    const call = { functionOid: fc.nat(), formats: words, parameters: values, resultFormat: fc.nat({ max: 1 }) };
    fc.assert(
      fc.property(fc.record(call), (some) => {
        const decoded = frontend.decodeFunctionCall(frontend.encodeFunctionCall(some).subarray(5));
        expect(decoded).toEqual({ kind: 'FunctionCall', ...some });
      }),
    );
  });

  test('SASLInitialResponse', () => {
    fc.assert(
      fc.property(fc.record({ mechanism: name, data: fc.option(bytes(50)) }), (some) => {
        expect(frontend.decodeSASLInitialResponse(frontend.encodeSASLInitialResponse(some).subarray(5))).toEqual(some);
      }),
    );
  });

  test('DataRow and BackendKeyData', () => {
    fc.assert(
      fc.property(values, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (some, processId) => {
        expect(backend.decodeDataRow(backend.encodeDataRow(some).subarray(5))).toEqual({ values: some });
        const key = { processId, secretKey: Buffer.alloc(4 + (Math.abs(processId) % 253), 5) };
        expect(backend.decodeBackendKeyData(backend.encodeBackendKeyData(key).subarray(5))).toEqual(key);
      }),
    );
  });

  test('RowDescription and ErrorResponse, in UTF-8', () => {
    const utf8 = fc.string({ unit: 'grapheme', maxLength: 20 }).map((some) => some.replaceAll('\0', ''));
    fc.assert(
      fc.property(utf8, utf8, (first, second) => {
        const field = { tableOid: 1, columnNumber: 2, typeOid: 3, typeSize: -2, typeModifier: -1, format: 0 };
        const fields = [first, second].map((column) => ({ name: column, ...field }));
        expect(backend.decodeRowDescription(backend.encodeRowDescription(fields).subarray(5))).toEqual({ fields });
        const error = backend.encodeErrorResponse({ severity: 'ERROR', code: '42501', message: first, hint: second });
        expect(Object.fromEntries(backend.decodeErrorResponse(error.subarray(5)).fields)).toEqual({
          S: 'ERROR',
          V: 'ERROR',
          C: '42501',
          M: first,
          H: second,
        });
      }),
    );
  });

  test('values are views on the body', () => {
    const row = backend.encodeDataRow([Buffer.from('x')]);
    expect(backend.decodeDataRow(row.subarray(5)).values[0]!.buffer).toBe(row.buffer);
    const query = frontend.encodeQuery(Buffer.from('SELECT 1'));
    expect(frontend.decodeQuery(query.subarray(5)).text.buffer).toBe(query.buffer);
  });
});

describe('what would be read differently is refused', () => {
  test.each([
    ['a text with a NUL', () => frontend.encodeQuery(Buffer.from('SELECT 1\0; DROP TABLE x'))],
    ['a name with a NUL', () => frontend.encodeClose('S', 'a\0b')],
    ['a name with a character that is no byte', () => frontend.encodeExecute('\u0153', 0)],
    ['more than 65535 parameters', () => backend.encodeDataRow(Array.from({ length: 65_536 }, () => null))],
  ])('%s cannot be encoded', (_name, encode) => {
    expect(encode).toThrow();
  });

  test('a NUL in a message for people does not end it', () => {
    const report = backend.encodeErrorResponse({ severity: 'ERROR', code: '42501', message: 'a\0b', hint: 'h' });
    const { fields } = backend.decodeErrorResponse(report.subarray(5));
    expect([fields.get('M'), fields.get('H')]).toEqual(['a b', 'h']);
  });

  test.each([
    ['Query with a second string', frontend.decodeQuery, 'SELECT 1\0DROP TABLE x\0'],
    ['Query without terminator', frontend.decodeQuery, 'SELECT 1'],
    ['Describe of another kind', frontend.decodeDescribe, 'Xname\0'],
    ['Close of a lower-case kind', frontend.decodeClose, 'sname\0'],
    ['Bind with a parameter of length -2', frontend.decodeBind, '\0\0\0\0\0\u0001\u00ff\u00ff\u00ff\u00fe\0\0'],
    ['Bind with a parameter of 2 GB', frontend.decodeBind, '\0\0\0\0\0\u0001\u007f\u00ff\u00ff\u00ff\0\0'],
    ['ReadyForQuery with another status', backend.decodeReadyForQuery, 'X'],
    ['an Authentication code that is not listed', backend.decodeAuthentication, '\0\0\0\u0006'],
    ['a cancel key of 3 bytes', backend.decodeBackendKeyData, '\0\0\0\u0001abc'],
    ['a cancel key of 257 bytes', backend.decodeBackendKeyData, `\0\0\0\u0001${'k'.repeat(257)}`],
    ['2 billion protocol options', backend.decodeNegotiateProtocolVersion, '\0\u0003\0\0\u007f\u00ff\u00ff\u00ffa\0'],
    [
      'a negative number of protocol options',
      backend.decodeNegotiateProtocolVersion,
      '\0\u0003\0\0\u00ff\u00ff\u00ff\u00ff',
    ],
  ])('%s', (_name, decode: (body: Buffer) => unknown, body) => {
    expect(refusalOf(decode, Buffer.from(body, 'latin1'))).not.toBeNull();
  });

  test('an unlisted client message', () => {
    expect(refusalOf((body) => frontend.decodeFrontend(0x7a, body), Buffer.alloc(0))).not.toBeNull();
  });

  test('a startup parameter that is not UTF-8 is refused', () => {
    const startup = encodeStartupMessage(0, new Map([['user', 'ann?']]));
    startup[startup.indexOf('?')] = 0xff;
    expect(() => readOpening(startup)).toThrow(ProtocolError);
  });
});

describe('pg-protocol as the oracle', () => {
  test('it reads the values that we write', () => {
    const seen: Record<string, unknown>[] = [];
    const ours = [
      backend.encodeRowDescription([
        { name: 'é', tableOid: 5, columnNumber: 2, typeOid: 25, typeSize: -1, typeModifier: 7, format: 0 },
      ]),
      backend.encodeDataRow([Buffer.from('é'), null, Buffer.alloc(0)]),
      backend.encodeErrorResponse({
        severity: 'FATAL',
        code: '57P01',
        message: 'm',
        detail: 'd',
        hint: 'h',
        position: '3',
      }),
      backend.encodeNoticeResponse({ severity: 'WARNING', code: '01000', message: 'n' }),
      backend.encodeBackendKeyData({ processId: 77, secretKey: Buffer.from([0, 0, 1, 0]) }),
      backend.encodeParameterStatus('application_name', 'ü'),
      backend.encodeNotificationResponse({ processId: 8, channel: 'c', payload: 'p' }),
      backend.encodeReadyForQuery('E'),
      backend.encodeCopyResponse('CopyInResponse', { format: 1, columnFormats: [1, 1] }),
      frontend.encodeCopyData(Buffer.from('x\n')),
      backend.encodeAuthentication({ kind: 'SASL', mechanisms: ['SCRAM-SHA-256', 'OAUTHBEARER'] }),
      backend.encodeAuthentication({ kind: 'SASLContinue', data: Buffer.from('r=1') }),
      backend.encodeAuthentication({ kind: 'MD5Password', salt: Buffer.from([1, 2, 3, 4]) }),
      backend.encodeEmpty('ParseComplete'),
      backend.encodeEmpty('PortalSuspended'),
      backend.encodeEmpty('EmptyQueryResponse'),
    ];
    const expected = [
      {
        name: 'rowDescription',
        fields: [expect.objectContaining({ name: 'é', tableID: 5, columnID: 2, dataTypeID: 25 })],
      },
      { name: 'dataRow', fields: ['é', null, ''] },
      { severity: 'FATAL', code: '57P01', message: 'm', detail: 'd', hint: 'h', position: '3' },
      { name: 'notice', severity: 'WARNING', message: 'n' },
      { name: 'backendKeyData', processID: 77, secretKey: 256 },
      { name: 'parameterStatus', parameterName: 'application_name', parameterValue: 'ü' },
      { name: 'notification', processId: 8, channel: 'c', payload: 'p' },
      { name: 'readyForQuery', status: 'E' },
      { name: 'copyInResponse', binary: true, columnTypes: [1, 1] },
      { name: 'copyData', chunk: Buffer.from('x\n') },
      { name: 'authenticationSASL', mechanisms: ['SCRAM-SHA-256', 'OAUTHBEARER'] },
      { name: 'authenticationSASLContinue', data: 'r=1' },
      { name: 'authenticationMD5Password', salt: Buffer.from([1, 2, 3, 4]) },
      { name: 'parseComplete' },
      { name: 'portalSuspended' },
      { name: 'emptyQuery' },
    ];
    new Parser().parse(Buffer.concat(ours), (message: unknown) => seen.push(message as Record<string, unknown>));
    expect(seen).toHaveLength(expected.length);
    for (const [i, message] of expected.entries()) expect(seen[i]).toMatchObject(message);
  });

  test.each([
    ['query', serialize.query('SELECT é'), frontend.encodeQuery(Buffer.from('SELECT é'))],
    [
      'parse',
      serialize.parse({ name: 'n', text: 'SELECT $1', types: [23] }),
      frontend.encodeParse({ statement: 'n', text: Buffer.from('SELECT $1'), parameterTypes: [23] }),
    ],
    [
      'bind',
      serialize.bind({ portal: 'p', statement: 'n', values: ['1', null, Buffer.from([0, 255])] }),
      frontend.encodeBind({
        portal: 'p',
        statement: 'n',
        formats: [0, 0, 1],
        parameters: [Buffer.from('1'), null, Buffer.from([0, 255])],
        resultFormats: [0],
      }),
    ],
    ['execute', serialize.execute({ portal: 'p', rows: 7 }), frontend.encodeExecute('p', 7)],
    ['describe', serialize.describe({ type: 'P', name: 'p' }), frontend.encodeDescribe('P', 'p')],
    ['close', serialize.close({ type: 'S', name: 'n' }), frontend.encodeClose('S', 'n')],
    ['sync', serialize.sync(), frontend.encodeSync()],
    ['flush', serialize.flush(), frontend.encodeFlush()],
    ['end', serialize.end(), frontend.encodeTerminate()],
    ['copyData', serialize.copyData(Buffer.from('x')), frontend.encodeCopyData(Buffer.from('x'))],
    ['copyDone', serialize.copyDone(), frontend.encodeCopyDone()],
    ['copyFail', serialize.copyFail('no'), frontend.encodeCopyFail(Buffer.from('no'))],
    ['password', serialize.password('pw'), frontend.encodePassword(Buffer.from('pw'))],
    [
      'SASL initial response',
      serialize.sendSASLInitialResponseMessage('SCRAM-SHA-256', 'n,,n=*,r=1'),
      frontend.encodeSASLInitialResponse({ mechanism: 'SCRAM-SHA-256', data: Buffer.from('n,,n=*,r=1') }),
    ],
  ])('its %s is byte for byte ours', (_name, theirs, ours) => {
    expect(Buffer.from(theirs)).toEqual(ours);
  });

  test('its startup, cancel and SSL packets are read', () => {
    expect(readOpening(serialize.startup({ user: 'ann', database: 'd' }))).toMatchObject({ major: 3, minor: 0 });
    expect(readOpening(serialize.cancel(7, 9))).toMatchObject({
      kind: 'CancelRequest',
      processId: 7,
      secretKey: Buffer.from([0, 0, 0, 9]),
    });
    expect(readOpening(serialize.requestSsl())).toEqual({ kind: 'SSLRequest', size: 8 });
  });
});

test('messages that fill whatever length they have are taken whole', () => {
  for (const message of UNBOUNDED_SAMPLES.frontend) {
    expect(frontend.decodeFrontend(message[0]!, message.subarray(5))).toMatchObject({ data: message.subarray(5) });
  }
  const answer = frontend.encodeSASLResponse(Buffer.from([0, 255]));
  expect(frontend.decodeSASLResponse(answer.subarray(5))).toEqual(Buffer.from([0, 255]));
});
