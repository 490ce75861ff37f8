/**
 * Messages a server sends: decoders of bodies and encoders of whole messages, field names as in the documentation.
 * Views and refusals as in frontend.ts. Strings that people read are UTF-8; a body in another client encoding is only
 * ever relayed as it is, never re-encoded.
 */
import { Cursor, readUint16, readValue, stands } from './cursor.ts';
import { BACKEND } from './types.ts';
import { Writer } from './writer.ts';

export type Authentication =
  | { readonly kind: 'Ok' | 'KerberosV5' | 'CleartextPassword' | 'GSS' | 'SSPI' }
  | { readonly kind: 'MD5Password'; readonly salt: Buffer }
  | { readonly kind: 'GSSContinue' | 'SASLContinue' | 'SASLFinal'; readonly data: Buffer }
  | { readonly kind: 'SASL'; readonly mechanisms: readonly string[] };

/** Names of the Authentication codes that carry nothing else. */
const PLAIN = new Map<number, 'Ok' | 'KerberosV5' | 'CleartextPassword' | 'GSS' | 'SSPI'>([
  [0, 'Ok'],
  [2, 'KerberosV5'],
  [3, 'CleartextPassword'],
  [7, 'GSS'],
  [9, 'SSPI'],
]);
const WITH_DATA = new Map<number, 'GSSContinue' | 'SASLContinue' | 'SASLFinal'>([
  [8, 'GSSContinue'],
  [11, 'SASLContinue'],
  [12, 'SASLFinal'],
]);
const CODES = new Map<string, number>([...PLAIN, ...WITH_DATA].map(([code, kind]) => [kind, code]));

export function decodeAuthentication(body: Buffer): Authentication {
  const cursor = new Cursor('Authentication', body);
  const code = cursor.int32();
  const data = WITH_DATA.get(code);
  if (data !== undefined) return { kind: data, data: cursor.rest() };
  const message = plainAuthentication(cursor, code);
  cursor.end();
  return message;
}

function plainAuthentication(cursor: Cursor, code: number): Authentication {
  if (code === 5) return { kind: 'MD5Password', salt: cursor.bytes(4) };
  if (code === 10) {
    const mechanisms: string[] = [];
    for (let name = cursor.name(); name !== ''; name = cursor.name()) mechanisms.push(name);
    return { kind: 'SASL', mechanisms };
  }
  const kind = PLAIN.get(code);
  return kind === undefined ? cursor.fail(`unknown authentication request ${code}`) : { kind };
}

export function encodeAuthentication(message: Authentication): Buffer {
  const writer = new Writer(BACKEND.Authentication);
  if (message.kind === 'MD5Password') return writer.int32(5).bytes(message.salt).finish();
  if (message.kind === 'SASL') {
    writer.int32(10);
    for (const mechanism of message.mechanisms) writer.name(mechanism);
    return writer.uint8(0).finish();
  }
  writer.int32(CODES.get(message.kind)!);
  return 'data' in message ? writer.bytes(message.data).finish() : writer.finish();
}

/** Protocol 3.0 has keys of 4 bytes, 3.2 of 4 to 256. */
export interface BackendKeyData {
  readonly processId: number;
  readonly secretKey: Buffer;
}

export function decodeBackendKeyData(body: Buffer): BackendKeyData {
  const cursor = new Cursor('BackendKeyData', body);
  const processId = cursor.int32();
  const secretKey = cursor.rest();
  if (secretKey.length < 4 || secretKey.length > 256) cursor.fail(`a secret key of ${secretKey.length} bytes`);
  return { processId, secretKey };
}

export function encodeBackendKeyData({ processId, secretKey }: BackendKeyData): Buffer {
  return new Writer(BACKEND.BackendKeyData).int32(processId).bytes(secretKey).finish();
}

export interface CommandComplete {
  /** Such as `INSERT 0 5` or `BEGIN`. */
  readonly tag: string;
  /** The count at its end; null: it has none. */
  readonly rows: number | null;
}

/** Tags seen last, by length and first letter: the same few come again and again, and need not be made anew. */
const TAGS: { readonly body: Buffer; readonly message: CommandComplete }[] = [];
const LONGEST_KEPT = 32;

export function decodeCommandComplete(body: Buffer, start = 0, end = body.length): CommandComplete {
  const length = end - start;
  const place = 32 * length + (body[start]! & 31);
  const known = length < LONGEST_KEPT ? TAGS[place] : undefined;
  if (known !== undefined && stands(known.body, body, start)) return known.message;
  const cursor = new Cursor('CommandComplete', body, start, end);
  const tag = cursor.name();
  cursor.end();
  const message = { tag, rows: rowsOf(tag) };
  if (length < LONGEST_KEPT) TAGS[place] = { body: Buffer.from(body.subarray(start, end)), message };
  return message;
}

