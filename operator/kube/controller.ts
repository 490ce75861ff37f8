import { type Clock, sleep, systemClock } from './clock.ts';
import { KubeError, messageOf } from './errors.ts';
import type { Log } from './log.ts';
import type { Outcome } from './types.ts';
import { type QueueHooks, WorkQueue } from './workqueue.ts';

/** As controller-runtime counts them. */
export type Result = 'success' | 'requeue_after' | 'error';

/** For metrics; times in seconds. */
export interface ControllerHooks {
  readonly queue: QueueHooks;
  /** Called once: what to show of the queue at each scrape. */
  started(queue: WorkQueue, workers: number, active: () => number): void;
  reconciled(result: Result, seconds: number): void;
  terminal(): void;
  timedOut(): void;
}

export interface ControllerOptions {
  readonly name: string;
  /**
   * Works on one key. The signal is aborted when the time is up: a client behind `fence` then does nothing more.
   * What it throws counts as Retry.
   */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>;
  readonly log: Log;
  readonly workers?: number;
  /** Milliseconds for one item. */
  readonly timeout?: number;
  readonly clock?: Clock;
  readonly hooks?: ControllerHooks;
}

const WORKERS = 8;
const TIMEOUT = 120_000;
/** As long as any single call to the API server may take: what outlives its time and this does no calls. */
const GRACE = 30_000;
/** At the end, work under way has so long before its calls are given up. */
const LAST_WORK = 5_000;

/**
 * Works on the keys of its queue, which fills from the start: a standby has only to start the workers.
 *
 * An item that is not done in time frees its worker at once, and its key as soon as it ends, or after half a minute
 * where it never does; then the key is tried again as after a failure. So nothing holds a worker or a key for ever, and
 * two runs for one key cannot both write.
 */
export class Controller {
  readonly queue: WorkQueue;
  readonly #options: ControllerOptions;
  readonly #clock: Clock;
  readonly #timeout: number;
  readonly #underWay = new Set<AbortController>();
  #workers: readonly Promise<void>[] = [];

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#timeout = options.timeout ?? TIMEOUT;
    this.queue = new WorkQueue({ clock: this.#clock, ...(options.hooks ? { hooks: options.hooks.queue } : {}) });
    options.hooks?.started(this.queue, options.workers ?? WORKERS, () => this.#underWay.size);
  }

  start(): void {
    if (this.#workers.length > 0) return;
    this.#workers = Array.from({ length: this.#options.workers ?? WORKERS }, () => this.#work());
  }

  /** Resolves when the workers have ended; after five seconds their calls are given up. */
  async stop(): Promise<void> {
    this.queue.stop();
    const cancel = this.#clock.after(LAST_WORK, () => {
      for (const item of this.#underWay) item.abort();
    });
    await Promise.all(this.#workers);
    cancel();
  }

  async #work(): Promise<void> {
    for (let key = await this.queue.take(); key !== null; key = await this.queue.take()) await this.#attempt(key);
  }

  async #attempt(key: string): Promise<void> {
    const started = this.#clock.now();
    const item = new AbortController();
    const run = this.#run(key, item.signal);
    const outcome = await this.#inTime(run, item);
    const seconds = (this.#clock.now() - started) / 1000;
    if (outcome === null) {
      void this.#release(key, run, seconds);
    } else {
      this.#settle(key, outcome, seconds);
      this.queue.done(key);
    }
  }

  async #run(key: string, signal: AbortSignal): Promise<Outcome> {
    try {
      const outcome: Outcome | undefined = await this.#options.reconcile(key, signal);
      if (outcome === undefined) throw new TypeError('the reconciler gave no outcome');
      return outcome;
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(messageOf(thrown));
      const after = thrown instanceof KubeError ? thrown.retryAfter : null;
      return { kind: 'Retry', error, ...(after === null ? {} : { after }) };
    }
  }

  /** null: the time is up, or the controller stops. */
  #inTime(run: Promise<Outcome>, item: AbortController): Promise<Outcome | null> {
    this.#underWay.add(item);
    return new Promise((resolve) => {
      const cancel = this.#clock.after(this.#timeout, () => item.abort());
      const finish = (outcome: Outcome | null): void => {
        cancel();
        this.#underWay.delete(item);
        resolve(outcome);
      };
      item.signal.addEventListener('abort', () => finish(null));
      void run.then(finish);
    });
  }

  /** The worker has gone on: the key is kept from others until the run has ended, or cannot do anything any more. */
  async #release(key: string, run: Promise<unknown>, seconds: number): Promise<void> {
    this.#options.hooks?.timedOut();
    this.#settle(key, { kind: 'Retry', error: new Error(`not done within ${this.#timeout / 1000} s`) }, seconds);
    const grace = new AbortController();
    await Promise.race([run, sleep(this.#clock, GRACE, grace.signal)]);
    grace.abort();
    this.queue.done(key);
  }

  #settle(key: string, outcome: Outcome, seconds: number): void {
    const { name: controller, log, hooks } = this.#options;
    switch (outcome.kind) {
      case 'Done':
        this.queue.forget(key);
        if (outcome.requeueAfter !== undefined) this.queue.addAfter(key, outcome.requeueAfter);
        hooks?.reconciled(outcome.requeueAfter === undefined ? 'success' : 'requeue_after', seconds);
        return;
      case 'Retry': {
        const delay = Math.round(this.queue.retry(key, outcome.after));
        const fields = { controller, key, error: outcome.error.message, delay };
        if (isConflict(outcome.error)) log.debug(fields, 'Reconciling met a newer object');
        else log.warn({ ...fields, err: outcome.error }, 'Reconciling failed');
        hooks?.reconciled('error', seconds);
        return;
      }
      case 'Terminal':
        this.queue.forget(key);
        log.error({ controller, key, err: outcome.error }, 'Reconciling failed for good');
        hooks?.reconciled('error', seconds);
        hooks?.terminal();
    }
  }
}

/** Somebody was faster: ordinary, and over at the next try. */
function isConflict(error: Error): boolean {
  return error instanceof KubeError && error.reason === 'Conflict';
}
