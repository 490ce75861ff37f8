import type { GatewayReport } from '../../gateway/config/control.ts';
import type { KubeObject } from '../kube/types.ts';
import { SHAPE_ANNOTATION } from '../plan/children/pod.ts';
import type { PodView } from '../plan/types.ts';

/** What is kept of a pod: a cluster has many, and most of each is of no use here. */
export interface Pod extends KubeObject {
  readonly serviceAccount: string;
  readonly ready: boolean;
  readonly started: boolean;
  readonly waiting: PodView['waiting'];
}

interface ContainerStatus {
  readonly started?: boolean;
  readonly state?: {
    readonly running?: object;
    readonly waiting?: { readonly reason?: string; readonly message?: string };
  };
}

export function reducePod({ apiVersion, kind, metadata, spec, status }: KubeObject): Pod {
  const { serviceAccountName } = (spec ?? {}) as { readonly serviceAccountName?: string };
  const { conditions = [], containerStatuses = [] } = (status ?? {}) as {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
  return {
    apiVersion,
    kind,
    metadata,
    serviceAccount: serviceAccountName ?? 'default',
    ready: conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
    started: containerStatuses.some(({ started, state }) => started === true && state?.running !== undefined),
    waiting: containerStatuses.flatMap(({ state }) =>
      state?.waiting === undefined
        ? []
        : [{ reason: state.waiting.reason ?? '', message: state.waiting.message ?? '' }],
    ),
  };
}

export function viewPod({ metadata, ready, started, waiting }: Pod, report: GatewayReport | null): PodView {
  return {
    name: metadata.name,
    uid: metadata.uid ?? '',
    ready,
    started,
    waiting,
    terminating: metadata.deletionTimestamp !== undefined,
    shape: metadata.annotations?.[SHAPE_ANNOTATION] ?? null,
    report,
  };
}
