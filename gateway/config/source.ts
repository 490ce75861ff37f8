import type { ConfigDocument, Revision } from './document.ts';
import { checkDocument, parseDocument } from './load.ts';

/** What became of an offered document. `revision` is the one in force afterwards, in hex. */
export type OfferResult =
  | {
      readonly accepted: true;
      readonly revision: string;
      /** The revision in force before; equal to `revision` where the same document was offered again. */
      readonly previous: string;
    }
  | { readonly accepted: false; readonly revision: string; readonly errors: readonly string[] };

/** Owns the running revision: a bad document never replaces a good one. */
export class ConfigSource {
  #current: Revision;
  readonly #listeners: ((result: OfferResult) => void)[] = [];

  constructor(initial: Revision) {
    this.#current = initial;
  }

  /** The revision in force: read it at each use, never keep it. */
  get current(): Revision {
    return this.#current;
  }

  /** Puts a document in force if it is good; else leaves the running one and says why. */
  offer(input: Buffer | ConfigDocument): OfferResult {
    const loaded = Buffer.isBuffer(input) ? parseDocument(input) : checkDocument(input);
    if (!loaded.ok) return this.refuse(loaded.errors);
    const previous = this.#current.revision;
    const { revision } = loaded.revision;
    const result: OfferResult = { accepted: true, revision, previous };
    if (revision === previous) return result;
    this.#current = loaded.revision;
    return this.#tell(result);
  }

  /** Reports a configuration that did not even become a document (unreadable file, manifests with errors). */
  refuse(errors: readonly string[]): OfferResult {
    return this.#tell({ accepted: false, revision: this.#current.revision, errors });
  }

  /** Calls back after every change and every refusal; an offer of the running document is silent. */
  subscribe(listener: (result: OfferResult) => void): void {
    this.#listeners.push(listener);
  }

  #tell(result: OfferResult): OfferResult {
    for (const listener of this.#listeners) listener(result);
    return result;
  }
}
