import type { X509Certificate } from 'node:crypto';
import { hostname } from 'node:os';
import pg from 'pg';
import { createAnalyzer } from './analysis/analyzer.ts';
import { openAuditLog } from './audit/log.ts';
import { createStdoutSink, openStdout } from './audit/stdout.ts';
import { Catalog } from './catalog/catalog.ts';
import type { HostPort, Revision, SecretSource } from './config/document.ts';
import { serve } from './connection.ts';
import type { Shared } from './environment.ts';
import { type Authenticator, createAuthenticator } from './identity/authenticator.ts';
import type { AuthenticationResult } from './identity/identity.ts';
import { CancelRegistry } from './net/cancel.ts';
import { Certificates } from './net/certificates.ts';
import { ConnectionCounter, listen, type RunningListener } from './net/listener.ts';
import { listenForPeers, Peers } from './net/peers.ts';
import type { Pump } from './net/pump.ts';
import { ScramKeyCache } from './net/scram.ts';
import { UpstreamError, type UpstreamProblem } from './net/upstream-error.ts';
import { SQLSTATE } from './session/refusal.ts';
import { type Admin, openAdmin } from './telemetry/admin.ts';
import type { createLogger } from './telemetry/logs.ts';
import { createMetrics, type Metrics } from './telemetry/metrics.ts';

type Logger = ReturnType<typeof createLogger>;

/** What one connection needs of the gateway. */
export interface GatewayParts extends Shared {
  readonly authenticator: Authenticator;
  readonly identifyCertificate: (certificate: X509Certificate) => AuthenticationResult;
  readonly certificates: Certificates;
  readonly cancels: CancelRegistry;
  readonly peers: Peers;
  readonly scramKeys: ScramKeyCache;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly stopping: AbortSignal;
  /** Open sessions by username. */
  readonly perIdentity: Map<string, number>;
  credentials(role: string): { readonly username: string; readonly password: string };
  upstreamCa(): Buffer | null;
  began(pump: Pump, username: string, idle: () => number): void;
  ended(pump: Pump, username: string, bytes: { readonly toClient: number; readonly toServer: number }): void;
}

export interface GatewayOptions {
  /** The revision in force; asked at every statement. */
  readonly revision: () => Revision;
  readonly secrets: SecretSource;
  readonly directory: string;
  readonly host: string;
  /** Ports in place of the document's, by listener name; 0: any free one. */
  readonly ports: ReadonlyMap<string, number>;
  readonly adminPort: number;
  readonly peersPort: number | null;
  readonly peers: readonly HostPort[];
  readonly log: Logger;
}

export interface Gateway {
  readonly ports: ReadonlyMap<string, number>;
  readonly adminPort: number;
  readonly peersPort: number | null;
  /** A new revision is in force: what does not follow by itself is told. */
  revised(): void;
  /** Stops accepting, lets transactions end, ends the rest with 57P01 at the deadline. */
  drain(): Promise<void>;
}

const SWEEP = 1000;
const CACHE_BYTES = 64 * 1024 * 1024;
const WATCHDOG = 5000;

