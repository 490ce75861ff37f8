import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { parseDocument } from '../../gateway/config/load.ts';
import { childKeys } from '../../operator/plan/names.ts';
import { plan } from '../../operator/plan/plan.ts';
import type { Child, GatewayInput } from '../../operator/plan/types.ts';
import { gateway, policy } from '../operator/manifests.ts';
import { fresh, settled, stored } from './kit.ts';
import { type PodSpec, restrictedViolations } from './pod-security.ts';

type Loose = Record<string, ReturnType<typeof JSON.parse>>;

const input = (spec: object, change: Partial<GatewayInput> = {}) =>
  fresh({ gateway: stored(gateway(spec)), ...change });
const named = (name: string, namespace: string, spec: object = {}): GatewayInput => {
  const manifest = gateway(spec);
  return fresh({ gateway: stored({ ...manifest, metadata: { ...manifest.metadata, name, namespace } }) });
};
function child(from: GatewayInput, kind: string, name = 'orders'): Child & { readonly spec: Loose } {
  const found = plan(from).children.find((one) => one.kind === kind && one.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found as Child & { readonly spec: Loose };
}
const template = (from: GatewayInput, kind = 'Deployment'): Loose => child(from, kind).spec.template as Loose;
const pod = (from: GatewayInput): Loose => template(from).spec as Loose;
const container = (from: GatewayInput): Loose => pod(from).containers[0] as Loose;

const CLAIMS = { audit: { spool: { size: '2Gi', volumeClaimTemplate: { storageClassName: 'fast' } } } };
const FULL = {
  tls: { secretRef: { name: 'tls' } },
  upstream: {
    host: 'db',
    tls: { mode: 'VerifyFull', caSecretRef: { name: 'shared', key: 'db.crt' } },
    roles: [
      { name: 'ro', secretRef: { name: 'ro-login' } },
      { name: 'rw', secretRef: { name: 'rw-login' } },
    ],
    catalogRole: 'ro',
  },
  identity: {
    issuers: [
      {
        name: 'corp',
        url: 'https://login.example.com',
        audiences: ['postern'],
        claims: { username: 'email' },
        caSecretRef: { name: 'shared', key: 'login.crt' },
      },
    ],
    certificates: { caSecretRef: { name: 'people-ca' } },
  },
  audit: { alerts: { webhookSecretRef: { name: 'alerts' } } },
};

describe('every child', () => {
  const all = [
    input({}),
    input(CLAIMS),
    input(FULL),
    input({ autoscaling: { maxReplicas: 4 } }),
    named('a'.repeat(63), 'n'.repeat(63), CLAIMS),
  ];

  test('is one of those that may be somebody else’s, and the other way round', () => {
    for (const one of all) {
      const keys = plan(one).children.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
      expect(keys.toSorted()).toEqual(childKeys(one.gateway).toSorted());
    }
  });

  test('is owned by the gateway, carries our labels and nothing of the gateway’s own', () => {
    const base = stored(gateway());
    const labels = { 'app.kubernetes.io/instance': 'argo', team: 'shop' };
    const annotations = { 'argocd.argoproj.io/tracking-id': 'x' };
    const { children } = plan(fresh({ gateway: { ...base, metadata: { ...base.metadata, labels, annotations } } }));
    for (const { metadata } of children) {
      expect(metadata).toEqual({
        name: expect.any(String),
        namespace: 'shop',
        labels: {
          'app.kubernetes.io/name': 'postern-gateway',
          'app.kubernetes.io/component': 'gateway',
          'app.kubernetes.io/managed-by': 'postern',
          'postern.dev/gateway': 'orders',
        },
        ownerReferences: [
          {
            apiVersion: 'postern.dev/v1alpha1',
            kind: 'PostgresGateway',
            name: 'orders',
            uid: base.metadata.uid,
            controller: true,
          },
        ],
      });
    }
    expect(JSON.stringify(children)).not.toMatch(/argo|team/);
  });

  test.each([
    [1, 'g'],
    [52, `g${'a'.repeat(51)}`],
    [53, `g${'a'.repeat(52)}`],
    [63, `g${'-'.repeat(50)}${'a'.repeat(12)}`],
  ])('has a name that the API takes, for a gateway’s of %i characters', (_length, name) => {
    for (const from of [named(name, 'n'.repeat(63)), named(name, 'n', CLAIMS)]) {
      for (const { kind, metadata } of plan(from).children) {
        expect(metadata.name).toMatch(/^[a-z]([-a-z0-9]*[a-z0-9])?$/);
        expect(metadata.name.length).toBeLessThanOrEqual(kind === 'StatefulSet' ? 52 : 63);
        for (const value of Object.values(metadata.labels)) expect(value).toMatch(/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/);
      }
    }
  });

  test('names that are cut stay apart', () => {
    const peers = ['x', 'y']
      .map((end) => `g${'a'.repeat(61)}${end}`)
      .map((name) => plan(named(name, 'n')).children[3]!);
    expect(peers[0]!.metadata.name).not.toBe(peers[1]!.metadata.name);
    expect(peers[0]!.metadata.name).toHaveLength(63);
  });
});

describe('pods', () => {
  test.each<[string, GatewayInput]>([
    ['the least', input({})],
    ['with all Secrets', input(FULL)],
    ['at a privileged port', input({ listeners: [{ name: 'token', port: 443, authentication: 'Token' }] })],
    ['with labels of their own', input({ pod: { labels: { a: 'b' }, annotations: { c: 'd' } } })],
  ])('%s: may run where Pod Security is restricted', (_name, from) => {
    expect(restrictedViolations(pod(from) as PodSpec)).toEqual([]);
    expect(container(from).securityContext.readOnlyRootFilesystem).toBe(true);
    expect(pod(from).automountServiceAccountToken).toBe(false);
  });

  test('the check finds what it is to find', () => {
    const bad: PodSpec = {
      hostNetwork: true,
      securityContext: { sysctls: [{ name: 'kernel.msgmax' }] },
      containers: [{ name: 'c', securityContext: { capabilities: { add: ['SYS_ADMIN'] }, privileged: true } }],
      volumes: [{ name: 'h', hostPath: { path: '/' } }],
    };
    expect(restrictedViolations(bad)).toEqual([
      'hostNetwork',
      'volume hostPath',
      'sysctl kernel.msgmax',
      'c: privileged',
      'c: allowPrivilegeEscalation',
      'c: capabilities.drop',
      'c: capabilities.add',
      'c: runAsNonRoot',
      'c: seccompProfile',
    ]);
  });

  test('mount the keys that are read and no others, a Secret once', () => {
    const secrets = (pod(input(FULL)).volumes as Loose[]).flatMap(({ secret }) => secret ?? []);
    expect(secrets.map(({ secretName, items }) => [secretName, items.map(({ key }: Loose) => key)])).toEqual([
      ['alerts', ['ca.crt', 'key', 'token', 'url']],
      ['people-ca', ['ca.crt']],
      ['ro-login', ['password', 'username']],
      ['rw-login', ['password', 'username']],
      ['shared', ['db.crt', 'login.crt']],
      ['tls', ['tls.crt', 'tls.key']],
    ]);
    for (const { optional, items } of secrets) {
      expect(optional).toBe(true);
      for (const { key, path } of items) expect(path).toBe(key);
    }
    const at = (container(input(FULL)).volumeMounts as Loose[]).filter(({ mountPath }) =>
      mountPath.startsWith('/etc/postern/secrets/'),
    );
    expect(at.map(({ mountPath, readOnly }) => [mountPath, readOnly])).toEqual(
      ['alerts', 'people-ca', 'ro-login', 'rw-login', 'shared', 'tls'].map((name) => [
        `/etc/postern/secrets/${name}`,
        true,
      ]),
    );
  });

  test('volumes of Secrets with long or dotted names have names that the API takes, and stay apart', () => {
    const names = ['s'.repeat(253), `${'s'.repeat(252)}t`, 'a.b', 'a-b'];
    const roles = names.map((name, i) => ({ name: `r${i}`, secretRef: { name } }));
    const from = input({ upstream: { host: 'db', roles, catalogRole: 'r0' } });
    const volumes = (pod(from).volumes as Loose[]).filter(({ secret }) => names.includes(secret?.secretName));
    expect(new Set(volumes.map(({ name }) => name)).size).toBe(4);
    for (const { name } of volumes) expect(name).toMatch(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
  });

  test.each<[string, object, Loose]>([
    ['defaults', {}, { requests: { cpu: '250m', memory: '256Mi' } }],
    [
      'a limit alone is the request as well',
      { limits: { memory: '128Mi' } },
      { requests: { cpu: '250m' }, limits: { memory: '128Mi' } },
    ],
    [
      'what is given stays',
      { requests: { cpu: 2, memory: '1Gi' }, limits: { cpu: '4' } },
      { requests: { cpu: 2, memory: '1Gi' }, limits: { cpu: '4' } },
    ],
  ])('resources: %s', (_name, resources, expected) => {
    expect(container(input({ pod: { resources } })).resources).toEqual(expected);
  });

  test('are told where everything is', () => {
    expect(container(named('orders', 'shop')).args.join(' ')).toBe(
      '--max-semi-space-size=8 gateway/main.ts --config /etc/postern/config/config.json.gz --secrets /etc/postern/secrets ' +
        '--data /var/lib/postern --admin-port 9090 --admin-socket /run/postern/admin.sock --peers-port 6433 ' +
        '--peer orders-peers.shop.svc:6433 --control postern-control.postern.svc:8443 ' +
        '--control-ca /etc/postern/config/control-ca.crt --control-token /var/run/secrets/postern/control/token',
    );
  });

  test('end after the drain and what follows it', () => {
    expect(pod(input({ limits: { drain: '2m' } })).terminationGracePeriodSeconds).toBe(140);
    expect(container(input({})).lifecycle).toEqual({ preStop: { sleep: { seconds: 5 } } });
  });

  // One constraint at most: the scheduler leaves nodes that lack the label of one out of all.
  test.each<[string, object, readonly string[] | undefined, string | undefined]>([
    ['Zone', {}, ['topology.kubernetes.io/zone'], 'kubernetes.io/hostname'],
    ['Node', { topologySpread: 'Node' }, ['kubernetes.io/hostname'], undefined],
    ['None', { topologySpread: 'None' }, undefined, undefined],
  ])('are spread: %s', (_name, spec, keys, apart) => {
    const { affinity, topologySpreadConstraints } = pod(input({ pod: spec }));
    expect((topologySpreadConstraints as Loose[] | undefined)?.map(({ topologyKey }) => topologyKey)).toEqual(keys);
    const [preferred] = affinity?.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution ?? [];
    expect(preferred?.podAffinityTerm.topologyKey).toBe(apart);
  });

  test('have labels and annotations of their own beside ours, which win', () => {
    const from = input({
      pod: {
        labels: { team: 'x', 'postern.dev/gateway': 'other' },
        annotations: { note: 'y', 'postern.dev/shape': 'z' },
      },
    });
    expect(template(from).metadata).toMatchObject({
      labels: { team: 'x', 'postern.dev/gateway': 'orders', 'app.kubernetes.io/name': 'postern-gateway' },
      annotations: { note: 'y', 'postern.dev/shape': expect.stringMatching(/^[0-9a-f]{16}$/) },
    });
  });

  test('where they may run', () => {
    const tolerations = [{ key: 'db', operator: 'Exists', effect: 'NoSchedule' }];
    const from = input(
      { pod: { nodeSelector: { disk: 'ssd' }, tolerations } },
      { installation: { ...fresh().installation, imagePullSecrets: ['pull'] } },
    );
    expect(pod(from)).toMatchObject({
      nodeSelector: { disk: 'ssd' },
      tolerations,
      imagePullSecrets: [{ name: 'pull' }],
    });
  });
});

describe('the pod template', () => {
  const base = JSON.stringify(template(settled()));
  const changes: readonly (readonly [string, Partial<GatewayInput>])[] = [
    ['policies', { policies: [policy('a')] }],
    ['limits that count at once', { gateway: stored(gateway({ limits: { connections: 7, idle: '1m' } })) }],
    [
      'issuers',
      { gateway: stored(gateway({ identity: { issuers: [{ name: 'x', url: 'https://x', audiences: ['y'] }] } })) },
    ],
    [
      'upstream hosts',
      {
        gateway: stored(
          gateway({
            upstream: { host: 'other', roles: [{ name: 'ro', secretRef: { name: 'ro-login' } }], catalogRole: 'ro' },
          }),
        ),
      },
    ],
    ['the number of pods', { gateway: stored(gateway({ replicas: 9 })) }],
    ['who may connect', { gateway: stored(gateway({ network: { from: [] } })) }],
  ];
  test.each(changes)('stays through a change of %s', (_what, change) => {
    expect(JSON.stringify(template(settled(change)))).toBe(base);
  });

  test.each<[string, object]>([
    ['listeners', { listeners: [{ name: 'token', port: 5555, authentication: 'Token' }] }],
    ['durability', { audit: { durability: 'Synced' } }],
    ['traces', { telemetry: { traces: { endpoint: 'http://collector:4318' } } }],
    ['statementBytes', { limits: { statementBytes: 4096 } }],
    ['resources', { pod: { resources: { requests: { cpu: '1' } } } }],
    ['the Secrets that are mounted', { tls: { secretRef: { name: 'other' } } }],
  ])('is another one after a change of %s', (_what, spec) => {
    expect(JSON.stringify(template(settled({ gateway: stored(gateway(spec)) })))).not.toBe(base);
  });

  test('is another one with another image', () => {
    const installation = { ...fresh().installation, image: 'postern.example/postern:2.0.0' };
    expect(JSON.stringify(template(settled({ installation })))).not.toBe(base);
  });
});

describe('the workload', () => {
  test('a Deployment that never has fewer pods than it should', () => {
    expect(child(input({ replicas: 3 }), 'Deployment').spec).toMatchObject({
      replicas: 3,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      progressDeadlineSeconds: 120,
    });
    expect(pod(input({ audit: { spool: { size: '1Gi' } } })).volumes).toContainEqual({
      name: 'data',
      emptyDir: { sizeLimit: '1191Mi' },
    });
  });

  test('a StatefulSet where the spool outlives the pod', () => {
    const { spec } = child(input(CLAIMS), 'StatefulSet');
    expect(spec).toMatchObject({
      replicas: 2,
      serviceName: 'orders-peers',
      podManagementPolicy: 'Parallel',
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
      volumeClaimTemplates: [
        {
          metadata: { name: 'data' },
          spec: {
            accessModes: ['ReadWriteOnce'],
            storageClassName: 'fast',
            resources: { requests: { storage: '2317Mi' } },
          },
        },
      ],
    });
    expect(JSON.stringify(spec.template)).not.toContain('emptyDir":{"sizeLimit":"2317Mi');
    expect(restrictedViolations((spec.template as Loose).spec as PodSpec)).toEqual([]);
  });

  const scaled = { autoscaling: { minReplicas: 2, maxReplicas: 6, targetCPU: 60 } };
  test('an autoscaler owns the number of pods, and takes them away one at a time', () => {
    expect(child(input({ ...scaled, replicas: 4 }), 'Deployment').spec).not.toHaveProperty('replicas');
    expect(child(input(scaled), 'HorizontalPodAutoscaler').spec).toMatchObject({
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'orders' },
      minReplicas: 2,
      maxReplicas: 6,
      metrics: [{ resource: { name: 'cpu', target: { averageUtilization: 60 } } }],
      behavior: { scaleDown: { policies: [{ type: 'Pods', value: 1, periodSeconds: 300 }] } },
    });
    expect(child(input({ ...scaled, ...CLAIMS }), 'HorizontalPodAutoscaler').spec.scaleTargetRef.kind).toBe(
      'StatefulSet',
    );
  });

  test('the number of pods is handed over to an autoscaler that comes later', () => {
    const before = settled({ gateway: stored(gateway({ replicas: 5 })) });
    const after = { ...before, gateway: stored(gateway({ replicas: 5, ...scaled })) };
    expect(plan(after).handover).toEqual({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'orders', namespace: 'shop' },
      spec: { replicas: 5 },
    });
    expect(plan({ ...after, autoscaled: true }).handover).toBeNull();
    expect(plan(before).handover).toBeNull();
    expect(plan(input(scaled)).handover).toBeNull();
  });

  test.each<[string, GatewayInput, number]>([
    ['fixed', input({ replicas: 3 }), 34],
    ['one', input({ replicas: 1 }), 100],
    ['none', input({ replicas: 0 }), 100],
    ['as few as an autoscaler may ask for', input(scaled), 50],
    ['as many as it has asked for', { ...input(scaled), workload: { ...settled().workload!, wanted: 4 } }, 25],
    ['no more than it may', { ...input(scaled), workload: { ...settled().workload!, wanted: 40 } }, 17],
  ])('connections are shared by the pods that are wanted, rounded up: %s', (_name, from, connections) => {
    const spec = { ...from.gateway.spec, limits: { ...from.gateway.spec.limits, connections: 100 } };
    const { limits } = plan({ ...from, gateway: { ...from.gateway, spec } }).publish!.document;
    expect(limits.connections).toBe(connections);
  });

  test('a gateway of one pod does not hold up the drain of its node', () => {
    expect(child(input({ replicas: 1 }), 'PodDisruptionBudget').spec).toMatchObject({
      maxUnavailable: 1,
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    });
  });
});

