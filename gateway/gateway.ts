import { hostname } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import { type Alerts, createAlerts } from './alerts/alerts.ts';
import { createAnalyzer } from './analysis/analyzer.ts';
import { openAuditLog } from './audit/log.ts';
import { createStdoutSink, openStdout } from './audit/stdout.ts';
import { Catalog } from './catalog/catalog.ts';
import type { ConfigDocument, HostPort, SecretSource } from './config/document.ts';
import { fixedParts } from './config/fixed-parts.ts';
import type { ConfigSource, OfferResult } from './config/source.ts';
import { serve } from './connection.ts';
import type { ControlAddress } from './control/client.ts';
import type { Shared } from './environment.ts';
import { type Authenticator, createAuthenticator } from './identity/authenticator.ts';
import { CancelRegistry } from './net/cancel.ts';
import { Certificates, type CertificatesConfig } from './net/certificates.ts';
import { ConnectionCounter, ListenError, listen, listenError, type RunningListener } from './net/listener.ts';
import { listenForPeers, Peers } from './net/peers.ts';
import { ScramKeyCache } from './net/scram.ts';
import { UsageLedger } from './policy/usage.ts';
import { connectOperator, type Phase } from './reporting.ts';
import { checkSecrets, type SecretCheck } from './secret-check.ts';
import { Sessions } from './sessions.ts';
import { openAdmin } from './telemetry/admin.ts';
import { type AdminSocket, openAdminSocket } from './telemetry/admin-socket.ts';
import type { createLogger } from './telemetry/logs.ts';
import { createMetrics, type Metrics } from './telemetry/metrics.ts';
import { createTracing, type Tracing } from './telemetry/traces.ts';
import { UpstreamAccess } from './upstream-access.ts';

type Logger = ReturnType<typeof createLogger>;

/** What one connection needs of the gateway. */
export interface GatewayParts extends Shared {
  readonly authenticator: Authenticator;
  readonly certificates: Certificates;
  readonly secrets: SecretCheck;
  readonly upstream: UpstreamAccess;
  readonly cancels: CancelRegistry;
  readonly peers: Peers;
  readonly scramKeys: ScramKeyCache;
  readonly sessions: Sessions;
  readonly alerts: Alerts;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly log: Logger;
  readonly stopping: AbortSignal;
}

export interface GatewayOptions {
  readonly config: ConfigSource;
  readonly secrets: SecretSource;
  readonly directory: string;
  readonly host: string;
  /** Ports in place of the document's, by listener name; 0: any free one. */
  readonly ports: ReadonlyMap<string, number>;
  readonly adminPort: number;
  /** A Unix domain socket for administrators, and what is done when one asks for the drain; null: there is none. */
  readonly adminSocket: { readonly path: string; readonly onDrain: (grace: number) => void } | null;
  /** Where other replicas send CancelRequests; null: there are none. */
  readonly peersPort: number | null;
  readonly peers: readonly HostPort[];
  /** The operator's control port; null: there is no operator. */
  readonly control: ControlAddress | null;
  readonly log: Logger;
}

export interface Gateway {
  readonly ports: ReadonlyMap<string, number>;
  readonly adminPort: number;
  readonly peersPort: number | null;
  /** Is not ready any more, so that new connections go elsewhere; those that still come are served. */
  retire(): void;
  /** Stops accepting, lets transactions end, ends the rest with 57P01 at the deadline. */
  drain(): Promise<void>;
}

const SWEEP = 1000;
const CACHE_BYTES = 32 * 1024 * 1024;
const WATCHDOG = 5000;
/** How long a gateway that ends tries to deliver alerts, in milliseconds. */
const ALERT_PATIENCE = 5000;

