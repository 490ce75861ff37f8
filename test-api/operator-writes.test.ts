import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { gatewayYaml, maskYaml, policyYaml } from '../test/operator/manifests.ts';
import { type ApiServer, startApiServer } from './kit/api-server.ts';
import { FULL_GATEWAY } from './kit/full-objects.ts';
import { merge, pathOf } from './kit/objects.ts';
import type { OperatorProcess } from './kit/operator-process.ts';
import { Stage } from './kit/stage.ts';
import { until } from './kit/until.ts';
import { countWrites, writesSince } from './kit/writes.ts';

type Json = Record<string, unknown>;

/** An API server of its own: what it counts is what happens here. */
let api: ApiServer;
let stage: Stage;
let operator: OperatorProcess;
let gateway: Json;
let full: Json;
let read: Json;
beforeAll(async () => {
  api = await startApiServer();
  stage = await Stage.open({ api, namespaces: ['writes'], everywhere: true });
  operator = await stage.operator();
  gateway = stage.here(gatewayYaml());
  full = stage.here(gatewayYaml(FULL_GATEWAY), 'full');
  read = stage.here(policyYaml('read'));
  await stage.apply(gateway, full, read, stage.here(maskYaml('hide')));
  await stage.becomes(gateway, 'Ready', 'True');
  await stage.becomes(full, 'Programmed', 'True');
  await stage.becomes(read, 'Ready', 'True');
});
afterAll(async () => {
  await stage.close();
  await api.stop();
});

/** Until nothing has been written for a second. */
async function settle(): Promise<void> {
  for (;;) {
    const before = await countWrites(stage.http);
    await sleep(1_000);
    if (Object.keys(await writesSince(stage.http, before)).length === 0) return;
  }
}

test('while nothing changes nothing is written', async () => {
  await settle();
  const before = await countWrites(stage.http);
  await sleep(10_000);
  expect(await writesSince(stage.http, before)).toEqual({});
});

test('what is empty, and left out by the API server, is not written again at each look', async () => {
  const pod = { tolerations: [], nodeSelector: {}, labels: {}, annotations: {} };
  const network = { from: [{ podSelector: { matchLabels: {} } }, { namespaceSelector: {} }] };
  const empty = stage.here(gatewayYaml({ replicas: 1, pod, network }), 'empty');
  await stage.apply(empty);
  await stage.becomes(empty, 'Ready', 'True');
  await settle();
  const before = await countWrites(stage.http);
  await merge(stage.http, pathOf(empty), { metadata: { annotations: { looked: 'at' } } });
  await sleep(2_000);
  const writes = await writesSince(stage.http, before);
  expect(Object.keys(writes).filter((what) => !what.includes('postgresgateways'))).toEqual([]);
  await stage.http.must(pathOf(empty), { method: 'DELETE' });
});

test('one edited policy: one ConfigMap, and what is said of it', async () => {
  const before = await countWrites(stage.http);
  await stage.apply(stage.here(policyYaml('read', { session: { rows: 7 } })));
  await stage.becomes(read, 'Ready', 'True');
  await stage.becomes(gateway, 'Programmed', 'True');
  await settle();
  const writes = await writesSince(stage.http, before);
  expect(writes).toEqual({
    // Ours.
    'APPLY accesspolicies': 1,
    'APPLY configmaps': 1,
    'APPLY postgresgateways/status': expect.any(Number),
    'APPLY accesspolicies/status': expect.any(Number),
    'APPLY events': expect.any(Number),
  });
  // On its way, perhaps confirmed by one of two pods, and in force.
  expect(writes['APPLY postgresgateways/status']).toBeLessThanOrEqual(3);
  expect(writes['APPLY accesspolicies/status']).toBeLessThanOrEqual(2);
});

test('a status that somebody has written into is put right, and written once', async () => {
  const before = await countWrites(stage.http);
  await merge(stage.http, `${pathOf(gateway)}/status`, { status: { address: 'nowhere', conditions: [] } });
  await until(async () => (await stage.get(gateway)).status.address === 'orders.writes.svc');
  await settle();
  expect(await writesSince(stage.http, before)).toMatchObject({ 'APPLY postgresgateways/status': 1 });
});

test('a restart of the operator writes nothing, and disturbs no pod', async () => {
  await settle();
  const pods = stage.fleet.pods('orders');
  const before = await countWrites(stage.http);
  expect(await operator.stop()).toBe(0);
  operator = await stage.operator({ controlPort: operator.controlPort });
  await until(() => operator.isLeader());
  await until(async () => stage.fleet.pods('orders').every(({ open }) => open === 1));
  await settle();
  const { 'POST tokenreviews': _, 'POST serviceaccounts/token': __, ...writes } = await writesSince(stage.http, before);
  expect(writes).toEqual({});
  expect(stage.fleet.pods('orders')).toEqual(pods);
});

test('a standby takes over: in less than 3 s where the leader goes, in less than 20 s where it dies', async () => {
  const edit = async (rows: number): Promise<number> => {
    const began = Date.now();
    await stage.apply(stage.here(policyYaml('read', { session: { rows } })));
    await until(
      async () => (await stage.get(read)).status.observedGeneration === (await stage.get(read)).metadata.generation,
    );
    await stage.becomes(read, 'Ready', 'True');
    return Date.now() - began;
  };
  const standby = await stage.operator({ name: 'operator-1' });
  expect(await standby.isLeader()).toBe(false);
  await until(async () => stage.fleet.pods('orders').every(({ open }) => open === 2));
  const [code, spent] = await Promise.all([operator.stop(), edit(11)]);
  expect(code).toBe(0);
  expect(spent).toBeLessThan(3_000);
  expect(await standby.isLeader()).toBe(true);
  operator = await stage.operator({ name: 'operator-2' });
  await until(async () => stage.fleet.pods('orders').every(({ open }) => open === 2));
  await sleep(1_000);
  await standby.kill();
  const afterKill = await edit(12);
  expect(afterKill).toBeGreaterThan(3_000);
  expect(afterKill).toBeLessThan(20_000);
  expect(await operator.isLeader()).toBe(true);
});
