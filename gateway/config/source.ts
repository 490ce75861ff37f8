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
  readonly #report: (result: OfferResult) => void;
  readonly #listeners = new Set<(revision: Revision) => void>();

  /** `report` hears of every refused document and of every change; offers of the running document are silent. */
  constructor(initial: Revision, report: (result: OfferResult) => void = () => {}) {
    this.#current = initial;
    this.#report = report;
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
    const revision = loaded.revision.revision;
    const result: OfferResult = { accepted: true, revision, previous };
    if (revision === previous) return result;
    this.#current = loaded.revision;
    this.#report(result);
    for (const listener of this.#listeners) listener(loaded.revision);
    return result;
  }

  /** Reports a configuration that did not even become a document (unreadable file, manifests with errors). */
  refuse(errors: readonly string[]): OfferResult {
    const result: OfferResult = { accepted: false, revision: this.#current.revision, errors };
    this.#report(result);
    return result;
  }

  /** Calls back after each change with the new revision; the returned function ends that. */
  onChange(listener: (revision: Revision) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }
}
