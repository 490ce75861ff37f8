import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { beat, hold } from '../kit/agent.ts';
import { eventually } from '../kit/eventually.ts';
import { buildPostern, publish } from '../kit/images.ts';
import { measure, note, RESULTS } from '../kit/measure.ts';
import { CHART, helmUpgrade, imageValues, led } from '../kit/operator.ts';
import { removeEverything } from '../kit/remove.ts';
import { run } from '../kit/run.ts';
import { ANN, createSite, DORA, incarnations, type Site } from '../kit/site.ts';

const NAMESPACE = 'e2e-upgrade';
const TOP = join(import.meta.dirname, '..', '..');
/** What a commit must have to be upgraded from. */
const NEEDED = ['charts/postern/Chart.yaml', 'Dockerfile', 'operator/main.ts'];

describe('upgrading from the commit before', () => {
  let site: Site;

  beforeAll(async () => {
    const previous = await checkOutPrevious();
    const image = await buildPostern(previous.directory, `before-${previous.commit.slice(0, 12)}`);
    await publish([image]);
    await removeEverything();
    await helmUpgrade(join(previous.directory, 'charts', 'postern'), imageValues(image));
    await led();
    site = await createSite(NAMESPACE);
    note('upgraded from', previous.commit.slice(0, 12));
  }, 600_000);

  test('another image rolls the gateways: nobody who signs in is turned away, transactions have their time', async () => {
    const before = await site.pods();
    const held = await hold(await site.login(DORA, before[0]));
    await held.query('BEGIN');
    const stop = await beat({ login: await site.login(ANN), sql: 'SELECT count(*) FROM orders', sessions: 'each' });
    const start = Date.now();
    await helmUpgrade(CHART, imageValues());
    const there = async () => (await site.pods()).some(({ metadata }) => metadata.uid === before[0]!.metadata.uid);
    await eventually(
      'the pod of the open transaction is on its way out',
      async () => ((await there()) ? undefined : true),
      {
        within: 120_000,
      },
    );
    expect(await held.query('SELECT count(*)::int AS n FROM orders')).toEqual({ ok: true, rows: [{ n: 3 }] });
    expect(await held.query('COMMIT')).toMatchObject({ ok: true });
    await eventually('all pods are new', async () => {
      const old = new Set(before.map(({ metadata }) => metadata.uid));
      return (await site.pods()).every(({ metadata }) => !old.has(metadata.uid)) ? true : undefined;
    });
    await site.ready(120_000);
    measure('helm upgrade to another image, to Ready', Date.now() - start);
    const beats = await stop();
    note('new sessions during the upgrade', `${beats.good} good, ${beats.failures.length} failed`);
    expect(beats.failures).toEqual([]);
  });

  test('the same image in another release touches no gateway and no session', async () => {
    const before = await incarnations(site);
    // Through the Service it might still be a pod that is on its way out.
    const [pod] = await site.pods();
    const session = await hold(await site.login(ANN, pod));
    await helmUpgrade(CHART, [...imageValues(), '--set', 'operator.logLevel=debug', '--set', 'operator.replicas=1']);
    await led();
    await site.ready();
    expect(await incarnations(site)).toBe(before);
    expect(await session.query('SELECT 1 AS one')).toMatchObject({ ok: true });
    await session.close();
    await helmUpgrade(CHART, imageValues());
  });
});

/**
 * The newest commit before this one that can be installed, or the one of E2E_PREVIOUS, in a folder of its own. A clone
 * that has none (a shallow one, or the first of its kind) is upgraded from itself under another tag, and says so.
 */
async function checkOutPrevious(): Promise<{ readonly commit: string; readonly directory: string }> {
  const git = async (...args: string[]): Promise<string> => (await run('git', ['-C', TOP, ...args])).trim();
  const wanted = process.env.E2E_PREVIOUS;
  const candidates = wanted === undefined ? (await git('rev-list', '--max-count=20', 'HEAD')).split('\n') : [wanted];
  // The commit itself comes last.
  if (wanted === undefined) candidates.push(candidates.shift()!);
  for (const candidate of candidates) {
    const has = await Promise.all(
      NEEDED.map((file) => git('cat-file', '-e', `${candidate}:${file}`).catch(() => 'no')),
    );
    if (has.includes('no')) continue;
    const directory = join(RESULTS, 'previous');
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
    await run('bash', ['-o', 'pipefail', '-c', 'git archive "$1" | tar -x -C "$2"', 'bash', candidate, directory], {
      cwd: TOP,
    });
    return { commit: await git('rev-parse', candidate), directory };
  }
  throw new Error(`none of ${candidates.length} commits before this one can be installed: E2E_PREVIOUS names another`);
}
