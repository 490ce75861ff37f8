import type { Documents, Pods, PublishedDocument } from '../control/inputs.ts';
import type { KubeObject } from '../kube/types.ts';
import { childNames, GATEWAY_LABEL } from '../plan/names.ts';
import { type Caches, type Gateway, gatewayLabel } from './caches.ts';
import { ownerOf } from './ownership.ts';
import type { Pod } from './pods.ts';
import { packedDocument, publishedBy } from './published.ts';

/** The documents of all gateways as the cache of ConfigMaps holds them: what any replica may push. */
export function viewDocuments({ gateways, children }: Caches): Documents {
  const configMaps = children.get('ConfigMap')!;
  const listeners = new Set<(namespace: string, gateway: string) => void>();
  const tell = (key: string): void => {
    const [namespace, name] = key.split('/') as [string, string];
    for (const listener of listeners) listener(namespace, name);
  };
  configMaps.subscribe(({ old, current }) => {
    for (const key of new Set([old, current].flatMap((object) => (object === null ? [] : gatewayLabel(object)))))
      tell(key);
  });
  gateways.subscribe(({ old, current }) => {
    if (old?.metadata.uid !== current?.metadata.uid) {
      const { namespace, name } = (current ?? old!).metadata;
      tell(`${namespace}/${name}`);
    }
  });
  return {
    current(namespace, name) {
      const gateway = gateways.store.get(namespace, name);
      if (gateway === undefined) return null;
      const configMap = configMaps.store.get(namespace, childNames(gateway).config);
      return configMap === undefined ? null : documentOf(configMap, gateway);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function documentOf(configMap: KubeObject, gateway: Gateway): PublishedDocument | null {
  // A ConfigMap that somebody else has put there is never pushed.
  if (ownerOf(configMap, gateway) !== 'Ours') return null;
  const published = publishedBy(configMap);
  const document = packedDocument(configMap);
  if (published === null || document === null) return null;
  return { revision: published.revision, sequence: published.sequence, document };
}

/** The pods of all gateways: who may call. */
export function viewPods({ gateways, pods }: Caches): Pods {
  const listeners = new Set<(namespace: string, pod: string) => void>();
  pods.subscribe(({ old, current }) => {
    if (old === null || (current !== null && isSamePod(old, current))) return;
    for (const listener of listeners) listener(old.metadata.namespace ?? '', old.metadata.name);
  });
  return {
    find(namespace, name, uid) {
      const pod = pods.store.get(namespace, name);
      const label = pod?.metadata.labels?.[GATEWAY_LABEL];
      if (pod === undefined || label === undefined || pod.metadata.uid !== uid) return null;
      const gateway = gateways.store.get(namespace, label);
      if (gateway === undefined) return null;
      const { serviceAccount } = childNames(gateway);
      return pod.serviceAccount === serviceAccount ? { gateway: label, serviceAccount } : null;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function isSamePod(old: Pod, current: Pod): boolean {
  const label = (pod: Pod): string | undefined => pod.metadata.labels?.[GATEWAY_LABEL];
  return old.metadata.uid === current.metadata.uid && label(old) === label(current);
}
