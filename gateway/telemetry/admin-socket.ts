import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { claimPath, listenOwnerOnly } from './admin-path.ts';

/** An open session, for whoever may run commands in the gateway's pod; never what its statements say. */
export interface OpenSession {
  readonly id: string;
  readonly user: string;
  readonly issuer: string;
  readonly role: string;
  readonly database: string;
  /** As of the last statement. */
  readonly applicationName: string;
  readonly listener: string;
  /** `address:port`. */
  readonly client: string;
  /** Of the server's backend, as pg_stat_activity has it. */
  readonly serverPid: number;
  /** RFC 3339, as are all times here. */
  readonly started: string;
  /** InTransaction: waits for the client in a transaction, a pipeline or a COPY, and may hold locks. */
  readonly state: 'Idle' | 'InTransaction' | 'Active';
  /** Active: the start of the latest statement, null while none of it is recorded; else the last word of either side. */
  readonly since: string | null;
  /** So far, refused ones included. */
  readonly statements: number;
}

/** What `GET /sessions` answers. */
export interface SessionList {
  /** `namespace/name`. */
  readonly gateway: string;
  readonly pod: string;
  readonly revision: string;
  readonly draining: boolean;
  readonly sessions: readonly OpenSession[];
}

/** A line of the answer to `POST /drain`; the last one says `drained`. */
export interface DrainProgress {
  readonly sessions: number;
  readonly drained: boolean;
}

export interface AdminSocketOptions {
  readonly path: string;
  readonly list: () => SessionList;
  /** Ends a session; false: there is none with that id. */
  readonly terminate: (id: string) => boolean;
  /** Begins to drain after so many milliseconds in which new sessions find another gateway; called once at most. */
  readonly drain: (grace: number) => void;
}

export interface AdminSocket {
  /** Tells those who wait for the drain that it is over, and removes the socket. */
  close(): Promise<void>;
}

/** Seconds; as long as a pod may take until nobody is sent to it any more. */
const MAX_GRACE = 300;
const TICK = 250;
/** A client that does not read must not keep the gateway from ending. */
const LAST_WORD = 1000;

/**
 * Serves sessions and drain on a Unix domain socket that only the gateway's own user may open: who can run commands in
 * the pod needs no other credential, and nobody else comes near it.
 */
export async function openAdminSocket(options: AdminSocketOptions): Promise<AdminSocket> {
  const waiting = new Set<ServerResponse>();
  let asked = false;
  const drain = (grace: number): void => {
    if (!asked) options.drain(grace);
    asked = true;
  };
  const server = createServer(
    { maxHeaderSize: 8192, headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 1_000 },
    (request, response) => {
      request.resume();
      answer({ ...options, drain }, waiting, request, response);
    },
  );
  server.maxConnections = 32;
  await claimPath(options.path);
  await listenOwnerOnly(server, options.path);
  return {
    async close() {
      server.close();
      const last: DrainProgress = { sessions: 0, drained: true };
      const told = [...waiting].map(
        (response) => new Promise<void>((resolve) => response.end(`${JSON.stringify(last)}\n`, resolve)),
      );
      await Promise.race([Promise.all(told), new Promise((resolve) => setTimeout(resolve, LAST_WORD).unref())]);
      server.closeAllConnections();
    },
  };
}

function answer(
  options: AdminSocketOptions,
  waiting: Set<ServerResponse>,
  { method, url }: IncomingMessage,
  response: ServerResponse,
): void {
  const [path = '', query] = (url ?? '').split('?', 2);
  const [, resource, id, ...more] = path.split('/');
  const wanted = more.length > 0 ? '' : `${method} /${resource}${id === undefined ? '' : '/ID'}`;
  switch (wanted) {
    case 'GET /sessions':
      return send(response, 200, options.list());
    case 'DELETE /sessions/ID':
      return options.terminate(id!)
        ? send(response, 200, { terminated: id })
        : send(response, 404, { error: 'there is no such session here' });
    case 'POST /drain': {
      const grace = Number(new URLSearchParams(query).get('grace') ?? '0');
      if (!(grace >= 0 && grace <= MAX_GRACE))
        return send(response, 400, { error: `grace: 0 to ${MAX_GRACE} seconds` });
      options.drain(grace * 1000);
      return follow(options, waiting, response);
    }
    default:
      return send(response, 404, { error: 'GET /sessions, DELETE /sessions/ID and POST /drain are all there is' });
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

/** One line for each change in the number of sessions, until the gateway ends. */
function follow({ list }: AdminSocketOptions, waiting: Set<ServerResponse>, response: ServerResponse): void {
  response.writeHead(202, { 'content-type': 'application/x-ndjson' });
  let last = -1;
  const tell = (): void => {
    const sessions = list().sessions.length;
    if (sessions === last || response.writableNeedDrain) return;
    last = sessions;
    const line: DrainProgress = { sessions, drained: false };
    response.write(`${JSON.stringify(line)}\n`);
  };
  tell();
  const timer = setInterval(tell, TICK);
  waiting.add(response);
  response.once('close', () => {
    clearInterval(timer);
    waiting.delete(response);
  });
}
