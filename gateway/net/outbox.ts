import type { Writable } from 'node:stream';
import type { Bytes } from '../session/environment.ts';

/** Collects what goes to one socket and writes it together; steps that touch each other in a chunk become one slice. */
export class Outbox {
  readonly #target: Writable;
  #slices: Buffer[] = [];
  /** The chunk of the last steps, and which part of it: not a slice yet, as the next step may touch it. */
  #chunk: Buffer | null = null;
  #start = 0;
  #end = 0;
  /** Bytes written to the socket since the session began. */
  written = 0;
  /** The last message goes on: nothing else may come between. */
  open = false;

  constructor(target: Writable) {
    this.#target = target;
  }

  push(bytes: Bytes): void {
    const whole = bytes instanceof Uint8Array;
    // It would be read as a part of that message, and the end of that one as another.
    if (this.open && (whole || bytes.kind !== 'run')) throw new Error('something in the middle of a message');
    this.open = !whole && bytes.open;
    if (whole) this.#begin(bytes, 0, bytes.length);
    else if (bytes.chunk === this.#chunk && bytes.start === this.#end) this.#end = bytes.end;
    else this.#begin(bytes.chunk, bytes.start, bytes.end);
  }

  /** Writes what was collected. */
  flush(): void {
    if (this.#slices.length === 0) {
      if (this.#chunk !== null) this.#write(this.#slice(this.#chunk));
      return;
    }
    this.#collect();
    const slices = this.#slices;
    this.#slices = [];
    this.#target.cork();
    for (const slice of slices) this.#write(slice);
    this.#target.uncork();
  }

  #write(slice: Buffer): void {
    this.written += slice.length;
    this.#target.write(slice);
  }

  #begin(chunk: Buffer, start: number, end: number): void {
    this.#collect();
    this.#chunk = chunk;
    this.#start = start;
    this.#end = end;
  }

  #collect(): void {
    if (this.#chunk !== null) this.#slices.push(this.#slice(this.#chunk));
  }

  /** Makes a slice of the steps collected last. */
  #slice(chunk: Buffer): Buffer {
    this.#chunk = null;
    return this.#start === 0 && this.#end === chunk.length ? chunk : chunk.subarray(this.#start, this.#end);
  }
}
