import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { beat, hold } from '../kit/agent.ts';
import { eventually } from '../kit/eventually.ts';
import { apply, kubectl } from '../kit/kubectl.ts';
import { analysts, GATEWAY, policyObject } from '../kit/manifests.ts';
import { measure, note } from '../kit/measure.ts';
import { installOperator } from '../kit/operator.ts';
import type { CommandError } from '../kit/run.ts';
import { ANN, createSite, type Site } from '../kit/site.ts';

const NAMESPACE = 'e2e-plugin';
const PLUGIN = join(import.meta.dirname, '..', '..', 'cli', 'kubectl-postern.ts');

describe('kubectl postern', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-e2e-'));
  let site: Site;

  beforeAll(async () => {
    symlinkSync(PLUGIN, join(folder, 'kubectl-postern'));
    await installOperator();
    site = await createSite(NAMESPACE);
    await kubectl(['-n', NAMESPACE, 'wait', 'pgap', '--all', '--for=condition=Ready', '--timeout=30s']);
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function postern(...args: readonly string[]): Promise<string> {
    const [command, ...rest] = args;
    return kubectl(['postern', command!, '-n', NAMESPACE, ...rest], {
      env: { PATH: `${folder}:${process.env.PATH}` },
      timeout: 300_000,
    });
  }

  /** The exit code and what was printed. */
  async function outcome(
    ...args: readonly string[]
  ): Promise<{ readonly code: number | string; readonly text: string }> {
    return postern(...args).then(
      (text) => ({ code: 0, text }),
      (error: CommandError) => ({ code: error.code, text: error.stdout }),
    );
  }

  test('status: all is well; then what is not, and what to do', async () => {
    // A policy that was applied just now may still be on its way to the pods.
    const good = await eventually('all is well', async () => {
      const found = await outcome('status', GATEWAY);
      return found.code === 0 ? found : undefined;
    });
    expect(good.text).toMatch(/e2e-plugin\/orders +yes +\w+ +2\/2/);
    await apply(policyObject(NAMESPACE, 'analysts', { ...analysts(), role: 'nobody_has_it' }));
    const bad = await eventually('it tells', async () => {
      const found = await outcome('status', GATEWAY);
      return found.code === 1 ? found : undefined;
    });
    expect(bad.text).toContain('nobody_has_it');
    await apply(policyObject(NAMESPACE, 'analysts', analysts()));
    await eventually('all is well again', async () =>
      (await outcome('status', GATEWAY)).code === 0 ? true : undefined,
    );
  });

  test('explain judges by what is in the cluster', async () => {
    const who = ['--user', ANN.username, '--group', ANN.groups[0]!, '--role', 'analyst_ro', '--database', 'shop'];
    expect((await outcome('explain', GATEWAY, ...who, 'SELECT count(*) FROM public.orders')).code).toBe(0);
    const denied = await outcome('explain', GATEWAY, ...who, 'DROP TABLE public.orders');
    expect(denied.code).toBe(1);
    expect(denied.text).toContain('no-ddl');
  });

  test('sessions shows who is there; terminate ends one', async () => {
    const session = await hold(await site.login(ANN));
    const listed = JSON.parse(await postern('sessions', GATEWAY, '-o', 'json'));
    const found = JSON.stringify(listed).match(/"(?:id|session)":"([0-9a-f-]{36})"/);
    expect(JSON.stringify(listed)).toContain(ANN.username);
    await postern('terminate', GATEWAY, found![1]!);
    await eventually('it has ended', async () => ((await session.state()).open ? undefined : true));
    expect((await session.state()).ended?.code).toBe('57P01');
  });

  test('drain takes the pods one after another; nobody who signs in is turned away', async () => {
    const stop = await beat({ login: await site.login(ANN), sql: 'SELECT 1', sessions: 'each' });
    const start = Date.now();
    await postern('drain', GATEWAY);
    measure('kubectl postern drain of two pods', Date.now() - start);
    const beats = await stop();
    note('new sessions during kubectl postern drain', `${beats.good} good, ${beats.failures.length} failed`);
    expect(beats.failures).toEqual([]);
    for (const pod of await site.pods()) expect(pod.status.containerStatuses[0].restartCount).toBe(1);
    await site.ready();
  });
});
