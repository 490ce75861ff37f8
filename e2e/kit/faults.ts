import { all, kubectl, type Thing } from './kubectl.ts';
import { nodeNames, onNode } from './nodes.ts';
import { run } from './run.ts';

/** The node that runs the API server. */
async function controlPlane(): Promise<string> {
  return (await nodeNames('node-role.kubernetes.io/control-plane'))[0]!;
}

/** Kills the API server; the kubelet starts another. */
export async function crashApiServer(): Promise<void> {
  await onNode(await controlPlane(), 'kill -9 $(pidof kube-apiserver)');
}

/** Stops the API server's process where it stands; the result lets it go on. Keep it under a minute. */
export async function hangApiServer(): Promise<() => Promise<void>> {
  const node = await controlPlane(); // not to be asked for any more once it hangs
  await onNode(node, 'kill -STOP $(pidof kube-apiserver)');
  return async () => void (await onNode(node, 'kill -CONT $(pidof kube-apiserver)'));
}

/** Drops all packets between two groups of pods, established connections included; the result heals the cut. */
export async function cut(from: readonly Thing[], to: readonly Thing[]): Promise<() => Promise<void>> {
  const [a, b] = [addresses(from), addresses(to)];
  const table = 'table inet postern_e2e_cut';
  const rules = `ip saddr ${a} ip daddr ${b} drop; ip saddr ${b} ip daddr ${a} drop;`;
  const nodes = await nodeNames();
  const script = `${table} { chain c { type filter hook forward priority -200; ${rules} }; }`;
  await Promise.all(nodes.map((node) => onNode(node, 'nft -f -', script)));
  return async () => void (await Promise.all(nodes.map((node) => onNode(node, `nft delete ${table}`))));
}

function addresses(pods: readonly Thing[]): string {
  return `{ ${pods.map((pod) => pod.status.podIP).join(', ')} }`;
}

/** Freezes a pod's container: connections are accepted by the kernel, nobody answers. The result thaws it. */
export async function freeze(pod: Thing): Promise<() => Promise<void>> {
  await task(pod, 'pause');
  return async () => void (await task(pod, 'resume'));
}

/** Kills process 1 of a pod's container. */
export async function killPod(pod: Thing): Promise<void> {
  await task(pod, 'kill -s SIGKILL');
}

function task(pod: Thing, command: string): Promise<string> {
  const id = (pod.status.containerStatuses[0].containerID as string).replace('containerd://', '');
  return onNode(pod.spec.nodeName, `ctr -n k8s.io task ${command} ${id}`);
}

/** Takes a node's power away and gives it back. */
export async function crashNode(node: string): Promise<void> {
  await run('docker', ['restart', '--time', '1', node]);
}

/** `kubectl drain`, as before maintenance; the result lets the node take pods again. */
export async function drain(node: string): Promise<() => Promise<void>> {
  const options = ['--ignore-daemonsets', '--delete-emptydir-data', '--force', '--timeout=150s'];
  const uncordon = async (): Promise<void> => void (await kubectl(['uncordon', node]));
  await kubectl(['drain', node, ...options], { timeout: 160_000 }).catch(async (error) => {
    await uncordon();
    throw error;
  });
  return uncordon;
}

/** The pods of a Deployment's selector. */
export function podsOf(namespace: string, selector: string): Promise<readonly Thing[]> {
  return all(namespace, 'pods', selector);
}
