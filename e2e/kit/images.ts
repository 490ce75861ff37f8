import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { kindName } from './cluster.ts';
import { dependencyFolders } from './dependencies.ts';
import { run } from './run.ts';

const TOP = join(import.meta.dirname, '..', '..');

/** Images that the tests' own pods run, beside ours. */
export const POSTGRES_IMAGE = 'postgres:17';
const BASES: readonly string[] = [POSTGRES_IMAGE, 'node:24-bookworm-slim'];

/** What the pods of the tests need beside their own sources. */
const POD_SOURCES = ['e2e/pod', 'test/kit/issuer.ts', 'package.json'];
const POD_DEPENDENCIES = ['pg', 'oidc-provider', 'jose'];

/** What the product's image is made of. */
const IMAGE_SOURCES = ['Dockerfile', '.dockerignore', 'package-lock.json', 'crds', 'gateway', 'operator', 'cli'];

/** 12 digits of the commit, and of what was changed of the image's sources since. */
async function treeTag(directory: string): Promise<string> {
  const git = (...args: string[]): Promise<string> => run('git', args, { cwd: directory });
  const commit = (await git('rev-parse', '--short=12', 'HEAD')).trim();
  const changed = await git('status', '--porcelain', '--untracked-files=all', '--', ...IMAGE_SOURCES);
  if (changed === '') return commit;
  // A file that was deleted has no sum, which is what tells the tree from another: its error is part of the text.
  const list = 'git ls-files -z --cached --others --exclude-standard -- "$@" | xargs -0r sha256sum 2>&1 || true';
  const sums = await run('bash', ['-c', list, 'bash', ...IMAGE_SOURCES], { cwd: directory });
  return `${commit}-${createHash('sha256').update(sums).digest('hex').slice(0, 8)}`;
}

/** Builds the product's image from a checkout; gives its name. */
export async function buildPostern(directory = TOP, tag?: string): Promise<string> {
  const image = `${repository('postern')}:${tag ?? (await treeTag(directory))}`;
  await run('make', ['image', `IMAGE=${image}`], { cwd: directory, timeout: 600_000 });
  return image;
}

/** Builds the image of the tests' own pods; its context is put together here, so that nothing else gets into it. */
export async function buildPods(): Promise<string> {
  const folders = dependencyFolders(join(TOP, 'package-lock.json'), POD_DEPENDENCIES);
  const files = [...POD_SOURCES, ...folders];
  const digest = await run('bash', ['-c', 'cat e2e/pod/* test/kit/issuer.ts package-lock.json | sha256sum'], {
    cwd: TOP,
  });
  const image = `${repository('postern-e2e-pods')}:${digest.slice(0, 12)}`;
  const script = 'tar -ch "$@" | docker build --quiet --file e2e/pod/Dockerfile --tag "$IMAGE" -';
  await run('bash', ['-o', 'pipefail', '-c', script, 'bash', ...files], {
    cwd: TOP,
    env: { IMAGE: image },
    timeout: 600_000,
  });
  return image;
}

/** Makes images known to the cluster: a kind cluster is given them, any other fetches ours from E2E_REGISTRY. */
export async function publish(ours: readonly string[]): Promise<void> {
  const cluster = await kindName();
  if (cluster !== null) return load(cluster, [...BASES, ...ours]);
  if (process.env.E2E_REGISTRY === undefined) {
    throw new Error('the cluster of KUBECONFIG is no kind cluster of this machine: E2E_REGISTRY must name a registry');
  }
  for (const image of ours) await run('docker', ['push', image], { timeout: 300_000 });
}

/** All at once, so that layers in common are sent once; without those that every node has already. */
async function load(cluster: string, images: readonly string[]): Promise<void> {
  const nodes = (await run('kind', ['get', 'nodes', '--name', cluster])).trim().split('\n');
  const there = await Promise.all(
    nodes.map((node) => run('docker', ['exec', node, 'ctr', '-n=k8s.io', 'images', 'ls', '-q'])),
  );
  const missing = images.filter((image) => !there.every((names) => names.split('\n').includes(fullName(image))));
  for (const image of missing.filter((name) => BASES.includes(name))) {
    if ((await run('docker', ['image', 'ls', '--quiet', image])) === '') await run('docker', ['pull', image]);
  }
  if (missing.length > 0)
    await run('kind', ['load', 'docker-image', '--name', cluster, ...missing], { timeout: 300_000 });
}

/** As containerd names an image of Docker Hub. */
function fullName(image: string): string {
  const [first, ...rest] = image.split('/');
  if (rest.length === 0) return `docker.io/library/${image}`;
  return /[.:]|^localhost$/.test(first!) ? image : `docker.io/${image}`;
}

function repository(name: string): string {
  const registry = process.env.E2E_REGISTRY;
  return registry === undefined ? name : `${registry}/${name}`;
}
