import type { IdentityLimits } from '../config/document.ts';

/** A limit that is reached: which one, and when something is possible again. */
export interface Exhausted {
  readonly limit: keyof IdentityLimits;
  readonly allowed: number;
  /** Milliseconds from now. */
  readonly retryIn: number;
}

/** What may still be had today; null: no limit. */
export interface Allowance {
  readonly rows: number | null;
  readonly bytes: number | null;
}

const SECOND = 1000;
const SECONDS = 60;
const DAY = 86_400_000;
/** Identities remembered at once: those that a policy names, so this is far more than there are. */
const MAX_IDENTITIES = 65_536;

/** What one identity has used: statements by second for the last minute, rows and bytes of the day. */
interface Used {
  readonly perSecond: Uint32Array;
  second: number;
  day: number;
  rows: number;
  bytes: number;
}

/**
 * Counts what identities use, whatever sessions they use it in. Seconds are those of a clock that never goes back; days
 * are the calendar's: one that goes back forgets nothing (test: "a clock that is set back").
 */
export class UsageLedger {
  readonly #used = new Map<string, Used>();
  readonly #monotonic: () => number;
  readonly #now: () => number;
  readonly #most: number;

  constructor(clocks: { readonly monotonic: () => number; readonly now: () => number }, most = MAX_IDENTITIES) {
    this.#monotonic = clocks.monotonic;
    this.#now = clocks.now;
    this.#most = most;
  }

  /** Identities that are remembered. */
  get size(): number {
    return this.#used.size;
  }

  /** A statement begins. */
  addStatement(username: string): void {
    const used = this.#of(username);
    used.perSecond[used.second % SECONDS]! += 1;
  }

  /** Rows and bytes of a result went to the client. */
  addResult(username: string, rows: number, bytes: number): void {
    const used = this.#of(username);
    used.rows += rows;
    used.bytes += bytes;
  }

  /** The first limit that one more statement, after `ahead` others that are not counted yet, would go beyond. */
  exhausted(username: string, limits: IdentityLimits, ahead = 0): Exhausted | null {
    const { statementsPerMinute, rowsPerDay, bytesPerDay } = limits;
    if (statementsPerMinute === null && rowsPerDay === null && bytesPerDay === null) return null;
    const used = this.#of(username);
    if (statementsPerMinute !== null) {
      const retryIn = this.#untilRoom(used, statementsPerMinute - 1 - ahead);
      if (retryIn > 0) return { limit: 'statementsPerMinute', allowed: statementsPerMinute, retryIn };
    }
    const retryIn = DAY - (this.#now() % DAY);
    if (rowsPerDay !== null && used.rows >= rowsPerDay) return { limit: 'rowsPerDay', allowed: rowsPerDay, retryIn };
    if (bytesPerDay !== null && used.bytes >= bytesPerDay)
      return { limit: 'bytesPerDay', allowed: bytesPerDay, retryIn };
    return null;
  }

  /** What is left of the day's rows and bytes. */
  allowance(username: string, { rowsPerDay, bytesPerDay }: IdentityLimits): Allowance {
    const used = this.#of(username);
    return {
      rows: rowsPerDay === null ? null : Math.max(0, rowsPerDay - used.rows),
      bytes: bytesPerDay === null ? null : Math.max(0, bytesPerDay - used.bytes),
    };
  }

  /** Milliseconds until at most `most` statements lie within the last minute; 0: now. */
  #untilRoom({ perSecond, second }: Used, most: number): number {
    let within = perSecond.reduce((sum, count) => sum + count, 0);
    for (let age = SECONDS - 1; age >= 0 && within > most; age--) {
      within -= perSecond[(second + SECONDS - age) % SECONDS]!;
      if (within <= most) return (SECONDS - age) * SECOND - (this.#monotonic() % SECOND);
    }
    // The string itself holds more statements than a minute allows.
    return within > most ? SECONDS * SECOND : 0;
  }

  /** The record of an identity, brought up to now. */
  #of(username: string): Used {
    const second = Math.floor(this.#monotonic() / SECOND);
    const day = Math.floor(this.#now() / DAY);
    let used = this.#used.get(username);
    if (used === undefined) {
      used = { perSecond: new Uint32Array(SECONDS), second, day, rows: 0, bytes: 0 };
      if (this.#used.size >= this.#most) this.#forgetOldest();
      this.#used.set(username, used);
      return used;
    }
    if (second - used.second >= SECONDS) used.perSecond.fill(0);
    else for (let at = used.second + 1; at <= second; at++) used.perSecond[at % SECONDS] = 0;
    used.second = second;
    if (day > used.day) [used.rows, used.bytes] = [0, 0];
    used.day = day;
    return used;
  }

  /** The one that was first seen longest ago. */
  #forgetOldest(): void {
    const [oldest] = this.#used.keys();
    if (oldest !== undefined) this.#used.delete(oldest);
  }
}
