import type { Resource } from '../kube/types.ts';

const namespaced = (group: string, version: string, kind: string, plural: string): Resource => ({
  group,
  version,
  kind,
  plural,
  namespaced: true,
});

export const GATEWAYS = namespaced('postern.dev', 'v1alpha1', 'PostgresGateway', 'postgresgateways');
export const POLICIES = namespaced('postern.dev', 'v1alpha1', 'AccessPolicy', 'accesspolicies');
export const MASKS = namespaced('postern.dev', 'v1alpha1', 'MaskingRule', 'maskingrules');
export const REQUESTS = namespaced('postern.dev', 'v1alpha1', 'AccessRequest', 'accessrequests');
export const PODS = namespaced('', 'v1', 'Pod', 'pods');

/** Kinds of objects that a gateway is made of. */
export const CHILDREN: readonly Resource[] = [
  namespaced('', 'v1', 'ServiceAccount', 'serviceaccounts'),
  namespaced('', 'v1', 'ConfigMap', 'configmaps'),
  namespaced('', 'v1', 'Service', 'services'),
  namespaced('networking.k8s.io', 'v1', 'NetworkPolicy', 'networkpolicies'),
  namespaced('apps', 'v1', 'Deployment', 'deployments'),
  namespaced('apps', 'v1', 'StatefulSet', 'statefulsets'),
  namespaced('policy', 'v1', 'PodDisruptionBudget', 'poddisruptionbudgets'),
  namespaced('autoscaling', 'v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers'),
];

export const CRDS: Resource = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
};
