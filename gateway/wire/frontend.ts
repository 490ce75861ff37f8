/**
 * Messages a client sends: decoders of bodies and encoders of whole messages, field names as in the documentation.
 *
 * Byte-exact whatever the client encoding: names (statement, portal) are strings with one latin1 character per byte;
 * statement texts and values are Buffer views without their NUL. Views live as long as the chunk they came in (see
 * reader.ts). Every decoder refuses short bodies, missing terminators and trailing bytes with a ProtocolError.
 */
import { Cursor, readUint16, readUint32, readValue } from './cursor.ts';
import { ProtocolError } from './errors.ts';
import { FRONTEND, messageName } from './types.ts';
import { Writer } from './writer.ts';

export interface Query {
  readonly kind: 'Query';
  readonly text: Buffer;
}

export interface Parse {
  readonly kind: 'Parse';
  readonly statement: string;
  readonly text: Buffer;
  /** Type OIDs; 0 leaves the type to the server. */
  readonly parameterTypes: readonly number[];
}

export interface Bind {
  readonly kind: 'Bind';
  readonly portal: string;
  readonly statement: string;
  /** Format codes (0 text, 1 binary): none, one for all, or one per parameter. */
  readonly formats: readonly number[];
  readonly parameters: readonly (Buffer | null)[];
  readonly resultFormats: readonly number[];
}

/** What the first bytes of a message too large to hold tell of its parameters. */
interface ArgumentsHead {
  readonly formats: readonly number[];
  /** The parameters that are fully present. */
  readonly parameters: readonly (Buffer | null)[];
  /** How many parameters the whole message has. */
  readonly parameterCount: number;
}

/** What the first bytes of a spilled Bind tell. */
export interface BindHead extends ArgumentsHead {
  readonly portal: string;
  readonly statement: string;
}

/** What the first bytes of a FunctionCall tell; the rest is a parameter too large to hold. */
export interface FunctionCallHead extends ArgumentsHead {
  readonly functionOid: number;
}

/** `S` a prepared statement, `P` a portal. */
export type Target = 'S' | 'P';

export interface Describe {
  readonly kind: 'Describe';
  readonly target: Target;
  readonly name: string;
}

export interface Close {
  readonly kind: 'Close';
  readonly target: Target;
  readonly name: string;
}

export interface Execute {
  readonly kind: 'Execute';
  readonly portal: string;
  /** 0 or less: no limit. */
  readonly maxRows: number;
}

export interface FunctionCall {
  readonly kind: 'FunctionCall';
  readonly functionOid: number;
  readonly formats: readonly number[];
  readonly parameters: readonly (Buffer | null)[];
  readonly resultFormat: number;
}

export interface CopyData {
  readonly kind: 'CopyData';
  readonly data: Buffer;
}

export interface CopyFail {
  readonly kind: 'CopyFail';
  readonly message: Buffer;
}

/** Any message of the 'p' family; which one it is depends on the Authentication message it answers. */
export interface PasswordMessage {
  readonly kind: 'PasswordMessage';
  readonly data: Buffer;
}

export interface SASLInitialResponse {
  readonly mechanism: string;
  /** Null: no initial response was sent. */
  readonly data: Buffer | null;
}

/** A message without fields. */
export interface EmptyMessage<Kind extends string> {
  readonly kind: Kind;
}

export type FrontendMessage =
  | Query
  | Parse
  | Bind
  | Describe
  | Close
  | Execute
  | FunctionCall
  | CopyData
  | CopyFail
  | PasswordMessage
  | EmptyMessage<'Sync'>
  | EmptyMessage<'Flush'>
  | EmptyMessage<'CopyDone'>
  | EmptyMessage<'Terminate'>;

export function decodeQuery(body: Buffer): Query {
  const cursor = new Cursor('Query', body);
  const text = cursor.text();
  cursor.end();
  return { kind: 'Query', text };
}

export function decodeParse(body: Buffer): Parse {
  const cursor = new Cursor('Parse', body);
  const statement = cursor.name();
  const text = cursor.text();
  const parameterTypes = cursor.list(readUint32);
  cursor.end();
  return { kind: 'Parse', statement, text, parameterTypes };
}

