import { once } from 'node:events';
import net from 'node:net';
import { ScramKeyCache } from '../../gateway/net/scram.ts';
import { dialUpstream, type UpstreamConnection, type UpstreamOptions } from '../../gateway/net/upstream.ts';
import { UpstreamError } from '../../gateway/net/upstream-error.ts';
import {
  encodeAuthentication,
  encodeBackendKeyData,
  encodeErrorResponse,
  encodeParameterStatus,
  encodeReadyForQuery,
} from '../../gateway/wire/backend.ts';
import { RawClient } from './support.ts';

/** A server that follows a script, one run for each connection. */
export interface FakeServer {
  readonly port: number;
  /** What clients have sent. */
  readonly connections: number;
  close(): void;
}

export type Script = (peer: RawClient) => unknown;

export async function fakeServer(script: Script): Promise<FakeServer> {
  const sockets = new Set<net.Socket>();
  let connections = 0;
  const server = net.createServer({ noDelay: true }, async (socket) => {
    connections += 1;
    sockets.add(socket);
    try {
      await script(new RawClient(socket));
    } catch {
      socket.destroy();
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    port: (server.address() as net.AddressInfo).port,
    get connections() {
      return connections;
    },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Reads an opening packet whole. */
export async function readPacket(peer: RawClient): Promise<Buffer> {
  const length = await peer.take(4);
  return Buffer.concat([length, await peer.take(length.readUInt32BE(0) - 4)]);
}

export const OK = encodeAuthentication({ kind: 'Ok' });
export const KEY = encodeBackendKeyData({ processId: 99, secretKey: Buffer.from('keys') });
export const READY = encodeReadyForQuery('I');
export const STATUS = encodeParameterStatus('server_version', '18.4');

export function fatal(code: string): Buffer {
  return encodeErrorResponse({ severity: 'FATAL', code, message: 'the server says no' });
}

/** Plain connection, password in clear is not allowed there: md5 it is. */
export async function acceptMd5(peer: RawClient): Promise<Buffer> {
  const packet = await readPacket(peer);
  peer.write(encodeAuthentication({ kind: 'MD5Password', salt: Buffer.from('salt') }));
  await peer.message();
  return packet;
}

type Settings = Partial<UpstreamOptions> & { readonly port?: number };

export function upstreamOptions({ port, ...options }: Settings): UpstreamOptions {
  return {
    hosts: [{ host: '127.0.0.1', port: port ?? 0 }],
    tls: { mode: 'Disable', ca: null },
    authentication: ['ScramSha256', 'Md5', 'Password'],
    connectTimeout: 5_000,
    user: 'app',
    password: 'app-password',
    startup: new Map([['database', 'postgres']]),
    minor: 0,
    scramKeys: new ScramKeyCache(),
    signal: new AbortController().signal,
    ...options,
  };
}

export function dialWith(settings: Settings): Promise<UpstreamConnection> {
  return dialUpstream(upstreamOptions(settings));
}

export async function failureOf(connection: Promise<unknown>): Promise<UpstreamError> {
  const outcome = await connection.then(
    () => null,
    (error: unknown) => error,
  );
  if (!(outcome instanceof UpstreamError)) throw new Error(`no UpstreamError but ${outcome}`);
  return outcome;
}
