/** Time as the kube layer sees it; tests hand in one that runs faster. */
export interface Clock {
  /** Milliseconds on a clock that only goes forward: every duration is measured by it. */
  now(): number;
  /** Milliseconds since the epoch: for what is written down, never for a decision. */
  wall(): number;
  /** Calls back after so many milliseconds, or earlier where they are more than a timer can hold; returns what prevents it. */
  after(milliseconds: number, callback: () => void): () => void;
}

/** A longer timer would fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after: (milliseconds, callback) => {
    const timer = setTimeout(callback, Math.min(milliseconds, LONGEST_TIMER));
    return () => clearTimeout(timer);
  },
};

/** Resolves after so many milliseconds, or as soon as the signal is aborted. */
export function sleep(clock: Clock, milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (milliseconds <= 0 || signal?.aborted) return resolve();
    const finish = (): void => {
      cancel();
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const cancel = clock.after(milliseconds, finish);
    signal?.addEventListener('abort', finish);
  });
}