export function decodeBind(body: Buffer, start = 0, end = body.length): Bind {
  const cursor = new Cursor('Bind', body, start, end);
  const portal = cursor.name();
  const statement = cursor.name();
  const formats = cursor.list(readUint16);
  const parameters = cursor.list(readValue);
  const resultFormats = cursor.list(readUint16);
  cursor.end();
  return { kind: 'Bind', portal, statement, formats, parameters, resultFormats };
}

/**
 * Reads the head of a spilled Bind (`raw` with its 5-byte header) as far as it goes. A head too short for the names,
 * the format codes and the parameter count is refused.
 */
export function decodeBindHead(raw: Buffer): BindHead {
  const cursor = new Cursor('Bind', raw.subarray(5));
  const portal = cursor.name();
  const statement = cursor.name();
  return { portal, statement, ...readArguments(cursor) };
}

/** Format codes, the count of the parameters and as many of them as are fully present. */
function readArguments(cursor: Cursor): ArgumentsHead {
  const formats = cursor.list(readUint16);
  const parameterCount = cursor.uint16();
  const parameters: (Buffer | null)[] = [];
  while (parameters.length < parameterCount && cursor.holdsValue()) parameters.push(cursor.value());
  return { formats, parameters, parameterCount };
}

function readTarget(cursor: Cursor): { target: Target; name: string } {
  const byte = cursor.uint8();
  if (byte !== 0x53 && byte !== 0x50) cursor.fail(`kind ${byte} is neither 'S' nor 'P'`);
  const name = cursor.name();
  cursor.end();
  return { target: byte === 0x53 ? 'S' : 'P', name };
}

export function decodeDescribe(body: Buffer): Describe {
  const { target, name } = readTarget(new Cursor('Describe', body));
  return { kind: 'Describe', target, name };
}

export function decodeClose(body: Buffer): Close {
  const { target, name } = readTarget(new Cursor('Close', body));
  return { kind: 'Close', target, name };
}

export function decodeExecute(body: Buffer): Execute {
  const cursor = new Cursor('Execute', body);
  const portal = cursor.name();
  const maxRows = cursor.int32();
  cursor.end();
  return { kind: 'Execute', portal, maxRows };
}

export function decodeFunctionCall(body: Buffer): FunctionCall {
  const cursor = new Cursor('FunctionCall', body);
  const functionOid = cursor.uint32();
  const formats = cursor.list(readUint16);
  const parameters = cursor.list(readValue);
  const resultFormat = cursor.uint16();
  cursor.end();
  return { kind: 'FunctionCall', functionOid, formats, parameters, resultFormat };
}

/** Reads what is present of a FunctionCall too large to hold: its bytes so far, header included. */
export function decodeFunctionCallHead(raw: Buffer): FunctionCallHead {
  const cursor = new Cursor('FunctionCall', raw.subarray(5));
  return { functionOid: cursor.uint32(), ...readArguments(cursor) };
}

function decodeCopyData(body: Buffer): CopyData {
  return { kind: 'CopyData', data: body };
}

export function decodeCopyFail(body: Buffer): CopyFail {
  const cursor = new Cursor('CopyFail', body);
  const message = cursor.text();
  cursor.end();
  return { kind: 'CopyFail', message };
}

function decodeEmpty<Kind extends string>(kind: Kind, body: Buffer): EmptyMessage<Kind> {
  new Cursor(kind, body).end();
  return { kind };
}

export function decodeSync(body: Buffer): EmptyMessage<'Sync'> {
  return decodeEmpty('Sync', body);
}

export function decodeFlush(body: Buffer): EmptyMessage<'Flush'> {
  return decodeEmpty('Flush', body);
}

export function decodeCopyDone(body: Buffer): EmptyMessage<'CopyDone'> {
  return decodeEmpty('CopyDone', body);
}

export function decodeTerminate(body: Buffer): EmptyMessage<'Terminate'> {
  return decodeEmpty('Terminate', body);
}

/** The raw view; the three decoders below say what is in it. */
function decodePasswordMessage(body: Buffer): PasswordMessage {
  return { kind: 'PasswordMessage', data: body };
}

/** A password or md5 answer, without its NUL. */
export function decodePassword(body: Buffer): Buffer {
  const cursor = new Cursor('PasswordMessage', body);
  const password = cursor.text();
  cursor.end();
  return password;
}

export function decodeSASLInitialResponse(body: Buffer): SASLInitialResponse {
  const cursor = new Cursor('SASLInitialResponse', body);
  const mechanism = cursor.name();
  const data = cursor.value();
  cursor.end();
  return { mechanism, data };
}

