import type { ControlDown, GatewayReport } from '../config/control.ts';
import { type DialOptions, OutgoingStream } from './stream.ts';

export interface LinkOptions {
  readonly address: string;
  readonly host: string;
  readonly port: number;
  /** Read anew at each dial: both are replaced in their files before they expire. */
  readonly credentials: () => Promise<Credentials>;
  readonly beat: number;
  readonly random: () => number;
  /** Milliseconds before the second dial; doubled with each failure. */
  readonly backoff: number;
  readonly report: () => GatewayReport;
  readonly onMessage: (message: ControlDown) => void;
  readonly onState: (state: LinkState) => void;
}

export interface Credentials {
  readonly ca: string;
  readonly token: string;
}

export type LinkState =
  | { readonly kind: 'Open' }
  /** `failures`: streams in a row that came to nothing. */
  | { readonly kind: 'Down'; readonly reason: string; readonly failures: number };

const MAX_BACKOFF = 10_000;
/** A stream that lasted for so many milliseconds was a good one: the next dial is a first one. */
const HEALTHY = 10_000;

/** Keeps a stream to one address: dials again when it ends, later each time. */
export class Link {
  readonly #options: LinkOptions;
  #stream: OutgoingStream | null = null;
  /** The one that is to take the place of the open one, with a newer token. */
  #successor: OutgoingStream | null = null;
  #token = '';
  #retry: NodeJS.Timeout | null = null;
  #failures = 0;
  #closed = false;
  readonly #renewal: NodeJS.Timeout;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#renewal = setInterval(() => void this.#renew(), options.beat);
    void this.#dial();
  }

  get isOpen(): boolean {
    return this.#stream?.isOpen === true;
  }

  report(urgent: boolean): void {
    this.#stream?.report(urgent);
  }

  /** Ends it with a last report. */
  async close(): Promise<void> {
    this.#stop();
    await this.#stream?.close();
  }

  destroy(): void {
    this.#stop();
    this.#stream?.destroy();
  }

  #stop(): void {
    this.#closed = true;
    clearInterval(this.#renewal);
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#successor?.destroy();
  }

  async #dial(): Promise<void> {
    let openedAt: number | null = null;
    try {
      const credentials = await this.#options.credentials();
      if (this.#closed) return;
      const stream: OutgoingStream = this.#open(credentials, {
        onOpen: () => {
          openedAt = performance.now();
          this.#options.onState({ kind: 'Open' });
        },
        onEnd: (reason) => {
          if (this.#stream === stream) this.#down(reason, openedAt);
        },
      });
      this.#token = credentials.token;
      this.#stream = stream;
    } catch (error) {
      // A file that cannot be read, or holds what TLS cannot use.
      this.#down((error as Error).message, null);
    }
  }

  #down(reason: string, openedAt: number | null): void {
    this.#stream = null;
    // Test: "that is still being reviewed when the old one ends".
    if (this.#closed || this.#successor !== null) return;
    if (openedAt !== null && performance.now() - openedAt >= HEALTHY) this.#failures = 0;
    const { backoff, random, onState } = this.#options;
    const delay = Math.min(MAX_BACKOFF, backoff * 2 ** this.#failures) * (0.5 + random() / 2);
    this.#failures = Math.min(this.#failures + 1, 16);
    this.#retry = setTimeout(() => void this.#dial(), delay);
    onState({ kind: 'Down', reason, failures: this.#failures });
  }

  /**
   * The operator ends a stream with its token. A newer one is there long before: a second stream takes the place of the
   * first, so that this pod is never missed (test: "a new token").
   */
  async #renew(): Promise<void> {
    if (!this.isOpen || this.#successor !== null) return;
    const credentials = await this.#options.credentials().catch(() => null);
    if (credentials === null || credentials.token === this.#token || !this.isOpen || this.#closed) return;
    try {
      this.#successor = this.#succeed(this.#stream, credentials);
    } catch {
      // A CA that is being written: the next beat looks again.
    }
  }

  #succeed(former: OutgoingStream | null, credentials: Credentials): OutgoingStream {
    let openedAt: number | null = null;
    const stream: OutgoingStream = this.#open(credentials, {
      onOpen: () => {
        openedAt = performance.now();
        this.#token = credentials.token;
        this.#successor = null;
        this.#stream = stream;
        former?.destroy();
      },
      onEnd: (reason) => {
        if (this.#successor === stream) this.#successor = null;
        if (this.#stream === stream || this.#stream === null) this.#down(reason, openedAt);
      },
    });
    return stream;
  }

  #open(credentials: Credentials, events: Pick<DialOptions, 'onOpen' | 'onEnd'>): OutgoingStream {
    const { address, host, port, beat, report, onMessage } = this.#options;
    return new OutgoingStream({ address, host, port, beat, report, onMessage, ...credentials, ...events });
  }
}
