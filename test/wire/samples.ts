import * as backend from '../../gateway/wire/backend.ts';
import type { ProtocolError } from '../../gateway/wire/errors.ts';
import * as frontend from '../../gateway/wire/frontend.ts';
import { MessageReader, type ReaderOptions, type Step } from '../../gateway/wire/reader.ts';
import type { Direction } from '../../gateway/wire/types.ts';

/** A message, its bytes, and the decoder of its body. */
export type Sample = readonly [name: string, bytes: Buffer, decode: (body: Buffer) => unknown];

const text = (s: string) => Buffer.from(s);

/** Every message of the client; names and values hold bytes that are no UTF-8. */
export const FRONTEND_SAMPLES: readonly Sample[] = [
  ['Query', frontend.encodeQuery(Buffer.from([0x53, 0xff, 0x80])), frontend.decodeQuery],
  [
    'Parse',
    frontend.encodeParse({ statement: 's\u00ff', text: text('SELECT $1'), parameterTypes: [23, 0xffffffff] }),
    frontend.decodeParse,
  ],
  [
    'Bind',
    frontend.encodeBind({
      portal: '\u0080p',
      statement: 's',
      formats: [0, 1],
      parameters: [Buffer.from([0, 255]), null, Buffer.alloc(0)],
      resultFormats: [1],
    }),
    frontend.decodeBind,
  ],
  ['Describe', frontend.encodeDescribe('S', 'é'), frontend.decodeDescribe],
  ['Close', frontend.encodeClose('P', ''), frontend.decodeClose],
  ['Execute', frontend.encodeExecute('p', -1), frontend.decodeExecute],
  [
    'FunctionCall',
    frontend.encodeFunctionCall({ functionOid: 4294967295, formats: [], parameters: [null], resultFormat: 1 }),
    frontend.decodeFunctionCall,
  ],
  ['CopyFail', frontend.encodeCopyFail(text('stop')), frontend.decodeCopyFail],
  ['CopyDone', frontend.encodeCopyDone(), frontend.decodeCopyDone],
  ['Sync', frontend.encodeSync(), frontend.decodeSync],
  ['Flush', frontend.encodeFlush(), frontend.decodeFlush],
  ['Terminate', frontend.encodeTerminate(), frontend.decodeTerminate],
  ['PasswordMessage', frontend.encodePassword(text('secret')), frontend.decodePassword],
  [
    'PasswordMessage',
    frontend.encodeSASLInitialResponse({ mechanism: 'SCRAM-SHA-256', data: text('n,,') }),
    frontend.decodeSASLInitialResponse,
  ],
];

const empty = (name: Parameters<typeof backend.encodeEmpty>[0]): Sample => [
  name,
  backend.encodeEmpty(name),
  (body) => backend.decodeEmpty(name, body),
];
const copy = (name: Parameters<typeof backend.encodeCopyResponse>[0]): Sample => [
  name,
  backend.encodeCopyResponse(name, { format: 1, columnFormats: [1, 0] }),
  backend.decodeCopyResponse,
];
const authentication = (message: backend.Authentication): Sample => [
  'Authentication',
  backend.encodeAuthentication(message),
  backend.decodeAuthentication,
];

