import { createHash } from 'node:crypto';
import { canonicalJson } from '../../gateway/config/canonical.ts';
import type { Log } from '../kube/log.ts';
import type { KubeClient, KubeObject } from '../kube/types.ts';
import type { Child, GatewayPlan } from '../plan/types.ts';
import type { Caches, Gateway } from './caches.ts';
import { difference } from './compare.ts';
import { keyOf, type Latest } from './latest.ts';
import { cachedChild, type LiveChildren, resourceOf } from './live.ts';
import { ownerOf } from './ownership.ts';

export const FIELD_MANAGER = 'postern';
/** Tells of a child what was last applied: fields that are wanted no more are then found without reading managedFields. */
const APPLIED_ANNOTATION = 'postern.dev/applied';

export interface Applier {
  readonly client: KubeClient;
  readonly caches: Caches;
  readonly latest: Latest;
  readonly log: Log;
}

/** Applies what a plan wants, in its order, as far as it is not there already. */
export async function applyChildren(
  { client, caches, latest, log }: Applier,
  children: readonly Child[],
  live: LiveChildren,
): Promise<void> {
  for (const child of children) {
    const { kind, metadata } = child;
    const wanted = marked(child);
    const present = live.ours.get(`${kind}/${metadata.name}`);
    const differs = present === undefined ? '' : difference(present, wanted);
    if (differs === null) continue;
    const { cached } = cachedChild(caches, latest, kind, metadata.namespace, metadata.name);
    // Only over the very object whose owner was looked at; and where there was none, never over somebody's fields.
    const object = present === undefined ? wanted : { ...wanted, metadata: { ...wanted.metadata, ...place(present) } };
    const answer = await client.apply(resourceOf(kind), object, {
      fieldManager: FIELD_MANAGER,
      force: present !== undefined,
    });
    latest.put(keyOf(child as unknown as KubeObject), cached, answer);
    const { namespace, name } = metadata;
    if (present === undefined) log.info({ kind, namespace, name }, 'Created');
    else log.info({ kind, namespace, name, differs }, 'Put right');
  }
}

/**
 * Which object is meant. A ConfigMap also in which version: another replica may have published since, and what this one
 * would put in its place was made without knowing that.
 */
function place({ kind, metadata: { uid, resourceVersion } }: KubeObject): Partial<KubeObject['metadata']> {
  const version = kind === 'ConfigMap' && resourceVersion !== undefined ? { resourceVersion } : {};
  return { ...(uid !== undefined && { uid }), ...version };
}

function marked(child: Child): KubeObject {
  const hash = createHash('sha256').update(canonicalJson(child)).digest('hex').slice(0, 16);
  const annotations = { ...child.metadata.annotations, [APPLIED_ANNOTATION]: hash };
  return { ...child, metadata: { ...child.metadata, annotations } } as unknown as KubeObject;
}

/** Gives the number of pods to another manager of fields, see `GatewayPlan.handover`. */
export async function handOver(client: KubeClient, handover: GatewayPlan['handover']): Promise<void> {
  if (handover === null) return;
  const { kind } = handover;
  const options = { fieldManager: `${FIELD_MANAGER}-replicas`, force: true };
  await client.apply(resourceOf(kind), handover as unknown as KubeObject, options);
}

/** Of these a gateway has one; while it changes from one to the other the old pods serve until the new ones do. */
const WORKLOADS = new Set(['Deployment', 'StatefulSet']);

/** Removes what the gateway owns and its plan does not want any more; a former workload only if the new one `serves`. */
export async function prune(
  { client, caches, log }: Applier,
  gateway: Gateway,
  children: readonly Child[],
  serves: boolean,
): Promise<void> {
  const { name, namespace } = gateway.metadata;
  const wanted = new Set(children.map(({ kind, metadata }) => `${kind}/${metadata.name}`));
  for (const [kind, { store }] of caches.children) {
    for (const object of store.byIndex('gateway', `${namespace}/${name}`)) {
      const key = `${kind}/${object.metadata.name}`;
      const { uid, deletionTimestamp } = object.metadata;
      if (WORKLOADS.has(kind) && !serves) continue;
      if (wanted.has(key) || deletionTimestamp !== undefined || ownerOf(object, gateway) !== 'Ours') continue;
      await client.delete({ resource: resourceOf(kind), namespace, name: object.metadata.name }, uid ? { uid } : {});
      log.info({ kind, namespace, name: object.metadata.name }, 'Removed');
    }
  }
}