function rowsOf(tag: string): number | null {
  const count = tag.slice(tag.lastIndexOf(' ') + 1);
  return COUNTED.has(tag.slice(0, tag.indexOf(' '))) && count !== '' ? Number(count) : null;
}

const COUNTED: ReadonlySet<string> = new Set([
  'INSERT',
  'UPDATE',
  'DELETE',
  'MERGE',
  'SELECT',
  'COPY',
  'FETCH',
  'MOVE',
]);

export function encodeCommandComplete(tag: string): Buffer {
  return new Writer(BACKEND.CommandComplete).name(tag).finish();
}

export interface CopyResponse {
  /** 0 text, 1 binary. */
  readonly format: number;
  readonly columnFormats: readonly number[];
}

export function decodeCopyResponse(body: Buffer): CopyResponse {
  const cursor = new Cursor('CopyResponse', body);
  const format = cursor.uint8();
  const columnFormats = cursor.list(readUint16);
  cursor.end();
  return { format, columnFormats };
}

export function encodeCopyResponse(
  kind: 'CopyInResponse' | 'CopyOutResponse' | 'CopyBothResponse',
  response: CopyResponse,
): Buffer {
  const writer = new Writer(BACKEND[kind]).uint8(response.format);
  return writer.list(response.columnFormats, (format) => writer.uint16(format)).finish();
}

/** Values are views on the body. */
export function decodeDataRow(body: Buffer): { readonly values: readonly (Buffer | null)[] } {
  const cursor = new Cursor('DataRow', body);
  const values = cursor.list(readValue);
  cursor.end();
  return { values };
}

export function encodeDataRow(values: readonly (Buffer | null)[]): Buffer {
  const writer = new Writer(BACKEND.DataRow);
  return writer.list(values, (value) => writer.value(value)).finish();
}

/** Fields of ErrorResponse and NoticeResponse by their letter (S, V, C, M, D, H, P, …), decoded as UTF-8. */
export interface ResponseFields {
  readonly fields: ReadonlyMap<string, string>;
}

export function decodeErrorResponse(body: Buffer): ResponseFields {
  const cursor = new Cursor('ErrorResponse', body);
  const fields = new Map<string, string>();
  for (let code = cursor.uint8(); code !== 0; code = cursor.uint8()) {
    fields.set(String.fromCharCode(code), cursor.text().toString('utf8'));
  }
  cursor.end();
  return { fields };
}

/** The fields of an ErrorResponse that are whole in its first bytes (header included). */
export function decodeErrorHead(raw: Buffer): ResponseFields {
  const fields = new Map<string, string>();
  for (let at = 5, end = raw.indexOf(0, at + 1); end > at; at = end + 1, end = raw.indexOf(0, at + 1)) {
    fields.set(String.fromCharCode(raw[at]!), raw.toString('utf8', at + 1, end));
  }
  return { fields };
}

export interface Report {
  readonly severity: 'ERROR' | 'FATAL' | 'PANIC' | 'WARNING' | 'NOTICE' | 'DEBUG' | 'INFO' | 'LOG';
  /** SQLSTATE. */
  readonly code: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly position?: string;
}

export function encodeErrorResponse(report: Report): Buffer {
  return encodeReport(BACKEND.ErrorResponse, report);
}

export function encodeNoticeResponse(report: Report): Buffer {
  return encodeReport(BACKEND.NoticeResponse, report);
}

