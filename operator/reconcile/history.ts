import type { Published } from '../plan/types.ts';

type Document = Pick<Published, 'document' | 'revision'>;

/** More edits than a gateway is usually behind. */
const MOST = 4;

/** Documents that were published since the start and may still be in force somewhere. */
export class History {
  readonly #documents = new Map<string, readonly Document[]>();

  /** Takes note of what is published for a gateway now. */
  add(gateway: string, { document, revision }: Document): void {
    const known = this.#documents.get(gateway) ?? [];
    if (known.at(-1)?.revision === revision) return;
    const others = known.filter((entry) => entry.revision !== revision);
    this.#documents.set(gateway, [...others, { document, revision }].slice(-MOST));
  }

  /** Those among the revisions that are known. */
  of(gateway: string, revisions: readonly string[]): readonly Document[] {
    return (this.#documents.get(gateway) ?? []).filter(({ revision }) => revisions.includes(revision));
  }

  forget(gateway: string): void {
    this.#documents.delete(gateway);
  }
}
