import { connect, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import pg from 'pg';
import type { Failure, Login, State } from './protocol.ts';

/** What pg keeps to itself. */
interface Inner {
  readonly connection: { readonly stream: TLSSocket };
  readonly processID: number;
  readonly secretKey: number;
}

export function failureOf(error: unknown): Failure {
  const { code, message } = error as Error & { code?: string };
  return { code: code ?? '', message };
}

/** One session at a gateway. */
export class Session {
  readonly #client: pg.Client;
  #ended: Failure | null = null;
  #open = false;
  #serial = '';

  constructor({ ca, serverName, ...login }: Login) {
    const ssl = { ca, ...(serverName === undefined ? {} : { servername: serverName }) };
    this.#client = new pg.Client({ ...login, ssl, connectionTimeoutMillis: 10_000, application_name: 'agent' });
    this.#client.on('error', (error) => this.#end(failureOf(error)));
    this.#client.on('end', () => this.#end({ code: '', message: 'closed' }));
  }

  #end(failure: Failure): void {
    this.#open = false;
    this.#ended ??= failure;
  }

  async open(): Promise<void> {
    await this.#client.connect();
    this.#open = true;
    this.#serial = this.#inner.connection.stream.getPeerCertificate().serialNumber;
  }

  get #inner(): Inner {
    return this.#client as unknown as Inner;
  }

  async query(sql: string): Promise<readonly Record<string, unknown>[]> {
    const result = await this.#client.query(sql).catch((error: pg.DatabaseError) => {
      // The server closes behind it; pg will notice a little later.
      if (error.severity === 'FATAL') this.#end(failureOf(error));
      throw error;
    });
    // Several statements give several results: the last one counts.
    return (Array.isArray(result) ? result.at(-1) : result).rows;
  }

  /** Sends a CancelRequest without TLS, as clients before libpq 17 do, and waits for the end of its connection. */
  async cancel(host: string, port: number): Promise<void> {
    const request = Buffer.alloc(16);
    request.writeInt32BE(16, 0);
    request.writeInt32BE(80_877_102, 4);
    request.writeInt32BE(this.#inner.processID, 8);
    request.writeInt32BE(this.#inner.secretKey, 12);
    const socket: Socket = connect(port, host);
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject).once('close', () => resolve());
      socket.once('connect', () => socket.end(request)).resume();
    });
  }

  get state(): State {
    return { open: this.#open, ended: this.#ended, serial: this.#serial };
  }

  async end(): Promise<void> {
    await this.#client.end();
  }
}
