import { setTimeout as sleep } from 'node:timers/promises';

export interface EventuallyOptions {
  /** Milliseconds; default: a minute. */
  readonly within?: number;
  readonly every?: number;
}

/**
 * Tries until `attempt` neither throws nor gives undefined; gives its value. What it threw last is the failure's reason.
 */
export async function eventually<T>(
  what: string,
  attempt: () => Promise<T | undefined> | T | undefined,
  { within = 60_000, every = 250 }: EventuallyOptions = {},
): Promise<T> {
  const end = Date.now() + within;
  let last: unknown = 'nothing yet';
  for (;;) {
    try {
      const value = await attempt();
      if (value !== undefined) return value;
      last = 'not so yet';
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`not within ${within} ms: ${what}; at last: ${text(last)}`);
    await sleep(every);
  }
}

/** Asserts all along: `check` must not throw for so many milliseconds. */
export async function consistently(during: number, check: () => Promise<void>): Promise<void> {
  for (const end = Date.now() + during; Date.now() < end; await sleep(250)) await check();
}

function text(value: unknown): string {
  return value instanceof Error ? value.message : String(value);
}
