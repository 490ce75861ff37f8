import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import type { SecretSource } from '../../gateway/config/document.ts';
import { Certificates } from '../../gateway/net/certificates.ts';
import { ConnectionCounter, type ListenerLimits, listen } from '../../gateway/net/listener.ts';
import { type Opened, type OpeningOptions, open } from '../../gateway/net/opening.ts';
import { decodeErrorResponse } from '../../gateway/wire/backend.ts';
import { encodeSSLRequest, encodeStartupMessage } from '../../gateway/wire/opening.ts';
import { BACKEND } from '../../gateway/wire/types.ts';
import { type CertificateAuthority, createCertificateAuthority } from '../kit/tls.ts';

export type Started = Extract<Opened, { kind: 'Startup' }>;

/** Secrets that a test may change. */
export function secretsOf(entries: Record<string, string>): SecretSource & { set(key: string, value: string): void } {
  const values = new Map(Object.entries(entries));
  return {
    read: (secret, key) => {
      const value = values.get(`${secret}/${key}`);
      return value === undefined ? undefined : Buffer.from(value);
    },
    set: (key, value) => void values.set(key, value),
  };
}

/** A gateway's front door: a listener whose connections are opened, and nothing behind it. */
export interface Door {
  readonly port: number;
  readonly authority: CertificateAuthority;
  readonly counter: ConnectionCounter;
  /** The next connection's outcome. */
  next(): Promise<Opened>;
  /** Stops accepting. */
  stop(): void;
  /** Stops accepting and ends all connections. */
  close(): void;
}

export interface DoorOptions {
  readonly mode?: 'Required' | 'Optional';
  readonly certificate?: boolean;
  readonly clientCertificates?: boolean;
  /** Without it client certificates are asked for and none can be verified. */
  readonly clientAuthority?: boolean;
  readonly minVersion?: '1.2' | '1.3';
  readonly deadline?: number;
  readonly limits?: ListenerLimits;
  /** What happens to an opened connection; default: nothing. */
  readonly onOpened?: (opened: Opened) => unknown;
}

export async function startDoor(options: DoorOptions = {}): Promise<Door> {
  const authority = await createCertificateAuthority();
  const pair = await authority.server(['localhost', '127.0.0.1']);
  const certificates = new Certificates({
    config: () => ({
      secret: options.certificate === false ? null : 'tls',
      minVersion: options.minVersion ?? '1.2',
      clientCa:
        options.clientCertificates === true && options.clientAuthority !== false
          ? { secret: 'ca', key: 'ca.crt' }
          : null,
    }),
    secrets: secretsOf({ 'tls/tls.crt': pair.certPem, 'tls/tls.key': pair.keyPem, 'ca/ca.crt': authority.caPem }),
    onError: (message) => {
      throw new Error(message);
    },
  });
  const waiting: ((opened: Opened) => void)[] = [];
  const arrived: Opened[] = [];
  const sockets = new Set<net.Socket>();
  const counter = new ConnectionCounter(() => options.limits ?? { connections: 100, connectionsPerSource: 100 });
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    counter,
    onConnection: async (socket, refusal) => {
      sockets.add(socket);
      const opening: OpeningOptions = {
        tls: { mode: options.mode ?? 'Required', context: () => certificates.context() },
        requestClientCertificate: options.clientCertificates === true,
        refusal,
        signal: AbortSignal.timeout(options.deadline ?? 5_000),
      };
      const opened = await open(socket, opening);
      options.onOpened?.(opened);
      const take = waiting.shift();
      if (take === undefined) arrived.push(opened);
      else take(opened);
    },
  });
  return {
    port: listener.port,
    authority,
    counter,
    next: () => {
      const opened = arrived.shift();
      return opened === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(opened);
    },
    stop: () => listener.close(),
    close: () => {
      listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

export async function nextStartup(door: Pick<Door, 'next'>): Promise<Started> {
  const opened = await door.next();
  if (opened.kind !== 'Startup') throw new Error(`${opened.kind}: ${'message' in opened ? opened.message : ''}`);
  return opened;
}

/** A client that says what the test tells it to. */
export class RawClient {
  readonly socket: net.Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #ended = false;

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
    });
    socket.once('close', () => {
      this.#ended = true;
    });
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  /** Connects and asks for TLS as libpq does. */
  static async connectTls(port: number, options: tls.ConnectionOptions): Promise<RawClient> {
    const raw = await RawClient.connect(port);
    raw.write(encodeSSLRequest());
    if ((await raw.take(1)).toString() !== 'S') throw new Error('no TLS');
    raw.socket.removeAllListeners('data');
    const secure = tls.connect({ ALPNProtocols: ['postgresql'], host: 'localhost', ...options, socket: raw.socket });
    await once(secure, 'secureConnect');
    return new RawClient(secure);
  }

  write(bytes: Buffer | string): void {
    this.socket.write(bytes);
  }

  async take(count: number): Promise<Buffer> {
    while (this.#bytes.length < count) {
      if (this.#ended) throw new Error(`closed after ${this.#bytes.length} of ${count} bytes`);
      await Promise.race([once(this.socket, 'data'), once(this.socket, 'close')]);
    }
    const taken = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return taken;
  }

  async message(): Promise<{ type: number; body: Buffer }> {
    const header = await this.take(5);
    return { type: header[0]!, body: await this.take(header.readUInt32BE(1) - 4) };
  }

  /** Fields of the ErrorResponse that has to come next. */
  async error(): Promise<ReadonlyMap<string, string>> {
    const { type, body } = await this.message();
    if (type !== BACKEND.ErrorResponse) throw new Error(`message ${String.fromCharCode(type)} instead of an error`);
    return decodeErrorResponse(body).fields;
  }

  /** Everything until the peer closes. */
  async rest(): Promise<Buffer> {
    if (!this.#ended) await once(this.socket, 'close');
    return this.#bytes;
  }
}

export function startup(parameters: Record<string, string> = { user: 'ana', database: 'shop' }, minor = 0): Buffer {
  return encodeStartupMessage(minor, new Map(Object.entries(parameters)));
}
