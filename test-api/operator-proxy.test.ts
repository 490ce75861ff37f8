import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { Act, Verb } from '../test/kube/api-faults.ts';
import { gatewayYaml, policyYaml } from '../test/operator/manifests.ts';
import { type FaultProxy, startFaultProxy } from './kit/fault-proxy.ts';
import { pathOf } from './kit/objects.ts';
import type { OperatorProcess } from './kit/operator-process.ts';
import { Stage } from './kit/stage.ts';
import { until } from './kit/until.ts';

type Json = Record<string, unknown>;

let proxy: FaultProxy;
let stage: Stage;
let operator: OperatorProcess;
let gateway: Json;
let read: Json;
beforeAll(async () => {
  const api = inject('apiServer');
  proxy = await startFaultProxy(api);
  stage = await Stage.open({ api, namespaces: ['proxied'] });
  gateway = stage.here(gatewayYaml());
  read = stage.here(policyYaml('read'));
});
afterAll(async () => {
  await stage.close();
  await proxy.close();
});

const config = (): Json => stage.here({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'orders-config' } });

let rows = 100;
/** Edits the policy and waits until it is in force. */
async function edit(): Promise<void> {
  rows += 1;
  await stage.apply(stage.here(policyYaml('read', { session: { rows } })));
  await stage.becomes(read, 'Ready', 'True', undefined, 60_000);
}

const ACTS: readonly (readonly [string, Act])[] = [
  ['429 with Retry-After', { status: 429, reason: 'TooManyRequests', headers: { 'retry-after': '1' } }],
  ['429 without a word', { status: 429, body: 'slow down' }],
  ['500', { status: 500, reason: 'InternalError' }],
  ['503 of a proxy', { status: 503, body: '<html>no upstream</html>' }],
  ['a connection that is reset', 'reset'],
  ['half of an answer', 'half'],
  ['an answer that is none', { status: 200, body: 'hello' }],
];

test('an operator that begins while every kind of request fails gets there', async () => {
  await stage.apply(gateway, read);
  const verbs: readonly Verb[] = ['list', 'watch', 'get', 'create', 'apply'];
  for (const [, act] of ACTS) for (const on of verbs) proxy.inject({ on, act, times: on === 'list' ? 4 : 1 });
  operator = await stage.operator({ api: proxy, unready: true });
  await stage.becomes(gateway, 'Ready', 'True', undefined, 90_000);
  await stage.becomes(read, 'Ready', 'True', undefined, 60_000);
  proxy.clear();
});

/** With nothing left to do it writes nothing: what a refusal put off (Retry-After) may still come, and then no more. */
async function comesToRest(): Promise<void> {
  const writes = () => operator.metric('rest_client_requests_total', 'method="PATCH"');
  await until(async () => {
    const before = await writes();
    await sleep(2_000);
    return (await writes()) === before;
  });
}

test.each(ACTS)('%s: an edit gets through, the lease is kept, and it comes to rest', async (_what, act) => {
  for (const on of ['get', 'apply', 'update'] as const) proxy.inject({ on, act, times: 2 });
  await edit();
  proxy.clear();
  expect(await operator.isLeader()).toBe(true);
  await comesToRest();
});

test('all watches are cut, and what follows fails in every way: all is made up for, and the same pods serve', async () => {
  const pods = stage.fleet.pods('orders').length;
  for (const [, act] of ACTS) for (const on of ['list', 'watch'] as const) proxy.inject({ on, act, times: 2 });
  proxy.thaw();
  await edit();
  proxy.clear();
  await until(async () => (await operator.metric('postern_cache_incomplete')) === 0, undefined, 60_000);
  await edit();
  expect(await operator.isLeader()).toBe(true);
  expect(stage.fleet.pods('orders').length).toBe(pods);
  await comesToRest();
});

test('a standby whose watch is dead without its knowing takes nothing back when it comes to lead', async () => {
  const gone = stage.here(policyYaml('gone'));
  await stage.apply(gone);
  await stage.becomes(gone, 'Ready', 'True');
  await operator.stop();
  operator = await stage.operator({ name: 'operator-1' });
  await until(() => operator.isLeader());
  const standby = await stage.operator({ api: proxy, name: 'operator-2' });
  proxy.freeze('accesspolicies');
  const fresh = stage.here(policyYaml('fresh'));
  await stage.apply(fresh);
  await stage.becomes(fresh, 'Ready', 'True');
  await stage.http.must(pathOf(gone), { method: 'DELETE' });
  await edit();
  await until(async () => (await stage.get(gateway)).status.attached.accessPolicies === 2);
  const { binaryData } = await stage.get(config());
  await operator.stop();
  operator = standby;
  await until(() => operator.isLeader());
  for (let i = 0; i < 10; i++) {
    expect((await stage.get(config())).binaryData).toEqual(binaryData);
    await sleep(300);
  }
  expect(await operator.log()).toContain('The cache is behind the API server');
  proxy.thaw();
  await edit();
  expect((await stage.get(gateway)).status.attached.accessPolicies).toBe(2);
});
