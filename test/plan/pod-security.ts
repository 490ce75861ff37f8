/**
 * Why a pod would not be let into a namespace that enforces the Pod Security Standard "restricted"; empty: it would. Each
 * control of the standard (those of "baseline" with it), and nothing of what this operator happens to write.
 */
export function restrictedViolations(pod: PodSpec): readonly string[] {
  const all = [...pod.containers, ...(pod.initContainers ?? [])];
  return [
    ...(['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((field) => pod[field] === true),
    ...podLevel(pod),
    ...all.flatMap((container) => containerLevel(container, pod).map((what) => `${container.name}: ${what}`)),
  ];
}

interface Security {
  readonly runAsNonRoot?: boolean;
  readonly runAsUser?: number;
  readonly seccompProfile?: { readonly type: string };
  readonly sysctls?: readonly { readonly name: string }[];
  readonly privileged?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
  readonly procMount?: string;
}

interface Container {
  readonly name: string;
  readonly securityContext?: Security;
  readonly ports?: readonly { readonly hostPort?: number }[];
}

export interface PodSpec {
  readonly hostNetwork?: boolean;
  readonly hostPID?: boolean;
  readonly hostIPC?: boolean;
  readonly securityContext?: Security;
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly Readonly<Record<string, unknown>>[];
}

const VOLUMES = new Set([
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
]);
const SYSCTLS = new Set([
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ping_group_range',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_syncookies',
]);

function podLevel({ volumes = [], securityContext = {} }: PodSpec): string[] {
  const kinds = volumes.flatMap((volume) => Object.keys(volume).filter((field) => field !== 'name'));
  return [
    ...kinds.filter((kind) => !VOLUMES.has(kind)).map((kind) => `volume ${kind}`),
    ...(securityContext.sysctls ?? []).filter(({ name }) => !SYSCTLS.has(name)).map(({ name }) => `sysctl ${name}`),
  ];
}

function containerLevel(
  { securityContext = {}, ports = [] }: Container,
  { securityContext: pod = {} }: PodSpec,
): string[] {
  const { capabilities = {} } = securityContext;
  const effective = { ...pod, ...securityContext };
  const checks: readonly (readonly [boolean, string])[] = [
    [securityContext.privileged === true, 'privileged'],
    [securityContext.allowPrivilegeEscalation !== false, 'allowPrivilegeEscalation'],
    [!(capabilities.drop ?? []).includes('ALL'), 'capabilities.drop'],
    [(capabilities.add ?? []).some((name) => name !== 'NET_BIND_SERVICE'), 'capabilities.add'],
    [effective.runAsNonRoot !== true, 'runAsNonRoot'],
    [effective.runAsUser === 0, 'runAsUser'],
    [!['RuntimeDefault', 'Localhost'].includes(effective.seccompProfile?.type ?? ''), 'seccompProfile'],
    [(securityContext.procMount ?? 'Default') !== 'Default', 'procMount'],
    [ports.some(({ hostPort }) => (hostPort ?? 0) !== 0), 'hostPort'],
  ];
  return checks.filter(([broken]) => broken).map(([, what]) => what);
}
