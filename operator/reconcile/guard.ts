import { KubeError } from '../kube/errors.ts';
import type { KubeClient, KubeObject } from '../kube/types.ts';
import type { Child, GatewayPlan, Published } from '../plan/types.ts';
import type { Caches } from './caches.ts';
import {
  formatRecord,
  hashIn,
  hashOfUids,
  KINDS_ANNOTATION,
  missingObjects,
  readDefinitions,
  whyLost,
} from './kinds.ts';
import { type LiveChildren, resourceOf } from './live.ts';
import { findStale, turnedBack } from './stale.ts';

/** What is about to be applied, and what is there. */
interface Publication {
  readonly planned: GatewayPlan;
  readonly published: Published | null;
  readonly live: LiveChildren;
  /** This process has published what is there. */
  readonly ours: boolean;
}

export type Guarded =
  /** The children, the ConfigMap among them with what its document was made under. */
  | { readonly kind: 'Go'; readonly children: readonly Child[] }
  /** What the document lacks may be lost, not withdrawn. */
  | { readonly kind: 'Hold'; readonly reason: string }
  /** The cache is behind the API server in this object. */
  | { readonly kind: 'Stale'; readonly object: string };

/** Lets a document pass that lacks something only where somebody has withdrawn it. */
export async function guardPublication(
  client: KubeClient,
  caches: Caches,
  { planned, published, live, ours }: Publication,
): Promise<Guarded> {
  const { children, publish } = planned;
  const config = children.find(({ kind }) => kind === 'ConfigMap');
  if (publish === null || config === undefined) return { kind: 'Go', children };
  const configMap = live.ours.get(`ConfigMap/${config.metadata.name}`);
  let record = configMap?.metadata.annotations?.[KINDS_ANNOTATION];
  const objects = hashOfUids(caches, publish);
  if (record === undefined || publish.revision !== published?.revision || hashIn(record) !== objects) {
    const stale = published === null || ours ? null : await findStale(client, caches, turnedBack(published, publish));
    if (stale !== null) return { kind: 'Stale', object: stale };
    const definitions = await readDefinitions(client);
    const missing = published === null ? new Map() : missingObjects(published, publish, caches);
    const lost = whyLost(missing, definitions, configMap);
    if (lost !== null) return { kind: 'Hold', reason: lost };
    if (missing.size > 0 && (await isNamespaceEnding(client, config)))
      return { kind: 'Hold', reason: `namespace ${config.metadata.namespace} is being deleted, object by object` };
    record = formatRecord(definitions, objects);
  }
  const annotations = { ...config.metadata.annotations, [KINDS_ANNOTATION]: record };
  const recorded = { ...config, metadata: { ...config.metadata, annotations } };
  return { kind: 'Go', children: children.map((child) => (child === config ? recorded : child)) };
}

/**
 * Namespaces may not be read, but what is there can be created: that is refused as a conflict, and in a namespace that is
 * being deleted before anybody looks whether it is there.
 */
async function isNamespaceEnding(client: KubeClient, config: Child): Promise<boolean> {
  try {
    await client.create(resourceOf(config.kind), config as unknown as KubeObject);
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    if (error.causes.some(({ reason }) => reason === 'NamespaceTerminating')) return true;
    // A quota that is used up, or a policy of the cluster, is asked after that and before the conflict.
    if (error.reason !== 'AlreadyExists' && error.reason !== 'Forbidden' && error.reason !== 'Invalid') throw error;
  }
  return false;
}
