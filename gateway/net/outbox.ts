import type { Writable } from 'node:stream';

/** Collects slices for one socket and writes them together; slices that touch each other in memory become one. */
export class Outbox {
  readonly #target: Writable;
  #slices: Buffer[] = [];
  /** Bytes written to the socket since the session began. */
  written = 0;

  constructor(target: Writable) {
    this.#target = target;
  }

  push(bytes: Buffer): void {
    const last = this.#slices.at(-1);
    if (last !== undefined && touches(last, bytes)) {
      this.#slices[this.#slices.length - 1] = Buffer.from(last.buffer, last.byteOffset, last.length + bytes.length);
    } else this.#slices.push(bytes);
  }

  /** Writes what was collected; false: the socket asks to wait for its drain. */
  flush(): boolean {
    const slices = this.#slices;
    if (slices.length === 0) return !this.#target.writableNeedDrain;
    this.#slices = [];
    if (slices.length === 1) return this.#write(slices[0]!);
    this.#target.cork();
    let ready = true;
    for (const slice of slices) ready = this.#write(slice);
    this.#target.uncork();
    return ready;
  }

  #write(slice: Buffer): boolean {
    this.written += slice.length;
    return this.#target.write(slice);
  }
}

/** `b` follows `a` in the same memory: both are views on one received chunk. */
function touches(a: Buffer, b: Buffer): boolean {
  return a.buffer === b.buffer && a.byteOffset + a.length === b.byteOffset;
}
