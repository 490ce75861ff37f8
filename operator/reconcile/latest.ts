import type { KubeObject } from '../kube/types.ts';

interface Written {
  /** The version that the cache held when we wrote; undefined: it held none. */
  readonly before: string | undefined;
  readonly object: KubeObject;
  readonly at: number;
}

/** Longer than any cache lags that is not known to be incomplete. */
const FORGET = 10_000;

/**
 * What we wrote, until the caches know it: without this, work that follows at once would take its own writes for undone
 * and write them again, with other times.
 */
export class Latest {
  readonly #written = new Map<string, Written>();
  readonly #now: () => number;

  /** `now`: milliseconds of a clock that only goes forward. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The newer of what the cache holds and what we wrote. */
  of<T extends KubeObject>(key: string, cached: T | undefined): T | undefined {
    const written = this.#written.get(key);
    if (written === undefined) return cached;
    const current = cached?.metadata.resourceVersion === written.before && this.#now() - written.at < FORGET;
    if (current) return written.object as T;
    this.#written.delete(key);
    return cached;
  }

  /** Whether this version of an object, which the cache has now, came of our last write; asked once. */
  wrote(key: string, { metadata }: KubeObject): boolean {
    const ours = this.#written.get(key)?.object.metadata.resourceVersion === metadata.resourceVersion;
    if (ours) this.#written.delete(key);
    return ours;
  }

  /** Takes what the API server answered to a write; `cached` as the cache held it before. */
  put(key: string, cached: KubeObject | undefined, answer: KubeObject): void {
    const before = cached?.metadata.resourceVersion;
    if (before === answer.metadata.resourceVersion) return;
    const { managedFields: _, ...metadata } = answer.metadata as KubeObject['metadata'] & { managedFields?: unknown };
    this.#written.delete(key);
    this.#written.set(key, { before, object: { ...answer, metadata }, at: this.#now() });
    this.#forgetOld();
  }

  /** Thousands of objects are written at a start: none is kept for longer than it is of use. */
  #forgetOld(): void {
    for (const [key, { at }] of this.#written) {
      if (this.#now() - at < FORGET) return;
      this.#written.delete(key);
    }
  }
}

/** `Kind/namespace/name`. */
export function keyOf({ kind, metadata }: Pick<KubeObject, 'kind' | 'metadata'>): string {
  return `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
}
