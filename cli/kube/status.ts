import type { PostgresGateway } from '../../operator/api/types.generated.ts';
import { type Attached, containerOf, gatewayOf, isReady, type Pod } from './objects.ts';
import type { Heard } from './pods.ts';
import { remedyFor, UNSEEN } from './remedies.ts';

/** One condition, as kubectl shows it, with what to do where it does not hold. */
export interface Finding {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly remedy: string | null;
}

export interface PodStatus {
  readonly name: string;
  readonly ready: boolean;
  readonly restarts: number;
  /** null: the pod could not be asked; `problem` says why. */
  readonly revision: string | null;
  readonly sessions: number | null;
  readonly draining: boolean;
  readonly problem: string | null;
}

export interface AttachedStatus {
  readonly kind: string;
  readonly name: string;
  readonly inForce: boolean;
  readonly conditions: readonly Finding[];
}

export interface GatewayStatus {
  readonly namespace: string;
  readonly name: string;
  /** It is, as everything that is attached to it. */
  readonly ready: boolean;
  readonly address: string | null;
  readonly revision: string | null;
  readonly conditions: readonly Finding[];
  readonly pods: readonly PodStatus[];
  readonly attached: readonly AttachedStatus[];
}

export interface Seen {
  readonly gateways: readonly PostgresGateway[];
  /** AccessPolicies and MaskingRules. */
  readonly attached: readonly Attached[];
  readonly pods: readonly Pod[];
}

/** `heard`: what pods say themselves, by uid. */
export function judgeAll(seen: Seen, heard: ReadonlyMap<string, Heard>): readonly GatewayStatus[] {
  return seen.gateways.map((gateway) => judge(gateway, seen, heard));
}

/** Policies and masks that name a gateway which is not there: they are in force nowhere. */
export function strays({
  gateways,
  attached,
}: Seen): readonly { readonly object: Attached; readonly target: string }[] {
  const there = new Set(gateways.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`));
  return attached.flatMap((object) =>
    object.spec.targetRefs
      .filter(({ name }) => !there.has(`${object.metadata.namespace}/${name}`))
      .map(({ name }) => ({ object, target: name })),
  );
}

function judge(gateway: PostgresGateway, { attached, pods }: Seen, heard: ReadonlyMap<string, Heard>): GatewayStatus {
  const { metadata, status } = gateway;
  const { namespace, name } = metadata;
  const ours = attached.filter(
    (one) => one.metadata.namespace === namespace && one.spec.targetRefs.some((target) => target.name === name),
  );
  const conditions = findings(status?.conditions, gateway, name);
  const judged = ours.map((one) => judgeAttached(one, name));
  return {
    namespace,
    name,
    ready: holds(conditions, 'Ready') && judged.every(({ inForce }) => inForce),
    address: status?.address ?? null,
    revision: status?.revision ?? null,
    conditions,
    pods: pods
      .filter((pod) => pod.metadata.namespace === namespace && gatewayOf(pod) === name)
      .map((pod) => judgePod(pod, heard.get(pod.metadata.uid) ?? 'it was not asked')),
    attached: judged,
  };
}

function judgeAttached(object: Attached, gateway: string): AttachedStatus {
  const ancestor = object.status?.ancestors?.find(({ ancestorRef }) => ancestorRef.name === gateway);
  const conditions = findings(ancestor?.conditions, object, gateway);
  const inForce = holds(conditions, 'Accepted') && holds(conditions, 'Programmed');
  return { kind: object.kind, name: object.metadata.name, inForce, conditions };
}

type Conditions = NonNullable<NonNullable<PostgresGateway['status']>['conditions']>;

/** Conditions of an older generation say nothing of the object as it is now. */
function findings(
  conditions: Conditions | undefined,
  { metadata }: PostgresGateway | Attached,
  gateway: string,
): readonly Finding[] {
  if (conditions === undefined || conditions.length === 0) return [{ type: 'Accepted', ...NOT_SEEN }];
  return conditions.map(({ type, status, reason, message, observedGeneration }) => {
    if ((observedGeneration ?? 0) < (metadata.generation ?? 0)) return { type, ...NOT_SEEN };
    const remedy = status === 'True' ? null : remedyFor(reason, metadata.namespace, gateway);
    return { type, status, reason, message, remedy };
  });
}

const NOT_SEEN = {
  status: 'Unknown',
  reason: 'NotSeen',
  message: 'as it is now it has not been looked at',
  remedy: UNSEEN,
} as const;

function holds(conditions: readonly Finding[], wanted: string): boolean {
  return conditions.some(({ type, status }) => type === wanted && status === 'True');
}

function judgePod(pod: Pod, heard: Heard): PodStatus {
  const container = containerOf(pod);
  const told = typeof heard === 'string' ? null : heard;
  const stopped = container?.state?.waiting ?? container?.state?.terminated;
  return {
    name: pod.metadata.name,
    ready: isReady(pod),
    restarts: container?.restartCount ?? 0,
    revision: told?.revision ?? null,
    sessions: told?.sessions.length ?? null,
    draining: told?.draining ?? pod.metadata.deletionTimestamp !== undefined,
    problem: typeof heard === 'string' ? (stopped?.reason ?? heard) : null,
  };
}
