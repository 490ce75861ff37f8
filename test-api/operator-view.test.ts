import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { gatewayYaml, maskYaml, policyYaml } from '../test/operator/manifests.ts';
import { type ApiServer, applyCrds, startApiServer } from './kit/api-server.ts';
import { restrict } from './kit/install.ts';
import { pathOf } from './kit/objects.ts';
import type { OperatorProcess } from './kit/operator-process.ts';
import { Stage } from './kit/stage.ts';
import { until } from './kit/until.ts';

type Json = Record<string, unknown>;

/** An API server of its own: its CustomResourceDefinitions are deleted. */
let api: ApiServer;
let stage: Stage;
let operator: OperatorProcess;
let gateway: Json;
let policies: Json[];
let hide: Json;
beforeAll(async () => {
  api = await startApiServer();
  stage = await Stage.open({ api, namespaces: ['view'] });
  operator = await stage.operator();
  gateway = stage.here(gatewayYaml());
  policies = ['one', 'two', 'three'].map((name) => stage.here(policyYaml(name)));
  hide = stage.here(maskYaml('hide'));
  await stage.apply(gateway, ...policies, hide);
  await stage.becomes(gateway, 'Ready', 'True');
  await until(async () => (await attached()) === '3 policies, 1 rules');
});
afterAll(async () => {
  await stage.close();
  await api.stop();
});

/** What the document that is published has. */
async function attached(): Promise<string> {
  const { status } = await stage.get(gateway);
  return `${status.attached.accessPolicies} policies, ${status.attached.maskingRules} rules`;
}

async function published(): Promise<Json> {
  const [config] = await stage.list('v1', 'ConfigMap');
  return config.binaryData;
}

const CRD = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

async function deleteCrd(plural: string): Promise<void> {
  await stage.http.must(`${CRD}/${plural}.postern.dev`, { method: 'DELETE' });
  await until(async () => (await stage.http.ask(`${CRD}/${plural}.postern.dev`)).status === 404);
}

test('an operator that may not list MaskingRules publishes nothing, and says so', async () => {
  const before = await published();
  await operator.stop();
  await restrict(stage.http, stage.installation, 'maskingrules');
  operator = await stage.operator({ controlPort: operator.controlPort, unready: true });
  await until(() => operator.isLeader());
  await stage.apply(stage.here(policyYaml('two', { session: { rows: 3 } })));
  const { status } = await stage.becomes(gateway, 'Stalled', 'True', 'IncompleteView', 80_000);
  expect(status.conditions.find(({ type }: Json) => type === 'Stalled').message).toMatch(/maskingrules.*forbidden/i);
  // What was said before is still said beside it.
  expect(status.conditions.find(({ type }: Json) => type === 'Programmed').status).toBe('True');
  expect(await published()).toEqual(before);
  expect(await operator.isReady()).toBe(false);
  expect(await operator.metric('postern_cache_incomplete', 'resource="maskingrules"')).toBe(1);
  expect(await operator.metric('postern_gateway_stalled', 'reason="IncompleteView"')).toBe(1);
  await until(async () => (await stage.events(gateway)).some((event) => event.startsWith('Warning IncompleteView')));
  await restrict(stage.http, stage.installation);
  await stage.becomes(policies[1]!, 'Ready', 'True', undefined, 60_000);
  expect(await published()).not.toEqual(before);
  await until(async () => (await stage.condition(gateway, 'Stalled')) === undefined);
  expect(await attached()).toBe('3 policies, 1 rules');
  await until(() => operator.isReady());
});

test('deleting the definition of AccessPolicies takes no policy out of force, nor does a new definition', async () => {
  const before = await published();
  await deleteCrd('accesspolicies');
  const { status } = await stage.becomes(gateway, 'Stalled', 'True', 'IncompleteView');
  expect(status.conditions.find(({ type }: Json) => type === 'Stalled').message).toContain('CustomResourceDefinition');
  await sleep(3_000);
  expect(await published()).toEqual(before);
  await applyCrds(stage.http, /^accesspolicies/);
  await until(async () => (await operator.metric('postern_cache_incomplete')) === 0, undefined, 60_000);
  await sleep(3_000);
  expect(await published()).toEqual(before);
  expect((await stage.condition(gateway, 'Stalled'))?.message).toMatch(/^what is in force stays as it is: .*former/);
  // Some are back: the others are still believed to be lost.
  await stage.apply(policies[0]!, policies[2]!);
  await sleep(3_000);
  expect(await published()).toEqual(before);
  await stage.apply(policies[1]!);
  await stage.becomes(policies[1]!, 'Ready', 'True');
  await until(async () => (await stage.condition(gateway, 'Stalled')) === undefined);
  expect(await attached()).toBe('3 policies, 1 rules');
  // From here on a policy that is deleted is gone.
  await stage.http.must(pathOf(policies[0]!), { method: 'DELETE' });
  await until(async () => (await attached()) === '2 policies, 1 rules');
});

test('a definition that went while no operator ran is noticed as well', async () => {
  const before = await published();
  await operator.stop();
  await deleteCrd('maskingrules');
  await applyCrds(stage.http, /^maskingrules/);
  operator = await stage.operator({ controlPort: operator.controlPort });
  await stage.becomes(gateway, 'Stalled', 'True', 'IncompleteView', 40_000);
  expect(await published()).toEqual(before);
  // Whoever means it says so by deleting what is published.
  const [config] = await stage.list('v1', 'ConfigMap');
  const path = pathOf({ apiVersion: 'v1', kind: 'ConfigMap', metadata: config.metadata });
  await stage.http.must(path, { method: 'DELETE' });
  await until(async () => (await attached()) === '2 policies, 0 rules');
  await until(async () => (await stage.condition(gateway, 'Stalled')) === undefined);
});
