import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Held, hold } from '../kit/agent.ts';
import { becomes } from '../kit/conditions.ts';
import { consistently, eventually } from '../kit/eventually.ts';
import { freeze, killPod } from '../kit/faults.ts';
import { apply, get, kubectl } from '../kit/kubectl.ts';
import { analysts, policyObject } from '../kit/manifests.ts';
import { measure } from '../kit/measure.ts';
import { installOperator, leader, led, operatorPods, SYSTEM } from '../kit/operator.ts';
import { ANN, createSite, incarnations, type Site } from '../kit/site.ts';

const NAMESPACE = 'e2e-operator';
const STATEMENT = 'SELECT count(*) FROM orders';
const NO_READING = { name: 'no-reading', action: 'Deny', statements: ['Select'], relations: ['public.*'] };

describe('the operator fails, the gateways go on', () => {
  let site: Site;
  let session: Held;

  beforeAll(async () => {
    await installOperator();
    site = await createSite(NAMESPACE);
    session = await hold(await site.login(ANN));
  });

  afterAll(async () => {
    expect((await session.state()).ended).toBeNull();
    await session.close();
  });

  const change = (...rules: readonly object[]): Promise<string> =>
    apply(policyObject(NAMESPACE, 'analysts', analysts(...rules)));

  /** An edit arrives, is confirmed, and is taken back: the milliseconds until Programmed. */
  async function works(): Promise<number> {
    const start = Date.now();
    await change(NO_READING);
    expect(await session.until('42501', STATEMENT)).toMatchObject({ code: '42501' });
    await programmed();
    const elapsed = Date.now() - start;
    await change();
    expect(await session.until('00000', STATEMENT)).toMatchObject({ ok: true });
    await programmed();
    return elapsed;
  }
  const programmed = () =>
    becomes({ namespace: NAMESPACE, kind: 'accesspolicy', name: 'analysts', type: 'Programmed', status: 'True' });

  test('the leader is killed: another leads and edits arrive', async () => {
    const old = await led();
    const start = Date.now();
    await killPod(old);
    await change(NO_READING);
    expect(await session.until('42501', STATEMENT)).toMatchObject({ code: '42501' });
    const elapsed = Date.now() - start;
    measure('leader killed (-9) to an edit in force', elapsed);
    expect(elapsed).toBeLessThan(25_000);
    await change();
    await programmed();
    await works();
  });

  test('the leader freezes: another leads, and it steps aside when it thaws', async () => {
    const old = await led();
    const thaw = await freeze(old);
    const start = Date.now();
    try {
      await eventually('another leads', async () => ((await leader()) === old.metadata.name ? undefined : true));
      const elapsed = Date.now() - start;
      measure('leader frozen to another leader', elapsed);
      expect(elapsed).toBeLessThan(25_000);
      await works();
    } finally {
      await thaw();
    }
    await eventually('it has ended', async () => {
      const { status } = await get(SYSTEM, 'pod', old.metadata.name);
      return status.containerStatuses[0].restartCount > old.status.containerStatuses[0].restartCount ? true : undefined;
    });
    expect(await leader()).not.toBe(old.metadata.name);
    await works();
  });

  test('the leader is told to stop: it hands over', async () => {
    const old = await led();
    const start = Date.now();
    await kubectl(['-n', SYSTEM, 'delete', 'pod', old.metadata.name, '--wait=false']);
    await eventually('another leads', async () => {
      const holder = await leader();
      return holder !== null && holder !== old.metadata.name ? true : undefined;
    });
    const elapsed = Date.now() - start;
    measure('leader stopped to another leader', elapsed);
    expect(elapsed).toBeLessThan(10_000);
    await kubectl(['-n', SYSTEM, 'rollout', 'status', 'deploy/postern-operator', '--timeout=60s']);
    await works();
  });

  test('no operator at all: sessions, sign-ins and even new pods go on with what was in force', async () => {
    const config = await get(NAMESPACE, 'configmap', 'orders-config');
    await kubectl(['-n', SYSTEM, 'scale', 'deploy/postern-operator', '--replicas=0']);
    await eventually('they are gone', async () => ((await operatorPods()).length === 0 ? true : undefined));
    expect(await session.query(STATEMENT)).toMatchObject({ ok: true });
    await change(NO_READING);
    await consistently(3000, async () => expect(await session.query(STATEMENT)).toMatchObject({ ok: true }));
    await (await hold(await site.login(ANN))).close();
    await kubectl(['-n', NAMESPACE, 'scale', 'deploy/orders', '--replicas=3']);
    await kubectl(['-n', NAMESPACE, 'rollout', 'status', 'deploy/orders', '--timeout=60s']);
    for (const pod of await site.pods()) await (await hold(await site.login(ANN, pod))).close();
    expect((await get(NAMESPACE, 'configmap', 'orders-config')).metadata.resourceVersion).toBe(
      config.metadata.resourceVersion,
    );

    const start = Date.now();
    await kubectl(['-n', SYSTEM, 'scale', 'deploy/postern-operator', '--replicas=2']);
    expect(await session.until('42501', STATEMENT)).toMatchObject({ code: '42501' });
    measure('operator started anew to an edit of meanwhile in force', Date.now() - start);
    await eventually('two pods again', async () => ((await site.pods()).length === 2 ? true : undefined));
    await change();
    await programmed();
  });

  test('operators that start anew change nothing: no pod, no configuration, no session', async () => {
    await site.ready();
    const then = await incarnations(site);
    const config = (await get(NAMESPACE, 'configmap', 'orders-config')).metadata.resourceVersion;
    await kubectl(['-n', SYSTEM, 'rollout', 'restart', 'deploy/postern-operator']);
    await kubectl(['-n', SYSTEM, 'rollout', 'status', 'deploy/postern-operator', '--timeout=120s'], {
      timeout: 130_000,
    });
    await led();
    await site.ready();
    expect((await get(NAMESPACE, 'configmap', 'orders-config')).metadata.resourceVersion).toBe(config);
    await works();
    expect(await incarnations(site)).toBe(then);
  });
});
