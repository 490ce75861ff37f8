import { ProtocolError } from './errors.ts';

/** Names and tags are nearly always shorter than this: a look at each byte takes less time than a call out of JavaScript. */
const SHORT_BYTES = 32;

/**
 * Reads the fields of one message body in order: of the bytes from `start` up to `end`. Each length is checked before the
 * read; what is read as bytes is a view on the body. `end` must be called last: trailing bytes are refused.
 */
export class Cursor {
  readonly #message: string;
  readonly #body: Buffer;
  #position: number;
  readonly #end: number;

  constructor(message: string, body: Buffer, start = 0, end = body.length) {
    this.#message = message;
    this.#body = body;
    this.#position = start;
    this.#end = end;
  }

  /** Bytes not read yet. */
  get left(): number {
    return this.#end - this.#position;
  }

  uint8(): number {
    return this.#body[this.#advance(1)]!;
  }

  /** Counts and format codes; PostgreSQL reads them unsigned. */
  uint16(): number {
    return this.#body.readUInt16BE(this.#advance(2));
  }

  int16(): number {
    return this.#body.readInt16BE(this.#advance(2));
  }

  int32(): number {
    return this.#body.readInt32BE(this.#advance(4));
  }

  uint32(): number {
    return this.#body.readUInt32BE(this.#advance(4));
  }

  /** The bytes up to the next NUL, which is skipped. */
  text(): Buffer {
    const end = this.#terminator();
    return this.#body.subarray(this.#advance(end - this.#position + 1), end);
  }

  /** As `text`, decoded as latin1: one character per byte, so nothing is lost whatever the client encoding. */
  name(): string {
    const end = this.#terminator();
    const start = this.#advance(end - this.#position + 1);
    return start === end ? '' : this.#body.toString('latin1', start, end);
  }

  bytes(count: number): Buffer {
    const start = this.#advance(count);
    return this.#body.subarray(start, start + count);
  }

  /** A length word and that many bytes; null for length -1. */
  value(): Buffer | null {
    const length = this.int32();
    if (length === -1) return null;
    if (length < 0) this.fail(`negative value length ${length}`);
    return this.bytes(length);
  }

  /** Whether a whole `value` is present; for the head of a spilled message. */
  holdsValue(): boolean {
    return this.left >= 4 && this.left - 4 >= this.#body.readInt32BE(this.#position);
  }

  /** A count word and that many fields, each read by a function that is there once: one a message is memory a message. */
  list<T>(read: (cursor: Cursor) => T): T[] {
    const count = this.uint16();
    if (count === 0) return [];
    // One is what there is most often: a list that grows from nothing has room for seventeen.
    const items = [read(this)];
    while (items.length < count) items.push(read(this));
    return items;
  }

  rest(): Buffer {
    return this.bytes(this.left);
  }

  /** Refuses bytes after the last field: a smuggling door (test "trailing bytes are refused in every message"). */
  end(): void {
    if (this.left > 0) this.fail(`${this.left} trailing bytes`);
  }

  fail(problem: string): never {
    throw new ProtocolError(`malformed ${this.#message}: ${problem}`);
  }

  #terminator(): number {
    const near = Math.min(this.#position + SHORT_BYTES, this.#end);
    for (let at = this.#position; at < near; at += 1) if (this.#body[at] === 0) return at;
    const end = this.#body.indexOf(0, this.#position);
    if (end < 0 || end >= this.#end) this.fail('a string is not terminated');
    return end;
  }

  #advance(count: number): number {
    const start = this.#position;
    if (count > this.#end - start) this.fail('it ends in the middle of a field');
    this.#position = start + count;
    return start;
  }
}

/** Whether so few bytes stand there: a loop is quicker than the call that it would take. */
export function stands(bytes: Buffer, where: Buffer, at: number): boolean {
  for (let i = 0; i < bytes.length; i += 1) if (where[at + i] !== bytes[i]) return false;
  return true;
}

/** Fields of lists. */
export const readUint16 = (cursor: Cursor): number => cursor.uint16();
export const readUint32 = (cursor: Cursor): number => cursor.uint32();
export const readValue = (cursor: Cursor): Buffer | null => cursor.value();
