import type { Analysis } from '../sql/facts.ts';
import { movePlaces, type Template, templateOf } from '../sql/template.ts';
import { Cache } from './cache.ts';

/** What was made of a text, for every text that differs from it only in literals that do not matter. */
interface Shared {
  readonly analysis: Analysis & { readonly kind: 'Statements' };
  readonly cuts: readonly number[];
}

/** A text that is looked up, and how it can be found again. */
export interface Lookup {
  readonly text: Buffer;
  readonly exact: string;
  readonly template: Template | null;
}

/** Analyses by exact text, and by template where the text's literals do not all matter. */
export class KnownTexts {
  readonly #exact: Cache<Analysis>;
  readonly #shared: Cache<Shared>;
  /** By template: the numbers of the literals that are part of the key all the same. */
  readonly #matters: Cache<readonly number[]>;

  constructor(capacity: number) {
    this.#exact = new Cache(capacity / 2, 2048);
    this.#shared = new Cache((capacity * 3) / 8, 2048);
    this.#matters = new Cache(capacity / 8, 256);
  }

  /** The answer, or what to remember it by. */
  find(text: Buffer): Analysis | Lookup {
    const exact = text.toString('utf8');
    const known = this.#exact.get(exact);
    if (known !== undefined) return known;
    const template = templateOf(text);
    if (template === null || template.cuts.length === 0) return { text, exact, template: null };
    const matters = this.#matters.get(template.key);
    const shared = matters === undefined ? undefined : this.#shared.get(keyOf(text, template, matters));
    return shared === undefined ? { text, exact, template } : analysisOf(shared, template.cuts);
  }

  /** `free`: where constants stand whose values do not matter, as the parser itself found them. */
  remember({ text, exact, template }: Lookup, analysis: Analysis, free: readonly number[]): void {
    const matters = template === null || analysis.kind !== 'Statements' ? null : mattering(text, template, free);
    if (template === null || matters === null || analysis.kind !== 'Statements')
      return this.#exact.set(exact, analysis);
    this.#matters.set(template.key, matters);
    this.#shared.set(keyOf(text, template, matters), { analysis, cuts: template.cuts });
  }
}

/** No text holds a NUL. */
function keyOf(text: Buffer, { key, cuts }: Template, matters: readonly number[]): string {
  let all = key;
  for (const index of matters) all += `\0${text.toString('utf8', cuts[2 * index], cuts[2 * index + 1])}`;
  return all;
}

/** Which literals are not among the free constants; null: none is, so nothing can be shared. */
function mattering(text: Buffer, { cuts }: Template, free: readonly number[]): readonly number[] | null {
  const places = new Set(free);
  const matters: number[] = [];
  for (let index = 0; 2 * index < cuts.length; index++) {
    const start = cuts[2 * index]!;
    // The grammar makes one constant of a minus and its number, and says that it stands where the minus does.
    if (!places.has(start) && !places.has(minusBefore(text, start))) matters.push(index);
  }
  return 2 * matters.length === cuts.length ? null : matters;
}

function minusBefore(text: Buffer, start: number): number {
  let at = start - 1;
  while (at >= 0 && text[at]! <= 0x20) at--;
  return text[at] === 0x2d ? at : -1;
}

function analysisOf({ analysis, cuts }: Shared, now: readonly number[]): Analysis {
  if (now.every((place, i) => place === cuts[i])) return analysis;
  return { ...analysis, places: movePlaces(analysis.places, cuts, now) };
}
