import { setTimeout as sleep } from 'node:timers/promises';
import type { Beats, Command, Failure } from './protocol.ts';
import { failureOf, Session } from './session.ts';

type Order = Extract<Command, { do: 'beat' }>;

/** A statement that runs again and again, and how that went. */
export class Beat {
  readonly #order: Order;
  readonly #start = performance.now();
  readonly #failures: (Failure & { at: number })[] = [];
  #good = 0;
  #last = this.#start;
  #longestGap = 0;
  #stopped = false;
  readonly #done: Promise<void>;

  constructor(order: Order) {
    this.#order = order;
    this.#done = this.#run();
  }

  async #run(): Promise<void> {
    let session: Session | null = null;
    for (; !this.#stopped; await sleep(this.#order.every)) {
      try {
        if (session === null) {
          session = new Session(this.#order.login);
          await session.open();
        }
        await session.query(this.#order.sql);
        this.#succeed();
      } catch (error) {
        this.#failures.push({ at: Math.round(performance.now() - this.#start), ...failureOf(error) });
      }
      if (this.#order.sessions === 'one' && session?.state.open) continue;
      await session?.end().catch(() => {});
      session = null;
    }
    await session?.end().catch(() => {});
  }

  #succeed(): void {
    const now = performance.now();
    this.#longestGap = Math.max(this.#longestGap, now - this.#last);
    this.#last = now;
    this.#good += 1;
  }

  async stop(): Promise<Beats> {
    this.#stopped = true;
    await this.#done;
    const longestGap = Math.round(Math.max(this.#longestGap, performance.now() - this.#last));
    return { good: this.#good, failures: this.#failures, longestGap };
  }
}
