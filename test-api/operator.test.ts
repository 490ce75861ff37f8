import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { gatewayYaml, maskYaml, policyYaml } from '../test/operator/manifests.ts';
import { apply, merge, pathOf } from './kit/objects.ts';
import type { OperatorProcess } from './kit/operator-process.ts';
import { Stage } from './kit/stage.ts';
import { until } from './kit/until.ts';

type Json = Record<string, unknown>;

// biome-ignore lint/suspicious/noExplicitAny: objects as the API server gives them
type Any = any;

let stage: Stage;
let operator: OperatorProcess;
let gateway: Json;
let read: Json;
let hide: Json;
let deaf = false;
let stuck: string | null = null;
beforeAll(async () => {
  stage = await Stage.open({
    api: inject('apiServer'),
    namespaces: ['main'],
    deaf: () => deaf,
    stuck: (kind) => kind === stuck,
  });
  operator = await stage.operator();
  gateway = stage.here(gatewayYaml());
  read = stage.here(policyYaml('read'));
  hide = stage.here(maskYaml('hide'));
});
afterAll(() => stage.close());

const KINDS = [
  ['v1', 'ServiceAccount'],
  ['v1', 'ConfigMap'],
  ['v1', 'Service'],
  ['networking.k8s.io/v1', 'NetworkPolicy'],
  ['apps/v1', 'Deployment'],
  ['apps/v1', 'StatefulSet'],
  ['policy/v1', 'PodDisruptionBudget'],
  ['autoscaling/v2', 'HorizontalPodAutoscaler'],
] as const;

async function children(owner: Json): Promise<Any[]> {
  const { metadata } = await stage.get(owner);
  const found = await Promise.all(
    KINDS.map(async ([apiVersion, kind]) =>
      (await stage.list(apiVersion, kind)).map((item) => ({ apiVersion, kind, ...item })),
    ),
  );
  return found.flat().filter((child) => child.metadata.ownerReferences?.[0]?.uid === metadata.uid);
}

