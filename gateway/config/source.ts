import type { ConfigDocument, Revision } from './document.ts';
import { checkDocument, contentHash, parseDocument } from './load.ts';

/** What became of an offered document. `revision` is the one in force afterwards, in hex. */
export type OfferResult =
  | {
      readonly accepted: true;
      readonly revision: string;
      /** The revision in force before; equal to `revision` where the same document was offered again. */
      readonly previous: string;
    }
  | { readonly accepted: false; readonly revision: string; readonly errors: readonly string[] };

/** A document that was not taken. */
export interface Refused {
  /** null: not even its bytes could be read. */
  readonly revision: string | null;
  readonly errors: readonly string[];
}

/** What is known of an offered document from where it came. */
export interface Offer {
  /** Its place in the order of this gateway's documents; 0 unless given: it has none. */
  readonly sequence?: number;
  /** The revision that its bytes must have. */
  readonly revision?: string;
}

/** Comes before every sequence: whatever can be read after what could not is newer. */
const UNREAD = -1;

/**
 * Owns the running revision. A bad document never replaces a good one, and a document never one with a greater sequence:
 * replicas of the operator and the kubelet bring documents each with a lag of its own. Documents without a sequence
 * (files that somebody wrote) replace each other, and none that has one.
 */
export class ConfigSource {
  #current: Revision;
  #sequence: number;
  #refused: (Refused & { readonly sequence: number }) | null = null;
  readonly #listeners: ((result: OfferResult) => void)[] = [];

  constructor(initial: Revision, sequence = 0) {
    this.#current = initial;
    this.#sequence = sequence;
  }

  /** The revision in force: read it at each use, never keep it. */
  get current(): Revision {
    return this.#current;
  }

  get sequence(): number {
    return this.#sequence;
  }

  /** The last document that was refused and that none followed that was good; null: none. */
  get refused(): Refused | null {
    return this.#refused === null ? null : { revision: this.#refused.revision, errors: this.#refused.errors };
  }

  /**
   * Puts a document in force if it is good and newer than the running one; else leaves that and says why. Bytes that were
   * refused before, and older documents, are refused in silence: both ways and every replica bring the same ones.
   */
  offer(input: Buffer | ConfigDocument, { sequence = 0, revision: named }: Offer = {}): OfferResult {
    const inForce = this.#current.revision;
    if (sequence < this.#sequence || (sequence === this.#sequence && sequence > 0)) {
      if (sequence === this.#sequence) this.#forgive(sequence);
      return { accepted: false, revision: inForce, errors: ['document: is not newer than the one in force'] };
    }
    const loaded = Buffer.isBuffer(input) ? parseDocument(input) : checkDocument(input);
    const hash = loaded.ok ? loaded.revision.revision : Buffer.isBuffer(input) ? contentHash(input) : null;
    const errors = loaded.ok ? this.#mismatch(loaded.revision, named) : loaded.errors;
    if (!loaded.ok || errors.length > 0) return this.#refuse({ revision: named ?? hash, errors, sequence });
    this.#sequence = sequence;
    this.#forgive(sequence);
    const { revision } = loaded.revision;
    const result: OfferResult = { accepted: true, revision, previous: inForce };
    if (revision === inForce) return result;
    this.#current = loaded.revision;
    return this.#tell(result);
  }

  /** Reports a configuration that did not even become a document (unreadable file, manifests with errors). */
  refuse(errors: readonly string[]): OfferResult {
    return this.#refuse({ revision: null, errors, sequence: UNREAD });
  }

  /** Calls back after every change and every refusal; an offer of the running document is silent. */
  subscribe(listener: (result: OfferResult) => void): void {
    this.#listeners.push(listener);
  }

  #mismatch({ revision, document: { gateway } }: Revision, named: string | undefined): readonly string[] {
    if (named !== undefined && named !== revision) return ['document: its bytes are not those of the revision named'];
    const { namespace, name } = this.#current.document.gateway;
    if (gateway.namespace === namespace && gateway.name === name) return [];
    return [`gateway: the document is for ${gateway.namespace}/${gateway.name}; this is ${namespace}/${name}`];
  }

  #refuse(refused: Refused & { readonly sequence: number }): OfferResult {
    const result: OfferResult = { accepted: false, revision: this.#current.revision, errors: refused.errors };
    const known = this.#refused;
    const older = known !== null && refused.sequence < known.sequence;
    if (!older || known.sequence === 0) this.#refused = refused;
    if (refused.revision === null) return this.#tell(result);
    return older || refused.revision === known?.revision ? result : this.#tell(result);
  }

  /** A good document has come after the bad one. */
  #forgive(sequence: number): void {
    if (this.#refused !== null && (sequence > this.#refused.sequence || sequence === 0)) this.#refused = null;
  }

  #tell(result: OfferResult): OfferResult {
    for (const listener of this.#listeners) listener(result);
    return result;
  }
}
