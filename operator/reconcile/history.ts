import type { Published } from '../plan/types.ts';

type Document = Pick<Published, 'document' | 'revision'>;

/** More edits than a gateway is usually behind. */
const MOST = 4;

/** Documents that were published since the start and may still be in force somewhere. */
export class History {
  readonly #documents = new Map<string, readonly Document[]>();
  /** By gateway: the revision that this process published last. */
  readonly #ours = new Map<string, string>();

  /** Takes note of what is published for a gateway now. */
  add(gateway: string, { document, revision }: Document): void {
    const known = this.#documents.get(gateway) ?? [];
    if (known.at(-1)?.revision === revision) return;
    const others = known.filter((entry) => entry.revision !== revision);
    this.#documents.set(gateway, [...others, { document, revision }].slice(-MOST));
  }

  /** Takes note of what this process has published. */
  wrote(gateway: string, revision: string): void {
    this.#ours.set(gateway, revision);
  }

  isOurs(gateway: string, revision: string): boolean {
    return this.#ours.get(gateway) === revision;
  }

  /** Those among the revisions that are known. */
  of(gateway: string, revisions: readonly string[]): readonly Document[] {
    return (this.#documents.get(gateway) ?? []).filter(({ revision }) => revisions.includes(revision));
  }

  forget(gateway: string): void {
    this.#documents.delete(gateway);
    this.#ours.delete(gateway);
  }
}
