import type { RawStatement } from '../sql/facts.ts';
import type { Judged, Verdict } from './judged.ts';

/** Most verdicts that a session keeps on texts: what one program runs again and again. */
const MAX_KNOWN = 64;

/** Verdicts on the statements of texts, by what the analysis made of them: texts of one template share that. */
export class KnownVerdicts {
  readonly #known = new Map<RawStatement, Verdict>();

  get(raw: RawStatement): Verdict | null {
    return this.#known.get(raw) ?? null;
  }

  /** Whether this is the verdict that is known, and there is nothing to be noted of what runs under it. */
  isQuiet(raw: RawStatement, judged: Judged): boolean {
    const known = this.#known.get(raw);
    return known?.noting === 'Nothing' && known.judged === judged;
  }

  set(raw: RawStatement, verdict: Verdict): void {
    if (this.#known.size >= MAX_KNOWN && !this.#known.has(raw)) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(raw, verdict);
  }
}
