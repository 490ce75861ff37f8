import type { Log } from '../../operator/kube/log.ts';
import type { KubeObject, Resource } from '../../operator/kube/types.ts';

export const RULES: Resource = {
  group: 'example.com',
  version: 'v1',
  kind: 'Rule',
  plural: 'rules',
  namespaced: true,
};
export const PODS: Resource = { group: '', version: 'v1', kind: 'Pod', plural: 'pods', namespaced: true };
export const LEASES: Resource = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
};
export const EVENTS: Resource = {
  group: 'events.k8s.io',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  namespaced: true,
};

export function rule(name: string, spec: Record<string, unknown> = {}, namespace = 'shop'): KubeObject {
  return { apiVersion: 'example.com/v1', kind: 'Rule', metadata: { name, namespace }, spec };
}

/** A log that keeps its lines. */
export function createLog(): Log & { readonly lines: { level: string; phrase: string; fields: object }[] } {
  const lines: { level: string; phrase: string; fields: object }[] = [];
  const at = (level: string) => (fields: object, phrase: string) => void lines.push({ level, phrase, fields });
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