/** The SASL data is the whole body. */
export function decodeSASLResponse(body: Buffer): Buffer {
  return body;
}

const DECODERS: ReadonlyMap<number, (body: Buffer) => FrontendMessage> = new Map<
  number,
  (body: Buffer) => FrontendMessage
>([
  [FRONTEND.Query, decodeQuery],
  [FRONTEND.Parse, decodeParse],
  [FRONTEND.Bind, decodeBind],
  [FRONTEND.Describe, decodeDescribe],
  [FRONTEND.Close, decodeClose],
  [FRONTEND.Execute, decodeExecute],
  [FRONTEND.FunctionCall, decodeFunctionCall],
  [FRONTEND.CopyData, decodeCopyData],
  [FRONTEND.CopyFail, decodeCopyFail],
  [FRONTEND.PasswordMessage, decodePasswordMessage],
  [FRONTEND.Sync, decodeSync],
  [FRONTEND.Flush, decodeFlush],
  [FRONTEND.CopyDone, decodeCopyDone],
  [FRONTEND.Terminate, decodeTerminate],
]);

/** Decodes the body of any client message. */
export function decodeFrontend(type: number, body: Buffer): FrontendMessage {
  const decode = DECODERS.get(type);
  if (decode === undefined) throw new ProtocolError(`frontend sent an ${messageName('frontend', type)}`);
  return decode(body);
}

export function encodeQuery(text: Buffer): Buffer {
  return new Writer(FRONTEND.Query).text(text).finish();
}

export function encodeParse(parse: Omit<Parse, 'kind'>): Buffer {
  const writer = new Writer(FRONTEND.Parse).name(parse.statement).text(parse.text);
  return writer.list(parse.parameterTypes, (oid) => writer.uint32(oid)).finish();
}

export function encodeBind(bind: Omit<Bind, 'kind'>): Buffer {
  const writer = new Writer(FRONTEND.Bind).name(bind.portal).name(bind.statement);
  writer.list(bind.formats, (format) => writer.uint16(format));
  writer.list(bind.parameters, (value) => writer.value(value));
  return writer.list(bind.resultFormats, (format) => writer.uint16(format)).finish();
}

export function encodeDescribe(target: Target, name: string): Buffer {
  return new Writer(FRONTEND.Describe).uint8(target.charCodeAt(0)).name(name).finish();
}

export function encodeClose(target: Target, name: string): Buffer {
  return new Writer(FRONTEND.Close).uint8(target.charCodeAt(0)).name(name).finish();
}

export function encodeExecute(portal: string, maxRows: number): Buffer {
  return new Writer(FRONTEND.Execute).name(portal).int32(maxRows).finish();
}

export function encodeFunctionCall(call: Omit<FunctionCall, 'kind'>): Buffer {
  const writer = new Writer(FRONTEND.FunctionCall).uint32(call.functionOid);
  writer.list(call.formats, (format) => writer.uint16(format));
  writer.list(call.parameters, (value) => writer.value(value));
  return writer.uint16(call.resultFormat).finish();
}

export function encodeCopyFail(message: Buffer): Buffer {
  return new Writer(FRONTEND.CopyFail).text(message).finish();
}

export function encodeSync(): Buffer {
  return new Writer(FRONTEND.Sync).finish();
}

export function encodeFlush(): Buffer {
  return new Writer(FRONTEND.Flush).finish();
}

export function encodeTerminate(): Buffer {
  return new Writer(FRONTEND.Terminate).finish();
}

/** A password or md5 answer. */
export function encodePassword(password: Buffer): Buffer {
  return new Writer(FRONTEND.PasswordMessage).text(password).finish();
}

export function encodeSASLInitialResponse(response: SASLInitialResponse): Buffer {
  return new Writer(FRONTEND.PasswordMessage).name(response.mechanism).value(response.data).finish();
}

export function encodeSASLResponse(data: Buffer): Buffer {
  return new Writer(FRONTEND.PasswordMessage).bytes(data).finish();
}

export function encodeCopyData(data: Buffer): Buffer {
  return new Writer(FRONTEND.CopyData).bytes(data).finish();
}

export function encodeCopyDone(): Buffer {
  return new Writer(FRONTEND.CopyDone).finish();
}
