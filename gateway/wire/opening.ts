/**
 * The packets without a type byte that open a connection: StartupMessage, SSLRequest, GSSENCRequest, CancelRequest
 * (PostgreSQL documentation, 54.2.1 and 54.7), and the first byte of a TLS ClientHello (direct TLS).
 */
import { isUtf8 } from 'node:buffer';
import { ProtocolError } from './errors.ts';
import { Writer } from './writer.ts';

export interface StartupMessage {
  readonly kind: 'StartupMessage';
  readonly major: number;
  readonly minor: number;
  /** The last of several equal names counts, as in the server. */
  readonly parameters: ReadonlyMap<string, string>;
  /** Names that begin with `_pq_.`. */
  readonly unknownOptions: readonly string[];
  readonly size: number;
}

export type Opening =
  | { readonly kind: 'NeedMore' }
  | { readonly kind: 'DirectTLS' }
  | { readonly kind: 'SSLRequest' | 'GSSENCRequest'; readonly size: number }
  | { readonly kind: 'CancelRequest'; readonly processId: number; readonly secretKey: Buffer; readonly size: number }
  | StartupMessage;

/** MAX_STARTUP_PACKET_LENGTH of the server. */
const MAX_STARTUP_PACKET_LENGTH = 10_000;

const CANCEL_REQUEST = 80877102;
const SSL_REQUEST = 80877103;
const GSSENC_REQUEST = 80877104;
const TLS_HANDSHAKE = 0x16;

/** Reads the packet at the start of `buffer`; `size` of the answer is what it takes up. */
export function readOpening(buffer: Buffer): Opening {
  if (buffer[0] === TLS_HANDSHAKE) return { kind: 'DirectTLS' };
  if (buffer.length < 4) return { kind: 'NeedMore' };
  const size = buffer.readUInt32BE(0);
  if (size < 8 || size > MAX_STARTUP_PACKET_LENGTH) {
    throw new ProtocolError('invalid length of startup packet: this is a PostgreSQL port, not HTTP or anything else');
  }
  if (buffer.length < size) return { kind: 'NeedMore' };
  return readPacket(buffer.subarray(0, size), size);
}

function readPacket(packet: Buffer, size: number): Opening {
  const code = packet.readUInt32BE(4);
  if (code === SSL_REQUEST || code === GSSENC_REQUEST) {
    if (size !== 8) throw new ProtocolError('invalid length of encryption request');
    return { kind: code === SSL_REQUEST ? 'SSLRequest' : 'GSSENCRequest', size };
  }
  if (code === CANCEL_REQUEST) {
    const secretKey = packet.subarray(12);
    if (secretKey.length < 4 || secretKey.length > 256) throw new ProtocolError('invalid length of cancel request');
    return { kind: 'CancelRequest', processId: packet.readInt32BE(8), secretKey, size };
  }
  return readStartup(packet, code, size);
}

function readStartup(packet: Buffer, code: number, size: number): StartupMessage {
  const version = { kind: 'StartupMessage', major: code >>> 16, minor: code & 0xffff, size } as const;
  // What another major's packet holds is not known: the caller refuses it by its number.
  if (version.major !== 3) return { ...version, parameters: new Map(), unknownOptions: [] };
  const body = packet.subarray(8);
  // Replacement characters would make different names look the same.
  // Test: "a startup parameter that is not UTF-8 is refused".
  if (!isUtf8(body)) throw new ProtocolError('startup parameters must be UTF-8');
  const strings = body.toString('utf8').split('\0');
  // name, value, …, an empty name as terminator, and what follows the last NUL, which must be nothing.
  if (strings.length < 2 || strings.length % 2 !== 0 || strings.at(-1) !== '' || strings.at(-2) !== '') {
    throw new ProtocolError('invalid startup packet layout: expected terminator as last byte');
  }
  const parameters = new Map<string, string>();
  const unknownOptions: string[] = [];
  for (let i = 0; i + 2 < strings.length; i += 2) {
    const name = strings[i]!;
    if (name === '') throw new ProtocolError('invalid startup packet layout: an empty parameter name');
    if (name.startsWith('_pq_.')) unknownOptions.push(name);
    else parameters.set(name, strings[i + 1]!);
  }
  return { ...version, parameters, unknownOptions };
}

export function encodeStartupMessage(minor: number, parameters: ReadonlyMap<string, string>): Buffer {
  const writer = new Writer(null).int32((3 << 16) | minor);
  for (const [name, value] of parameters) writer.text(Buffer.from(name)).text(Buffer.from(value));
  return writer.uint8(0).finish();
}

export function encodeSSLRequest(): Buffer {
  return new Writer(null).int32(SSL_REQUEST).finish();
}

export function encodeGSSENCRequest(): Buffer {
  return new Writer(null).int32(GSSENC_REQUEST).finish();
}

export function encodeCancelRequest(processId: number, secretKey: Buffer): Buffer {
  return new Writer(null).int32(CANCEL_REQUEST).int32(processId).bytes(secretKey).finish();
}
