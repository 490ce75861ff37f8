/** Answers by text, bounded by the bytes of the texts: what has not been asked for in a whole generation is let go. */
export class Cache<T> {
  readonly #capacity: number;
  readonly #overhead: number;
  /** A hit in the young generation costs one look-up and nothing else. */
  #young = new Map<string, T>();
  #old = new Map<string, T>();
  #bytes = 0;

  /** `overhead`: bytes of an answer, beside its text. */
  constructor(capacity: number, overhead: number) {
    this.#capacity = capacity;
    this.#overhead = overhead;
  }

  get(text: string): T | undefined {
    const found = this.#young.get(text);
    if (found !== undefined) return found;
    const old = this.#old.get(text);
    if (old !== undefined) this.set(text, old);
    return old;
  }

  set(text: string, answer: T): void {
    // Facts are a few times the text's size, and some objects.
    const size = 4 * text.length + this.#overhead;
    if (size > this.#capacity / 8 || this.#young.has(text)) return;
    if (this.#bytes + size > this.#capacity / 2) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#bytes = 0;
    }
    this.#young.set(text, answer);
    this.#bytes += size;
  }
}
