import type { Answer, Http } from './http.ts';

type Json = Record<string, unknown>;

const PLURALS: Readonly<Record<string, string>> = {
  PostgresGateway: 'postgresgateways',
  AccessPolicy: 'accesspolicies',
  MaskingRule: 'maskingrules',
  AccessRequest: 'accessrequests',
  Lease: 'leases',
  Deployment: 'deployments',
  StatefulSet: 'statefulsets',
  Service: 'services',
  ConfigMap: 'configmaps',
  ServiceAccount: 'serviceaccounts',
  PodDisruptionBudget: 'poddisruptionbudgets',
  NetworkPolicy: 'networkpolicies',
  HorizontalPodAutoscaler: 'horizontalpodautoscalers',
  Pod: 'pods',
  Secret: 'secrets',
  Event: 'events',
  Role: 'roles',
  RoleBinding: 'rolebindings',
  ClusterRole: 'clusterroles',
  ClusterRoleBinding: 'clusterrolebindings',
  ResourceQuota: 'resourcequotas',
};

/** Path of the collection of a kind; without a namespace that of all namespaces. */
export function collection(apiVersion: string, kind: string, namespace?: string): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return `${root}${namespace === undefined ? '' : `/namespaces/${namespace}`}/${PLURALS[kind]}`;
}

/** Path of an object as a manifest names it. */
export function pathOf(object: Json): string {
  const { name, namespace } = object.metadata as { name: string; namespace?: string };
  return `${collection(String(object.apiVersion), String(object.kind), namespace)}/${name}`;
}

const APPLY = 'application/apply-patch+yaml';

/** Server-side apply as `manager`; takes fields over. */
export function apply(http: Http, object: Json, manager = 'tests', subresource = ''): Promise<Answer['body']> {
  const path = `${pathOf(object)}${subresource}?fieldManager=${manager}&force=true`;
  return http.must(path, { method: 'PATCH', contentType: APPLY, body: object });
}

/** Changes some fields of an object, as `kubectl patch --type=merge` does. */
export function merge(http: Http, path: string, patch: Json): Promise<Answer['body']> {
  return http.must(path, { method: 'PATCH', contentType: 'application/merge-patch+json', body: patch });
}

export async function createNamespace(http: Http, name: string): Promise<string> {
  await http.must('/api/v1/namespaces', { method: 'POST', body: { metadata: { name } } });
  return name;
}
