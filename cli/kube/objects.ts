import type { AccessPolicy, MaskingRule, PostgresGateway } from '../../operator/api/types.generated.ts';
import { CommandError } from '../usage.ts';
import { CONTAINER, type Kubectl } from './kubectl.ts';

/** The part of a Pod that is read. */
export interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  readonly spec?: {
    readonly containers?: readonly {
      readonly name: string;
      readonly readinessProbe?: { readonly periodSeconds?: number; readonly failureThreshold?: number };
    }[];
  };
  readonly status?: {
    readonly containerStatuses?: readonly {
      readonly name: string;
      readonly ready: boolean;
      readonly restartCount: number;
      readonly containerID?: string;
      readonly state?: {
        readonly running?: object;
        readonly waiting?: { readonly reason?: string; readonly message?: string };
        readonly terminated?: { readonly reason?: string };
      };
    }[];
  };
}

export type Attached = AccessPolicy | MaskingRule;

export const RESOURCES = {
  gateways: 'postgresgateways.postern.dev',
  policies: 'accesspolicies.postern.dev',
  masks: 'maskingrules.postern.dev',
} as const;

const GATEWAY_LABEL = 'postern.dev/gateway';
const PODS = 'app.kubernetes.io/name=postern-gateway';

export function gatewayOf({ metadata }: Pod): string | undefined {
  return metadata.labels?.[GATEWAY_LABEL];
}

export function containerOf({ status }: Pod) {
  return status?.containerStatuses?.find(({ name }) => name === CONTAINER);
}

/** Its container runs: a command can be run in it. */
export function isRunning(pod: Pod): boolean {
  return containerOf(pod)?.state?.running !== undefined;
}

export function isReady(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp === undefined && containerOf(pod)?.ready === true;
}

/** The pods of a gateway, or of all. */
export async function podsOf(kubectl: Kubectl, gateway: string | null, all = false): Promise<readonly Pod[]> {
  const labels = gateway === null ? PODS : `${PODS},${GATEWAY_LABEL}=${gateway}`;
  return await kubectl.list<Pod>('pods', { all, labels });
}

/** The pods of a gateway; rejects where it is not there, or has none. */
export async function needPods(kubectl: Kubectl, gateway: string): Promise<readonly Pod[]> {
  await needGateway(kubectl, gateway);
  const pods = await podsOf(kubectl, gateway);
  if (pods.length > 0) return pods;
  throw new CommandError(`gateway ${gateway} has no pods: "kubectl postern status ${gateway}" says why`);
}

/** The gateway of that name; rejects with those that there are. */
export async function needGateway(kubectl: Kubectl, name: string): Promise<PostgresGateway> {
  const gateway = await kubectl.get<PostgresGateway>(RESOURCES.gateways, name);
  if (gateway !== undefined) return gateway;
  throw new CommandError(await noSuchGateway(kubectl, name));
}

export async function noSuchGateway(kubectl: Kubectl, name: string): Promise<string> {
  const there = await kubectl.list<PostgresGateway>(RESOURCES.gateways, { all: false });
  const names = there.map(({ metadata }) => metadata.name);
  const others = names.length === 0 ? 'there is none; name the namespace with -n' : `there is ${names.join(', ')}`;
  return `no PostgresGateway ${name} in this namespace: ${others}`;
}
