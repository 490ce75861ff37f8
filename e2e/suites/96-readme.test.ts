import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kindName } from '../kit/cluster.ts';
import { kubeconfig, remove } from '../kit/kubectl.ts';
import { measure, RESULTS } from '../kit/measure.ts';
import { removeEverything } from '../kit/remove.ts';
import { run } from '../kit/run.ts';

const TOP = join(import.meta.dirname, '..', '..');
const SECTION = '## On Kubernetes';
const COPY = join(RESULTS, 'readme');

const POLL = { timeout: 30_000, interval: 2000 };

/** The code blocks of a section of the README, as they stand. */
function blocks(): readonly string[] {
  const readme = readFileSync(join(TOP, 'README.md'), 'utf8');
  const section = readme
    .slice(readme.indexOf(`\n${SECTION}\n`))
    .slice(1 + SECTION.length)
    .split(/^## /m)[0]!;
  return [...section.matchAll(/^```\n(.*?)^```$/gms)].map((match) => match[1]!);
}

/** Types a block into a shell, as a reader does. */
async function type(block: string, options: string): Promise<string> {
  const cluster = await kindName();
  if (cluster === null) throw new Error('the README’s quick start is for kind, and this cluster is none');
  const env = { KUBECONFIG: kubeconfig(), KIND_CLUSTER_NAME: cluster };
  return run('bash', ['-c', `shopt -s expand_aliases\n${options}\n${block}`], { cwd: COPY, env, timeout: 400_000 });
}

describe('the README’s words on Kubernetes', () => {
  beforeAll(async () => {
    await removeEverything();
    await remove(null, 'namespace', 'shop');
    rmSync(COPY, { recursive: true, force: true });
    mkdirSync(COPY, { recursive: true });
    await run('bash', ['-o', 'pipefail', '-c', 'git ls-files -z | tar -c --null -T - | tar -x -C "$1"', 'bash', COPY], {
      cwd: TOP,
    });
  });

  afterAll(() => remove(null, 'namespace', 'shop'));

  test('the section has the two blocks that follow here', () => {
    expect(blocks()).toHaveLength(2);
  });

  test('the first brings a gateway that is Ready', async () => {
    const start = Date.now();
    await type(blocks()[0]!, 'set -euo pipefail');
    measure('the README’s quick start, image included', Date.now() - start);
  });

  test('the second reads, is refused, and shows who it was', async () => {
    // Whoever reads is slower than kube-proxy is at times: typed again, it goes through.
    let said = '';
    await expect.poll(async () => (said = await type(blocks()[1]!, 'exec 2>&1')), POLL).toContain('(3 rows)');
    expect(said).toContain('ERROR:  denied by AccessPolicy shop/reports, rule no-ddl: Ddl');
    expect(said).toMatch(/"name":"system:serviceaccount:shop:reports".*"query_string":"DROP TABLE orders"/);
  });
});
