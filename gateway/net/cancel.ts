import { timingSafeEqual } from 'node:crypto';

/** What a registry counts; the names are label values of `postern_cancel_requests_total`. */
export type CancelOutcome = 'Cancelled' | 'Unknown' | 'RateLimited' | 'Offered' | 'OfferDropped' | 'OfferFailed';

export interface CancelRegistryOptions {
  /** Milliseconds. */
  readonly now: () => number;
  readonly count: (outcome: CancelOutcome) => void;
}

interface Entry {
  readonly secretKey: Buffer;
  readonly cancel: () => Promise<void>;
}

/** Unknown requests that one address may send at once, and how many more each second. */
const BURST = 20;
const PER_SECOND = 5;
/** Addresses remembered at most; the oldest is forgotten first. */
const MAX_SOURCES = 10_000;

/**
 * Whom a CancelRequest means. Servers behind one gateway may give out the same process ID, so the key tells sessions
 * apart; keys are compared in constant time.
 */
export class CancelRegistry {
  readonly #options: CancelRegistryOptions;
  readonly #entries = new Map<number, Set<Entry>>();
  readonly #sources = new Map<string, { tokens: number; at: number }>();

  constructor(options: CancelRegistryOptions) {
    this.#options = options;
  }

  /** Makes a session known under the key it gave its client; call what is returned when the session ends. */
  register(processId: number, secretKey: Buffer, cancel: () => Promise<void>): () => void {
    const entry = { secretKey: Buffer.from(secretKey), cancel };
    const entries = this.#entries.get(processId) ?? new Set();
    this.#entries.set(processId, entries.add(entry));
    return () => {
      entries.delete(entry);
      if (entries.size === 0 && this.#entries.get(processId) === entries) this.#entries.delete(processId);
    };
  }

  /**
   * Cancels the session that has this key; false: there is none here. Resolves when the server has dealt with it: a client
   * that is told so earlier may send its next statement, and lose that one. Never rejects.
   */
  async cancel(processId: number, secretKey: Buffer): Promise<boolean> {
    let found: Entry | null = null;
    for (const entry of this.#entries.get(processId) ?? []) if (equal(entry.secretKey, secretKey)) found = entry;
    this.#options.count(found === null ? 'Unknown' : 'Cancelled');
    await found?.cancel();
    return found !== null;
  }

  /** Whether one more unknown request of this address may be looked for elsewhere. */
  mayAsk(source: string): boolean {
    const now = this.#options.now();
    const known = this.#sources.get(source) ?? { tokens: BURST, at: now };
    // A clock that was set back gives nothing and takes nothing.
    const elapsed = Math.max(0, now - known.at);
    const tokens = Math.min(BURST, known.tokens + (elapsed / 1000) * PER_SECOND);
    const allowed = tokens >= 1;
    this.#sources.delete(source);
    this.#sources.set(source, { tokens: allowed ? tokens - 1 : tokens, at: now });
    if (this.#sources.size > MAX_SOURCES) this.#sources.delete(this.#sources.keys().next().value ?? '');
    if (!allowed) this.#options.count('RateLimited');
    return allowed;
  }
}

function equal(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