/** Every message of the server whose end its fields tell. */
export const BACKEND_SAMPLES: readonly Sample[] = [
  ...(['Ok', 'KerberosV5', 'CleartextPassword', 'GSS', 'SSPI'] as const).map((kind) => authentication({ kind })),
  authentication({ kind: 'MD5Password', salt: Buffer.from([0, 1, 254, 255]) }),
  authentication({ kind: 'SASL', mechanisms: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'] }),
  empty('BindComplete'),
  empty('CloseComplete'),
  empty('CopyDone'),
  empty('EmptyQueryResponse'),
  empty('NoData'),
  empty('ParseComplete'),
  empty('PortalSuspended'),
  copy('CopyInResponse'),
  copy('CopyOutResponse'),
  copy('CopyBothResponse'),
  ['CommandComplete', backend.encodeCommandComplete('INSERT 0 1'), backend.decodeCommandComplete],
  ['DataRow', backend.encodeDataRow([Buffer.from([0xff, 0xfe]), null, Buffer.alloc(0)]), backend.decodeDataRow],
  [
    'ErrorResponse',
    backend.encodeErrorResponse({ severity: 'FATAL', code: '28000', message: 'no', detail: 'd', position: '7' }),
    backend.decodeErrorResponse,
  ],
  [
    'NoticeResponse',
    backend.encodeNoticeResponse({ severity: 'WARNING', code: '01000', message: 'mind', hint: 'h' }),
    backend.decodeErrorResponse,
  ],
  ['FunctionCallResponse', backend.encodeFunctionCallResponse(text('42')), backend.decodeFunctionCallResponse],
  [
    'NegotiateProtocolVersion',
    backend.encodeNegotiateProtocolVersion({ version: 0x30002, unknownOptions: ['_pq_.a', '_pq_.b'] }),
    backend.decodeNegotiateProtocolVersion,
  ],
  [
    'NotificationResponse',
    backend.encodeNotificationResponse({ processId: 9, channel: 'c', payload: 'p' }),
    backend.decodeNotificationResponse,
  ],
  ['ParameterDescription', backend.encodeParameterDescription([25, 0xffffffff]), backend.decodeParameterDescription],
  ['ParameterStatus', backend.encodeParameterStatus('TimeZone', 'UTC'), backend.decodeParameterStatus],
  ['ReadyForQuery', backend.encodeReadyForQuery('E'), backend.decodeReadyForQuery],
  [
    'RowDescription',
    backend.encodeRowDescription([
      { name: 'ä', tableOid: 0xffffffff, columnNumber: -1, typeOid: 25, typeSize: -1, typeModifier: -1, format: 1 },
    ]),
    backend.decodeRowDescription,
  ],
];

/** The messages that fill whatever length they are given: no byte is trailing in them. */
export const UNBOUNDED_SAMPLES: Readonly<Record<Direction, readonly Buffer[]>> = {
  frontend: [frontend.encodeCopyData(Buffer.alloc(9, 1)), frontend.encodeSASLResponse(text('c=biws'))],
  backend: [
    backend.encodeBackendKeyData({ processId: -7, secretKey: Buffer.alloc(32, 3) }),
    backend.encodeAuthentication({ kind: 'GSSContinue', data: text('g') }),
    backend.encodeAuthentication({ kind: 'SASLContinue', data: text('r=') }),
    backend.encodeAuthentication({ kind: 'SASLFinal', data: text('v=') }),
  ],
};

/** All messages of one direction. */
export function messagesOf(direction: Direction): readonly Buffer[] {
  const samples = direction === 'frontend' ? FRONTEND_SAMPLES : BACKEND_SAMPLES;
  return [...samples.map(([, bytes]) => bytes), ...UNBOUNDED_SAMPLES[direction]];
}

/** A reader that holds everything, but for what `options` says. */
export function readerOf(direction: Direction, options: Partial<ReaderOptions> = {}): MessageReader {
  const limits = { spill: () => 1 << 20, maxLength: () => 0x3fffffff };
  return new MessageReader({ direction, streamed: new Set(), ...limits, ...options });
}

/** Pushes each chunk and takes all steps before the next, as a socket does; stops at an error. */
export function readAll(
  reader: MessageReader,
  chunks: readonly Buffer[],
): { readonly steps: readonly Step[]; readonly error: ProtocolError | null } {
  const steps: Step[] = [];
  try {
    for (const chunk of chunks) {
      reader.push(chunk);
      for (let step = reader.next(); step !== null; step = reader.next()) steps.push(step);
    }
  } catch (error) {
    return { steps, error: error as ProtocolError };
  }
  return { steps, error: null };
}

/** Cuts `bytes` at the given places; each piece has memory of its own, as chunks of a socket have. */
export function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const inside = [...new Set(places)].filter((place) => place > 0 && place < bytes.length);
  const edges = [0, ...inside.sort((a, b) => a - b), bytes.length];
  return edges.slice(1).map((end, i) => Buffer.from(bytes.subarray(edges[i], end)));
}
