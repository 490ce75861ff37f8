import { createServer, type Server, type Socket } from 'node:net';
import type { Refusal } from './refusal.ts';

export interface ListenerLimits {
  readonly connections: number;
  readonly connectionsPerSource: number;
}

/** Counts connections of all listeners of one gateway before anybody has said a word. */
export class ConnectionCounter {
  readonly #limits: () => ListenerLimits;
  readonly #bySource = new Map<string, number>();
  #total = 0;
  #turnedAway = 0;

  /** `limits` is asked at every connection: a new revision may change them. */
  constructor(limits: () => ListenerLimits) {
    this.#limits = limits;
  }

  get total(): number {
    return this.#total;
  }

  /** Counts a connection until its socket closes; null: there are so many refused ones that this one gets no answer. */
  admit(socket: Socket): { readonly refusal: Refusal | null } | null {
    const source = socket.remoteAddress ?? '';
    const refusal = this.#check(source);
    if (refusal !== null) {
      if (this.#turnedAway >= MAX_TURNED_AWAY) return null;
      this.#turnedAway += 1;
      socket.once('close', () => {
        this.#turnedAway -= 1;
      });
      return { refusal };
    }
    this.#total += 1;
    this.#bySource.set(source, (this.#bySource.get(source) ?? 0) + 1);
    socket.once('close', () => this.#release(source));
    return { refusal: null };
  }

  #check(source: string): Refusal | null {
    const { connections, connectionsPerSource } = this.#limits();
    if (this.#total >= connections) {
      return {
        code: TOO_MANY_CONNECTIONS,
        message: `this gateway has reached its limit of ${connections} connections`,
        hint: 'Close connections that are not needed, or raise spec.limits.connections.',
      };
    }
    if ((this.#bySource.get(source) ?? 0) < connectionsPerSource) return null;
    return {
      code: TOO_MANY_CONNECTIONS,
      message: `this gateway accepts ${connectionsPerSource} connections from one address`,
      hint: 'Close connections that are not needed, or raise spec.limits.connectionsPerSource.',
    };
  }

  #release(source: string): void {
    this.#total -= 1;
    const left = (this.#bySource.get(source) ?? 1) - 1;
    if (left > 0) this.#bySource.set(source, left);
    else this.#bySource.delete(source);
  }
}

const TOO_MANY_CONNECTIONS = '53300';
/** Connections over the limit that are read as far as their start-up packet, to be told why; more are just closed. */
const MAX_TURNED_AWAY = 64;

export interface ListenOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly backlog?: number;
  readonly counter: ConnectionCounter;
  /**
   * Gets every accepted connection. With a `refusal` the connection is over a limit and is not counted: pass it to
   * `open`, which still serves CancelRequests and tells all others once they are able to read it (libpq 17 and later
   * does not show errors that come before TLS).
   */
  readonly onConnection: (socket: Socket, refusal: Refusal | null) => void;
  /** Called where a connection was closed without a word. */
  readonly onDropped?: () => void;
}

export interface RunningListener {
  readonly port: number;
  /** Stops accepting; connections that exist go on. */
  close(): void;
}

/** A port that cannot be listened on; the message says what to do. */
export class ListenError extends Error {
  readonly code = 'POSTERN_LISTEN';

  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'ListenError';
  }
}

/** Listens for PostgreSQL clients; rejects with a ListenError. */
export async function listen(options: ListenOptions): Promise<RunningListener> {
  const { host, port, counter } = options;
  // Half-open: a client that has sent all it wants to send still reads its answers.
  const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 });
  server.on('connection', (socket) => {
    socket.on('error', () => {});
    const admission = counter.admit(socket);
    if (admission !== null) return options.onConnection(socket, admission.refusal);
    options.onDropped?.();
    socket.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenError(error, { host, port })));
    server.listen({ host, port, backlog: options.backlog ?? 511 }, resolve);
  });
  // Running out of file descriptors must not end the process; the connection is lost, the next may succeed.
  server.on('error', () => options.onDropped?.());
  return { port: portOf(server), close: () => close(server) };
}

function close(server: Server): void {
  if (server.listening) server.close();
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Says of any port what to do. */
export function listenError(
  error: unknown,
  { host, port }: { readonly host: string; readonly port: number },
): ListenError {
  return new ListenError(explain(error as NodeJS.ErrnoException, host, port), error);
}

function explain(error: NodeJS.ErrnoException, host: string, port: number): string {
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return `cannot listen on ${where}: the port is in use; stop the program that uses it or choose another port`;
    case 'EACCES':
      return `cannot listen on ${where}: permission denied; ports below 1024 need privileges, choose another port`;
    case 'EADDRNOTAVAIL':
      return `cannot listen on ${where}: this machine does not have that address`;
    default:
      return `cannot listen on ${where}: ${error.message}`;
  }
}
