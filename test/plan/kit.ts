import type { GatewayReport } from '../../gateway/config/control.ts';
import { unenforced } from '../../gateway/config/unenforced.ts';
import type { AccessPolicy, MaskingRule, PostgresGateway } from '../../operator/api/types.generated.ts';
import { shapeOf } from '../../operator/plan/children/pod.ts';
import { plan } from '../../operator/plan/plan.ts';
import type { GatewayInput, PodView, Published } from '../../operator/plan/types.ts';
import { gateway as gatewayManifest } from '../operator/manifests.ts';

export const NOW = Date.UTC(2026, 10, 26, 9, 0, 0);
export const MINUTE = 60_000;
/** When what is settled was published. */
export const SETTLED = NOW - 60 * MINUTE;

const CLUSTER = {
  issuer: 'https://kubernetes.default.svc.cluster.local',
  jwks: { keys: [{ kty: 'EC', crv: 'P-256', kid: 'cluster-1', x: 'x', y: 'y' }] },
};

const INSTALLATION: GatewayInput['installation'] = {
  image: 'postern.example/postern:1.0.0',
  imagePullPolicy: 'IfNotPresent',
  imagePullSecrets: [],
  control: {
    address: 'postern-control.postern.svc:8443',
    ca: '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
  },
};

/** A gateway as the API server returns it. */
export function stored(manifest: PostgresGateway): GatewayInput['gateway'] {
  const metadata = { generation: 1, ...manifest.metadata, uid: 'b0a1c2d3-0000-4000-8000-000000000001' };
  return { ...manifest, metadata };
}

/** A gateway that has just been made: nothing of it is there. */
export function fresh(change: Partial<GatewayInput> = {}): GatewayInput {
  return {
    gateway: stored(gatewayManifest()),
    policies: [],
    maskingRules: [],
    clusterIssuer: CLUSTER,
    installation: INSTALLATION,
    published: null,
    earlier: [],
    foreign: [],
    workload: null,
    autoscaled: false,
    pods: [],
    listeningSince: NOW - 10 * MINUTE,
    now: NOW,
    ...change,
  };
}

export function report(revision: string, change: Partial<GatewayReport> = {}): GatewayReport {
  return {
    type: 'Report',
    revision,
    sequence: NOW,
    refused: null,
    sessions: 0,
    draining: false,
    unenforced: [],
    findings: [],
    ...change,
  };
}

/** A pod that is ready and has told nothing. */
export function pod(name: string, change: Partial<PodView> = {}): PodView {
  return {
    name,
    uid: `uid-of-${name}`,
    ready: true,
    terminating: false,
    started: true,
    shape: null,
    waiting: [],
    report: null,
    ...change,
  };
}

/** A pod that runs a document, with everything that counts from its start. */
export function running(name: string, published: Published, change: Partial<PodView> = {}): PodView {
  const { document, revision, sequence } = published;
  const told = report(revision, { sequence, unenforced: unenforced(document) });
  return pod(name, { shape: shapeOf(document), report: told, ...change });
}

/** The input after everything in its plan has been done, and all pods have said so. */
export function settled(change: Partial<GatewayInput> = {}): GatewayInput {
  const input = fresh(change);
  const published = plan({ ...input, now: SETTLED }).publish!;
  const replicas = input.gateway.spec.autoscaling?.minReplicas ?? input.gateway.spec.replicas;
  const names = Array.from({ length: replicas }, (_, i) => `orders-${'abcdefghij'[i]}`);
  return {
    ...input,
    published,
    workload: {
      generation: 1,
      observedGeneration: 1,
      wanted: replicas,
      replicas,
      updatedReplicas: replicas,
      progressDeadlineExceeded: false,
    },
    autoscaled: input.gateway.spec.autoscaling !== undefined,
    pods: names.map((name) => running(name, published)),
  };
}

/** The same, with the status that the plan itself wrote at `at`. */
export function known(input: GatewayInput, at: number = SETTLED): GatewayInput {
  const { status } = plan({ ...input, now: at });
  return { ...input, gateway: { ...input.gateway, status } };
}

export function condition(input: GatewayInput, type: string) {
  const found = plan(input).status.conditions?.find((one) => one.type === type);
  if (found === undefined) throw new Error(`no condition ${type}`);
  return found;
}

/** `True Accepted` and the like. */
export function says(input: GatewayInput, type: string): string {
  const { status, reason, message } = condition(input, type);
  return `${status} ${reason}: ${message}`;
}

/** What the plan says of an attached object: `True Programmed` and the like. */
export function saysOf(input: GatewayInput, object: AccessPolicy | MaskingRule, type: string): string {
  const { kind, metadata } = object;
  const attachment = plan(input).attachments.find((one) => one.kind === kind && one.name === metadata.name);
  const found = attachment?.conditions.find((one) => one.type === type);
  return found === undefined ? 'none' : `${found.status} ${found.reason}: ${found.message}`;
}
