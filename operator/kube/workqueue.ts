import { type Clock, systemClock } from './clock.ts';
import { createTokenBucket, type TokenBucket } from './token-bucket.ts';

/** `low`: what a restart finds; edits overtake it. */
export type Priority = 'normal' | 'low';

/** For metrics; times in seconds. */
export interface QueueHooks {
  added(): void;
  retried(): void;
  taken(waited: number): void;
  done(worked: number): void;
}

export interface WorkQueueOptions {
  readonly clock?: Clock;
  readonly hooks?: QueueHooks;
}

interface Run {
  readonly since: number;
  readonly priority: Priority;
  /** Added again meanwhile: once more when it is done. */
  again: Priority | null;
}

/** 50 ms after a first failure, twice as long each time, five minutes at most: somebody waits for what is repaired. */
const FIRST_RETRY = 50;
const LONGEST_RETRY = 300_000;
/** All keys together are retried ten times a second, after a hundred at once. */
const RETRIES = { rate: 10, burst: 100 };
/** Each eighth is of low priority while others wait too: a storm of edits delays it but cannot starve it. */
const LOW_TURN = 8;

/**
 * Keys to be worked on, each at most once in the queue and by one worker at a time. A key that is added while it is
 * worked on comes once more. Delayed keys: the earliest time counts.
 */
export class WorkQueue {
  readonly #clock: Clock;
  readonly #hooks: QueueHooks | null;
  readonly #retries: TokenBucket;
  /** Keys with the time they were added, oldest first. */
  readonly #ready: Readonly<Record<Priority, Map<string, number>>> = { normal: new Map(), low: new Map() };
  readonly #running = new Map<string, Run>();
  readonly #failures = new Map<string, number>();
  readonly #delayed = new Map<string, { readonly at: number; readonly cancel: () => void }>();
  #takers: ((key: string | null) => void)[] = [];
  #turn = 0;
  #stopped = false;

  constructor(options: WorkQueueOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#hooks = options.hooks ?? null;
    this.#retries = createTokenBucket({ ...RETRIES, clock: this.#clock });
  }

  /** Keys that wait to be taken. */
  get depth(): number {
    return this.#ready.normal.size + this.#ready.low.size;
  }

  /** For how many seconds each key that is worked on has been. */
  get running(): readonly number[] {
    return Array.from(this.#running.values(), ({ since }) => (this.#clock.now() - since) / 1000);
  }

  add(key: string, priority: Priority = 'normal'): void {
    if (this.#stopped) return;
    const run = this.#running.get(key);
    if (run !== undefined) {
      if (run.again === null) this.#hooks?.added();
      run.again = run.again === 'normal' ? 'normal' : priority;
      return;
    }
    const { normal, low } = this.#ready;
    if (normal.has(key) || (priority === 'low' && low.has(key))) return;
    const since = low.get(key);
    low.delete(key);
    if (since === undefined) this.#hooks?.added();
    this.#ready[priority].set(key, since ?? this.#clock.now());
    this.#serve();
  }

  addAfter(key: string, milliseconds: number, priority: Priority = 'normal'): void {
    if (this.#stopped) return;
    const at = this.#clock.now() + milliseconds;
    const planned = this.#delayed.get(key);
    if (planned !== undefined && planned.at <= at) return;
    planned?.cancel();
    const cancel = this.#clock.after(milliseconds, () => {
      this.#delayed.delete(key);
      this.add(key, priority);
    });
    this.#delayed.set(key, { at, cancel });
  }

  /** Adds a key that failed, later each time and not before `after` milliseconds; gives the delay. */
  retry(key: string, after = 0): number {
    this.#hooks?.retried();
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    const own = Math.min(LONGEST_RETRY, FIRST_RETRY * 2 ** failures);
    const delay = Math.max(own, after, this.#retries.reserve());
    this.addAfter(key, delay, this.#running.get(key)?.priority);
    return delay;
  }

  /** The next failure of the key is a first one. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** The next key, which is then the caller's until `done`; null: the queue was stopped. */
  take(): Promise<string | null> {
    return new Promise((resolve) => {
      if (this.#stopped) return resolve(null);
      this.#takers.push(resolve);
      this.#serve();
    });
  }

  done(key: string): void {
    const run = this.#running.get(key);
    if (run === undefined) return;
    this.#running.delete(key);
    this.#hooks?.done((this.#clock.now() - run.since) / 1000);
    if (run.again === null || this.#stopped) return;
    this.#ready[run.again].set(key, this.#clock.now());
    this.#serve();
  }

  /** Nothing is given out any more. */
  stop(): void {
    this.#stopped = true;
    for (const { cancel } of this.#delayed.values()) cancel();
    this.#delayed.clear();
    for (const resolve of this.#takers) resolve(null);
    this.#takers = [];
  }

  #serve(): void {
    while (this.#takers.length > 0 && this.depth > 0) this.#takers.shift()!(this.#pop());
  }

  #pop(): string {
    const { normal, low } = this.#ready;
    this.#turn = (this.#turn + 1) % LOW_TURN;
    const priority = normal.size === 0 || (this.#turn === 0 && low.size > 0) ? 'low' : 'normal';
    const [key, added] = this.#ready[priority].entries().next().value!;
    this.#ready[priority].delete(key);
    const now = this.#clock.now();
    this.#running.set(key, { since: now, priority, again: null });
    this.#hooks?.taken((now - added) / 1000);
    return key;
  }
}
