import { createHash } from 'node:crypto';
import { canonicalJson } from '../../../gateway/config/canonical.ts';
import { CONTROL_AUDIENCE } from '../../../gateway/config/control.ts';
import type { ConfigDocument } from '../../../gateway/config/document.ts';
import { fixedParts } from '../../../gateway/config/fixed-parts.ts';
import { secretUses } from '../../../gateway/config/secret-uses.ts';
import { childNames, labels, selectorLabels, shortenLabel } from '../names.ts';
import type { GatewayInput, Installation } from '../types.ts';
import { CA_KEY, DOCUMENT_KEY } from './config-map.ts';
import { ADMIN_PORT, PEERS_PORT } from './services.ts';

type Gateway = GatewayInput['gateway'];

export const DATA_VOLUME = 'data';
/** Hash of what a gateway reads at its start alone: another one means other pods. */
export const SHAPE_ANNOTATION = 'postern.dev/shape';

const USER = 1000;
const CONFIG = '/etc/postern/config';
const SECRETS = '/etc/postern/secrets';
const DATA = '/var/lib/postern';
const RUN = '/run/postern';
const TOKEN = '/var/run/secrets/postern/control';
const TOKEN_SECONDS = 3600;
/** Seconds that a pod which ends goes on accepting, until nobody is sent to it any more. */
const PRE_STOP = 5;
/** Seconds beyond the drain: preStop, records on their way to the sinks, alerts. */
const END_MARGIN = 20;
/** 0440: for the group of the pod. */
const SECRET_MODE = 0o440;
const FIRST_UNPRIVILEGED_PORT = 1024;

export function shapeOf(document: ConfigDocument): string {
  return createHash('sha256')
    .update(canonicalJson(fixedParts(document)))
    .digest('hex')
    .slice(0, 16);
}

/** The pod template of a workload; `data` is the volume for the spool, null where a claim brings it. */
export function podTemplate(
  gateway: Gateway,
  document: ConfigDocument,
  installation: Installation,
  data: Readonly<Record<string, unknown>> | null,
): Readonly<Record<string, unknown>> {
  const { pod } = gateway.spec;
  const volumes = [...fixedVolumes(gateway), ...secretVolumes(document)];
  return {
    metadata: {
      labels: { ...pod?.labels, ...labels(gateway.metadata.name) },
      annotations: { ...pod?.annotations, [SHAPE_ANNOTATION]: shapeOf(document) },
    },
    spec: {
      serviceAccountName: childNames(gateway).serviceAccount,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: Math.ceil(document.limits.drain / 1000) + END_MARGIN,
      securityContext: podSecurity(document),
      ...(installation.imagePullSecrets.length === 0
        ? {}
        : { imagePullSecrets: installation.imagePullSecrets.map((name) => ({ name })) }),
      ...(pod?.nodeSelector === undefined ? {} : { nodeSelector: pod.nodeSelector }),
      ...(pod?.tolerations === undefined ? {} : { tolerations: pod.tolerations }),
      ...spread(gateway),
      containers: [container(gateway, document, installation)],
      volumes: data === null ? volumes : [...volumes, { name: DATA_VOLUME, ...data }],
    },
  };
}

/** As Pod Security "restricted" has it, together with the container's own. */
function podSecurity({ listeners }: ConfigDocument): Readonly<Record<string, unknown>> {
  const lowest = Math.min(...listeners.map(({ port }) => port));
  const ports =
    lowest >= FIRST_UNPRIVILEGED_PORT
      ? {}
      : { sysctls: [{ name: 'net.ipv4.ip_unprivileged_port_start', value: String(lowest) }] };
  return {
    runAsNonRoot: true,
    runAsUser: USER,
    runAsGroup: USER,
    fsGroup: USER,
    fsGroupChangePolicy: 'OnRootMismatch',
    seccompProfile: { type: 'RuntimeDefault' },
    ...ports,
  };
}

function container(gateway: Gateway, document: ConfigDocument, installation: Installation): Record<string, unknown> {
  const port = (name: string, containerPort: number) => ({ name, containerPort, protocol: 'TCP' });
  const probe = (path: string) => ({ httpGet: { path, port: 'admin' }, timeoutSeconds: 5 });
  return {
    name: 'gateway',
    image: installation.image,
    imagePullPolicy: installation.imagePullPolicy,
    args: args(gateway, installation),
    ports: [
      ...document.listeners.map((listener) => port(listener.name, listener.port)),
      port('peers', PEERS_PORT),
      port('admin', ADMIN_PORT),
    ],
    startupProbe: { ...probe('/livez'), periodSeconds: 2, failureThreshold: 60 },
    livenessProbe: { ...probe('/livez'), periodSeconds: 10, failureThreshold: 6 },
    readinessProbe: { ...probe('/readyz'), periodSeconds: 5, failureThreshold: 2 },
    lifecycle: { preStop: { sleep: { seconds: PRE_STOP } } },
    resources: resources(gateway.spec.pod?.resources),
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    volumeMounts: mounts(document),
  };
}

