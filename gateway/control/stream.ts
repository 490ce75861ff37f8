import { type ClientRequest, type IncomingMessage, STATUS_CODES } from 'node:http';
import { request } from 'node:https';
import { isIP } from 'node:net';
import { CONTROL_PATH, type ControlDown, type GatewayReport, MAX_DOWN_LINE } from '../config/control.ts';
import { boundReport, encodeLine, LineReader, readDown } from '../config/control-lines.ts';

export interface DialOptions {
  /** Where to connect to, and the name that the certificate there must bear. */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  /** PEM. */
  readonly ca: string;
  readonly token: string;
  readonly beat: number;
  readonly report: () => GatewayReport;
  readonly onMessage: (message: ControlDown) => void;
  readonly onOpen: () => void;
  /** Called once; the reason quotes no token. */
  readonly onEnd: (reason: string) => void;
}

/** Milliseconds until the other end must have let the stream in. */
const DIAL_TIMEOUT = 10_000;
const MISSED_BEATS = 3;
/** Milliseconds between reports, but for so many urgent ones in a row: the operator ends a stream that talks too much. */
const COALESCE = 250;
const URGENT = 10;
/** Milliseconds that a farewell may take. */
const FAREWELL = 1000;

/** One stream to one replica of the operator, from the dial to its end. */
export class OutgoingStream {
  readonly #options: DialOptions;
  readonly #request: ClientRequest;
  readonly #lines = new LineReader(MAX_DOWN_LINE);
  readonly #dialling: NodeJS.Timeout;
  #beats: NodeJS.Timeout | null = null;
  /** Beats since something was heard: counted, as a pause of this process is nobody else's silence. */
  #missed = 0;
  #reported = Number.NEGATIVE_INFINITY;
  /** When the urgent reports so far will have been made up for. */
  #spent = 0;
  #pending: NodeJS.Timeout | null = null;
  /** The other end has not taken the last report; the next one tells all of it anyhow. */
  #blocked = false;
  #open = false;
  #ended = false;

  constructor(options: DialOptions) {
    const { address, host, port, ca, token } = options;
    this.#options = options;
    this.#request = request({
      method: 'POST',
      path: CONTROL_PATH,
      host: address,
      port,
      ca,
      minVersion: 'TLSv1.3',
      // What the certificate must name is the Service, never the address that happened to be dialled.
      ...(isIP(host) === 0 ? { servername: host } : {}),
      agent: false,
      headers: { host: `${host}:${port}`, authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' },
    });
    this.#dialling = setTimeout(() => this.#end('no answer to the dial'), DIAL_TIMEOUT);
    this.#request.setNoDelay(true);
    this.#request.on('response', (response) => this.#onResponse(response));
    this.#request.on('error', (error: NodeJS.ErrnoException) => this.#end(error.code ?? error.message));
    this.#request.on('close', () => this.#end('closed'));
    this.#request.on('drain', () => {
      this.#blocked = false;
    });
    this.#request.flushHeaders();
  }

  get isOpen(): boolean {
    return this.#open && !this.#ended;
  }

  /** Tells what there is to tell; `urgent`: now, unless there was much of that just before. */
  report(urgent: boolean): void {
    if (!this.isOpen) return;
    const now = performance.now();
    const wait = this.#reported + COALESCE - now;
    if (wait <= 0 || (urgent && this.#isAllowed(now))) return this.#send();
    this.#pending ??= setTimeout(() => this.#send(), wait);
  }

  #isAllowed(now: number): boolean {
    const spent = Math.max(this.#spent, now) + COALESCE;
    if (spent > now + URGENT * COALESCE) return false;
    this.#spent = spent;
    return true;
  }

  /** Says a last word and ends the stream; resolves when it was taken, or soon. */
  async close(): Promise<void> {
    if (!this.isOpen) return this.destroy();
    this.#send();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, FAREWELL);
      this.#request.end(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.#end('closed here');
  }

  destroy(): void {
    this.#end('closed here');
  }

  #onResponse(response: IncomingMessage): void {
    if (this.#ended) return;
    const { statusCode = 0 } = response;
    if (statusCode !== 200) return this.#end(`answered ${statusCode} ${STATUS_CODES[statusCode] ?? ''}`.trim());
    clearTimeout(this.#dialling);
    this.#open = true;
    this.#beats = setInterval(() => this.#onBeat(), this.#options.beat);
    response.on('data', (chunk: Buffer) => this.#onData(chunk));
    response.on('end', () => this.#end('ended by the operator'));
    response.on('error', (error: NodeJS.ErrnoException) => this.#end(error.code ?? error.message));
    this.#options.onOpen();
    this.report(true);
  }

  #onData(chunk: Buffer): void {
    if (this.#ended) return;
    try {
      for (const line of this.#lines.push(chunk)) {
        const message = readDown(line);
        this.#missed = 0;
        if (message !== null) this.#options.onMessage(message);
      }
    } catch (error) {
      this.#end((error as Error).message);
    }
  }

  #onBeat(): void {
    this.#missed += 1;
    if (this.#missed > MISSED_BEATS) this.#end('silent');
    else this.#send();
  }

  #send(): void {
    if (this.#pending !== null) clearTimeout(this.#pending);
    this.#pending = null;
    if (this.#ended || this.#blocked) return;
    this.#reported = performance.now();
    this.#blocked = !this.#request.write(encodeLine(boundReport(this.#options.report())));
  }

  #end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#dialling);
    if (this.#beats !== null) clearInterval(this.#beats);
    if (this.#pending !== null) clearTimeout(this.#pending);
    this.#request.destroy();
    this.#options.onEnd(reason);
  }
}