/** Starts a gateway; rejects with the reason and what to do. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const metrics = createMetrics();
  const stop = new AbortController();
  const parts = await createParts(options, metrics, stop.signal);
  let phase: Phase = 'Serving';
  const { alerts, audit, sessions, authenticator, certificates } = parts;
  followRevisions(options.config, parts);
  warmCatalogs(parts);
  const listeners = await openListeners(options, parts);
  const peers =
    options.peersPort === null
      ? null
      : await listenForPeers({ host: options.host, port: options.peersPort, registry: parts.cancels });
  const admin = await openAdmin({
    port: options.adminPort,
    host: options.host,
    live: [],
    ready: [
      { name: 'drain', check: () => (phase === 'Serving' ? null : 'the gateway is being stopped') },
      { name: 'audit', check: () => (audit.state.available ? null : audit.state.reason) },
      { name: 'tls', check: () => certificateProblem(parts.revision().document, certificates) },
      { name: 'secrets', check: () => parts.secrets.notReady() },
    ],
    metrics,
  }).catch((error: unknown) => {
    throw listenError(error, { host: options.host, port: options.adminPort });
  });
  const socket = await openSocket(options, parts, () => phase !== 'Serving');
  const operator = connectOperator(options.control, options.config, parts, () => phase);
  metrics.controlStreams(() => operator.open);
  const retire = (): void => {
    phase = 'Draining';
    operator.retire();
  };
  const sweep = setInterval(() => sessions.sweep(), SWEEP);
  sweep.unref();
  return {
    ports: new Map([...listeners].map(([name, { port }]) => [name, port])),
    adminPort: admin.port,
    peersPort: peers?.port ?? null,
    retire,
    async drain() {
      retire();
      for (const listener of listeners.values()) listener.close();
      await sessions.drain(parts.revision().document.limits.drain);
      phase = 'Drained';
      clearInterval(sweep);
      peers?.close();
      stop.abort();
      authenticator.close();
      await parts.catalog.close();
      await Promise.all([audit.close(), alerts.close(ALERT_PATIENCE)]);
      await parts.analyzer.close();
      await parts.tracing.shutdown();
      await operator.close();
      await Promise.all([admin.close(), socket?.close()]);
      metrics.close();
    },
  };
}

async function openSocket(
  { adminSocket }: GatewayOptions,
  { revision, sessions, now }: GatewayParts,
  isDraining: () => boolean,
): Promise<AdminSocket | null> {
  if (adminSocket === null) return null;
  const list = () => {
    const { revision: inForce, document } = revision();
    const gateway = `${document.gateway.namespace}/${document.gateway.name}`;
    return { gateway, pod: hostname(), revision: inForce, draining: isDraining(), sessions: sessions.list(now()) };
  };
  const { path, onDrain } = adminSocket;
  return await openAdminSocket({ path, list, terminate: (id) => sessions.terminate(id), drain: onDrain }).catch(
    (error: Error) => {
      throw new ListenError(`cannot listen on ${path}: ${error.message}`, error);
    },
  );
}

async function createParts(options: GatewayOptions, metrics: Metrics, stopping: AbortSignal): Promise<GatewayParts> {
  const { config, secrets, log } = options;
  const { document } = config.current;
  const revision = () => config.current;
  const analyzer = await createAnalyzer({
    workers: 1,
    statementBytes: document.limits.statementBytes,
    watchdog: WATCHDOG,
    cacheBytes: CACHE_BYTES,
  });
  metrics.parser(() => analyzer.stats);
  const count = (outcome: string) => metrics.cancelRequests(outcome).inc();
  const upstream = new UpstreamAccess(revision, secrets);
  return {
    revision,
    analyzer,
    audit: await openAudit(options, document, metrics),
    alerts: createAlerts({
      document: () => config.current.document,
      secrets,
      log,
      metrics: metrics.alerts,
      now: Date.now,
      random: Math.random,
    }),
    usage: new UsageLedger({ monotonic: () => performance.now(), now: Date.now }),
    now: Date.now,
    metrics,
    log,
    stopping,
    upstream,
    catalog: new Catalog({ connect: (database) => upstream.connectCatalog(database), log }),
    authenticator: createAuthenticator({ ...document.identity, secrets, now: Date.now, log }),
    certificates: new Certificates({
      config: () => tlsConfig(config.current.document),
      secrets,
      onError: (message) => log.error({}, message),
    }),
    secrets: checkSecrets(
      () => config.current.document,
      secrets,
      () => performance.now(),
    ),
    cancels: new CancelRegistry({ now: Date.now, count }),
    peers: new Peers({ peers: options.peers, count }),
    scramKeys: new ScramKeyCache(),
    sessions: new Sessions(),
    tracing: await createTracing(document.tracing?.endpoint ?? null, document.gateway),
  };
}

async function openAudit(
  { directory, log }: GatewayOptions,
  { gateway, audit }: ConfigDocument,
  metrics: Metrics,
): Promise<GatewayParts['audit']> {
  return await openAuditLog({
    ...audit,
    directory,
    gateway,
    pod: hostname(),
    now: Date.now,
    monotonic: () => performance.now(),
    sinks: audit.sinks.map(({ name }) => createStdoutSink(name, openStdout())),
    log,
    metrics: metrics.audit,
  });
}

function tlsConfig({ tls, identity }: ConfigDocument): CertificatesConfig {
  return { secret: tls.secret, minVersion: tls.minVersion, clientCa: identity.certificates?.ca ?? null };
}

/** A gateway that cannot do TLS where TLS is required serves nobody. */
function certificateProblem({ tls }: ConfigDocument, certificates: Certificates): string | null {
  if (tls.secret === null || certificates.context() !== null) return null;
  return 'there is no usable certificate yet';
}

