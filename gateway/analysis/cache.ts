import type { Analysis } from '../sql/facts.ts';

/** Answers by exact text, least recently used first out; bounded by the bytes of the texts. */
export class AnalysisCache {
  readonly #capacity: number;
  readonly #entries = new Map<string, Analysis>();
  #bytes = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get(text: string): Analysis | undefined {
    const found = this.#entries.get(text);
    // Only when memory presses does age matter; until then a hit costs one look-up.
    if (found !== undefined && this.#bytes > this.#capacity / 2) {
      this.#entries.delete(text);
      this.#entries.set(text, found);
    }
    return found;
  }

  set(text: string, analysis: Analysis): void {
    const size = cost(text);
    if (size > this.#capacity / 8 || this.#entries.has(text)) return;
    this.#entries.set(text, analysis);
    this.#bytes += size;
    for (const [oldest] of this.#entries) {
      if (this.#bytes <= this.#capacity) break;
      this.#entries.delete(oldest);
      this.#bytes -= cost(oldest);
    }
  }
}

/** Facts are a few times the text's size, and some objects. */
function cost(text: string): number {
  return 4 * text.length + 2048;
}
