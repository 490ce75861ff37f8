import type { SessionList } from '../../gateway/telemetry/admin-socket.ts';
import { explainExec } from './failures.ts';
import type { Kubectl } from './kubectl.ts';
import { isRunning, type Pod } from './objects.ts';

/** What a pod's gateway says of itself; a string: why it does not. */
export type Heard = SessionList | string;

/** Commands that run at once: each is a connection through the API server, and a process in the pod. */
const AT_ONCE = 8;
const CLI = ['node', 'cli/main.ts', 'local'];

export function localCommand(...args: readonly string[]): readonly string[] {
  return [...CLI, ...args];
}

/** Asks each pod for its sessions; the answers by uid. */
export async function askPods(kubectl: Kubectl, pods: readonly Pod[]): Promise<ReadonlyMap<string, Heard>> {
  const heard = new Map<string, Heard>();
  const waiting = [...pods];
  const worker = async (): Promise<void> => {
    for (let pod = waiting.shift(); pod !== undefined; pod = waiting.shift())
      heard.set(pod.metadata.uid, await ask(kubectl, pod));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return heard;
}

async function ask(kubectl: Kubectl, pod: Pod): Promise<Heard> {
  if (!isRunning(pod)) return 'its gateway does not run';
  const { code, out, err } = await kubectl.exec(pod.metadata, localCommand('sessions', '--json'));
  if (code !== 0) return explainExec(err);
  try {
    return JSON.parse(out) as SessionList;
  } catch {
    return 'what it answered is not JSON';
  }
}
