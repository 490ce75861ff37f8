import type { Writable } from 'node:stream';

/** Bytes given to the socket at once: what a reader that does not read costs. */
const SLICE = 64 * 1024;

/** Writes lines to a reader as fast as it reads and no faster: of documents only the newest waits, of beats one. */
export class Outlet {
  readonly #to: Writable;
  /** What is being written: lines are shared by all streams of a gateway, so that only the place in them is kept here. */
  #line: Buffer | null = null;
  #offset = 0;
  #next: Buffer | null = null;
  /** Ticks since the reader took something; null: nothing waits for it. */
  #blocked: number | null = null;

  constructor(to: Writable) {
    this.#to = to;
    to.on('drain', () => {
      this.#blocked = null;
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
    if (this.#line !== null || this.#next !== null || this.isBlocked) return;
    this.send(line);
  }

  get isBlocked(): boolean {
    return this.#blocked !== null;
  }

  /** Called at each beat: for how many of them the reader has taken nothing of what waits for it. */
  tick(): number {
    if (this.#blocked === null) return 0;
    this.#blocked += 1;
    return this.#blocked;
  }

  #write(): void {
    while (this.#blocked === null && !this.#to.destroyed) {
      if (this.#line === null) {
        this.#line = this.#next;
        this.#next = null;
        this.#offset = 0;
      }
      if (this.#line === null) return;
      const slice = this.#line.subarray(this.#offset, this.#offset + SLICE);
      this.#offset += slice.length;
      if (this.#offset >= this.#line.length) this.#line = null;
      if (!this.#to.write(slice)) this.#blocked = 0;
    }
  }
}
