/**
 * Type bytes of protocol 3.0 and 3.2 (PostgreSQL documentation, "Message Formats"), under the documentation's names.
 * The opening packets (StartupMessage, SSLRequest, GSSENCRequest, CancelRequest) have none: see opening.ts.
 */

/** Who sends: `frontend` is the client, `backend` the server. */
export type Direction = 'frontend' | 'backend';

/** Messages a client sends; `PasswordMessage` is the shared byte of the whole authentication family ('p'). */
export const FRONTEND = {
  Bind: 0x42,
  Close: 0x43,
  CopyData: 0x64,
  CopyDone: 0x63,
  CopyFail: 0x66,
  Describe: 0x44,
  Execute: 0x45,
  Flush: 0x48,
  FunctionCall: 0x46,
  Parse: 0x50,
  PasswordMessage: 0x70,
  Query: 0x51,
  Sync: 0x53,
  Terminate: 0x58,
} as const;

/** Messages a server sends; `Authentication` is the shared byte of all Authentication messages ('R'). */
export const BACKEND = {
  Authentication: 0x52,
  BackendKeyData: 0x4b,
  BindComplete: 0x32,
  CloseComplete: 0x33,
  CommandComplete: 0x43,
  CopyBothResponse: 0x57,
  CopyData: 0x64,
  CopyDone: 0x63,
  CopyInResponse: 0x47,
  CopyOutResponse: 0x48,
  DataRow: 0x44,
  EmptyQueryResponse: 0x49,
  ErrorResponse: 0x45,
  FunctionCallResponse: 0x56,
  NegotiateProtocolVersion: 0x76,
  NoData: 0x6e,
  NoticeResponse: 0x4e,
  NotificationResponse: 0x41,
  ParameterDescription: 0x74,
  ParameterStatus: 0x53,
  ParseComplete: 0x31,
  PortalSuspended: 0x73,
  ReadyForQuery: 0x5a,
  RowDescription: 0x54,
} as const;

function names(types: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  return new Map(Object.entries(types).map(([name, type]) => [type, name]));
}

const NAMES = { frontend: names(FRONTEND), backend: names(BACKEND) } as const;

/** A set of type bytes as a table: asked for every message, so a hash would show. */
export function tableOf(types: Iterable<number>): Uint8Array {
  const table = new Uint8Array(256);
  for (const type of types) table[type] = 1;
  return table;
}

/** Which type bytes the protocol defines, for each direction. */
export const KNOWN_TYPES = {
  frontend: tableOf(NAMES.frontend.keys()),
  backend: tableOf(NAMES.backend.keys()),
} as const;

/** The documentation's name of a type byte, or `unknown message 0x..`. */
export function messageName(direction: Direction, type: number): string {
  return NAMES[direction].get(type) ?? `unknown message 0x${type.toString(16).padStart(2, '0')}`;
}
