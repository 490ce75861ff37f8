import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import {
  encodeAuthentication,
  encodeBackendKeyData,
  encodeParameterStatus,
  encodeReadyForQuery,
} from '../../gateway/wire/backend.ts';
import { type Opening, readOpening } from '../../gateway/wire/opening.ts';
import { type Message, MessageStream } from './message-stream.ts';
import type { KeyAndCertificate } from './tls.ts';

/** What the scripted server does on one connection; the connection is closed when it returns. */
export type Script = (peer: Peer) => Promise<void>;

/** A server that behaves as told, for faults that a real one does not show on demand; never an oracle. */
export interface ScriptedServer {
  readonly host: '127.0.0.1';
  readonly port: number;
  /** Connections accepted so far. */
  readonly connections: number;
  /** Ends everything; rejects with the first error of a script, so that a failed expectation fails the test. */
  close(): Promise<void>;
}

/** Starts a server that plays `script` on every connection. */
export async function startScriptedServer(script: Script): Promise<ScriptedServer> {
  const sockets = new Set<net.Socket>();
  const playing = new Set<Promise<void>>();
  let failure: unknown;
  let closing = false;
  let connections = 0;
  const listener = net.createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    const play = script(new Peer(socket))
      .catch((error: unknown) => {
        if (!closing) failure ??= error;
      })
      .finally(() => {
        socket.end();
        playing.delete(play);
      });
    playing.add(play);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    host: '127.0.0.1',
    port: (listener.address() as net.AddressInfo).port,
    get connections() {
      return connections;
    },
    close: async () => {
      closing = true;
      const closed = once(listener, 'close');
      listener.close();
      for (const socket of sockets) socket.destroy();
      await Promise.all([closed, ...playing]);
      if (failure !== undefined) throw failure;
    },
  };
}

/** One client of the scripted server. */
export class Peer {
  #socket: net.Socket;
  readonly #incoming = new MessageStream('frontend', 10_000);
  #typed = false;

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on('error', () => {});
  }

  /** Waits for the packet that opens the connection; rejects when it is another one. */
  async opening<Kind extends Opening['kind']>(kind: Kind): Promise<Extract<Opening, { kind: Kind }>> {
    let bytes: Buffer = Buffer.alloc(0);
    for (;;) {
      const opening = readOpening(bytes);
      if (opening.kind === kind) {
        if ('size' in opening) this.#socket.unshift(bytes.subarray(opening.size));
        return opening as Extract<Opening, { kind: Kind }>;
      }
      if (opening.kind !== 'NeedMore') throw new Error(`expected ${kind}, got ${opening.kind}`);
      const chunk = (this.#socket.read() as Buffer | null) ?? Buffer.alloc(0);
      if (chunk.length === 0) await this.#readable();
      bytes = Buffer.concat([bytes, chunk]);
    }
  }

  async #readable(): Promise<void> {
    const ended = once(this.#socket, 'close').then(() => {
      throw new Error('the client closed the connection while it opened it');
    });
    await Promise.race([once(this.#socket, 'readable'), ended]);
  }

  /** Waits for the next message; rejects when it is another one. */
  async expect(name: string): Promise<Message> {
    if (!this.#typed) this.#incoming.attach(this.#socket);
    this.#typed = true;
    const message = await this.#incoming.next();
    if (message.name !== name) throw new Error(`expected ${name}, got ${message.name}`);
    return message;
  }

  /** Answers an SSLRequest with S and goes on encrypted. */
  async startTls(server: KeyAndCertificate): Promise<void> {
    this.#socket.write('S');
    const socket = new tls.TLSSocket(this.#socket, { isServer: true, key: server.keyPem, cert: server.certPem });
    await once(socket, 'secure');
    this.#socket = socket;
    socket.on('error', () => {});
  }

  /** The StartupMessage, and the answers of a server that trusts everybody, up to ReadyForQuery. */
  async acceptLogin(parameters: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.opening('StartupMessage');
    const statuses = {
      server_version: '18.0',
      client_encoding: 'UTF8',
      standard_conforming_strings: 'on',
      ...parameters,
    };
    this.send(
      encodeAuthentication({ kind: 'Ok' }),
      ...Object.entries(statuses).map(([name, value]) => encodeParameterStatus(name, value)),
      encodeBackendKeyData({ processId: 4711, secretKey: Buffer.from([1, 2, 3, 4]) }),
      encodeReadyForQuery('I'),
    );
  }

  send(...bytes: readonly (Buffer | string)[]): void {
    this.#socket.write(Buffer.concat(bytes.map((it) => Buffer.from(it as string))));
  }

  /** Resets the connection: the client reads an error, not an end. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  /** Waits until the client has gone. */
  async gone(): Promise<void> {
    if (!this.#socket.destroyed) await once(this.#socket.resume(), 'close');
  }
}