/** Starts a gateway; rejects with the reason and what to do. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { document } = options.revision();
  const certificate = document.listeners.find(({ authentication }) => authentication === 'Certificate');
  if (certificate !== undefined)
    throw new Error(`listener ${certificate.name}: authentication Certificate is not available in this version`);
  const metrics = createMetrics();
  const stop = new AbortController();
  const analyzer = await createAnalyzer({
    workers: 1,
    statementBytes: document.limits.statementBytes,
    watchdog: WATCHDOG,
    cacheBytes: CACHE_BYTES,
  });
  const sinks = document.audit.sinks.map(({ name }) => createStdoutSink(name, openStdout()));
  const audit = await openAuditLog({
    directory: options.directory,
    gateway: document.gateway,
    pod: hostname(),
    durability: document.audit.durability,
    onFailure: document.audit.onFailure,
    spoolBytes: document.audit.spoolBytes,
    redaction: document.audit.redaction,
    recording: document.audit.recording,
    now: Date.now,
    monotonic: () => process.hrtime.bigint(),
    sinks,
    log: options.log,
    metrics: metrics.audit,
  });
  const count = (outcome: string) => metrics.cancelRequests(outcome).inc();
  const sessions = new Map<Pump, () => number>();
  const perIdentity = new Map<string, number>();
  const parts: GatewayParts = {
    revision: options.revision,
    analyzer,
    audit,
    now: Date.now,
    metrics,
    log: options.log,
    stopping: stop.signal,
    perIdentity,
    catalog: new Catalog({ connect: (database) => connectCatalog(parts, database), log: options.log }),
    authenticator: createAuthenticator({
      ...document.identity,
      secrets: options.secrets,
      now: Date.now,
      log: options.log,
    }),
    identifyCertificate: () => ({
      ok: false,
      reason: 'NoCertificate',
      message: 'client certificates are not accepted here',
      hint: 'Use a token.',
    }),
    certificates: new Certificates({
      secret: document.tls.secret,
      minVersion: document.tls.minVersion,
      clientCa: document.identity.certificates?.ca ?? null,
      secrets: options.secrets,
      onError: (message) => options.log.error({}, message),
    }),
    cancels: new CancelRegistry({ now: Date.now, count }),
    peers: new Peers({ peers: options.peers, count }),
    scramKeys: new ScramKeyCache(),
    credentials: (role) => credentials(options, role),
    upstreamCa() {
      const { ca } = options.revision().document.upstream.tls;
      if (ca === null) return null;
      const bytes = options.secrets.read(ca.secret, ca.key);
      // Never fall back to the system's authorities: they would vouch for servers that the manifest does not mean.
      if (bytes === undefined) throw new UpstreamError(caMissing(ca.secret, ca.key));
      return bytes;
    },
    began(pump, username, idle) {
      sessions.set(pump, idle);
      perIdentity.set(username, (perIdentity.get(username) ?? 0) + 1);
      metrics.sessionsOpen.inc();
    },
    ended(pump, username, bytes) {
      if (!sessions.delete(pump)) return;
      const left = (perIdentity.get(username) ?? 1) - 1;
      if (left > 0) perIdentity.set(username, left);
      else perIdentity.delete(username);
      metrics.sessionsOpen.dec();
      metrics.bytes('Downstream').inc(bytes.toClient);
      metrics.bytes('Upstream').inc(bytes.toServer);
    },
  };
  metrics.revision(options.revision().revision);
  const listeners = await openListeners(options, parts);
  const peers =
    options.peersPort === null
      ? null
      : await listenForPeers({ host: options.host, port: options.peersPort, registry: parts.cancels });
  const admin = await openAdmin({
    port: options.adminPort,
    host: options.host,
    live: [],
    metrics,
    ready: [{ name: 'audit', check: () => (audit.state.available ? null : audit.state.reason) }],
  });
  const sweep = setInterval(() => sweepIdle(sessions), SWEEP);
  sweep.unref();
  return {
    ports: new Map([...listeners].map(([name, { port }]) => [name, port])),
    adminPort: admin.port,
    peersPort: peers?.port ?? null,
    revised() {
      parts.authenticator.update(options.revision().document.identity);
      metrics.revision(options.revision().revision);
    },
    async drain() {
      for (const listener of listeners.values()) listener.close();
      await drainSessions(sessions, options.revision().document.limits.drain);
      clearInterval(sweep);
      peers?.close();
      await closeParts(parts, admin, stop);
    },
  };
}

async function openListeners(options: GatewayOptions, parts: GatewayParts): Promise<Map<string, RunningListener>> {
  const { listeners } = options.revision().document;
  const counter = new ConnectionCounter(() => options.revision().document.limits);
  const running = new Map<string, RunningListener>();
  for (const listener of listeners) {
    const opened = await listen({
      host: options.host,
      port: options.ports.get(listener.name) ?? listener.port,
      counter,
      onConnection: (socket, refusal) => {
        parts.metrics.connectionsOpened(listener.name).inc();
        serve(parts, socket, listener, refusal).catch((error: unknown) => {
          parts.log.error({ err: error }, 'a connection failed in an unforeseen way');
          socket.destroy();
        });
      },
    });
    running.set(listener.name, opened);
  }
  return running;
}

function credentials({ revision, secrets }: GatewayOptions, role: string): { username: string; password: string } {
  const secret = revision().document.upstream.roles.find(({ name }) => name === role)?.secret;
  const password = secret === undefined ? undefined : secrets.read(secret, 'password');
  const username = secret === undefined ? undefined : secrets.read(secret, 'username');
  return {
    username: username?.toString('utf8').trim() ?? role,
    password: password?.toString('utf8').replace(/\r?\n$/, '') ?? '',
  };
}

/** The catalogue is read as `catalogRole`, on the first host that answers. */
async function connectCatalog(parts: GatewayParts, database: string): Promise<pg.Client> {
  const { upstream } = parts.revision().document;
  const { username, password } = parts.credentials(upstream.catalogRole);
  let last: unknown = new Error('no upstream host is configured');
  for (const { host, port } of upstream.hosts) {
    const client = new pg.Client({
      host,
      port,
      database,
      user: username,
      password,
      ssl: tlsOptions(parts, host),
      connectionTimeoutMillis: upstream.connectTimeout,
      application_name: 'postern catalogue',
      keepAlive: true,
    });
    client.on('error', () => {}); // the next query fails and reconnects
    try {
      await client.connect();
      return client;
    } catch (error) {
      last = error;
      await client.end().catch(() => {});
    }
  }
  throw last;
}

