import { setTimeout as sleep } from 'node:timers/promises';
import type { DrainProgress } from '../../gateway/telemetry/admin-socket.ts';
import { plural } from '../table.ts';
import { CommandError } from '../usage.ts';
import { explainExec } from './failures.ts';
import { CONTAINER, type Kubectl } from './kubectl.ts';
import { containerOf, isReady, type Pod, podsOf } from './objects.ts';
import { localCommand } from './pods.ts';

export interface DrainOptions {
  readonly kubectl: Kubectl;
  readonly gateway: string;
  /** Those to drain, one after another. */
  readonly pods: readonly Pod[];
  /** Milliseconds to wait for as many ready pods as there were. */
  readonly timeout: number;
  readonly say: (text: string) => void;
}

const POLL = 1000;
/** Seconds that others may need, after the pod has become unready, to hear of it. */
const SPREAD = 2;
const MAX_GRACE = 300;

/** Drains pods, and after each waits until as many are ready as before. */
export async function drainPods({ kubectl, gateway, pods, timeout, say }: DrainOptions): Promise<void> {
  const ready = (await podsOf(kubectl, gateway)).filter(isReady).length;
  if (ready === 1) say(`gateway ${gateway} has one ready pod: nobody can connect until there is one again`);
  for (const pod of pods) {
    const { name } = pod.metadata;
    const now = (await podsOf(kubectl, gateway)).find(({ metadata }) => metadata.uid === pod.metadata.uid);
    if (now === undefined || now.metadata.deletionTimestamp !== undefined) {
      say(`pod ${name} is going away by itself`);
      continue;
    }
    await drain(kubectl, now, say);
    const until = performance.now() + timeout;
    while (!(await isReplaced(kubectl, gateway, now, ready))) {
      if (performance.now() > until)
        throw new CommandError(
          `pod ${name} is drained, but there are not ${ready} ready pods again: "kubectl postern status ${gateway}" says why`,
        );
      await sleep(POLL);
    }
    say(`pod ${name} is replaced: ${ready} ready`);
  }
}

async function drain(kubectl: Kubectl, pod: Pod, say: DrainOptions['say']): Promise<void> {
  const { name } = pod.metadata;
  let begun = false;
  const { err } = await kubectl.exec(
    pod.metadata,
    localCommand('drain', '--json', '--grace', String(graceOf(pod))),
    (line) => {
      const progress = readProgress(line);
      if (progress === null) return;
      begun = true;
      const { sessions, drained } = progress;
      say(drained ? `pod ${name} is drained` : `pod ${name} is draining, ${plural(sessions, 'session')} left`);
    },
  );
  // The container ends with the drain, often before kubectl has heard the last word of it; what counts is seen then.
  if (!begun) throw new CommandError(`pod ${name} cannot be drained: ${explainExec(err)}`);
}

function readProgress(line: string): DrainProgress | null {
  try {
    return JSON.parse(line) as DrainProgress;
  } catch {
    return null;
  }
}

/** Until the kubelet has found out that the pod is not ready, and everybody has heard, clients are still sent there. */
function graceOf({ spec }: Pod): number {
  const { periodSeconds = 10, failureThreshold = 3 } =
    spec?.containers?.find(({ name }) => name === CONTAINER)?.readinessProbe ?? {};
  return Math.min(MAX_GRACE, periodSeconds * failureThreshold + SPREAD);
}

/** Its container runs anew, or the pod is gone, and so many are ready. */
async function isReplaced(kubectl: Kubectl, gateway: string, pod: Pod, ready: number): Promise<boolean> {
  const pods = await podsOf(kubectl, gateway);
  const now = pods.find(({ metadata }) => metadata.uid === pod.metadata.uid);
  const same = now !== undefined && containerOf(now)?.containerID === containerOf(pod)?.containerID;
  return !same && pods.filter(isReady).length >= ready;
}
