import type { Reports } from '../control/reports.ts';
import type { Log } from '../kube/log.ts';
import type { KubeObject } from '../kube/types.ts';
import type { ClusterIssuer } from '../plan/gateway.ts';
import { childNames, isStateful } from '../plan/names.ts';
import type { GatewayInput, Installation } from '../plan/types.ts';
import type { Caches, Gateway } from './caches.ts';
import type { History } from './history.ts';
import type { Latest } from './latest.ts';
import type { LiveChildren } from './live.ts';
import { viewPod } from './pods.ts';
import { publishedBy } from './published.ts';

/** Everything that a plan is made from, kept current by others. */
export interface World {
  readonly caches: Caches;
  readonly latest: Latest;
  readonly history: History;
  readonly reports: Reports;
  /** The keys of the cluster; null: not known yet. */
  readonly clusterIssuer: () => ClusterIssuer | null;
  /** null: the control port has no certificate yet. */
  readonly installation: () => Installation | null;
  /** Since when gateways can call, in milliseconds since the epoch. */
  readonly listeningSince: () => number;
  readonly now: () => number;
  readonly log: Log;
}

/** Why no plan can be made of a gateway now; null: one can. A plan from half of the truth could take rules away. */
export function gapFor({ caches, clusterIssuer, installation }: World, gateway: Gateway): string | null {
  const incomplete = caches.incompleteIn(gateway.metadata.namespace);
  if (incomplete !== null) return incomplete;
  if (installation() === null) return 'the control port has no certificate yet';
  const issuers = gateway.spec.identity?.issuers ?? [];
  if (clusterIssuer() === null && issuers.some(({ kubernetes }) => kubernetes !== undefined))
    return 'the keys of the cluster for ServiceAccount tokens could not be read yet';
  return null;
}

/** What a plan is made from. Where `gapFor` gives a reason, it would be half of the truth. */
export function gather(world: World, gateway: Gateway, live: LiveChildren): GatewayInput {
  const { caches, history, reports } = world;
  const { name, namespace } = gateway.metadata;
  const key = `${namespace}/${name}`;
  const heard = reports.of(namespace, name);
  const names = childNames(gateway);
  const configMap = live.ours.get(`ConfigMap/${names.config}`);
  const workload = workloadOf(gateway, live);
  const pods = caches.pods.store
    .byIndex('gateway', key)
    // A pod of another account may bear any label; it is none of ours.
    .filter(({ serviceAccount }) => serviceAccount === names.serviceAccount)
    .map((pod) => viewPod(pod, heard.get(pod.metadata.uid ?? '')?.report ?? null));
  return {
    gateway,
    policies: caches.policies.store.byIndex('gateway', key),
    maskingRules: caches.masks.store.byIndex('gateway', key),
    clusterIssuer: world.clusterIssuer(),
    installation: world.installation()!,
    published: configMap === undefined ? null : publishedBy(configMap),
    earlier: history.of(
      key,
      pods.map(({ report }) => report?.revision ?? ''),
    ),
    foreign: live.foreign,
    workload: workload === undefined ? null : viewWorkload(workload),
    autoscaled: live.ours.has(`HorizontalPodAutoscaler/${name}`),
    pods,
    listeningSince: world.listeningSince(),
    now: world.now(),
  };
}

function workloadOf(gateway: Gateway, live: LiveChildren): KubeObject | undefined {
  const kind = isStateful(gateway.spec) ? 'StatefulSet' : 'Deployment';
  return live.ours.get(`${kind}/${childNames(gateway).workload}`);
}

/** Whether pods of the workload that the manifest wants serve, so that a former one of another kind may go. */
export function workloadServes(gateway: Gateway, live: LiveChildren): boolean {
  const found = workloadOf(gateway, live);
  const { replicas } = (found?.spec ?? {}) as { readonly replicas?: number };
  const { readyReplicas = 0 } = (found?.status ?? {}) as WorkloadStatus;
  return readyReplicas > 0 || replicas === 0;
}

interface WorkloadStatus {
  readonly readyReplicas?: number;
  readonly observedGeneration?: number;
  readonly replicas?: number;
  readonly updatedReplicas?: number;
  readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason?: string }[];
}

function viewWorkload({ metadata, spec, status }: KubeObject): GatewayInput['workload'] {
  const said = (status ?? {}) as WorkloadStatus;
  const { replicas } = (spec ?? {}) as { readonly replicas?: number };
  return {
    generation: metadata.generation ?? 0,
    observedGeneration: said.observedGeneration ?? 0,
    wanted: replicas ?? 1,
    replicas: said.replicas ?? 0,
    updatedReplicas: said.updatedReplicas ?? 0,
    progressDeadlineExceeded: (said.conditions ?? []).some(
      ({ type, status: is, reason }) =>
        type === 'Progressing' && is === 'False' && reason === 'ProgressDeadlineExceeded',
    ),
  };
}