function tlsOptions(parts: GatewayParts, host: string): pg.ClientConfig['ssl'] {
  const { mode } = parts.revision().document.upstream.tls;
  if (mode === 'Disable') return false;
  const ca = parts.upstreamCa()?.toString('utf8');
  const verify = mode === 'Require' ? { rejectUnauthorized: false } : { rejectUnauthorized: true };
  const name = mode === 'VerifyCA' ? { checkServerIdentity: () => undefined } : { servername: host };
  return { ...verify, ...name, ...(ca === undefined ? {} : { ca }) };
}

function caMissing(secret: string, key: string): UpstreamProblem {
  const hint = 'Whoever runs the gateway must create it; spec.upstream.tls.caSecretRef names it.';
  return {
    code: 'TlsFailed',
    sqlstate: '08006',
    message: 'the database server cannot be verified',
    hint,
    detail: `Secret ${secret}: ${key} is missing`,
  };
}

function sweepIdle(sessions: ReadonlyMap<Pump, () => number>): void {
  for (const [pump, idle] of sessions) {
    if (pump.idle && pump.idleSince() > idle()) {
      pump.terminate('IdleTimeout', {
        code: SQLSTATE.idleSessionTimeout,
        message: 'terminating connection due to idle-session timeout',
      });
    }
  }
}

const DRAINED = {
  code: SQLSTATE.adminShutdown,
  message: 'terminating connection due to administrator command',
  hint: 'The gateway is being stopped: connect again.',
};

async function drainSessions(sessions: ReadonlyMap<Pump, () => number>, deadline: number): Promise<void> {
  const until = Date.now() + deadline;
  while (sessions.size > 0) {
    for (const pump of [...sessions.keys()]) if (pump.idle || Date.now() >= until) pump.terminate('Drain', DRAINED);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function closeParts(parts: GatewayParts, admin: Admin, stop: AbortController): Promise<void> {
  stop.abort();
  parts.authenticator.close();
  await parts.catalog.close();
  await parts.audit.close();
  await parts.analyzer.close();
  await admin.close();
  parts.metrics.close();
}
