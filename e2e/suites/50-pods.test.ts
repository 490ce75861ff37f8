import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { beat, hold } from '../kit/agent.ts';
import { becomes } from '../kit/conditions.ts';
import { eventually } from '../kit/eventually.ts';
import { drain } from '../kit/faults.ts';
import { find, get, kubectl, patch, refusal, type Thing } from '../kit/kubectl.ts';
import { GATEWAY } from '../kit/manifests.ts';
import { measure, note } from '../kit/measure.ts';
import { installOperator } from '../kit/operator.ts';
import { ANN, createSite, DORA, type Site } from '../kit/site.ts';

const NAMESPACE = 'e2e-pods';

describe('pods of a gateway', () => {
  let site: Site;

  beforeAll(async () => {
    await installOperator();
    site = await createSite(NAMESPACE);
  });

  test('a cancel that reaches the other replica cancels the statement', async () => {
    const [one, other] = await site.pods();
    const session = await hold(await site.login(ANN, one));
    const start = Date.now();
    const sleeping = session.query('SELECT pg_sleep(30)');
    await sleep(500);
    await session.cancel(other!.status.podIP, 5432);
    expect(await sleeping).toMatchObject({ ok: false, code: '57014' });
    measure('cancel by the other replica', Date.now() - start - 500);
    expect(await session.query('SELECT 1 AS one')).toMatchObject({ ok: true });
    await session.close();
  });

  test('kubectl scale adds a pod that takes sessions, and takes it away again', async () => {
    const staying = await hold(await site.login(ANN));
    await kubectl(['-n', NAMESPACE, 'scale', 'pggw', GATEWAY, '--replicas=3']);
    const start = Date.now();
    await endpoints(3);
    measure('kubectl scale to a third pod that serves', Date.now() - start);
    await site.ready();
    expect((await site.gateway()).status.replicas).toBe(3);
    for (const pod of await site.pods()) await (await hold(await site.login(ANN, pod))).close();
    await kubectl(['-n', NAMESPACE, 'scale', 'pggw', GATEWAY, '--replicas=2']);
    await endpoints(2);
    await site.ready();
    const state = await staying.state();
    if (!state.open) expect(state.ended!.code).toBe('57P01');
    await staying.close().catch(() => {});
  });

  test('the disruption budget lets one pod go at a time', async () => {
    const pods = await site.pods();
    await evict(pods[0]!);
    expect(await refusal(evict(pods[1]!))).toContain('disruption budget');
    await eventually('two pods again', async () => ((await readyPods(site)) === 2 ? true : undefined));
  });

  test('a node is drained and nobody who signs in is turned away', async () => {
    const [pod] = await site.pods();
    const idle = await hold(await site.login(ANN, pod));
    const stop = await beat({ login: await site.login(ANN), sql: 'SELECT 1', sessions: 'each' });
    const start = Date.now();
    const uncordon = await drain(pod!.spec.nodeName);
    measure('kubectl drain of a node with a gateway pod', Date.now() - start);
    try {
      await site.ready(90_000);
      const beats = await stop();
      note('new sessions during the drain', `${beats.good} good, ${beats.failures.length} failed`);
      expect(beats.failures).toEqual([]);
      expect((await idle.state()).ended?.code).toBe('57P01');
    } finally {
      await uncordon();
    }
  });

  test('what counts from a pod’s start rolls the pods; transactions have the drain’s time', async () => {
    const pods = await site.pods();
    const [quick, slow, idle] = await Promise.all([
      hold(await site.login(ANN, pods[0])),
      hold(await site.login(ANN, pods[0])),
      hold(await site.login(DORA, pods[1])),
    ]);
    await quick.query('BEGIN');
    await slow.query('BEGIN');
    const stop = await beat({ login: await site.login(ANN), sql: 'SELECT 1', sessions: 'each' });
    await patch(NAMESPACE, 'pggw', GATEWAY, { spec: { limits: { statementBytes: 65_536 } } });
    const start = Date.now();
    const there = async () => (await site.pods()).some(({ metadata }) => metadata.uid === pods[0]!.metadata.uid);
    await eventually('the first pod is on its way out', async () => ((await there()) ? undefined : true), {
      within: 120_000,
    });
    expect(await quick.query('SELECT count(*)::int AS n FROM orders')).toEqual({ ok: true, rows: [{ n: 3 }] });
    expect(await quick.query('COMMIT')).toMatchObject({ ok: true });
    await eventually('the idle session has ended', async () => ((await idle.state()).open ? undefined : true), {
      within: 120_000,
    });
    expect((await idle.state()).ended?.code).toBe('57P01');
    await eventually('the transaction that does not end is ended', async () => {
      return (await slow.state()).open ? undefined : true;
    });
    expect((await slow.state()).ended?.code).toBe('57P01');
    await site.ready(120_000);
    measure('pod-shape change to Ready, with transactions held', Date.now() - start);
    const beats = await stop();
    note('new sessions during the roll', `${beats.good} good, ${beats.failures.length} failed`);
    expect(beats.failures).toEqual([]);
    const now = await site.pods();
    expect(now.map(({ metadata }) => metadata.uid)).not.toContain(pods[0]!.metadata.uid);
  });

  test('an autoscaler takes over the number of pods, and gives it back', async () => {
    await patch(NAMESPACE, 'pggw', GATEWAY, {
      spec: { autoscaling: { minReplicas: 2, maxReplicas: 4, targetCPU: 60 } },
    });
    const scaler = await eventually('the HorizontalPodAutoscaler', async () => {
      return (await find(NAMESPACE, 'hpa', GATEWAY)) ?? undefined;
    });
    expect(scaler.spec).toMatchObject({
      minReplicas: 2,
      maxReplicas: 4,
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: GATEWAY },
      metrics: [
        { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 60 } } },
      ],
    });
    await site.ready();
    expect(ownsReplicas(await get(NAMESPACE, 'deployment', GATEWAY))).toBe(false);
    expect((await get(NAMESPACE, 'deployment', GATEWAY)).spec.replicas).toBe(2);
    await patch(NAMESPACE, 'pggw', GATEWAY, { spec: { autoscaling: null } });
    await eventually('it is gone', async () => ((await find(NAMESPACE, 'hpa', GATEWAY)) === null ? true : undefined));
    await eventually('replicas are ours', async () => {
      return ownsReplicas(await get(NAMESPACE, 'deployment', GATEWAY)) ? true : undefined;
    });
  });

  test('who may connect is a NetworkPolicy', async () => {
    const peers = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'e2e-infra' } } }];
    await patch(NAMESPACE, 'pggw', GATEWAY, { spec: { network: { from: peers } } });
    await eventually('it is in the NetworkPolicy', async () => {
      const { spec } = await get(NAMESPACE, 'networkpolicy', GATEWAY);
      const listening = spec.ingress.find(({ ports }: { ports: { port: unknown }[] }) =>
        ports.some(({ port }) => port === 5432),
      );
      return JSON.stringify(listening?.from) === JSON.stringify(peers) ? true : undefined;
    });
    const { spec } = await get(NAMESPACE, 'networkpolicy', GATEWAY);
    expect(spec.podSelector.matchLabels).toMatchObject({ 'postern.dev/gateway': GATEWAY });
    await site.ready();
  });

  test('a Secret that is not there is named in the status; what was there goes on', async () => {
    const { spec } = await site.gateway();
    const { roles } = spec.upstream;
    const more = [...roles, { name: 'absent', secretRef: { name: 'not-there' } }];
    await patch(NAMESPACE, 'pggw', GATEWAY, { spec: { upstream: { roles: more } } });
    const at = { namespace: NAMESPACE, kind: 'pggw', name: GATEWAY };
    const state = await becomes({ ...at, type: 'ResolvedRefs', status: 'False', reason: 'SecretNotFound' }, 90_000);
    expect(state.message).toContain('not-there');
    await (await hold(await site.login(ANN))).close();
    await patch(NAMESPACE, 'pggw', GATEWAY, { spec: { upstream: { roles } } });
    await site.ready(120_000);
  });

  function evict({ metadata: { name } }: Thing): Promise<string> {
    const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: NAMESPACE } };
    const path = `/api/v1/namespaces/${NAMESPACE}/pods/${name}/eviction`;
    return kubectl(['create', '--raw', path, '-f', '-'], { input: JSON.stringify(eviction) });
  }

  async function endpoints(count: number): Promise<void> {
    const jsonpath = 'jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].addresses[0]}';
    const selector = `kubernetes.io/service-name=${GATEWAY}`;
    await eventually(`${count} pods serve`, async () => {
      const text = await kubectl(['-n', NAMESPACE, 'get', 'endpointslices', '-l', selector, '-o', jsonpath]);
      return text.split(' ').filter((address) => address !== '').length === count ? true : undefined;
    });
  }
});

async function readyPods(site: Site): Promise<number> {
  const pods = await site.pods();
  return pods.filter(({ status }) => status.containerStatuses?.[0]?.ready === true).length;
}

/** Whether the operator's field manager has a say in the number of pods. */
function ownsReplicas({ metadata }: Thing): boolean {
  const ours = metadata.managedFields!.filter(({ manager }) => manager === 'postern');
  return ours.some(({ fieldsV1 }) => 'f:replicas' in ((fieldsV1 as Record<string, object>)['f:spec'] ?? {}));
}
