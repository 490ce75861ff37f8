import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Metrics } from './metrics.ts';

/** One condition of readiness. */
export interface Check {
  /** Shown in the body of a failing answer. */
  readonly name: string;
  /** null: passes; else the reason, which must name neither statement nor identity. */
  readonly check: () => string | null;
}

export interface AdminOptions {
  readonly port: number;
  /** Address to listen on; all if not given. */
  readonly host?: string;
  /** What must hold for the process to be left running. */
  readonly live: readonly Check[];
  /** What must hold for new connections to be sent here. */
  readonly ready: readonly Check[];
  readonly metrics: Pick<Metrics, 'expose' | 'contentType'>;
}

export interface Admin {
  readonly port: number;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const TEXT = 'text/plain; charset=utf-8';

function checked(checks: readonly Check[]): Answer {
  const failing = checks.flatMap(({ name, check }) => {
    const reason = check();
    return reason === null ? [] : [`${name}: ${reason}\n`];
  });
  return failing.length === 0
    ? { status: 200, type: TEXT, body: 'ok\n' }
    : { status: 503, type: TEXT, body: failing.join('') };
}

async function answer(path: string, options: AdminOptions): Promise<Answer> {
  switch (path) {
    case '/livez':
      return checked(options.live);
    case '/readyz':
      return checked(options.ready);
    case '/metrics':
      return { status: 200, type: options.metrics.contentType, body: await options.metrics.expose() };
    default:
      return { status: 404, type: TEXT, body: 'not found\n' };
  }
}

async function handle(request: IncomingMessage, response: ServerResponse, options: AdminOptions): Promise<void> {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  const known = request.method === 'GET' || request.method === 'HEAD';
  let result: Answer;
  try {
    result = known ? await answer(path, options) : { status: 405, type: TEXT, body: 'method not allowed\n' };
  } catch {
    result = { status: 500, type: TEXT, body: 'internal error\n' };
  }
  response.writeHead(result.status, {
    'content-type': result.type,
    'content-length': Buffer.byteLength(result.body),
    'cache-control': 'no-store',
    ...(known ? {} : { allow: 'GET, HEAD', connection: 'close' }),
  });
  response.end(request.method === 'HEAD' ? undefined : result.body);
}

function listen(server: Server, options: AdminOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Serves /livez, /readyz and /metrics; rejects with node's own error where the port cannot be had. */
export async function openAdmin(options: AdminOptions): Promise<Admin> {
  const server = createServer(
    { maxHeaderSize: 8192, headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 15_000 },
    (request, response) => {
      // No endpoint has a use for a body.
      request.resume();
      void handle(request, response, options);
    },
  );
  server.maxConnections = 64;
  server.timeout = 30_000;
  await listen(server, options);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
