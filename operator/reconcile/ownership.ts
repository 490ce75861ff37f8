import type { KubeObject } from '../kube/types.ts';
import { GATEWAY_LABEL } from '../plan/names.ts';
import type { Gateway } from './caches.ts';
import { GATEWAYS } from './resources.ts';

/**
 * Whose an object is that has the name of a child. `Former`: of a gateway of the same name that has been deleted, so that
 * the garbage collector will remove it.
 */
export type Owner = 'Ours' | 'Former' | 'Foreign';

export function ownerOf({ metadata }: KubeObject, gateway: Gateway): Owner {
  const controller = metadata.ownerReferences?.find((reference) => reference.controller === true);
  if (controller === undefined) return isOrphan(metadata, gateway) ? 'Ours' : 'Foreign';
  if (controller.uid === gateway.metadata.uid) return 'Ours';
  const same = controller.kind === GATEWAYS.kind && controller.name === gateway.metadata.name;
  return same && controller.apiVersion.startsWith(`${GATEWAYS.group}/`) ? 'Former' : 'Foreign';
}

/** Left behind when a gateway was deleted without what it is made of (`--cascade=orphan`): taken in again. */
function isOrphan({ labels, ownerReferences = [] }: KubeObject['metadata'], { metadata }: Gateway): boolean {
  const managed = labels?.['app.kubernetes.io/managed-by'] === 'postern';
  return managed && labels?.[GATEWAY_LABEL] === metadata.name && ownerReferences.length === 0;
}