function args({ metadata, ...gateway }: Gateway, { control }: Installation): readonly string[] {
  const { peers } = childNames({ metadata, ...gateway });
  return [
    '--max-semi-space-size=8',
    'gateway/main.ts',
    ...['--config', `${CONFIG}/${DOCUMENT_KEY}`],
    ...['--secrets', SECRETS],
    ...['--data', DATA],
    ...['--admin-port', String(ADMIN_PORT)],
    ...['--admin-socket', `${RUN}/admin.sock`],
    ...['--peers-port', String(PEERS_PORT)],
    ...['--peer', `${peers}.${metadata.namespace}.svc:${PEERS_PORT}`],
    ...['--control', control.address],
    ...['--control-ca', `${CONFIG}/${CA_KEY}`],
    ...['--control-token', `${TOKEN}/token`],
  ];
}

/** What a gateway needs to begin with; an autoscaler cannot do without a request. */
const REQUESTS = { cpu: '250m', memory: '256Mi' } as const;

/** Defaults only where nothing is said: Kubernetes takes a limit for the request that is missing. */
function resources(given: NonNullable<Gateway['spec']['pod']>['resources']): Record<string, unknown> {
  const { requests = {}, limits = {} } = given ?? {};
  const added = Object.entries(REQUESTS).filter(([name]) => requests[name] === undefined && limits[name] === undefined);
  return {
    requests: { ...Object.fromEntries(added), ...requests },
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
  };
}

const [ZONE, NODE] = ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'] as const;

/**
 * Over zones, and in them over nodes. Two spread constraints would not do: the scheduler leaves a node that lacks the label
 * of one out of both, and without zones, as on bare metal or in kind, all pods may come to be on one node.
 */
function spread({ metadata, spec }: Gateway): Record<string, unknown> {
  const over = spec.pod?.topologySpread ?? 'Zone';
  if (over === 'None') return {};
  const labelSelector = { matchLabels: selectorLabels(metadata.name) };
  const topologyKey = over === 'Zone' ? ZONE : NODE;
  const constraint = { maxSkew: 1, topologyKey, whenUnsatisfiable: 'ScheduleAnyway', labelSelector };
  const apart = { weight: 100, podAffinityTerm: { topologyKey: NODE, labelSelector } };
  return {
    topologySpreadConstraints: [constraint],
    ...(over === 'Zone'
      ? { affinity: { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [apart] } } }
      : {}),
  };
}

function fixedVolumes(gateway: Gateway): readonly Record<string, unknown>[] {
  return [
    { name: 'config', configMap: { name: childNames(gateway).config } },
    { name: 'run', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
    {
      name: 'control-token',
      projected: {
        sources: [
          { serviceAccountToken: { audience: CONTROL_AUDIENCE, expirationSeconds: TOKEN_SECONDS, path: 'token' } },
        ],
      },
    },
  ];
}

/** Keys that are read, by Secret, in the order of names: the order of fields does not make other pods. */
function mountedKeys(document: ConfigDocument): readonly (readonly [string, readonly string[]])[] {
  const keys = new Map<string, Set<string>>();
  for (const { secret, keys: read } of secretUses(document))
    keys.set(secret, new Set([...(keys.get(secret) ?? []), ...read]));
  return [...keys].sort(([a], [b]) => (a < b ? -1 : 1)).map(([secret, read]) => [secret, [...read].sort()]);
}

/**
 * Only the keys that are read. Optional, so that a gateway starts without one of them, says which is missing, and has it
 * within a minute of its being made: the kubelet would say it in an event alone and leave the pod where it is.
 */
function secretVolumes(document: ConfigDocument): readonly Record<string, unknown>[] {
  return mountedKeys(document).map(([secretName, keys]) => ({
    name: secretVolume(secretName),
    secret: {
      secretName,
      optional: true,
      defaultMode: SECRET_MODE,
      items: keys.map((key) => ({ key, path: key })),
    },
  }));
}

function secretVolume(secret: string): string {
  return shortenLabel(`secret-${secret}`);
}

function mounts(document: ConfigDocument): readonly Record<string, unknown>[] {
  const mount = (name: string, mountPath: string) => ({ name, mountPath, readOnly: true });
  return [
    mount('config', CONFIG),
    mount('control-token', TOKEN),
    { name: DATA_VOLUME, mountPath: DATA },
    { name: 'run', mountPath: RUN },
    ...mountedKeys(document).map(([secret]) => mount(secretVolume(secret), `${SECRETS}/${secret}`)),
  ];
}
