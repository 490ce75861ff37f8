import { createHash } from 'node:crypto';
import type { GatewayInput } from './types.ts';

type Gateway = GatewayInput['gateway'];

/** Names of Services, labels and volumes; StatefulSets leave room for the revision hash in a label of their pods. */
const LABEL_LIMIT = 63;
const STATEFUL_SET_LIMIT = 52;
const HASH_DIGITS = 8;

/** The name as it is where it fits, else its beginning and a hash of the whole. */
function shorten(name: string, limit: number = LABEL_LIMIT): string {
  if (name.length <= limit) return name;
  return `${name.slice(0, limit - HASH_DIGITS - 1).replace(/[-.]+$/, '')}-${hash(name)}`;
}

/** A DNS label for a name that may have dots in it. */
export function shortenLabel(name: string): string {
  const flat = name.replaceAll('.', '-');
  return shorten(flat === name ? name : `${flat}-${hash(name)}`);
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, HASH_DIGITS);
}

/** Names of the children. */
export function childNames({ metadata, spec }: Gateway): {
  readonly workload: string;
  readonly service: string;
  readonly peers: string;
  readonly config: string;
  readonly serviceAccount: string;
} {
  const { name } = metadata;
  return {
    workload: isStateful(spec) ? shorten(name, STATEFUL_SET_LIMIT) : name,
    service: name,
    peers: shorten(`${name}-peers`),
    config: shorten(`${name}-config`),
    serviceAccount: name,
  };
}

/** Every child that a gateway may have, as `Kind/name`. */
export function childKeys(gateway: Gateway): readonly string[] {
  const { workload, service, peers, config, serviceAccount } = childNames(gateway);
  const { name } = gateway.metadata;
  return [
    `ServiceAccount/${serviceAccount}`,
    `ConfigMap/${config}`,
    `Service/${service}`,
    `Service/${peers}`,
    `NetworkPolicy/${name}`,
    `${workloadKind(gateway.spec)}/${workload}`,
    `PodDisruptionBudget/${name}`,
    ...(gateway.spec.autoscaling === undefined ? [] : [`HorizontalPodAutoscaler/${name}`]),
  ];
}

/** Whether the spool outlives the pod. */
export function isStateful(spec: Gateway['spec']): boolean {
  return spec.audit.spool.volumeClaimTemplate !== undefined;
}

export function workloadKind(spec: Gateway['spec']): 'Deployment' | 'StatefulSet' {
  return isStateful(spec) ? 'StatefulSet' : 'Deployment';
}

export const GATEWAY_LABEL = 'postern.dev/gateway';

/** What selects the pods of a gateway; a label's value cannot be longer than a gateway's name. */
export function selectorLabels(gateway: string): Readonly<Record<string, string>> {
  return { 'app.kubernetes.io/name': 'postern-gateway', [GATEWAY_LABEL]: gateway };
}

/** Labels of every child. Nothing of the gateway's own labels: those of GitOps tools would have the children pruned. */
export function labels(gateway: string): Readonly<Record<string, string>> {
  return {
    ...selectorLabels(gateway),
    'app.kubernetes.io/component': 'gateway',
    'app.kubernetes.io/managed-by': 'postern',
  };
}
