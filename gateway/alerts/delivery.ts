import type { AlertEvent } from './event.ts';
import { type Posted, post } from './post.ts';
import type { Receiver } from './receiver.ts';

/** What delivery tells about itself. */
export interface DeliveryMetrics {
  delivered(): void;
  failed(): void;
  dropped(by: number): void;
}

export interface DeliveryOptions {
  /** The receiver as of now, or why there is none to send to. */
  readonly receiver: () => Receiver | string;
  readonly log: { warn(fields: object, message: string): void; info(fields: object, message: string): void };
  readonly metrics: DeliveryMetrics;
  readonly now: () => number;
  /** Between 0 and 1. */
  readonly random: () => number;
  readonly bounds?: Partial<Bounds>;
}

interface Bounds {
  /** Events that wait at once; further ones are dropped. */
  readonly waiting: number;
  readonly inFlight: number;
  /** Milliseconds: for one attempt, before the second one, between two at most, and after which an event is given up. */
  readonly attempt: number;
  readonly firstRetry: number;
  readonly longestRetry: number;
  readonly giveUp: number;
}

const BOUNDS: Bounds = {
  waiting: 1000,
  inFlight: 4,
  attempt: 10_000,
  firstRetry: 1000,
  longestRetry: 300_000,
  giveUp: 86_400_000,
};
/** Milliseconds between two log lines about the same trouble. */
const QUIET = 60_000;

interface Waiting {
  readonly event: AlertEvent;
  readonly since: number;
  attempts: number;
  notBefore: number;
}

/**
 * Delivers events to a receiver, each at least once while the process lives, in no order: one that is refused does not hold
 * up others. Nothing here is waited for by those who raise alerts; memory is bounded.
 */
export class Delivery {
  readonly #o: DeliveryOptions;
  readonly #bounds: Bounds;
  readonly #waiting: Waiting[] = [];
  readonly #inFlight = new Set<Promise<void>>();
  readonly #abort = new AbortController();
  #timer: NodeJS.Timeout | null = null;
  #closing = false;
  #troubleSince: number | null = null;
  #lastSaid = Number.NEGATIVE_INFINITY;
  #droppedUnsaid = 0;

  constructor(options: DeliveryOptions) {
    this.#o = options;
    this.#bounds = { ...BOUNDS, ...options.bounds };
  }

  /** Events that have not arrived. */
  get size(): number {
    return this.#waiting.length + this.#inFlight.size;
  }

  /** Takes an event; never blocks, never throws. */
  push(event: AlertEvent): void {
    const now = this.#o.now();
    if (this.#closing || this.size >= this.#bounds.waiting) return this.#drop(1, 'too many are waiting');
    this.#waiting.push({ event, since: now, attempts: 0, notBefore: now });
    this.#schedule();
  }

  /** Tries all that waits once more, for so many milliseconds at most; what is left is lost, and said so. */
  async close(patience: number): Promise<void> {
    this.#closing = true;
    for (const item of this.#waiting) item.notBefore = 0;
    const timer = setTimeout(() => this.#abort.abort(), patience);
    this.#start();
    while (this.#inFlight.size > 0) await Promise.race(this.#inFlight);
    clearTimeout(timer);
    if (this.#timer !== null) clearTimeout(this.#timer);
    const left = this.#waiting.splice(0).length;
    if (left > 0) this.#drop(left, 'the gateway ends');
    this.#sayDropped('the gateway ends');
  }

  #schedule(): void {
    if (this.#timer !== null || this.#waiting.length === 0) return;
    const soonest = Math.min(...this.#waiting.map(({ notBefore }) => notBefore));
    // Never at once: whoever raises an alert goes on first.
    this.#timer = setTimeout(() => this.#start(), Math.max(0, soonest - this.#o.now()));
    this.#timer.unref();
  }

  #start(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const now = this.#o.now();
    while (this.#inFlight.size < this.#bounds.inFlight && !this.#abort.signal.aborted) {
      const i = this.#waiting.findIndex(({ notBefore }) => notBefore <= now);
      const [item] = i < 0 ? [] : this.#waiting.splice(i, 1);
      if (item === undefined) break;
      const attempt: Promise<void> = this.#attempt(item).finally(() => {
        this.#inFlight.delete(attempt);
        this.#start();
      });
      this.#inFlight.add(attempt);
    }
    if (this.#inFlight.size < this.#bounds.inFlight && !this.#closing) this.#schedule();
  }

  async #attempt(item: Waiting): Promise<void> {
    const receiver = this.#o.receiver();
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(this.#bounds.attempt)]);
    const posted: Posted =
      typeof receiver === 'string'
        ? { ok: false, reason: receiver, retryAfter: null }
        : await post(receiver, item.event, this.#o.now(), signal);
    if (posted.ok) return this.#arrived();
    this.#o.metrics.failed();
    this.#sayTrouble(posted.reason);
    item.attempts += 1;
    const now = this.#o.now();
    if (this.#closing || now - item.since > this.#bounds.giveUp) return this.#drop(1, posted.reason);
    item.notBefore = now + this.#pause(item.attempts, posted.retryAfter);
    this.#waiting.push(item);
  }

  /** Doubles with each attempt; a random half of it spreads what would otherwise come back all at once. */
  #pause(attempts: number, retryAfter: number | null): number {
    const { firstRetry, longestRetry } = this.#bounds;
    const whole = Math.min(longestRetry, firstRetry * 2 ** Math.min(attempts - 1, 30));
    const asked = Math.min(longestRetry, (retryAfter ?? 0) * 1000);
    return Math.max(asked, whole / 2 + (whole / 2) * this.#o.random());
  }

  #arrived(): void {
    this.#o.metrics.delivered();
    if (this.#troubleSince === null) return;
    this.#troubleSince = null;
    this.#lastSaid = Number.NEGATIVE_INFINITY;
    this.#sayDropped('the receiver was not there');
    this.#o.log.info({ waiting: this.size }, 'alerts are delivered again');
  }

  #drop(events: number, reason: string): void {
    this.#o.metrics.dropped(events);
    this.#droppedUnsaid += events;
    if (this.#o.now() - this.#lastSaid >= QUIET) this.#sayDropped(reason);
  }

  #sayDropped(reason: string): void {
    if (this.#droppedUnsaid === 0) return;
    this.#o.log.warn({ events: this.#droppedUnsaid, reason }, 'alerts were dropped');
    this.#droppedUnsaid = 0;
    this.#lastSaid = this.#o.now();
  }

  #sayTrouble(reason: string): void {
    const now = this.#o.now();
    this.#troubleSince ??= now;
    if (now - this.#lastSaid < QUIET) return;
    this.#lastSaid = now;
    this.#o.log.warn({ reason, waiting: this.size }, 'alerts cannot be delivered; they are tried again');
    this.#sayDropped(reason);
  }
}
