/** Where a record's index and uid stand in a line; what follows begins with the quote that ends the uid. */
export const PLACE: unique symbol = Symbol('place');

/** A piece of a line: bytes rendered before, text, a number that is not negative and has three decimals at most, or the place. */
export type Part = Buffer | string | number | typeof PLACE;

const INITIAL_BYTES = 64 << 10;
/** The greatest power of ten of 31 bits. */
const WORD = 1e9;
const WORD_DIGITS = 9;
/** A buffer grown beyond this, while the disk failed, is given back once it is empty. */
const KEPT_BYTES = 1 << 20;

/** Lines on their way to the disk, in memory that is used again and again: most of a line is the same as before. */
export class LineBuffer {
  #bytes: Buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** A view that is good until the next change. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  }

  /** Adds a line, its newline included. `uid` is what stands between the index and the uid's own index. */
  line(parts: readonly Part[], index: number, uid: Buffer): void {
    this.#reserve(parts, uid);
    let at = this.#length;
    // By its type first: to compare a symbol with whatever else it may be is a call.
    for (const part of parts) {
      if (typeof part === 'object') {
        this.#bytes.set(part, at);
        at += part.length;
      } else if (typeof part === 'number') at = this.#number(part, at);
      else if (typeof part === 'string') {
        if (part !== '') at += this.#bytes.write(part, at, 'utf8');
      } else {
        at = this.#integer(index, at);
        this.#bytes.set(uid, at);
        at = this.#integer(index, at + uid.length);
      }
    }
    this.#bytes[at] = 0x0a;
    this.#length = at + 1;
  }

  /** Makes room for the longest that the parts can become. */
  #reserve(parts: readonly Part[], uid: Buffer): void {
    let most = 1;
    for (const part of parts) {
      if (typeof part === 'object') most += part.length;
      else if (typeof part === 'number') most += 24;
      else most += typeof part === 'string' ? 3 * part.length : 40 + uid.length;
    }
    const needed = this.#length + most;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }

  /** As JSON has it: no zeros at the end. */
  #number(value: number, at: number): number {
    if (Number.isInteger(value)) return this.#integer(value, at);
    const thousandths = Math.round(value * 1000);
    let end = this.#integer(Math.floor(thousandths / 1000), at);
    this.#bytes[end++] = 0x2e;
    let rest = thousandths % 1000;
    for (let digit = 100; rest > 0; digit /= 10) {
      this.#bytes[end++] = 0x30 + Math.floor(rest / digit);
      rest %= digit;
    }
    return end;
  }

  #integer(value: number, at: number): number {
    let end = at + 1;
    for (let power = 10; value >= power; power *= 10) end += 1;
    if (value < WORD) this.#digits(value, at, end);
    else {
      // No more than two parts: what JSON can tell exactly has sixteen digits.
      const high = Math.floor(value / WORD);
      const middle = end - WORD_DIGITS;
      this.#digits(value - high * WORD, middle, end);
      this.#digits(high, at, middle);
    }
    return end;
  }

  /** Whole numbers of 31 bits: dividing others takes several times as long, and a time has thirteen digits. */
  #digits(value: number, at: number, end: number): void {
    let rest = value | 0;
    for (let i = end - 1; i >= at; i -= 1) {
      const tenth = (rest / 10) | 0;
      this.#bytes[i] = 0x30 + (rest - 10 * tenth);
      rest = tenth;
    }
  }
}
