import type { ObjectRef } from '../../gateway/config/document.ts';
import { KubeError } from '../kube/errors.ts';
import type { KubeClient, KubeObject, Resource, Store } from '../kube/types.ts';
import type { Published } from '../plan/types.ts';
import type { Caches } from './caches.ts';
import { GATEWAYS, MASKS, POLICIES } from './resources.ts';

/**
 * A watch whose connection is dead says nothing for a while, and its cache looks whole. A process that published the
 * present document knows at least as much as that. One that has just taken the lease may know less than the one before:
 * what it would take away, take back or bring again, it looks at in the API server first.
 */

/** Objects that one document has and another one lacks, either way, or has in an older generation. */
export function turnedBack(before: Published, after: Published): readonly ObjectRef[] {
  const [then, now] = [before, after].map(({ document }) => byKey(document.objects)) as [Refs, Refs];
  const lost = [...then].flatMap(([key, ref]) => (now.has(key) ? [] : [ref]));
  const other = [...now].flatMap(([key, ref]) =>
    (then.get(key)?.generation ?? Infinity) > ref.generation ? [ref] : [],
  );
  return [...lost, ...other];
}

type Refs = ReadonlyMap<string, ObjectRef>;

function byKey(refs: readonly ObjectRef[]): Refs {
  return new Map(refs.map((ref) => [`${ref.kind}/${ref.namespace}/${ref.name}`, ref]));
}

/** The first of the objects that is not in the API server what it is in the cache; null: the cache is right. */
export async function findStale(
  client: Pick<KubeClient, 'get'>,
  caches: Pick<Caches, 'gateways' | 'policies' | 'masks'>,
  refs: readonly ObjectRef[],
): Promise<string | null> {
  const stores = new Map<string, readonly [Resource, Store]>([
    [GATEWAYS.kind, [GATEWAYS, caches.gateways.store as unknown as Store]],
    [POLICIES.kind, [POLICIES, caches.policies.store as unknown as Store]],
    [MASKS.kind, [MASKS, caches.masks.store as unknown as Store]],
  ]);
  for (const { kind, namespace, name } of refs) {
    const [resource, store] = stores.get(kind) ?? [];
    if (resource === undefined || store === undefined) continue;
    const live = await client.get({ resource, namespace, name }).catch(unlessAbsent);
    if (!isSame(live, store.get(namespace, name) ?? null)) return `${kind} ${namespace}/${name}`;
  }
  return null;
}

function isSame(live: KubeObject | null, cached: KubeObject | null): boolean {
  if (live === null || cached === null) return live === cached;
  return live.metadata.uid === cached.metadata.uid && live.metadata.generation === cached.metadata.generation;
}

function unlessAbsent(error: unknown): null {
  if (error instanceof KubeError && error.reason === 'NotFound') return null;
  throw error;
}
