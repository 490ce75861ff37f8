import { ProtocolError } from './errors.ts';

/** Builds one message: fields in order, then `finish`, which patches the length word. */
export class Writer {
  #bytes: Buffer = Buffer.allocUnsafe(128);
  #size: number;
  readonly #lengthAt: number;

  /** `type` null: an opening packet, which has no type byte. */
  constructor(type: number | null) {
    this.#lengthAt = type === null ? 0 : 1;
    if (type !== null) this.#bytes[0] = type;
    this.#size = this.#lengthAt + 4;
  }

  uint8(value: number): this {
    const at = this.#grow(1);
    this.#bytes.writeUInt8(value, at);
    return this;
  }

  uint16(value: number): this {
    const at = this.#grow(2);
    this.#bytes.writeUInt16BE(value, at);
    return this;
  }

  int16(value: number): this {
    const at = this.#grow(2);
    this.#bytes.writeInt16BE(value, at);
    return this;
  }

  int32(value: number): this {
    const at = this.#grow(4);
    this.#bytes.writeInt32BE(value, at);
    return this;
  }

  uint32(value: number): this {
    const at = this.#grow(4);
    this.#bytes.writeUInt32BE(value, at);
    return this;
  }

  bytes(value: Buffer): this {
    const at = this.#grow(value.length); // first: it may replace #bytes
    value.copy(this.#bytes, at);
    return this;
  }

  /** Bytes and a NUL; a NUL inside would end the string early for the reader and is refused. */
  text(value: Buffer): this {
    if (value.includes(0)) throw new ProtocolError('a string with a NUL byte cannot be sent');
    return this.bytes(value).uint8(0);
  }

  /** The inverse of `Cursor.name`: latin1. A character beyond U+00FF would be cut to another one and is refused. */
  name(value: string): this {
    if (/[^\u0001-\u00ff]/.test(value)) throw new ProtocolError('a name must hold one byte per character and no NUL');
    return this.text(Buffer.from(value, 'latin1'));
  }

  /** A length word and the bytes; -1 for null. */
  value(value: Buffer | null): this {
    return value === null ? this.int32(-1) : this.int32(value.length).bytes(value);
  }

  /** A count word and the items. */
  list<T>(items: readonly T[], write: (item: T) => unknown): this {
    this.uint16(items.length);
    for (const item of items) write(item);
    return this;
  }

  finish(): Buffer {
    this.#bytes.writeInt32BE(this.#size - this.#lengthAt, this.#lengthAt);
    return this.#bytes.subarray(0, this.#size);
  }

  #grow(count: number): number {
    const start = this.#size;
    this.#size += count;
    if (this.#size > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#size, 2 * this.#bytes.length));
      this.#bytes.copy(grown, 0, 0, start);
      this.#bytes = grown;
    }
    return start;
  }
}
