import type { KubeObject } from '../../operator/kube/types.ts';
import type { Gateway } from '../../operator/reconcile/caches.ts';
import { gateway } from '../operator/manifests.ts';

/** A gateway as a cache holds it. */
export function storedGateway(name = 'orders', uid = 'gateway-1'): Gateway {
  const object = gateway();
  return { ...object, metadata: { ...object.metadata, name, uid, generation: 1, resourceVersion: '1' } } as Gateway;
}

export function object(kind: string, name: string, metadata: object = {}, fields: object = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind,
    metadata: { name, namespace: 'shop', uid: name, resourceVersion: '1', ...metadata },
    ...fields,
  };
}
