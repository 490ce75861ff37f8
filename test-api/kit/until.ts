import { setTimeout as sleep } from 'node:timers/promises';

/** Tries again until there is something; throws with what `state` says where that takes too long. */
export async function until<T>(
  attempt: () => Promise<T | null | undefined | false>,
  state: () => unknown = () => 'not within the time',
  milliseconds = 30_000,
): Promise<T> {
  const deadline = Date.now() + milliseconds;
  for (;;) {
    const found = await attempt();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(String(await state()));
    await sleep(25);
  }
}
