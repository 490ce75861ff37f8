import type { TestProject } from 'vitest/node';
import { closeAgent, signIn } from './agent.ts';
import { downCluster, upCluster } from './cluster.ts';
import { eventually } from './eventually.ts';
import { buildPods, buildPostern, publish } from './images.ts';
import { DATABASE_HOST, infraCa, ROLES, upInfra } from './infra.ts';
import { forgetResults } from './measure.ts';
import { requireTools } from './run.ts';

const TOOLS = [
  'docker',
  'kubectl',
  'helm',
  'git',
  'tar',
  'openssl',
  ...(process.env.KUBECONFIG === undefined ? ['kind'] : []),
];

/** Before all suites: a cluster, the images in it, and what the tests bring along. */
export async function setup(project: TestProject): Promise<void> {
  forgetResults();
  await requireTools(TOOLS);
  const [postern, pods] = await Promise.all([
    step('the product’s image', buildPostern()),
    step('the image of the tests’ pods', buildPods()),
    step('a cluster', upCluster()),
  ]);
  project.provide('image', postern);
  await step('images in the cluster', publish([postern, pods]));
  await step('database, issuer, clients', upInfra(pods).then(reachDatabase));
}

async function step<T>(what: string, doing: Promise<T>): Promise<T> {
  const start = Date.now();
  const result = await doing;
  console.log(`${what}: ${((Date.now() - start) / 1000).toFixed(1)} s`);
  return result;
}

/** Through the Service: its rules come a moment after its pod. */
async function reachDatabase(): Promise<void> {
  const login = { host: DATABASE_HOST, port: 5432, user: 'analyst_ro', database: 'shop', ca: await infraCa() };
  await eventually('the database answers', async () => {
    const { answer, session } = await signIn({ ...login, password: ROLES.analyst_ro });
    if (!answer.ok) throw new Error(answer.message);
    await session.close();
    return true;
  });
  await closeAgent();
}

export const teardown = downCluster;
