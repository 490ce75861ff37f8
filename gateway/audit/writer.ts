import { AuditError, reasonOf } from './errors.ts';
import { type Draft, uidHead } from './line.ts';
import { LineBuffer } from './line-buffer.ts';
import type { AuditLogger, AuditMetrics } from './options.ts';
import type { AuditLog } from './record.ts';
import type { Spool } from './spool.ts';

/** Milliseconds between attempts while records cannot be written. */
const RETRY_MS = 200;
/** The same after a failed sync: only another write and another sync can tell whether the disk is back. */
const SYNC_RETRY_MS = 2_000;
/** Milliseconds after which written records are on disk, where nobody waits for it. */
const SYNC_MS = 500;
/** Bytes of records kept in memory while the disk fails; what comes then is lost, and counted. */
const KEPT_BYTES = 8 << 20;
/** Milliseconds between lines in the operational log about the same failure. */
const REPORT_MS = 10_000;

type Done = (error: Error | null) => void;

export interface WriterOptions {
  readonly log: string;
  readonly spool: Spool;
  /** Index of the first record to write. */
  readonly next: number;
  readonly synced: boolean;
  readonly allow: boolean;
  readonly monotonic: () => number;
  readonly logger: AuditLogger;
  readonly metrics: AuditMetrics;
  /** Renders the record that tells about a failure that is over. */
  readonly gap: (gap: Gap) => Draft;
  /** Records from before `end` are on disk. */
  readonly onSynced: (end: number) => void;
}

/** A time without records; `refused` and `unrecorded` count the calls of `settle` that were answered so. */
export interface Gap {
  /** Milliseconds. */
  readonly duration: number;
  readonly reason: string;
  readonly refused: number;
  readonly unrecorded: number;
  readonly lost: number;
}

interface Failure {
  readonly reason: string;
  readonly since: number;
  attempt: number;
  /** Milliseconds to the next attempt. */
  pause: number;
  refused: number;
  unrecorded: number;
  lost: number;
}

interface Settling {
  readonly done: Done;
  readonly error: Error | null;
}

/** A record that nobody waits for is written after this time at the latest: half of all writes are saved under load. */
const LAZY_MS = 10;

/** A batch waits for so many more rounds of the event loop at most: a tenth of the time per statement is saved under load. */
const MOST_ROUNDS = 4;

/**
 * Gives records their index and puts them into the spool, a batch per few turns of the event loop, and tells those who wait
 * when theirs has reached the durability. Owns the timers of retry and sync.
 */
