import { X509Certificate } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { CONTROL_BEAT, type ControlDown, type GatewayReport } from '../config/control.ts';
import type { HostPort } from '../config/document.ts';
import { type Credentials, Link, type LinkState } from './link.ts';

/** Where the operator is found, and how it and this pod are known. */
export interface ControlAddress extends HostPort {
  /** Files. */
  readonly ca: string;
  readonly token: string;
}

export interface ControlOptions extends ControlAddress {
  readonly report: () => GatewayReport;
  readonly onConfiguration: (message: Extract<ControlDown, { type: 'Configuration' }>) => void;
  readonly log: ControlLog;
  /** Milliseconds between beats; default CONTROL_BEAT. */
  readonly beat?: number;
  /** All addresses of a name; default: the system's resolver. */
  readonly resolve?: (host: string) => Promise<readonly string[]>;
  /** Milliseconds between looks at the name; default 5000. */
  readonly interval?: number;
  /** Milliseconds before the second dial of an address; default 500. */
  readonly backoff?: number;
}

export interface ControlLog {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  debug(fields: Readonly<Record<string, unknown>>, message: string): void;
}

const INTERVAL = 5000;
const BACKOFF = 500;
/** More replicas than any operator has. */
const MAX_ADDRESSES = 16;

/** This pod's end of the control stream: one to each replica of the operator, so that each knows all that it must. */
export class ControlClient {
  readonly #options: ControlOptions;
  readonly #links = new Map<string, Link>();
  #timer: NodeJS.Timeout | null = null;
  #looking = false;
  #closed = false;
  /** The name could not be resolved; it has been said. */
  #lost = false;

  constructor(options: ControlOptions) {
    this.#options = options;
    void this.#look();
  }

  /** Streams that are open now. */
  get open(): number {
    return [...this.#links.values()].filter(({ isOpen }) => isOpen).length;
  }

  /** Something changed that the operator is told of: `urgent` at once, else within a quarter of a second. */
  report(urgent: boolean): void {
    for (const link of this.#links.values()) link.report(urgent);
  }

  /** Tells the last of it and ends all streams. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await Promise.all([...this.#links.values()].map((link) => link.close()));
  }

  async #look(): Promise<void> {
    const { host, resolve = resolveAll, interval = INTERVAL, log } = this.#options;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#looking = true;
    const found = await resolve(host).catch((error: unknown) => codeOf(error));
    this.#looking = false;
    if (this.#closed) return;
    if (typeof found !== 'string') this.#follow([...new Set(found)].sort().slice(0, MAX_ADDRESSES));
    // What is connected stays so, and what was known is dialled on: names come back.
    else if (!this.#lost) log.warn({ host, reason: found }, 'the operator is not found by its name');
    this.#lost = typeof found === 'string';
    this.#timer = setTimeout(() => void this.#look(), interval);
  }

  #follow(addresses: readonly string[]): void {
    for (const [address, link] of this.#links) {
      // An open stream proves that somebody is there, whatever the name says now.
      if (addresses.includes(address) || link.isOpen) continue;
      this.#links.delete(address);
      link.destroy();
    }
    for (const address of addresses) {
      if (!this.#links.has(address)) this.#links.set(address, this.#dial(address));
    }
  }

  #dial(address: string): Link {
    const { host, port, beat = CONTROL_BEAT, backoff = BACKOFF, report, onConfiguration } = this.#options;
    return new Link({
      address,
      host,
      port,
      beat,
      backoff,
      random: Math.random,
      report,
      credentials: () => this.#credentials(),
      onMessage: (message) => {
        if (message.type === 'Configuration') onConfiguration(message);
      },
      onState: (state) => this.#say(address, state),
    });
  }

  async #credentials(): Promise<Credentials> {
    const [ca, token] = await Promise.all([readText(this.#options.ca), readText(this.#options.token)]);
    // Of an empty file node makes that all authorities of the system are trusted (test: "an empty CA file").
    if (!isCertificate(ca)) throw new Error(`${this.#options.ca} holds no certificate`);
    // What is no token must not become a header.
    if (!/^[\w.~+/=-]+$/.test(token.trim())) throw new Error(`${this.#options.token} holds no token`);
    return { ca, token: token.trim() };
  }

  #say(address: string, state: LinkState): void {
    const { log, host } = this.#options;
    if (state.kind === 'Open') return log.info({ host, address }, 'connected to the operator');
    const fields = { host, address, reason: state.reason };
    // The first failure tells; the others would tell the same every few seconds.
    if (state.failures === 1) {
      log.warn(fields, 'no control stream to the operator: the configuration in force stays');
      // Where one replica has gone another may have come.
      if (!this.#looking) void this.#look();
    } else log.debug(fields, 'still no control stream to the operator');
  }
}

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}

async function resolveAll(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new Error(`${path} cannot be read (${codeOf(error)})`);
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
}
