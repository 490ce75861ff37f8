import { kubectl } from './kubectl.ts';
import { run } from './run.ts';

/** Runs a shell script in a node of a kind cluster; a node that is no container of this machine is a failure. */
export function onNode(node: string, script: string, input = ''): Promise<string> {
  return run('docker', ['exec', '-i', node, 'sh', '-c', script], { input });
}

export async function nodeNames(selector = ''): Promise<readonly string[]> {
  const names = await kubectl(['get', 'nodes', '-l', selector, '-o', 'name']);
  return names
    .split('\n')
    .filter((name) => name !== '')
    .map((name) => name.replace('node/', ''));
}
