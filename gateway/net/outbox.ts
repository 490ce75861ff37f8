import type { Writable } from 'node:stream';
import type { Bytes } from '../session/environment.ts';

/** Collects what goes to one socket and writes it together; steps that touch each other in a chunk become one slice. */
export class Outbox {
  readonly #target: Writable;
  readonly #slices: Buffer[] = [];
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
    if (whole) {
      this.#close();
      this.#slices.push(bytes);
    } else if (bytes.chunk === this.#chunk && bytes.start === this.#end) this.#end = bytes.end;
    else {
      this.#close();
      this.#chunk = bytes.chunk;
      this.#start = bytes.start;
      this.#end = bytes.end;
    }
  }

  /** Writes what was collected. */
  flush(): void {
    this.#close();
    const slices = this.#slices;
    if (slices.length === 0) return;
    if (slices.length > 1) this.#target.cork();
    for (const slice of slices) {
      this.written += slice.length;
      this.#target.write(slice);
    }
    if (slices.length > 1) this.#target.uncork();
    slices.length = 0;
  }

  /** Makes a slice of the steps collected last. */
  #close(): void {
    if (this.#chunk === null) return;
    const whole = this.#start === 0 && this.#end === this.#chunk.length;
    this.#slices.push(whole ? this.#chunk : this.#chunk.subarray(this.#start, this.#end));
    this.#chunk = null;
  }
}
