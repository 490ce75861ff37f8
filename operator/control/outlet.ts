import type { Writable } from 'node:stream';

/** Bytes given to the socket at once: what a reader that does not read costs. */
const SLICE = 64 * 1024;

/** Writes lines to a reader as fast as it reads and no faster: of documents only the newest waits, of beats one. */
export class Outlet {
  readonly #to: Writable;
  readonly #now: () => number;
  /** What is being written: lines are shared by all streams of a gateway, so that only the place in them is kept here. */
  #line: Buffer | null = null;
  #offset = 0;
  #next: Buffer | null = null;
  #blockedSince: number | null = null;

  constructor(to: Writable, now: () => number) {
    this.#to = to;
    this.#now = now;
    to.on('drain', () => {
      this.#blockedSince = null;
      this.#write();
    });
  }

  /** Takes the place of a document that has not been begun. */
  send(line: Buffer): void {
    this.#next = line;
    this.#write();
  }

  /** Nothing, where something is on its way anyhow. */
  beat(line: Buffer): void {
    if (this.#line !== null || this.#next !== null || this.#blockedSince !== null) return;
    this.send(line);
  }

  /** For how many milliseconds the reader has taken nothing of what waits for it. */
  get stalled(): number {
    return this.#blockedSince === null ? 0 : this.#now() - this.#blockedSince;
  }

  #write(): void {
    while (this.#blockedSince === null && !this.#to.destroyed) {
      if (this.#line === null) {
        this.#line = this.#next;
        this.#next = null;
        this.#offset = 0;
      }
      if (this.#line === null) return;
      const slice = this.#line.subarray(this.#offset, this.#offset + SLICE);
      this.#offset += slice.length;
      if (this.#offset >= this.#line.length) this.#line = null;
      if (!this.#to.write(slice)) this.#blockedSince = this.#now();
    }
  }
}
