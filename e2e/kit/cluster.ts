import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { kubeconfig, kubectl } from './kubectl.ts';
import { RESULTS } from './measure.ts';
import { run } from './run.ts';

/** As in kind.yaml. */
const NAME = 'postern-e2e';
const CONFIG = join(import.meta.dirname, '..', 'kind.yaml');

/** Whether the run keeps its cluster (and finds it again). */
const keep = process.env.E2E_KEEP === '1';
const given = process.env.KUBECONFIG !== undefined;

/** A cluster that answers: the one of KUBECONFIG, the one kept by an earlier run, or a new one. */
export async function upCluster(): Promise<void> {
  if (!given) {
    mkdirSync(RESULTS, { recursive: true });
    const there = (await run('kind', ['get', 'clusters'])).split('\n').includes(NAME);
    if (there && !keep) await run('kind', ['delete', 'cluster', '--name', NAME]);
    if (!there || !keep) {
      await run('kind', ['create', 'cluster', '--config', CONFIG, '--kubeconfig', kubeconfig()], { timeout: 600_000 });
    } else if (!existsSync(kubeconfig())) {
      await run('kind', ['export', 'kubeconfig', '--name', NAME, '--kubeconfig', kubeconfig()]);
    }
  }
  await kubectl(['wait', 'node', '--all', '--for=condition=Ready', '--timeout=120s'], { timeout: 130_000 });
}

export async function downCluster(): Promise<void> {
  if (!given && !keep) await run('kind', ['delete', 'cluster', '--name', NAME]);
}

/** Name of the kind cluster behind the kubeconfig; null: it is no kind cluster of this machine. */
export async function kindName(): Promise<string | null> {
  const context = (await kubectl(['config', 'current-context'])).trim();
  if (!context.startsWith('kind-')) return null;
  const name = context.slice('kind-'.length);
  const clusters = await run('kind', ['get', 'clusters']).catch(() => '');
  return clusters.split('\n').includes(name) ? name : null;
}