describe('Services', () => {
  const LISTENERS = [
    { name: 'token', port: 5432, authentication: 'Token' },
    { name: 'oauth', port: 5433, authentication: 'OAuthBearer' },
  ];
  test('one for clients, one by which pods find each other even while they drain', () => {
    const from = input({ listeners: LISTENERS });
    expect(
      child(from, 'Service').spec.ports.map(({ name, port, targetPort }: Loose) => [name, port, targetPort]),
    ).toEqual([
      ['token', 5432, 'token'],
      ['oauth', 5433, 'oauth'],
    ]);
    expect(child(from, 'Service', 'orders-peers').spec).toMatchObject({
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      ports: [{ name: 'peers', port: 6433 }],
    });
  });
});

describe('the NetworkPolicy', () => {
  const rules = (spec: object) => child(input(spec), 'NetworkPolicy').spec.ingress as Loose[];
  const own = {
    podSelector: { matchLabels: { 'app.kubernetes.io/name': 'postern-gateway', 'postern.dev/gateway': 'orders' } },
  };
  const rest = [
    { from: [own], ports: [{ port: 6433, protocol: 'TCP' }] },
    { from: [{ namespaceSelector: {} }], ports: [{ port: 9090, protocol: 'TCP' }] },
  ];
  const ports = [{ port: 5432, protocol: 'TCP' }];

  test.each<[string, object, readonly Loose[]]>([
    ['everybody may connect where nothing is said', {}, [{ ports }, ...rest]],
    ['nobody where the list is empty', { network: { from: [] } }, rest],
    [
      'those that are named',
      {
        network: {
          from: [
            { namespaceSelector: { matchLabels: { team: 'shop' } }, podSelector: {} },
            { podSelector: { matchLabels: { app: 'web' } } },
          ],
        },
      },
      [
        {
          from: [
            { namespaceSelector: { matchLabels: { team: 'shop' } }, podSelector: {} },
            { podSelector: { matchLabels: { app: 'web' } } },
          ],
          ports,
        },
        ...rest,
      ],
    ],
  ])('%s', (_name, spec, expected) => {
    expect(rules(spec)).toEqual(expected);
  });

  test('says nothing of what pods may reach', () => {
    expect(child(input({}), 'NetworkPolicy').spec).toMatchObject({ policyTypes: ['Ingress'] });
  });
});

describe('the ConfigMap', () => {
  test('holds the document, its sequence and the authority of the control stream', () => {
    const from = settled({ policies: [policy('a')] });
    const { binaryData, data } = child(from, 'ConfigMap', 'orders-config') as Loose;
    const bytes = Buffer.from(binaryData['config.json.gz'], 'base64');
    expect(parseDocument(bytes)).toMatchObject({ ok: true, revision: { revision: from.published!.revision } });
    expect(data).toEqual({
      'control-ca.crt': from.installation.control.ca,
      sequence: String(from.published!.sequence),
    });
  });

  test('has the same bytes each time: no time, no system', () => {
    const bytes = Buffer.from(
      (child(input({}), 'ConfigMap', 'orders-config') as Loose).binaryData['config.json.gz'],
      'base64',
    );
    expect([bytes.readUInt32LE(4), bytes[9]]).toEqual([0, 255]);
    expect(gunzipSync(bytes).toString()).toMatch(/^\{"audit":/);
  });
});
