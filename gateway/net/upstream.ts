import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { HostPort, UpstreamAuthentication } from '../config/document.ts';
import { encodeCancelRequest } from '../wire/opening.ts';
import type { ScramKeyCache } from './scram.ts';
import { aborted, dial, name, type UpstreamTls } from './upstream-dial.ts';
import { CONNECTION_FAILURE, UpstreamError } from './upstream-error.ts';
import { type LoggedIn, login } from './upstream-login.ts';

export interface UpstreamOptions {
  /** Tried in order. */
  readonly hosts: readonly HostPort[];
  readonly tls: UpstreamTls;
  readonly authentication: readonly UpstreamAuthentication[];
  /** Milliseconds for each host, from the first packet to ReadyForQuery. */
  readonly connectTimeout: number;
  readonly user: string;
  readonly password: string;
  /** `database`, `application_name`, `options` and other settings, as they go into the StartupMessage. */
  readonly startup: ReadonlyMap<string, string>;
  /** Minor version of protocol 3 to ask for: that of the client. */
  readonly minor: 0 | 2;
  readonly scramKeys: ScramKeyCache;
  readonly signal: AbortSignal;
  readonly randomBytes?: (count: number) => Buffer;
}

/** Where a cancel request has to go: the very server, by address, with the name that its certificate is checked for. */
export interface CancelTarget {
  readonly target: HostPort;
  readonly address: string;
  readonly tls: UpstreamTls;
  /** Milliseconds. */
  readonly timeout: number;
}

/** A logged-in connection; the socket is paused and has an error listener. */
export interface UpstreamConnection extends LoggedIn {
  readonly socket: Socket | TLSSocket;
  readonly target: HostPort;
  /** The address that `target` turned out to be. */
  readonly address: string;
  /** Sends a CancelRequest for this session on a connection of its own. Rejects with an UpstreamError. */
  cancel(): Promise<void>;
}

/** Connects and logs in to the first host that will have us; rejects with the last host's UpstreamError. */
export async function dialUpstream(options: UpstreamOptions): Promise<UpstreamConnection> {
  let last: UpstreamError | null = null;
  for (const target of options.hosts) {
    try {
      return await tryHost(target, options);
    } catch (error) {
      if (!(error instanceof UpstreamError) || !error.tryNextHost) throw error;
      last = error;
    }
  }
  if (last !== null) throw last;
  const hint = 'Name at least one in spec.upstream.hosts.';
  const message = 'no database server is configured';
  throw new UpstreamError({ code: 'Unreachable', sqlstate: CONNECTION_FAILURE, message, hint });
}

async function tryHost(target: HostPort, options: UpstreamOptions): Promise<UpstreamConnection> {
  const { tls, connectTimeout, signal } = options;
  return await withDeadline({ target, timeout: connectTimeout, signal }, async (deadline) => {
    const { socket, certificate } = await dial({ target, tls, signal: deadline });
    try {
      const address = socket.remoteAddress ?? target.host;
      const random = options.randomBytes ?? randomBytes;
      const session = await login(socket, { ...options, certificate, randomBytes: random, signal: deadline });
      if (deadline.aborted) throw aborted(target);
      const { processId, secretKey } = session;
      const where = { target, address, tls, timeout: connectTimeout };
      return { ...session, socket, target, address, cancel: () => sendCancel(where, processId, secretKey) };
    } catch (error) {
      socket.destroy();
      throw error;
    }
  });
}

/**
 * Sends a CancelRequest to a server, encrypted as the session was (as libpq does from version 17 on), and waits until
 * the server closes: then it has been dealt with. Rejects with an UpstreamError.
 */
export async function sendCancel(where: CancelTarget, processId: number, secretKey: Buffer): Promise<void> {
  const { target, timeout } = where;
  await withDeadline({ target, timeout, signal: null }, async (signal) => {
    const { socket } = await dial({ ...where, signal });
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      signal.addEventListener('abort', () => socket.destroy(), { once: true });
      socket.once('end', () => socket.destroy());
      socket.resume();
      socket.write(encodeCancelRequest(processId, secretKey));
    });
    if (signal.aborted) throw aborted(target);
  });
}

interface Deadline {
  readonly target: HostPort;
  readonly timeout: number;
  readonly signal: AbortSignal | null;
}

/** Runs work under a time limit and the caller's signal, and gives an abort its reason. */
async function withDeadline<T>(limit: Deadline, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { target, timeout, signal } = limit;
  const controller = new AbortController();
  const give = (): void => controller.abort();
  const timer = setTimeout(give, timeout);
  signal?.addEventListener('abort', give, { once: true });
  if (signal?.aborted) controller.abort();
  try {
    return await work(controller.signal);
  } catch (error) {
    if (signal?.aborted) throw aborted(target);
    if (!controller.signal.aborted) throw error;
    throw new UpstreamError({
      code: 'Timeout',
      sqlstate: CONNECTION_FAILURE,
      message: `the database server ${name(target)} did not answer within ${timeout} ms`,
      hint: 'Does the network let the gateway reach it? spec.upstream.connectTimeout limits the wait.',
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', give);
  }
}
