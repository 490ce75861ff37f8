import net from 'node:net';
import { decodeErrorResponse } from '../../gateway/wire/backend.ts';
import { encodeBind, encodeParse, encodePassword, encodeQuery } from '../../gateway/wire/frontend.ts';
import { encodeStartupMessage } from '../../gateway/wire/opening.ts';
import { username, type World } from './harness.ts';

/** A client that sends bytes and collects what comes, as `type` or `type:detail` words. */
export class Raw {
  readonly socket: net.Socket;
  readonly words: string[] = [];
  key = Buffer.alloc(0);
  processId = 0;
  #rest = Buffer.alloc(0);
  #look: (() => void) | null = null;

  constructor(port: number) {
    this.socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    this.socket.on('error', () => {});
    this.socket.on('data', (chunk) => {
      this.#rest = Buffer.concat([this.#rest, chunk]);
      while (this.#rest.length >= 5 && this.#rest.length > this.#rest.readUInt32BE(1))
        this.#take(1 + this.#rest.readUInt32BE(1));
      this.#look?.();
    });
    this.socket.on('end', () => {
      this.words.push('end');
      this.#look?.();
    });
  }

  send(...messages: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(messages));
  }

  /** Waits for a word and returns all that came up to it. */
  async until(word: string): Promise<string> {
    const deadline = Date.now() + 8000;
    while (!this.words.includes(word)) {
      if (Date.now() > deadline) throw new Error(`no ${word}; so far: ${this.words.join(' ')}`);
      await new Promise<void>((resolve) => {
        this.#look = resolve;
        setTimeout(resolve, 100);
      });
    }
    return this.words.splice(0, this.words.indexOf(word) + 1).join(' ');
  }

  /** Waits for the next ReadyForQuery and returns it. */
  async next(): Promise<string> {
    const deadline = Date.now() + 8000;
    for (;;) {
      const ready = this.words.find((word) => word.startsWith('Z:'));
      if (ready !== undefined) return ready;
      if (Date.now() > deadline) throw new Error(`no ReadyForQuery; so far: ${this.words.join(' ')}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  #take(size: number): void {
    const type = String.fromCharCode(this.#rest[0]!);
    const body = this.#rest.subarray(5, size);
    if (type === 'K') [this.processId, this.key] = [body.readInt32BE(0), Buffer.from(body.subarray(4))];
    if (type === 'E') this.words.push(`E:${decodeErrorResponse(body).fields.get('C')}`);
    else if (type === 'Z') this.words.push(`Z:${String.fromCharCode(body[0]!)}`);
    else if (type === 'C') this.words.push(`C:${body.toString('latin1', 0, body.length - 1).replaceAll(' ', '_')}`);
    else if (type !== 'S' && type !== 'N' && type !== 'R' && type !== 'K') this.words.push(type);
    this.#rest = this.#rest.subarray(size);
  }
}

export const sql = (text: string) => encodeQuery(Buffer.from(text));
export const parse = (text: string, statement = '') =>
  encodeParse({ statement, text: Buffer.from(text), parameterTypes: [] });
export const bind = (portal = '', statement = '') =>
  encodeBind({ portal, statement, formats: [], parameters: [], resultFormats: [] });

/** A raw client, signed in to the database `postgres` as a ServiceAccount, with protocol 3.`minor`. */
export async function signIn(world: World, name: string, minor = 0): Promise<Raw> {
  const client = new Raw(world.port);
  client.send(encodeStartupMessage(minor, new Map(Object.entries({ user: username(name), database: 'postgres' }))));
  client.send(encodePassword(Buffer.from(await world.token(name))));
  await client.until('Z:I');
  return client;
}
