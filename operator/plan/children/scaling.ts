import { childNames, selectorLabels, workloadKind } from '../names.ts';
import type { Child, GatewayInput, GatewayPlan } from '../types.ts';
import { child } from './child.ts';

type Gateway = GatewayInput['gateway'];

/** One pod at a time, and never none: a gateway of one pod does not keep a node from being drained. */
export function disruptionBudget(gateway: Gateway): Child {
  const { name } = gateway.metadata;
  return child(gateway, 'policy/v1', 'PodDisruptionBudget', name, {
    spec: {
      maxUnavailable: 1,
      selector: { matchLabels: selectorLabels(name) },
      // Pods that do not serve anyway are let go.
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    },
  });
}

/** Seconds of less load before a pod is given up, and between one and the next: connections live long. */
const SCALE_IN_AFTER = 600;
const SCALE_IN_EVERY = 300;

/** Empty without spec.autoscaling. */
export function autoscaler(gateway: Gateway): readonly Child[] {
  const { autoscaling } = gateway.spec;
  if (autoscaling === undefined) return [];
  const { minReplicas, maxReplicas, targetCPU } = autoscaling;
  return [
    child(gateway, 'autoscaling/v2', 'HorizontalPodAutoscaler', gateway.metadata.name, {
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: workloadKind(gateway.spec), name: childNames(gateway).workload },
        minReplicas,
        maxReplicas,
        metrics: [
          {
            type: 'Resource',
            resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: targetCPU } },
          },
        ],
        behavior: {
          scaleDown: {
            stabilizationWindowSeconds: SCALE_IN_AFTER,
            selectPolicy: 'Min',
            policies: [{ type: 'Pods', value: 1, periodSeconds: SCALE_IN_EVERY }],
          },
        },
      },
    }),
  ];
}

/** Pods that are wanted: as many as the autoscaler has asked for, where there is one. */
export function wantedPods({ spec }: Gateway, workload: GatewayInput['workload']): number {
  const { autoscaling, replicas } = spec;
  if (autoscaling === undefined) return replicas;
  const { minReplicas, maxReplicas } = autoscaling;
  return Math.min(maxReplicas, Math.max(minReplicas, workload?.wanted ?? minReplicas));
}

/** The number of pods as it is, while an autoscaler is about to take over; null: nothing is handed over. */
export function handover({
  gateway,
  workload,
  autoscaled,
}: Pick<GatewayInput, 'gateway' | 'workload' | 'autoscaled'>): GatewayPlan['handover'] {
  const { namespace } = gateway.metadata;
  if (gateway.spec.autoscaling === undefined || workload === null || autoscaled) return null;
  return {
    apiVersion: 'apps/v1',
    kind: workloadKind(gateway.spec),
    metadata: { name: childNames(gateway).workload, namespace },
    spec: { replicas: workload.wanted },
  };
}
