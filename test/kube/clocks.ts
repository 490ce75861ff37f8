import type { Clock } from '../../operator/kube/clock.ts';

/** Real timers, so many times faster: for code that waits for sockets as well. `jump` moves the wall clock alone. */
export interface FastClock extends Clock {
  readonly speed: number;
  jump(milliseconds: number): void;
}

export function createFastClock(speed: number): FastClock {
  const start = performance.now();
  const now = (): number => (performance.now() - start) * speed;
  let jumped = 0;
  return {
    speed,
    now,
    wall: () => Date.UTC(2030, 0, 1) + now() + jumped,
    after: (milliseconds, callback) => {
      const timer = setTimeout(callback, milliseconds / speed);
      return () => clearTimeout(timer);
    },
    jump: (milliseconds) => {
      jumped += milliseconds;
    },
  };
}

/** Time that passes only when told: for code that waits for nothing else. */
export interface ManualClock extends Clock {
  /** Lets so much time pass; timers fire in their order, and what they set going settles before the next. */
  pass(milliseconds: number): Promise<void>;
  jump(milliseconds: number): void;
  /** Timers that have not fired. */
  readonly pending: number;
}

export function createManualClock(): ManualClock {
  let now = 0;
  let jumped = 0;
  const timers = new Set<{ readonly at: number; readonly callback: () => void }>();
  const next = (): { readonly at: number; readonly callback: () => void } | undefined =>
    [...timers].sort((a, b) => a.at - b.at)[0];
  return {
    now: () => now,
    wall: () => Date.UTC(2030, 0, 1) + now + jumped,
    after: (milliseconds, callback) => {
      const timer = { at: now + Math.max(0, milliseconds), callback };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    pass: async (milliseconds) => {
      const end = now + milliseconds;
      await settle();
      for (let timer = next(); timer !== undefined && timer.at <= end; timer = next()) {
        now = timer.at;
        timers.delete(timer);
        timer.callback();
        await settle();
      }
      now = end;
    },
    jump: (milliseconds) => {
      jumped += milliseconds;
    },
    get pending() {
      return timers.size;
    },
  };
}

/** Everything that can go on without a timer or a socket has gone on. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits until something holds; throws what it was waiting for when it does not in time. */
export async function until(what: string, holds: () => boolean, milliseconds = 10_000): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
