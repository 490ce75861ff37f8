import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { gatewayYaml, policyYaml } from '../test/operator/manifests.ts';
import { type ApiServer, startApiServer } from './kit/api-server.ts';
import { merge, pathOf } from './kit/objects.ts';
import type { OperatorProcess } from './kit/operator-process.ts';
import { Stage } from './kit/stage.ts';
import { until } from './kit/until.ts';

type Json = Record<string, unknown>;

/** An API server of its own: it is stopped and killed. */
let api: ApiServer;
let stage: Stage;
let operator: OperatorProcess;
let gateway: Json;
let read: Json;
beforeAll(async () => {
  api = await startApiServer();
  stage = await Stage.open({ api, namespaces: ['faults', 'doomed'] });
  operator = await stage.operator();
  gateway = stage.here(gatewayYaml());
  read = stage.here(policyYaml('read'));
  await stage.apply(gateway, read);
  await stage.becomes(gateway, 'Ready', 'True');
});
afterAll(async () => {
  await stage.close();
  await api.stop();
});
afterEach(async () => {
  // Whatever was broken: it is mended, and edits get through.
  await edit();
});

let rows = 100;
/** Edits the policy and waits until it is in force. */
async function edit(): Promise<void> {
  rows += 1;
  await stage.apply(stage.here(policyYaml('read', { session: { rows } })));
  await stage.becomes(read, 'Ready', 'True', undefined, 60_000);
}

test('an API server that is killed and comes back: nothing is lost, nothing is said, no stream ends', async () => {
  const [pods, before] = [stage.fleet.pods('orders'), await stage.get(gateway)];
  await api.restart(async () => {
    await sleep(2_000);
    for (const { open } of pods) expect(open).toBe(1);
  });
  await until(async () => (await operator.metric('postern_cache_incomplete')) === 0, undefined, 60_000);
  const after = await stage.get(gateway);
  expect(after.status).toEqual(before.status);
  expect(after.metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  expect(await operator.isLeader()).toBe(true);
});

test('an edit while the API server hangs is in force soon after', async () => {
  api.process().signal('SIGSTOP');
  await sleep(5_000);
  api.process().signal('SIGCONT');
  const began = Date.now();
  await edit();
  expect(Date.now() - began).toBeLessThan(5_000);
  expect(await operator.isLeader()).toBe(true);
});

test('an API server that hangs for longer than the lease: the leader goes, and the next one finds all as it was', async () => {
  const before = await stage.get(gateway);
  api.process().signal('SIGSTOP');
  const code = await operator.ended();
  api.process().signal('SIGCONT');
  expect(code).toBe(1);
  await operator.kill();
  operator = await stage.operator({ controlPort: operator.controlPort, name: 'operator-1' });
  await until(
    () => operator.isLeader(),
    () => operator.log(),
  );
  await until(async () => stage.fleet.pods('orders').every(({ open }) => open === 1));
  expect((await stage.get(gateway)).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
});

test('a leader that was frozen does not write any more when it thaws', async () => {
  const standby = await stage.operator({ name: 'operator-2' });
  operator.signal('SIGSTOP');
  await stage.apply(stage.here(policyYaml('read', { session: { rows: 1 } })));
  await stage.becomes(read, 'Ready', 'True', undefined, 25_000);
  expect(await standby.isLeader()).toBe(true);
  operator.signal('SIGCONT');
  expect(await operator.ended()).toBe(1);
  await operator.kill();
  operator = standby;
});

test('whoever takes the lease away stops the leader', async () => {
  const { namespace } = stage.installation;
  const lease = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'postern-operator', namespace },
  };
  await merge(stage.http, pathOf(lease), { spec: { holderIdentity: 'thief' } });
  expect(await operator.ended()).toBe(1);
  await operator.kill();
  operator = await stage.operator({ controlPort: operator.controlPort, name: 'operator-3' });
});

test('a quota that is used up: said on the gateway, and over when there is room', async () => {
  const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'none', namespace: stage.namespace } };
  const hard = { 'count/configmaps': '1' };
  await stage.apply({ ...quota, spec: { hard } });
  // No controller counts here.
  await merge(stage.http, `${pathOf(quota)}/status`, { status: { hard, used: hard } });
  const crowded = stage.here(gatewayYaml({ replicas: 1 }), 'crowded');
  const message = async (): Promise<string> => (await stage.condition(crowded, 'Stalled'))?.message ?? '';
  await until(async () => {
    // The API server learns of a quota from a cache of its own.
    await stage.http.ask(pathOf(crowded), { method: 'DELETE' });
    await stage.apply(crowded);
    return await until(async () => /exceeded quota/.test(await message()), undefined, 2_000).catch(() => false);
  });
  expect(await message()).toContain('configmaps');
  // Who is there already is not held up: edits and what is withdrawn count.
  const second = stage.here(policyYaml('second'));
  await stage.apply(second);
  await stage.becomes(second, 'Ready', 'True');
  await stage.http.must(pathOf(second), { method: 'DELETE' });
  await until(async () => (await stage.get(gateway)).status.attached.accessPolicies === 1);
  await stage.http.must(pathOf(quota), { method: 'DELETE' });
  await stage.becomes(crowded, 'Ready', 'True', undefined, 60_000);
  expect(await stage.condition(crowded, 'Stalled')).toBeUndefined();
});

test('what the API server does not take of a child is said on the gateway', async () => {
  const odd = stage.here(gatewayYaml({ replicas: 1, pod: { nodeSelector: { 'no key': 'x' } } }), 'odd');
  await stage.apply(odd);
  const { status } = await stage.becomes(odd, 'Stalled', 'True', 'ApplyFailed');
  expect(status.conditions.find(({ type }: Json) => type === 'Stalled').message).toContain('nodeSelector');
  await stage.apply(stage.here(gatewayYaml({ replicas: 1 }), 'odd'));
  await stage.becomes(odd, 'Ready', 'True');
  expect(await stage.condition(odd, 'Stalled')).toBeUndefined();
});

test('a namespace that is being deleted holds nobody else up', async () => {
  const doomed = { ...gatewayYaml(), metadata: { name: 'orders', namespace: 'doomed' } };
  const [deny, allow] = ['deny', 'allow'].map((name) => policyYaml(name, {}, 'doomed'));
  await stage.apply(doomed, deny!, allow!);
  await stage.becomes(doomed, 'Ready', 'True');
  await stage.becomes(deny!, 'Ready', 'True');
  const config = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'orders-config', namespace: 'doomed' } };
  const { binaryData } = await stage.get(config);
  await stage.http.must('/api/v1/namespaces/doomed', { method: 'DELETE' });
  // As the namespace controller deletes: one after the other, in any order. Nobody has withdrawn a policy.
  await stage.http.must(pathOf(deny!), { method: 'DELETE' });
  await stage.becomes(doomed, 'Stalled', 'True', 'IncompleteView');
  expect((await stage.get(config)).binaryData).toEqual(binaryData);
  await stage.http.must(pathOf(config), { method: 'DELETE' });
  await stage.becomes(doomed, 'Stalled', 'True', 'ApplyFailed');
  // What goes at last are the operator's own rights there.
  const binding = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'RoleBinding' };
  const metadata = { name: 'postern-operator-watched', namespace: 'doomed' };
  await stage.http.must(pathOf({ ...binding, metadata }), { method: 'DELETE' });
  await operator.stop();
  operator = await stage.operator({ controlPort: operator.controlPort, unready: true });
  await until(() => operator.isLeader());
  await edit();
});