/** Tells the parts that keep something of a revision, the record and the metrics. */
function followRevisions(config: ConfigSource, parts: GatewayParts): void {
  const { audit, authenticator, metrics, log } = parts;
  const started = fixedParts(config.current.document);
  audit.revision({ revision: config.current.revision, previous: null, error: null });
  metrics.revision(config.current.revision);
  config.subscribe((result: OfferResult) => {
    const { revision } = result;
    if (!result.accepted) {
      metrics.revisionsRefused.inc();
      audit.revision({ revision, previous: null, error: result.errors.join('; ') });
      log.error(
        { revision, errors: result.errors },
        'the new configuration is not good: the one before stays in force',
      );
      return;
    }
    audit.revision({ revision, previous: result.previous, error: null });
    metrics.revision(revision);
    authenticator.update(config.current.document.identity);
    warmCatalogs(parts);
    log.info({ revision, previous: result.previous }, 'a new configuration is in force');
    const wanted = fixedParts(config.current.document);
    const fields = Object.keys(wanted).filter((field) => !isDeepStrictEqual(wanted[field], started[field]));
    if (fields.length > 0) log.warn({ revision, fields }, 'these fields count from the next start of the gateway');
  });
}

/** The catalogues that policies name are read before the first session needs them. */
function warmCatalogs({ catalog, revision }: GatewayParts): void {
  const { policies } = revision().document;
  for (const database of new Set(policies.flatMap(({ databases }) => databases))) {
    catalog.ensure(database).catch(() => {}); // said in the log
  }
}

async function openListeners(options: GatewayOptions, parts: GatewayParts): Promise<Map<string, RunningListener>> {
  const { listeners } = options.config.current.document;
  const counter = new ConnectionCounter(() => options.config.current.document.limits);
  const running = new Map<string, RunningListener>();
  for (const listener of listeners) {
    const opened = await listen({
      host: options.host,
      port: options.ports.get(listener.name) ?? listener.port,
      counter,
      onConnection: (socket, refusal) => {
        parts.metrics.connectionsOpened(listener.name).inc();
        parts.metrics.connectionsOpen.inc();
        socket.once('close', () => parts.metrics.connectionsOpen.dec());
        serve(parts, socket, listener, refusal).catch((error: unknown) => {
          parts.log.error({ err: error }, 'a connection failed in an unforeseen way');
          socket.destroy();
        });
      },
      onDropped: () => parts.metrics.connectionsRefused('Dropped').inc(),
    });
    running.set(listener.name, opened);
  }
  return running;
}
