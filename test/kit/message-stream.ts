import type { Duplex } from 'node:stream';
import { MessageReader } from '../../gateway/wire/reader.ts';
import { trace } from '../../gateway/wire/trace.ts';
import { type Direction, messageName } from '../../gateway/wire/types.ts';

/** A message as it came; `raw` includes its header and may be kept. */
export interface Message {
  /** The documentation's name, e.g. `ReadyForQuery`. */
  readonly name: string;
  readonly type: number;
  readonly raw: Buffer;
  readonly body: Buffer;
}

/** The peer closed the connection, or broke it, while a message was awaited. */
class ConnectionEnded extends Error {
  override readonly name = 'ConnectionEnded';
}

/** Reads whole messages of one direction from a socket, with a deadline for each; unbounded, for tests only. */
export class MessageStream {
  readonly #reader: MessageReader;
  readonly #direction: Direction;
  readonly #timeoutMs: number;
  readonly #messages: Message[] = [];
  #ended: Error | undefined;
  #wake: () => void = () => {};

  constructor(direction: Direction, timeoutMs: number) {
    const whole = () => Number.POSITIVE_INFINITY;
    this.#direction = direction;
    this.#timeoutMs = timeoutMs;
    this.#reader = new MessageReader({ direction, streamed: new Set(), spill: whole, maxLength: whole });
  }

  attach(socket: Duplex): void {
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.once('close', () => this.#end(new ConnectionEnded('the connection is closed')));
    socket.on('error', (error) => this.#end(new ConnectionEnded(error.message, { cause: error })));
  }

  /** The next message; rejects with ConnectionEnded when none can come any more, and after the deadline. */
  async next(): Promise<Message> {
    const deadline = Date.now() + this.#timeoutMs;
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) return message;
      if (this.#ended !== undefined) throw this.#ended;
      await this.#change(deadline);
    }
  }

  #change(deadline: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error(`no message from the ${this.#direction} within ${this.#timeoutMs} ms`));
      const timer = setTimeout(late, deadline - Date.now());
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #receive(chunk: Buffer): void {
    try {
      // A copy: the reader's views would otherwise live in the socket's memory.
      this.#reader.push(Buffer.from(chunk));
      for (let step = this.#reader.next(); step?.kind === 'message'; step = this.#reader.next()) {
        const { type, raw, body } = step;
        this.#messages.push({ name: messageName(this.#direction, type), type, raw, body });
      }
      this.#wake();
    } catch (error) {
      this.#end(error as Error);
    }
  }

  #end(reason: Error): void {
    this.#ended ??= reason;
    this.#wake();
  }
}

/** The transcript lines of whole messages; bytes that are none appear as their number. */
export function describe(direction: Direction, bytes: Buffer): readonly string[] {
  try {
    return trace(direction, bytes);
  } catch {
    return [`${direction === 'frontend' ? 'F' : 'B'}\t<${bytes.length} bytes that are no messages>`];
  }
}
