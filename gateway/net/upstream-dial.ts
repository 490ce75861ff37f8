import { isIP, connect as netConnect, type Socket } from 'node:net';
import { type PeerCertificate, type TLSSocket, connect as tlsConnect } from 'node:tls';
import type { HostPort, UpstreamTlsMode } from '../config/document.ts';
import { encodeSSLRequest } from '../wire/opening.ts';
import { ByteSource } from './byte-source.ts';
import { sharedReads } from './shared-reads.ts';
import { ALPN } from './tls-server.ts';
import { CONNECTION_FAILURE, UpstreamError, type UpstreamFailure } from './upstream-error.ts';

export interface UpstreamTls {
  readonly mode: UpstreamTlsMode;
  /** PEM; null: the system's authorities. */
  readonly ca: Buffer | null;
}

export interface DialOptions {
  /** Its name is what the certificate must be for. */
  readonly target: HostPort;
  /** The address to dial in place of the name's own: of the very server that a cancel request is for. */
  readonly address?: string;
  readonly tls: UpstreamTls;
  /** The caller tells the reason of an abort. */
  readonly signal: AbortSignal;
}

/** A connection to a database server on which nothing but TLS has been spoken; paused. */
export interface Dialled {
  readonly socket: Socket | TLSSocket;
  /** DER; null: not encrypted. */
  readonly certificate: Buffer | null;
}

/** Connects to one server and encrypts as its mode demands; rejects with an UpstreamError. */
export async function dial(options: DialOptions): Promise<Dialled> {
  const raw = await connectTcp(options);
  try {
    if (options.tls.mode === 'Disable') return { socket: raw, certificate: null };
    await requestTls(raw, options);
    const socket = await encrypt(raw, options);
    return { socket, certificate: socket.getPeerX509Certificate()?.raw ?? null };
  } catch (error) {
    raw.destroy();
    throw error;
  }
}

async function connectTcp({ target, address, tls, signal }: DialOptions): Promise<Socket> {
  const socket: Socket = netConnect({
    ...(tls.mode === 'Disable' ? { onread: sharedReads(() => socket) } : {}),
    host: address ?? target.host,
    port: target.port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
    // Node's 250 ms would give up a server on another continent while it answers.
    autoSelectFamilyAttemptTimeout: 2_000,
  });
  socket.pause();
  await event(socket, 'connect', { signal, fail: (error) => unreachable(target, error) });
  return socket;
}

async function requestTls(socket: Socket, { target, tls, signal }: DialOptions): Promise<void> {
  const source = new ByteSource(socket);
  socket.write(encodeSSLRequest());
  const arrival = await source.more(signal);
  if (arrival === 'Aborted') throw aborted(target);
  if (arrival === 'Closed') throw unreachable(target, new Error('closed instead of an answer to SSLRequest'));
  const answer = String.fromCharCode(source.bytes[0]!);
  if (answer === 'N') {
    const message = `the database server ${name(target)} does not support TLS`;
    throw failure('TlsRefused', message, `Enable TLS there; spec.upstream.tls.mode is ${tls.mode}.`);
  }
  // Whatever else came was sent in clear, by the server or by somebody in between (CVE-2021-23222; test "bytes
  // stuffed behind the server's answer to SSLRequest are refused"). An ErrorResponse here is not believed either.
  if (answer !== 'S' || source.pending !== 1) {
    const message = `the database server ${name(target)} gave a wrong answer to SSLRequest`;
    throw failure('ProtocolViolation', message, 'Something else than PostgreSQL may be listening there.');
  }
  source.take(1);
  source.detach();
}

async function encrypt(socket: Socket, { target, tls, signal }: DialOptions): Promise<TLSSocket> {
  const secure = tlsConnect({
    socket,
    host: target.host,
    ...(isIP(target.host) === 0 ? { servername: target.host } : {}),
    ...(tls.ca === null ? {} : { ca: tls.ca }),
    rejectUnauthorized: tls.mode === 'VerifyFull' || tls.mode === 'VerifyCA',
    ...(tls.mode === 'VerifyFull' ? {} : { checkServerIdentity: anyName }),
    ALPNProtocols: [ALPN],
    minVersion: 'TLSv1.2',
  });
  const fail = (error: NodeJS.ErrnoException): UpstreamError => {
    const message = `TLS with the database server ${name(target)} failed: ${error.message}`;
    return failure('TlsFailed', message, tlsHint(error.code ?? '', tls));
  };
  await event(secure, 'secureConnect', { signal, fail });
  return secure;
}

function anyName(_host: string, _certificate: PeerCertificate): undefined {
  return undefined;
}

function tlsHint(code: string, { mode, ca }: UpstreamTls): string {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return 'The host in spec.upstream.hosts must be one of the names in the server certificate.';
  }
  if (mode === 'Require') return 'The server may not support TLS 1.2 or later.';
  return ca === null
    ? 'Set spec.upstream.tls.caRef to the authority that issued the server certificate.'
    : 'The authority in spec.upstream.tls.caRef must be the one that issued the server certificate.';
}

interface Waiting {
  readonly signal: AbortSignal;
  readonly fail: (error: NodeJS.ErrnoException) => UpstreamError;
}

/** Waits for a socket's first event; destroys it on abort. The error listener stays for the socket's life. */
async function event(socket: Socket, name: 'connect' | 'secureConnect', { signal, fail }: Waiting): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject);
      socket.once('close', () => reject(new Error('the connection was closed')));
      socket.once(name, resolve);
      if (signal.aborted) socket.destroy();
      signal.addEventListener('abort', () => socket.destroy(), { once: true });
    });
  } catch (error) {
    throw fail(error as NodeJS.ErrnoException);
  }
}

function unreachable(target: HostPort, error: Error): UpstreamError {
  const cause = (error as NodeJS.ErrnoException).code ?? error.message;
  const message = `cannot connect to the database server ${name(target)}: ${cause}`;
  return failure('Unreachable', message, 'Is the server running there, and does the network let the gateway reach it?');
}

export function aborted(target: HostPort): UpstreamError {
  return failure('Aborted', `the connection to the database server ${name(target)} was given up`, 'Try again.');
}

export function name({ host, port }: HostPort): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function failure(code: UpstreamFailure, message: string, hint: string): UpstreamError {
  return new UpstreamError({ code, sqlstate: CONNECTION_FAILURE, message, hint });
}