const names = (objects: readonly Any[]): string[] =>
  objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`).sort();

const ALL = [
  'ConfigMap/orders-config',
  'Deployment/orders',
  'NetworkPolicy/orders',
  'PodDisruptionBudget/orders',
  'Service/orders',
  'Service/orders-peers',
  'ServiceAccount/orders',
];

test('three manifests become a gateway that says of itself that it is ready', async () => {
  await stage.apply(read, hide, gateway);
  // Ready is who serves with one pod; the second follows.
  await until(async () => (await stage.condition(gateway, 'Ready'))?.message === '2 of 2 pods are ready');
  const { status, metadata } = await stage.becomes(gateway, 'Ready', 'True');
  expect(status).toMatchObject({
    observedGeneration: 1,
    address: 'orders.main.svc',
    attached: { accessPolicies: 1, maskingRules: 1 },
    replicas: 2,
  });
  expect(status.conditions.map(({ type }: Any) => type)).toEqual(['Accepted', 'ResolvedRefs', 'Programmed', 'Ready']);
  expect(stage.fleet.pods('orders').map(({ report }) => report.revision)).toEqual([status.revision, status.revision]);
  const all = await children(gateway);
  expect(names(all)).toEqual(ALL);
  for (const child of all)
    expect(child.metadata.ownerReferences).toEqual([
      expect.objectContaining({ kind: 'PostgresGateway', name: 'orders', uid: metadata.uid, controller: true }),
    ]);
  await stage.becomes(read, 'Ready', 'True');
  // This version cannot mask, and says so.
  await stage.becomes(hide, 'Ready', 'False', 'PartiallyProgrammed');
  expect((await stage.get(read)).status.ancestors).toHaveLength(1);
  expect(await stage.events(gateway)).toContainEqual(expect.stringMatching(/^Normal Programmed: revision /));
});

test('an edited policy is in force on the same pods, and only then said to be', async () => {
  const [before, pods] = [await stage.get(gateway), stage.fleet.pods('orders')];
  const rules = [{ name: 'more', action: 'Allow', statements: ['Select'], relations: ['app.*'] }];
  deaf = true;
  await stage.apply(stage.here(policyYaml('read', { rules })));
  await stage.becomes(read, 'Ready', 'False');
  await stage.becomes(gateway, 'Programmed', 'False', 'Progressing');
  expect((await stage.get(gateway)).status.revision).toBe(before.status.revision);
  deaf = false;
  // The streams are opened anew by nobody: the next document brings both edits.
  await stage.apply(stage.here(policyYaml('read', { rules, session: { rows: 5 } })));
  await stage.becomes(read, 'Ready', 'True');
  const { status } = await stage.becomes(gateway, 'Programmed', 'True');
  expect(status.revision).not.toBe(before.status.revision);
  expect(stage.fleet.pods('orders')).toEqual(pods);
  for (const { report } of pods) expect(report.revision).toBe(status.revision);
  const [deployment] = await stage.list('apps/v1', 'Deployment');
  expect(deployment.metadata.generation).toBe(1);
});

test('a policy that is not good leaves the last good document in force and says what is wrong with it', async () => {
  const { status: before } = await stage.get(gateway);
  const broken = stage.here(policyYaml('broken', { role: 'nobody' }));
  await stage.apply(broken);
  const { status } = await stage.becomes(broken, 'Ready', 'False', 'Invalid');
  expect(status.conditions[0].message).toContain('nobody');
  await stage.becomes(gateway, 'Programmed', 'False', 'Invalid');
  expect((await stage.get(gateway)).status.revision).toBe(before.revision);
  await stage.http.must(pathOf(broken), { method: 'DELETE' });
  await stage.becomes(gateway, 'Programmed', 'True');
});

test('a policy follows its target: both gateways are told', async () => {
  const second = stage.here(gatewayYaml({ replicas: 1 }), 'second');
  await stage.apply(second);
  await stage.becomes(second, 'Ready', 'True');
  const targetRefs = [{ group: 'postern.dev', kind: 'PostgresGateway', name: 'second' }];
  await stage.apply(stage.here(policyYaml('read', { targetRefs })));
  const attached = (object: Json, count: number): Promise<boolean> =>
    until(async () => (await stage.get(object)).status.attached.accessPolicies === count);
  await attached(second, 1);
  await attached(gateway, 0);
  await stage.becomes(read, 'Ready', 'True');
  await stage.http.must(pathOf(second), { method: 'DELETE' });
  await stage.becomes(read, 'Ready', 'False', 'TargetNotFound');
  for (const child of await stage.list('apps/v1', 'Deployment'))
    if (child.metadata.name === 'second')
      await stage.http.must(pathOf({ ...DEPLOYMENT, metadata: child.metadata }), { method: 'DELETE' });
  await stage.apply(stage.here(policyYaml('read')));
  await stage.becomes(read, 'Ready', 'True');
});

const DEPLOYMENT = { apiVersion: 'apps/v1', kind: 'Deployment' };

/** What somebody's hand might do to each kind of child. */
const EDITS: Readonly<Record<string, Json>> = {
  ServiceAccount: { automountServiceAccountToken: true },
  ConfigMap: { data: { sequence: '1' }, binaryData: { 'config.json.gz': 'AAAA' } },
  Service: { spec: { selector: { 'postern.dev/gateway': 'other' } } },
  NetworkPolicy: { spec: { ingress: [{}] } },
  Deployment: { spec: { replicas: 7, template: { spec: { hostNetwork: true, serviceAccountName: 'default' } } } },
  PodDisruptionBudget: { spec: { maxUnavailable: 5 } },
};

test('what hands have changed is put right, in each child', async () => {
  for (const child of await children(gateway)) {
    const before = await stage.get(child);
    await merge(stage.http, pathOf(child), EDITS[child.kind]!);
    await until(
      async () => {
        const live = await stage.get(child);
        // A document that could not be read is published anew, as a newer one.
        const { sequence, ...data } = (child.kind === 'ConfigMap' ? before.data : {}) as Json;
        const { data: _, ...others } = before;
        const wanted = child.kind === 'ConfigMap' ? { ...others, data } : before;
        const newer = sequence === undefined || Number(live.data.sequence) > Number(sequence);
        return newer && Object.keys(EDITS[child.kind]!).every((field) => covers(live[field], wanted[field]));
      },
      async () => `${child.kind} ${JSON.stringify(await stage.get(child), null, 1)}`,
      5_000,
    );
  }
  // Also what somebody claims as a manager of fields.
  const deployment = { ...DEPLOYMENT, metadata: { name: 'orders', namespace: 'main' } };
  await apply(stage.http, { ...deployment, spec: { replicas: 9 } }, 'rival');
  await until(async () => (await stage.get(deployment)).spec.replicas === 2);
  await stage.becomes(gateway, 'Ready', 'True');
});

/** What was there before is there again; what was added beside it is not looked at. */
function covers(live: Any, before: Any): boolean {
  if (typeof before !== 'object' || before === null) return live === before;
  return Object.entries(before).every(([name, value]) => covers(live?.[name], value));
}

test('labels and annotations that hands have taken away come back, owners too', async () => {
  for (const child of await children(gateway)) {
    const path = pathOf(child);
    const { labels, annotations, ownerReferences } = child.metadata;
    await merge(stage.http, path, { metadata: { labels: null, annotations: null } });
    await until(
      async () => covers((await stage.get(child)).metadata, { labels, annotations }),
      () => path,
      5_000,
    );
    await merge(stage.http, path, { metadata: { ownerReferences: null } });
    await until(
      async () => covers((await stage.get(child)).metadata, { ownerReferences }),
      () => path,
      5_000,
    );
  }
});

test('what hands have deleted is there again, each child', async () => {
  for (const child of await children(gateway)) {
    await stage.http.must(pathOf(child), { method: 'DELETE', body: { propagationPolicy: 'Background' } });
    await until(
      async () => {
        const { status, body } = await stage.http.ask(pathOf(child));
        return status === 200 && body.metadata.uid !== child.metadata.uid;
      },
      () => pathOf(child),
      5_000,
    );
  }
  await stage.becomes(gateway, 'Ready', 'True');
  expect(names(await children(gateway))).toEqual(ALL);
});

test('others keep what they have added: labels, annotations, replicas under an autoscaler', async () => {
  const deployment = { ...DEPLOYMENT, metadata: { name: 'orders', namespace: 'main' } };
  const added = { annotations: { 'example.com/note': 'mine' }, labels: { team: 'shop' } };
  await apply(stage.http, { ...deployment, metadata: { ...deployment.metadata, ...added } }, 'somebody');
  await stage.apply(stage.here(gatewayYaml({ autoscaling: { minReplicas: 2, maxReplicas: 5 } })));
  await until(async () => names(await children(gateway)).includes('HorizontalPodAutoscaler/orders'));
  await stage.becomes(gateway, 'Ready', 'True');
  await merge(stage.http, `${pathOf(deployment)}/scale`, { spec: { replicas: 4 } });
  await until(async () => (await stage.get(gateway)).status.replicas === 4);
  const live = await stage.get(deployment);
  expect(live.metadata).toMatchObject(added);
  expect(live.spec.replicas).toBe(4);
});

test('what is wanted no more is removed', async () => {
  await stage.apply(gateway);
  await until(async () => names(await children(gateway)).join() === ALL.join());
  const [deployment] = await stage.list('apps/v1', 'Deployment');
  await until(async () => (await stage.get({ ...DEPLOYMENT, metadata: deployment.metadata })).spec.replicas === 2);
  const claimed = stage.here(gatewayYaml({ audit: { spool: { volumeClaimTemplate: {} } } }));
  stuck = 'StatefulSet';
  await stage.apply(claimed);
  await until(async () => names(await children(gateway)).includes('StatefulSet/orders'));
  // Where the new pods do not get on, the old ones serve.
  await until(async () => (await stage.condition(gateway, 'Ready'))?.message.includes('0 of 2 are up to date'));
  await sleep(1_000);
  expect(names(await children(gateway))).toContain('Deployment/orders');
  stuck = null;
  const stateful = ALL.map((name) => name.replace('Deployment/', 'StatefulSet/')).sort();
  await until(async () => names(await children(gateway)).join() === stateful.join());
  await stage.apply(gateway);
  await until(async () => names(await children(gateway)).join() === ALL.join());
  await stage.becomes(gateway, 'Ready', 'True');
});

test('a paused gateway is left alone until it is not', async () => {
  const path = pathOf(gateway);
  await merge(stage.http, path, { metadata: { annotations: { 'postern.dev/paused': 'true' } } });
  await stage.becomes(gateway, 'Accepted', 'False', 'Paused');
  const deployment = { ...DEPLOYMENT, metadata: { name: 'orders', namespace: 'main' } };
  await merge(stage.http, pathOf(deployment), { spec: { replicas: 3 } });
  await until(async () => (await stage.get(gateway)).status.replicas === 3);
  expect((await stage.get(deployment)).spec.replicas).toBe(3);
  await merge(stage.http, path, { metadata: { annotations: { 'postern.dev/paused': null } } });
  await until(async () => (await stage.get(deployment)).spec.replicas === 2);
  await stage.becomes(gateway, 'Ready', 'True');
});

test.each([
  ['Deployment', 'apps/v1', { selector: { matchLabels: { app: 'x' } }, template: POD({ app: 'x' }) }],
  ['Service', 'v1', { ports: [{ port: 80 }] }],
] as const)('a stranger’s %s of the same name is not touched', async (kind, apiVersion, spec) => {
  const name = `taken-${kind.toLowerCase()}`;
  const metadata = { name, namespace: 'main', labels: { mine: 'yes' } };
  const theirs = { apiVersion, kind, metadata, spec };
  const before = await apply(stage.http, theirs, 'stranger');
  const ours = stage.here(gatewayYaml({ replicas: 1 }), name);
  await stage.apply(ours);
  const { status } = await stage.becomes(ours, 'Accepted', 'False', 'NameConflict');
  expect(status.conditions[0].message).toContain(`${kind}/${name}`);
  expect(await stage.get(theirs)).toEqual(before);
  expect(await children(ours)).toEqual([]);
  await until(async () => (await stage.events(ours)).some((event) => event.startsWith('Warning NameConflict: ')));
  await stage.http.must(pathOf(theirs), { method: 'DELETE' });
  // Nobody tells when a stranger's object goes: it is looked for.
  await stage.becomes(ours, 'Ready', 'True', undefined, 40_000);
});

test('a gateway that is made anew waits until what the former one left is gone', async () => {
  const again = stage.here(gatewayYaml({ replicas: 1 }), 'again');
  await stage.apply(again);
  await stage.becomes(again, 'Ready', 'True');
  const left = await children(again);
  await stage.http.must(pathOf(again), { method: 'DELETE' });
  await stage.apply(again);
  const { status } = await stage.becomes(again, 'Stalled', 'True', 'ApplyFailed');
  expect(status.conditions.at(-1).message).toContain('Deployment/again');
  // As the garbage collector does.
  for (const child of left) await stage.http.must(pathOf(child), { method: 'DELETE' });
  await stage.becomes(again, 'Ready', 'True');
  expect(names(await children(again))).toEqual(names(left));
});

/** Names that dashboards know. */
const METRICS = [
  'controller_runtime_reconcile_total',
  'controller_runtime_reconcile_errors_total',
  'controller_runtime_reconcile_time_seconds_count',
  'workqueue_depth',
  'leader_election_master_status',
  'postern_control_streams',
  'postern_event_loop_delay_seconds',
  'postern_gateway_condition',
];

test('in all this the operator has asked for nothing that it may not have', async () => {
  expect(await operator.metric('rest_client_requests_total')).toBeGreaterThan(50);
  for (const name of METRICS) expect(await operator.metric(name), name).not.toBeNaN();
  expect(await operator.metric('postern_config_propagation_seconds_count')).toBeGreaterThan(0);
  expect(await operator.metric('postern_reflector_missed_changes_total')).toBe(0);
  for (const code of ['401', '403'])
    expect(await operator.metric('rest_client_requests_total', `code="${code}"`)).toBe(0);
});

function POD(labels: Json): Json {
  return { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'c' }] } };
}
