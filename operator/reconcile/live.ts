import { KubeError } from '../kube/errors.ts';
import type { KubeClient, KubeObject, Resource } from '../kube/types.ts';
import { childKeys } from '../plan/names.ts';
import type { Caches, Gateway } from './caches.ts';
import { keyOf, type Latest } from './latest.ts';
import { ownerOf } from './ownership.ts';
import { CHILDREN } from './resources.ts';

/** What is there by the names of a gateway's children, by `Kind/name`. */
export interface LiveChildren {
  readonly ours: ReadonlyMap<string, KubeObject>;
  /** `Kind/name` of those that belong to somebody else. */
  readonly foreign: readonly string[];
  /** The same of those that await the garbage collector. */
  readonly former: readonly string[];
}

const RESOURCES: ReadonlyMap<string, Resource> = new Map(CHILDREN.map((resource) => [resource.kind, resource]));

export function resourceOf(kind: string): Resource {
  const resource = RESOURCES.get(kind);
  if (resource === undefined) throw new Error(`${kind} is no kind of child`);
  return resource;
}

/** The cache's copy of a child, or what we wrote since. */
export function cachedChild(caches: Caches, latest: Latest, kind: string, namespace: string, name: string) {
  const cached = caches.children.get(kind)?.store.get(namespace, name);
  return { cached, newest: latest.of(keyOf({ kind, metadata: { name, namespace } }), cached) };
}

/**
 * Looks at every name that a gateway needs. The caches hold what bears our label; a name that is not there may be a
 * stranger's, so the API server is asked before anything is applied over it.
 */
export async function findChildren(
  client: KubeClient,
  caches: Caches,
  latest: Latest,
  gateway: Gateway,
): Promise<LiveChildren> {
  const ours = new Map<string, KubeObject>();
  const foreign: string[] = [];
  const former: string[] = [];
  const { namespace } = gateway.metadata;
  await Promise.all(
    childKeys(gateway).map(async (key) => {
      const [kind, name] = key.split('/') as [string, string];
      const { newest } = cachedChild(caches, latest, kind, namespace, name);
      const object = newest ?? (await lookUp(client, resourceOf(kind), namespace, name));
      if (object === null) return;
      const owner = ownerOf(object, gateway);
      if (owner === 'Ours') ours.set(key, object);
      else (owner === 'Former' ? former : foreign).push(key);
    }),
  );
  return { ours, foreign: foreign.sort(), former: former.sort() };
}

async function lookUp(client: KubeClient, resource: Resource, namespace: string, name: string) {
  try {
    return await client.get({ resource, namespace, name });
  } catch (error) {
    if (error instanceof KubeError && error.reason === 'NotFound') return null;
    throw error;
  }
}