export class Writer {
  readonly #options: WriterOptions;
  #next: number;
  readonly #batch = new LineBuffer();
  readonly #uid: Buffer;
  #batchFirst: number;
  #waiting: Done[] = [];
  /** Written, not yet called back: behind a sync, in the order of `settle`. */
  #settling: Settling[] = [];
  #scheduled = false;
  /** Writes what nobody waits for (outcomes), unless somebody's `settle` takes it along before. */
  #lazyTimer: NodeJS.Timeout | null = null;
  #failure: Failure | null = null;
  #renderFailure: Error | null = null;
  #reported: number | null = null;
  #retryTimer: NodeJS.Timeout | null = null;
  #syncTimer: NodeJS.Timeout | null = null;
  #idle: (() => void)[] = [];
  #stopped = false;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#next = options.next;
    this.#batchFirst = options.next;
    this.#uid = uidHead(options.log);
  }

  get state(): AuditLog['state'] {
    return this.#failure === null ? { available: true } : { available: false, reason: this.#failure.reason };
  }

  append(draft: Draft): void {
    if (this.#stopped) {
      this.#options.metrics.lost.inc();
      return;
    }
    if (this.#failure !== null && this.#batch.length > KEPT_BYTES) {
      this.#failure.lost++;
      this.#options.metrics.lost.inc();
      return;
    }
    this.#batch.line(draft, this.#next, this.#uid);
    this.#next++;
    this.#lazyTimer ??= setTimeout(() => this.#onLazyTimer(), LAZY_MS);
  }

  /** A record could not be rendered: whoever settles next must not believe that it is there. */
  failed(error: unknown): void {
    this.#options.logger.error({ reason: reasonOf(error) }, 'audit record cannot be rendered');
    this.#options.metrics.lost.inc();
    this.#renderFailure ??= new AuditError('Unavailable', 'audit record cannot be rendered', error);
  }

  settle(done: Done): void {
    this.#waiting.push(done);
    this.#schedule();
  }

  /** Writes and syncs what there is; resolves when nothing is left to do, or nothing can be done. */
  async drain(): Promise<void> {
    for (;;) {
      this.#flush(true);
      if (this.#failure === null && !this.#options.spool.syncing && this.#options.spool.dirty) {
        this.#sync();
      }
      if (!this.#options.spool.syncing) {
        return;
      }
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
  }

  /** Takes nothing more: records are dropped, and whoever settles is told so. */
  stop(): void {
    this.#stopped = true;
    clearInterval(this.#retryTimer ?? undefined);
    clearTimeout(this.#syncTimer ?? undefined);
    clearTimeout(this.#lazyTimer ?? undefined);
  }

  #schedule(): void {
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => this.#gather(1, MOST_ROUNDS));
    }
  }

  /** Goes on for as long as each round of the event loop brings more who wait: who is alone waits for nobody. */
  #gather(before: number, rounds: number): void {
    const now = this.#waiting.length;
    if (rounds === 0 || now <= before) this.#flush(false);
    else setImmediate(() => this.#gather(now, rounds - 1));
  }

  /** Runs on past the writes that took its records along: setting a timer anew for each would cost more. */
  #onLazyTimer(): void {
    this.#lazyTimer = null;
    if (this.#batch.length > 0) this.#flush(false);
  }

  #flush(force: boolean): void {
    this.#scheduled = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    const error = this.#write(force) ?? this.#renderFailure;
    this.#renderFailure = null;
    for (const done of waiting) {
      this.#settling.push({ done, error });
    }
    if (this.#settling.length === 0) {
      this.#syncSoon();
    } else if (!this.#options.synced) {
      this.#syncSoon();
      this.#callBack(this.#settling.length);
    } else if (!this.#options.spool.syncing) {
      this.#sync();
    }
  }

  /** The reason why the batch is not written; null: it is. */
  #write(force: boolean): Error | null {
    if (this.#stopped) {
      return new AuditError('Unavailable', 'the audit log is closed');
    }
    const failure = this.#failure;
    const now = this.#options.monotonic();
    if (failure !== null && !force && now - failure.attempt < failure.pause) {
      return new AuditError('Unavailable', failure.reason);
    }
    try {
      this.#writeBatch();
    } catch (error) {
      return this.#fail(error, RETRY_MS);
    }
    if (failure !== null) {
      // The record of the gap is there before any statement goes on.
      this.#recovered(failure, now);
      return this.#write(force);
    }
    return null;
  }

  #writeBatch(): void {
    if (this.#batch.length === 0) {
      return;
    }
    const count = this.#next - this.#batchFirst;
    this.#options.spool.write(this.#batch.bytes, this.#batchFirst, count);
    this.#batch.clear();
    this.#batchFirst = this.#next;
    this.#options.metrics.written.inc(count);
  }

  #fail(error: unknown, pause: number): Error {
    const reason = reasonOf(error);
    const now = this.#options.monotonic();
    if (this.#failure === null) {
      this.#failure = { reason, since: now, attempt: now, pause: 0, refused: 0, unrecorded: 0, lost: 0 };
      this.#options.metrics.unavailable.set(1);
      this.#retryTimer = setInterval(() => this.#schedule(), RETRY_MS);
      this.#retryTimer.unref();
    }
    this.#failure.attempt = now;
    this.#failure.pause = pause;
    this.#report(reason, now);
    return new AuditError('Unavailable', reason, error);
  }

  #report(reason: string, now: number): void {
    if (this.#reported !== null && now - this.#reported < REPORT_MS) {
      return;
    }
    this.#reported = now;
    const onFailure = this.#options.allow ? 'Allow' : 'Deny';
    this.#options.logger.error({ reason, onFailure }, 'audit records cannot be written');
  }

  #recovered(failure: Failure, now: number): void {
    this.#failure = null;
    clearInterval(this.#retryTimer ?? undefined);
    this.#options.metrics.unavailable.set(0);
    const { reason, refused, unrecorded, lost } = failure;
    const gap: Gap = { duration: Math.round((now - failure.since) * 1000) / 1000, reason, refused, unrecorded, lost };
    this.#options.logger.warn({ ...gap }, 'audit records can be written again');
    this.append(this.#options.gap(gap));
  }

  #syncSoon(): void {
    if (this.#syncTimer === null && this.#options.spool.dirty) {
      this.#syncTimer = setTimeout(() => {
        this.#syncTimer = null;
        if (!this.#options.spool.syncing) {
          this.#sync();
        }
      }, SYNC_MS);
      this.#syncTimer.unref();
    }
  }

  /** One sync for all that wait by now: while it runs the next group collects. */
  #sync(): void {
    const end = this.#batchFirst;
    const group = this.#settling.length;
    this.#options.spool.sync((error) => {
      if (error === null) {
        this.#options.onSynced(end);
      } else {
        this.#fail(error, SYNC_RETRY_MS);
      }
      this.#callBack(group, error);
      for (const idle of this.#idle.splice(0)) {
        idle();
      }
      if (this.#settling.length > 0 && !this.#options.spool.syncing) {
        this.#sync();
      }
    });
  }

  #callBack(count: number, syncError: Error | null = null): void {
    for (const { done, error } of this.#settling.splice(0, count)) {
      const failed = error ?? (syncError === null ? null : new AuditError('Unavailable', reasonOf(syncError)));
      try {
        done(this.#verdict(failed));
      } catch (thrown) {
        this.#options.logger.error({ reason: reasonOf(thrown) }, 'audit callback failed');
      }
    }
  }

  /** What the owner chose: a statement without a record is refused, or passes and is counted. */
  #verdict(error: Error | null): Error | null {
    if (error === null) {
      return null;
    }
    const { metrics, allow } = this.#options;
    if (allow) {
      metrics.unrecorded.inc();
    } else {
      metrics.refused.inc();
    }
    if (this.#failure !== null) {
      this.#failure[allow ? 'unrecorded' : 'refused']++;
    }
    return allow ? null : error;
  }
}
