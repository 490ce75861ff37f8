import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { kubectl } from './kubectl.ts';
import { EVIDENCE } from './measure.ts';

const KINDS =
  'pods,deployments,statefulsets,services,configmaps,poddisruptionbudgets,networkpolicies,horizontalpodautoscalers';

/** Writes down what the cluster looks like; gives the folder and what matters most in a few lines. */
export async function collectEvidence(test: string): Promise<string> {
  const folder = join(EVIDENCE, test.replace(/[^\w-]+/g, '-').slice(0, 100));
  mkdirSync(folder, { recursive: true });
  const keep = async (file: string, ...args: string[]): Promise<string> => {
    const text = await kubectl(args, { timeout: 30_000 }).catch((error: Error) => error.message);
    writeFileSync(join(folder, file), text);
    return text;
  };
  const events = ['get', 'events', '-A', '--sort-by=.lastTimestamp'];
  const [, pods, gateways] = await Promise.all([
    keep('objects.yaml', 'get', KINDS, '-A', '-o', 'yaml'),
    keep('pods.txt', 'get', 'pods', '-A', '-o', 'wide'),
    keep('postern.txt', 'get', 'postern', '-A', '-o', 'wide'),
    keep('postern.yaml', 'get', 'postern', '-A', '-o', 'yaml'),
    keep('events.txt', ...events),
    keep('nodes.txt', 'describe', 'nodes'),
  ]);
  await logs(keep);
  return `\n${gateways}\n${pods}\nMore in ${folder}`;
}

/** Logs of all pods of the product, those of the containers before the present ones included. */
async function logs(keep: (file: string, ...args: string[]) => Promise<string>): Promise<void> {
  const path = '{range .items[*]}{.metadata.namespace} {.metadata.name}{"\\n"}{end}';
  const selector = 'app.kubernetes.io/name in (postern,postern-gateway)';
  const names = await kubectl(['get', 'pods', '-A', '-l', selector, '-o', `jsonpath=${path}`]).catch(() => '');
  for (const line of names.split('\n').filter((text) => text !== '')) {
    const [namespace, pod] = line.split(' ') as [string, string];
    await keep(`log-${namespace}-${pod}.txt`, '-n', namespace, 'logs', pod);
    await keep(`log-${namespace}-${pod}-before.txt`, '-n', namespace, 'logs', pod, '--previous');
    await keep(`describe-${namespace}-${pod}.txt`, '-n', namespace, 'describe', 'pod', pod);
  }
}
