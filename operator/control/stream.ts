import type { IncomingMessage, ServerResponse } from 'node:http';
import { type GatewayReport, MAX_UP_LINE } from '../../gateway/config/control.ts';
import { ControlError, encodeLine, LineReader, readUp } from '../../gateway/config/control-lines.ts';
import type { StreamEnd } from './inputs.ts';
import { Outlet } from './outlet.ts';

export interface StreamOptions {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Milliseconds from now to the end of the token: the stream lives no longer. */
  readonly life: number;
  readonly beat: number;
  readonly monotonic: () => number;
  readonly onReport: (report: GatewayReport) => void;
  /** `detail` is for the log. */
  readonly onEnd: (why: StreamEnd, detail: string | null) => void;
}

/** Messages that a gateway may send in a burst, and how many milliseconds each takes to be allowed again. */
const BURST = 40;
const PER_MESSAGE = 125;
const MISSED_BEATS = 3;
/** Milliseconds for the end of the response to get through. */
const FAREWELL = 1000;
const MAX_TIMER = 2 ** 31 - 1;
const BEAT = encodeLine({ type: 'Beat' });

/** One stream to one gateway pod that has been let in. */
export class ControlStream {
  readonly #options: StreamOptions;
  readonly #outlet: Outlet;
  readonly #lines = new LineReader(MAX_UP_LINE);
  readonly #timers: readonly NodeJS.Timeout[];
  /**
   * Beats since something was heard. They are counted and not timed: after a pause of this process everybody else would
   * have been silent (test: "a pause of its own").
   */
  #missed = 0;
  /** When all that came so far will be allowed. */
  #allowed: number;
  #ended = false;

  constructor(options: StreamOptions) {
    const { request, response, life, beat, monotonic } = options;
    this.#options = options;
    this.#outlet = new Outlet(response);
    this.#allowed = monotonic();
    this.#timers = [
      setInterval(() => this.#onBeat(), beat),
      setTimeout(() => this.end('TokenExpired'), Math.min(life, MAX_TIMER)),
    ];
    response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
    response.flushHeaders();
    request.on('data', (chunk: Buffer) => this.#onData(chunk));
    request.on('end', () => this.end('Closed'));
    request.on('error', () => this.end('Lost'));
    response.on('close', () => this.end('Lost'));
  }

  /** A document's line; it may take the place of one that has not been begun. */
  push(line: Buffer): void {
    if (!this.#ended) this.#outlet.send(line);
  }

  end(why: StreamEnd, detail: string | null = null): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const timer of this.#timers) clearTimeout(timer);
    const { request, response, onEnd } = this.#options;
    // A farewell is for those who read: the others' buffers go at once.
    if (this.#outlet.isBlocked || why === 'Garbage' || why === 'TooFast') request.socket.destroy();
    else {
      response.end(() => request.socket.destroy());
      setTimeout(() => request.socket.destroy(), FAREWELL).unref();
    }
    onEnd(why, detail);
  }

  #onBeat(): void {
    this.#missed += 1;
    if (this.#outlet.tick() > MISSED_BEATS) this.end('Slow');
    else if (this.#missed > MISSED_BEATS) this.end('Silent');
    else this.#outlet.beat(BEAT);
  }

  #onData(chunk: Buffer): void {
    if (this.#ended) return;
    try {
      for (const line of this.#lines.push(chunk)) if (!this.#ended) this.#onLine(line);
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      this.end('Garbage', error.message);
    }
  }

  #onLine(line: string): void {
    const now = this.#options.monotonic();
    this.#allowed = Math.max(this.#allowed, now) + PER_MESSAGE;
    if (this.#allowed - now > BURST * PER_MESSAGE) return this.end('TooFast');
    const report = readUp(line);
    this.#missed = 0;
    if (report !== null) this.#options.onReport(report);
  }
}
