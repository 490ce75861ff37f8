import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { CONTROL_BEAT, CONTROL_PATH } from '../../gateway/config/control.ts';
import type { KubeClient } from '../kube/types.ts';
import type { ServingCertificate } from './certificate.ts';
import { type ConnectionLimits, PendingConnections } from './connections.ts';
import type { ControlLog, ControlMetrics, Documents, Pods } from './inputs.ts';
import { ReportBook, type Reports } from './reports.ts';
import { TokenReviewer } from './review.ts';
import { ControlStream } from './stream.ts';
import { Streams } from './streams.ts';
import { bearerToken } from './token.ts';

export interface ControlServerOptions {
  readonly port: number;
  /** Address to listen on; all if not given. */
  readonly host?: string;
  readonly kube: Pick<KubeClient, 'create'>;
  readonly documents: Documents;
  readonly pods: Pods;
  readonly metrics: ControlMetrics;
  readonly log: ControlLog;
  /** Connections in all; default 4096. */
  readonly connections?: number;
  readonly pending?: Partial<ConnectionLimits>;
  /** Milliseconds between beats; default CONTROL_BEAT. */
  readonly beat?: number;
  readonly now?: () => number;
}

export interface ControlServer {
  readonly port: number;
  readonly reports: Reports;
  /** For new connections; before the first one nobody gets in. */
  use(certificate: ServingCertificate): void;
  /** Ends all streams and stops listening. */
  close(): Promise<void>;
}

const CONNECTIONS = 4096;
const PENDING: ConnectionLimits = { pending: 512, pendingPerAddress: 32, patience: 10_000 };

/** What answers the requests of one server. */
interface Door {
  readonly options: ControlServerOptions;
  readonly reviewer: TokenReviewer;
  readonly connections: PendingConnections;
  readonly streams: Streams;
}

/** Opens the port that gateways dial; rejects with node's own error where it cannot be had. */
export async function startControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const { documents, pods, metrics, log, kube, beat = CONTROL_BEAT, now = Date.now } = options;
  const reports = new ReportBook();
  const monotonic = () => performance.now();
  const door: Door = {
    options,
    reviewer: new TokenReviewer({ kube, now, log, count: (outcome) => metrics.review(outcome) }),
    connections: new PendingConnections({ ...PENDING, ...options.pending }, () => metrics.dropped()),
    streams: new Streams({ documents, pods, reports, metrics, log, monotonic, grace: beat }),
  };
  const server = createServer(
    {
      minVersion: 'TLSv1.3',
      handshakeTimeout: PENDING.patience,
      maxHeaderSize: 16_384,
      // The request lasts as long as the stream; how long it may take to become one is bounded above.
      requestTimeout: 0,
      keepAliveTimeout: 1000,
      noDelay: true,
      keepAlive: true,
    },
    (request, response) => {
      answer(door, request, response).catch((error: unknown) => {
        log.error({ err: error }, 'a control stream failed in an unforeseen way');
        request.socket.destroy();
      });
    },
  );
  server.maxConnections = options.connections ?? CONNECTIONS;
  server.on('connection', (socket) => door.connections.add(socket as Socket));
  server.on('drop', () => metrics.dropped());
  for (const event of ['tlsClientError', 'clientError'] as const)
    server.on(event, (_error: Error, socket: { destroy(): void }) => socket.destroy());
  await listen(server, options);
  return {
    port: (server.address() as AddressInfo).port,
    reports,
    use: ({ key, cert }) => server.setSecureContext({ key, cert, minVersion: 'TLSv1.3' }),
    close: () => close(server, door.streams),
  };
}

function listen(server: Server, { port, host }: ControlServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host }, () => {
      server.off('error', reject);
      server.on('error', () => {}); // of one connection, such as too many open files
      resolve();
    });
  });
}

function close(server: Server, streams: Streams): Promise<void> {
  streams.close();
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

async function answer(door: Door, request: IncomingMessage, response: ServerResponse): Promise<void> {
  request.on('error', () => {}); // the stream's own listener says why; before there is one nobody asks
  response.on('error', () => {});
  if (request.url !== CONTROL_PATH) return refuse(response, 404, 'not found');
  if (request.method !== 'POST') return refuse(response, 405, 'method not allowed');
  const token = bearerToken(request.headers.authorization);
  if (token === null) return refuse(response, 401, 'a ServiceAccount token is needed');
  const review = await door.reviewer.review(token, request.socket.remoteAddress ?? '');
  if (request.socket.destroyed) return;
  if (review.kind === 'Unknown') return refuse(response, 503, review.reason);
  if (review.kind === 'Rejected') return refuse(response, 401, 'the token is not one of a pod for this audience');
  const { caller, expiresAt } = review;
  const found = door.options.pods.find(caller.namespace, caller.pod, caller.uid);
  // What a pod may read and say follows from the pod alone, never from anything that it sends.
  if (found === null || found.serviceAccount !== caller.serviceAccount)
    return refuse(response, 403, 'the pod is not known as a gateway');
  door.connections.settle(request.socket);
  const { beat = CONTROL_BEAT, now = Date.now } = door.options;
  const life = expiresAt - now();
  const pod = { namespace: caller.namespace, gateway: found.gateway, pod: caller.pod, uid: caller.uid };
  const monotonic = () => performance.now();
  door.streams.add(
    pod,
    found.serviceAccount,
    (events) => new ControlStream({ request, response, life, beat, monotonic, ...events }),
  );
}

function refuse(response: ServerResponse, status: number, reason: string): void {
  const body = `${reason}\n`;
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    connection: 'close',
    ...(status === 405 ? { allow: 'POST' } : {}),
  });
  response.end(body);
}
