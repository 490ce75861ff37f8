import { createHash } from 'node:crypto';
import { KubeError } from '../kube/errors.ts';
import type { KubeClient, KubeObject } from '../kube/types.ts';
import type { Published } from '../plan/types.ts';
import type { Caches } from './caches.ts';
import { CRDS, MASKS, POLICIES } from './resources.ts';

/**
 * Deleting a CustomResourceDefinition deletes its objects one by one, and each looks as if somebody had withdrawn it.
 * So what a published document has and a new one lacks is only believed while the definition under which the document was
 * published stands. Which one that was is kept beside the document.
 */

/**
 * Annotation of the ConfigMap: uids of the definitions under which its document was made, and a hash of those of the
 * objects in it: objects made anew with the same contents make no new document, and may stand under another definition.
 */
export const KINDS_ANNOTATION = 'postern.dev/kinds';

const WATCHED = [POLICIES, MASKS];
const OBJECTS = 'objects';

/** By kind: the uid of its definition; null: there is none, or it is being removed. */
export type Definitions = ReadonlyMap<string, string | null>;

export async function readDefinitions(client: KubeClient): Promise<Definitions> {
  const found = await Promise.all(
    WATCHED.map(async ({ kind, plural, group }) => {
      const crd = await client
        .get({ resource: CRDS, namespace: null, name: `${plural}.${group}` })
        .catch((error: unknown) => {
          if (error instanceof KubeError && error.reason === 'NotFound') return null;
          throw error;
        });
      const stands = crd !== null && crd.metadata.deletionTimestamp === undefined;
      return [kind, stands ? (crd.metadata.uid ?? null) : null] as const;
    }),
  );
  return new Map(found);
}

/** What a document has and a new one lacks although nobody took its target away, by kind. */
export function missingObjects(
  before: Published,
  after: Published,
  caches: Caches,
): ReadonlyMap<string, readonly string[]> {
  const kept = new Set(after.document.objects.map(({ kind, name }) => `${kind}/${name}`));
  const missing = new Map<string, string[]>();
  for (const { kind, namespace, name } of before.document.objects) {
    const source = kind === POLICIES.kind ? caches.policies : kind === MASKS.kind ? caches.masks : null;
    if (source === null || kept.has(`${kind}/${name}`) || source.store.get(namespace, name) !== undefined) continue;
    missing.set(kind, [...(missing.get(kind) ?? []), name]);
  }
  return missing;
}

/** Why objects that are missing may be lost, not withdrawn; null: they were withdrawn. */
export function whyLost(
  missing: ReadonlyMap<string, readonly string[]>,
  definitions: Definitions,
  configMap: KubeObject | undefined,
): string | null {
  const recorded = parseRecord(configMap?.metadata.annotations?.[KINDS_ANNOTATION]);
  for (const [kind, [first, ...others]] of missing) {
    const uid = definitions.get(kind) ?? null;
    const more = others.length === 0 ? '' : ` and ${others.length} more`;
    if (uid === null) return `${kind} ${first}${more}: gone with the CustomResourceDefinition; apply both again`;
    const before = recorded.get(kind);
    if (before !== undefined && before !== uid)
      return (
        `${kind} ${first}${more}: gone with the former CustomResourceDefinition; apply again, ` +
        `or delete ConfigMap ${configMap?.metadata.name} to go on without`
      );
  }
  return null;
}

export function formatRecord(definitions: Definitions, objects: string): string {
  const kinds = [...definitions].flatMap(([kind, uid]) => (uid === null ? [] : [`${kind}=${uid}`]));
  return [...kinds, `${OBJECTS}=${objects}`].join(',');
}

/** Which objects a document is made of, beyond what they say. */
export function hashOfUids(caches: Caches, { document }: Published): string {
  const key = `${document.gateway.namespace}/${document.gateway.name}`;
  const attached = [caches.policies, caches.masks].flatMap(({ store }) => [...store.byIndex('gateway', key)]);
  const uids = attached.map(({ metadata }) => metadata.uid ?? '').sort();
  return createHash('sha256').update(uids.join()).digest('hex').slice(0, 16);
}

export function hashIn(record: string): string | undefined {
  return parseRecord(record).get(OBJECTS);
}

function parseRecord(text = ''): ReadonlyMap<string, string> {
  const parts = text.split(',').filter((part) => part.includes('='));
  return new Map(parts.map((part) => part.split('=', 2) as [string, string]));
}
