import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { beat, hold } from '../kit/agent.ts';
import { consistently } from '../kit/eventually.ts';
import { apply, get, kubectl, remove } from '../kit/kubectl.ts';
import { policyObjects } from '../kit/manifests.ts';
import { note } from '../kit/measure.ts';
import { installOperator, operatorPods } from '../kit/operator.ts';
import { ANN, createSite, incarnations, type Site } from '../kit/site.ts';

const NAMESPACE = 'e2e-definitions';
const CRDS = join(import.meta.dirname, '..', '..', 'crds');

describe('a custom resource’s definition goes away and comes back', () => {
  let site: Site;

  beforeAll(async () => {
    await installOperator();
    site = await createSite(NAMESPACE);
  });

  test('AccessPolicies: what is in force stays in force', async () => {
    const before = await incarnations(site);
    const operators = (await operatorPods()).map(({ metadata }) => metadata.uid).sort();
    const published = async () => (await get(NAMESPACE, 'configmap', 'orders-config')).binaryData['config.json.gz'];
    const then = await published();
    const login = await site.login(ANN);
    const session = await hold(login);
    const stop = await beat({ login, sql: 'SELECT count(*) FROM orders', sessions: 'each' });

    await remove(null, 'crd', 'accesspolicies.postern.dev');
    await consistently(10_000, async () => expect(await published()).toBe(then));
    const beats = await stop();
    expect(beats.failures).toEqual([]);
    note('without the AccessPolicies’ definition', `${beats.good} new sessions good`);

    await kubectl(['apply', '-f', CRDS]);
    await kubectl(['wait', 'crd/accesspolicies.postern.dev', '--for=condition=Established', '--timeout=30s']);
    await apply(...policyObjects(NAMESPACE));
    await site.ready();
    expect(await session.query('SELECT count(*)::int AS n FROM orders')).toEqual({ ok: true, rows: [{ n: 3 }] });
    await kubectl(['-n', NAMESPACE, 'wait', 'pgap', '--all', '--for=condition=Ready', '--timeout=60s']);
    expect(await incarnations(site)).toBe(before);
    expect((await operatorPods()).map(({ metadata }) => metadata.uid).sort()).toEqual(operators);
    await session.close();
  });

  test('afterwards an edit still arrives', async () => {
    const session = await hold(await site.login(ANN));
    await remove(NAMESPACE, 'accesspolicy', 'analysts');
    const answer = await session.until('42501', 'SELECT count(*) FROM orders');
    expect(answer.ok).toBe(false);
    await apply(...policyObjects(NAMESPACE));
    await session.close().catch(() => {});
    await kubectl(['-n', NAMESPACE, 'wait', 'pgap/analysts', '--for=condition=Ready', '--timeout=60s']);
    await (await hold(await site.login(ANN))).close();
  });
});