function encodeReport(type: number, { severity, code, message, detail, hint, position }: Report): Buffer {
  const writer = new Writer(type);
  const fields = { S: severity, V: severity, C: code, M: message, D: detail, H: hint, P: position };
  for (const [letter, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    // A NUL would end the field early: whatever follows it would be read as another field.
    writer.uint8(letter.charCodeAt(0)).text(Buffer.from(value.replaceAll('\0', ' ')));
  }
  return writer.uint8(0).finish();
}

export interface NegotiateProtocolVersion {
  /** Newest minor version supported (of major 3), as the whole 32-bit version. */
  readonly version: number;
  readonly unknownOptions: readonly string[];
}

export function decodeNegotiateProtocolVersion(body: Buffer): NegotiateProtocolVersion {
  const cursor = new Cursor('NegotiateProtocolVersion', body);
  const version = cursor.int32();
  const count = cursor.uint32(); // nothing is allocated for it: a false one ends at the body's end
  const unknownOptions: string[] = [];
  for (let i = 0; i < count; i++) unknownOptions.push(cursor.name());
  cursor.end();
  return { version, unknownOptions };
}

export function encodeNegotiateProtocolVersion({ version, unknownOptions }: NegotiateProtocolVersion): Buffer {
  const writer = new Writer(BACKEND.NegotiateProtocolVersion).int32(version).int32(unknownOptions.length);
  for (const option of unknownOptions) writer.text(Buffer.from(option));
  return writer.finish();
}

export interface Notification {
  readonly processId: number;
  readonly channel: string;
  readonly payload: string;
}

export function decodeNotificationResponse(body: Buffer): Notification {
  const cursor = new Cursor('NotificationResponse', body);
  const processId = cursor.int32();
  const channel = cursor.text().toString('utf8');
  const payload = cursor.text().toString('utf8');
  cursor.end();
  return { processId, channel, payload };
}

export function encodeNotificationResponse({ processId, channel, payload }: Notification): Buffer {
  return new Writer(BACKEND.NotificationResponse)
    .int32(processId)
    .text(Buffer.from(channel))
    .text(Buffer.from(payload))
    .finish();
}

/**
 * The server describes statements of more parameters than the count can tell (Bind takes no more than 65,535, EXECUTE
 * does), and then writes its low 16 bits (test: "the count of a ParameterDescription has 16 bits").
 */
export function decodeParameterDescription(body: Buffer): { readonly parameterTypes: readonly number[] } {
  const cursor = new Cursor('ParameterDescription', body);
  const told = cursor.uint16();
  const count = cursor.left >>> 2;
  if ((count & 0xffff) !== told) cursor.fail(`${told} parameter types told, ${count} there`);
  const parameterTypes = Array.from({ length: count }, () => cursor.uint32());
  cursor.end();
  return { parameterTypes };
}

export function encodeParameterDescription(parameterTypes: readonly number[]): Buffer {
  const writer = new Writer(BACKEND.ParameterDescription);
  return writer.list(parameterTypes, (oid) => writer.uint32(oid)).finish();
}

export function decodeParameterStatus(body: Buffer): { readonly name: string; readonly value: string } {
  const cursor = new Cursor('ParameterStatus', body);
  const name = cursor.text().toString('utf8');
  const value = cursor.text().toString('utf8');
  cursor.end();
  return { name, value };
}

export function encodeParameterStatus(name: string, value: string): Buffer {
  return new Writer(BACKEND.ParameterStatus).text(Buffer.from(name)).text(Buffer.from(value)).finish();
}

export type TransactionStatus = 'I' | 'T' | 'E';

export function decodeReadyForQuery(
  body: Buffer,
  start = 0,
  end = body.length,
): { readonly status: TransactionStatus } {
  const cursor = new Cursor('ReadyForQuery', body, start, end);
  const status = String.fromCharCode(cursor.uint8());
  cursor.end();
  if (status !== 'I' && status !== 'T' && status !== 'E') return cursor.fail(`transaction status ${status}`);
  return { status };
}

export function encodeReadyForQuery(status: TransactionStatus): Buffer {
  return new Writer(BACKEND.ReadyForQuery).uint8(status.charCodeAt(0)).finish();
}

export interface Field {
  readonly name: string;
  readonly tableOid: number;
  readonly columnNumber: number;
  readonly typeOid: number;
  readonly typeSize: number;
  readonly typeModifier: number;
  readonly format: number;
}

export function decodeRowDescription(body: Buffer): { readonly fields: readonly Field[] } {
  const cursor = new Cursor('RowDescription', body);
  const fields = cursor.list(() => ({
    name: cursor.text().toString('utf8'),
    tableOid: cursor.uint32(),
    columnNumber: cursor.int16(),
    typeOid: cursor.uint32(),
    typeSize: cursor.int16(),
    typeModifier: cursor.int32(),
    format: cursor.uint16(),
  }));
  cursor.end();
  return { fields };
}

export function encodeRowDescription(fields: readonly Field[]): Buffer {
  const writer = new Writer(BACKEND.RowDescription);
  return writer
    .list(fields, (f) =>
      writer
        .text(Buffer.from(f.name))
        .uint32(f.tableOid)
        .int16(f.columnNumber)
        .uint32(f.typeOid)
        .int16(f.typeSize)
        .int32(f.typeModifier)
        .uint16(f.format),
    )
    .finish();
}

export function decodeFunctionCallResponse(body: Buffer): { readonly value: Buffer | null } {
  const cursor = new Cursor('FunctionCallResponse', body);
  const value = cursor.value();
  cursor.end();
  return { value };
}

export function encodeFunctionCallResponse(value: Buffer | null): Buffer {
  return new Writer(BACKEND.FunctionCallResponse).value(value).finish();
}

/** Messages without fields. */
export function encodeEmpty(
  kind:
    | 'BindComplete'
    | 'CloseComplete'
    | 'CopyDone'
    | 'EmptyQueryResponse'
    | 'NoData'
    | 'ParseComplete'
    | 'PortalSuspended',
): Buffer {
  return new Writer(BACKEND[kind]).finish();
}

/** Refuses a body where the message has no fields. */
export function decodeEmpty(message: string, body: Buffer): void {
  new Cursor(message, body).end();
}
