import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { beat, type Held, hold } from '../kit/agent.ts';
import { becomes } from '../kit/conditions.ts';
import { eventually } from '../kit/eventually.ts';
import { crashApiServer, crashNode, cut, hangApiServer, killPod, podsOf } from '../kit/faults.ts';
import { INFRA } from '../kit/infra.ts';
import { apply, get, kubectl } from '../kit/kubectl.ts';
import { analysts, policyObject } from '../kit/manifests.ts';
import { measure, note } from '../kit/measure.ts';
import { installOperator, operatorPods } from '../kit/operator.ts';
import { ANN, auditRecords, createSite, incarnations, type Site } from '../kit/site.ts';

const NAMESPACE = 'e2e-faults';
const STATEMENT = 'SELECT count(*) FROM orders';
const NO_READING = { name: 'no-reading', action: 'Deny', statements: ['Select'], relations: ['public.*'] };

describe('faults of everything around', () => {
  let site: Site;

  beforeAll(async () => {
    await installOperator();
    site = await createSite(NAMESPACE);
  });

  const change = (...rules: readonly object[]): Promise<string> =>
    apply(policyObject(NAMESPACE, 'analysts', analysts(...rules)));
  const programmed = (status: 'True' | 'False' = 'True', within?: number) =>
    becomes({ namespace: NAMESPACE, kind: 'accesspolicy', name: 'analysts', type: 'Programmed', status }, within);

  /** An edit arrives at a session and is taken back. */
  async function edit(what: string, session: Held): Promise<void> {
    const start = Date.now();
    await change(NO_READING);
    expect(await session.until('42501', STATEMENT)).toMatchObject({ code: '42501' });
    measure(what, Date.now() - start);
    await change();
    expect(await session.until('00000', STATEMENT)).toMatchObject({ ok: true });
    await programmed();
  }

  test('a gateway is killed: its sessions end, the other’s live, it comes back and the record tells', async () => {
    const [victim, other] = await site.pods();
    const [lost, kept] = [await hold(await site.login(ANN, victim)), await hold(await site.login(ANN, other))];
    const start = Date.now();
    await killPod(victim!);
    await eventually('the session has ended', async () => ((await lost.state()).open ? undefined : true));
    expect(await kept.query(STATEMENT)).toMatchObject({ ok: true });
    await eventually('it takes sessions again', async () => {
      const pod = await get(NAMESPACE, 'pod', victim!.metadata.name);
      if (pod.status.containerStatuses[0].restartCount === 0 || !pod.status.containerStatuses[0].ready)
        return undefined;
      await (await hold(await site.login(ANN, pod))).close();
      return true;
    });
    measure('gateway killed (-9) to serving again', Date.now() - start);
    const log = await kubectl(['-n', NAMESPACE, 'logs', victim!.metadata.name]);
    const codes = log
      .split('\n')
      .flatMap((line) => /"event_code":"(log_start|log_stop|log_repair)"/.exec(line)?.[1] ?? []);
    expect(codes).toContain('log_start');
    expect(codes).not.toContain('log_stop');
    await site.ready();
    await kept.close();
  });

  test('the API server crashes: no session notices, edits arrive afterwards', async () => {
    const before = await incarnations(site);
    const session = await hold(await site.login(ANN));
    const stop = await beat({ login: await site.login(ANN), sql: STATEMENT, sessions: 'one' });
    const fresh = await beat({ login: await site.login(ANN), sql: STATEMENT, sessions: 'each' });
    await crashApiServer();
    const start = Date.now();
    await apiServerAnswers();
    measure('API server crashed to answering', Date.now() - start);
    await edit('API server answers again to an edit in force', session);
    const [held, opened] = [await stop(), await fresh()];
    note('API server crashed', `longest gap ${held.longestGap} ms in a session, ${opened.longestGap} ms signing in`);
    expect(unexpected(held.failures)).toEqual([]);
    expect(unexpected(opened.failures)).toEqual([]);
    expect(await incarnations(site)).toBe(before);
    await session.close();
  });

  test('the API server hangs for a while: the same', async () => {
    const before = await incarnations(site);
    const login = await site.login(ANN);
    const session = await hold(login);
    const stop = await beat({ login, sql: 'SELECT 1', sessions: 'each' });
    const go = await hangApiServer();
    await sleep(20_000).finally(go);
    await apiServerAnswers();
    await edit('API server goes on after 20 s to an edit in force', session);
    const beats = await stop();
    note('API server hung for 20 s', `${beats.good} new sessions good, longest gap ${beats.longestGap} ms`);
    expect(beats.failures).toEqual([]);
    expect(await incarnations(site)).toBe(before);
    await session.close();
  });

  test('one pod is cut off from the operator: it is named, and heals', async () => {
    const [pod, other] = await site.pods();
    const [far, near] = [await hold(await site.login(ANN, pod)), await hold(await site.login(ANN, other))];
    const heal = await cut([pod!], await operatorPods());
    try {
      await change(NO_READING);
      expect(await near.until('42501', STATEMENT)).toMatchObject({ code: '42501' });
      const state = await programmed('False');
      expect(state.message).toContain(pod!.metadata.name);
      expect(state.message).not.toContain(other!.metadata.name);
    } finally {
      await heal();
    }
    const start = Date.now();
    expect(await far.until('42501', STATEMENT)).toMatchObject({ code: '42501' });
    await programmed();
    measure('pod cut off, healed to Programmed', Date.now() - start);
    await change();
    await programmed();
    await far.close();
    await near.close();
  });

  test('a client cut off from its gateway goes on after the heal', async () => {
    const [pod] = await site.pods();
    const session = await hold(await site.login(ANN, pod));
    const heal = await cut(await podsOf(INFRA, 'app=agent'), [pod!]);
    const waiting = session.query('SELECT 1 AS one');
    await sleep(3000).finally(heal);
    expect(await waiting).toMatchObject({ ok: true });
    await session.close();
  });

  test('the database is away for a while: clients are told, and nothing else ends', async () => {
    const before = await incarnations(site);
    const pods = await site.pods();
    const heal = await cut(await podsOf(INFRA, 'app=postgres'), pods);
    const stop = await beat({ login: await site.login(ANN), sql: 'SELECT 1', sessions: 'each' });
    await sleep(12_000).finally(heal);
    const login = await site.login(ANN);
    await eventually('sessions again', async () => (await hold(login)).close().then(() => true));
    const { failures } = await stop();
    expect(failures.length).toBeGreaterThan(0);
    for (const { code } of failures) expect(code).toBe('08006');
    // The database is not the gateway's health.
    expect(await incarnations(site)).toBe(before);
    await site.ready();
  });

  test('a node crashes with a gateway pod on it: the other serves, all is Ready again', async () => {
    const [pod, other] = await site.pods();
    const kept = await hold(await site.login(ANN, other));
    const start = Date.now();
    await crashNode(pod!.spec.nodeName);
    expect(await kept.query(STATEMENT)).toMatchObject({ ok: true });
    await kubectl(['wait', 'node', '--all', '--for=condition=Ready', '--timeout=90s']);
    await eventually(
      'both pods take sessions',
      async () => {
        const pods = await site.pods();
        expect(pods).toHaveLength(2);
        for (const one of pods) await (await hold(await site.login(ANN, one))).close();
        return true;
      },
      { within: 120_000, every: 1000 },
    );
    measure('node crashed to both pods serving', Date.now() - start);
    await site.ready(120_000);
    await edit('… and an edit in force', kept);
    await kept.close();
  });

  test('records of all this are there, none twice for one statement', async () => {
    const records = await auditRecords(site, '"event_code":"intent"');
    expect(records.length).toBeGreaterThan(0);
    const ids = records.map(({ metadata }) => metadata.uid);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

/** Failures but for denials by the edit that the test itself made. */
function unexpected(failures: readonly { readonly code: string }[]): readonly object[] {
  return failures.filter(({ code }) => code !== '42501');
}

async function apiServerAnswers(): Promise<void> {
  await eventually('the API server answers', async () => {
    await kubectl(['get', '--raw', '/readyz', '--request-timeout=2s']);
    return true;
  });
}
