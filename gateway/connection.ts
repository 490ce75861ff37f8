import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { followActivity } from './activity.ts';
import type { SessionContext } from './audit/record.ts';
import type { Listener } from './config/document.ts';
import { createEnvironment, followPolicies, type Principal } from './environment.ts';
import type { GatewayParts } from './gateway.ts';
import { identityFromCertificate } from './identity/certificate.ts';
import type { Identity } from './identity/identity.ts';
import { authenticate } from './net/authenticate.ts';
import { type Opened, open } from './net/opening.ts';
import { answerCancel } from './net/peers.ts';
import { Pump } from './net/pump.ts';
import { finish, type Refusal, refuse } from './net/refusal.ts';
import { adopt } from './net/shared-reads.ts';
import { dialUpstream, type UpstreamConnection } from './net/upstream.ts';
import { UpstreamError } from './net/upstream-error.ts';
import { observeSession } from './observe.ts';
import { pickRole } from './policy/effective.ts';
import { limiting } from './policy/limits.ts';
import { maskFor, maskRefusal } from './policy/masks.ts';
import type { Pins } from './session/environment.ts';
import { startupSettings } from './startup-settings.ts';
import {
  encodeAuthentication,
  encodeBackendKeyData,
  encodeParameterStatus,
  encodeReadyForQuery,
} from './wire/backend.ts';

type Startup = Extract<Opened, { kind: 'Startup' }>;

/** One accepted connection, from its first byte until a session stands or the client has been told why not. */
export async function serve(
  gateway: GatewayParts,
  socket: Socket,
  listener: Listener,
  refusal: Refusal | null,
): Promise<void> {
  const { document } = gateway.revision();
  const signal = AbortSignal.any([AbortSignal.timeout(document.limits.handshake), gateway.stopping]);
  const opened = await open(socket, {
    tls: { mode: document.tls.mode, context: () => gateway.certificates.context() },
    requestClientCertificate: listener.authentication === 'Certificate',
    refusal,
    signal,
  });
  if (opened.kind === 'Cancel') return await answerCancel(opened, { registry: gateway.cancels, peers: gateway.peers });
  if (opened.kind === 'Closed') {
    gateway.metrics.connectionsRefused(opened.reason).inc();
    return;
  }
  const identified = await authenticate({
    method: listener.authentication,
    opened,
    authenticator: gateway.authenticator,
    identifyCertificate: (certificate) => identityFromCertificate(certificate, gateway.now()),
    signal,
  });
  if (identified.kind === 'Failed')
    note(gateway, listener, opened, { outcome: identified.reason, message: identified.message, identity: null });
  if (identified.kind !== 'Identity') return;
  const { identity, rest } = identified;
  const admitted = admit(gateway, identity, opened);
  if ('code' in admitted) {
    note(gateway, listener, opened, { outcome: admitted.reason, message: admitted.message, identity });
    return refuse(opened.socket, admitted);
  }
  note(gateway, listener, opened, { outcome: 'Success', message: null, identity });
  await establish(gateway, { listener, opened, identity, rest, ...admitted }, signal);
}

function note(
  gateway: GatewayParts,
  listener: Listener,
  { socket, startup }: Startup,
  event: Pick<Parameters<GatewayParts['audit']['authentication']>[0], 'outcome' | 'message' | 'identity'>,
): void {
  gateway.metrics.authentication(event.outcome).inc();
  const client = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
  gateway.audit.authentication({
    listener: listener.name,
    client,
    user: startup.user,
    database: startup.database,
    ...event,
  });
}

interface Admitted {
  readonly role: string;
  readonly database: string;
  readonly settings: Map<string, string>;
  readonly pinned: Pins;
  /** Gives up its place among the sessions of the identity. */
  readonly leave: () => void;
}

/** Whether the identity may have a session here, as whom, and with which settings. */
function admit(
  gateway: GatewayParts,
  identity: Identity,
  { startup }: Startup,
): Admitted | (Refusal & { reason: 'UnknownRole' | 'NoPolicy' | 'Masked' | 'LimitReached' }) {
  const { document } = gateway.revision();
  const now = gateway.now();
  const picked = pickRole(document.policies, identity, { user: startup.user, database: startup.database }, now);
  if (!picked.ok) {
    const none = picked.offered.length === 0;
    return {
      reason: none ? 'NoPolicy' : 'UnknownRole',
      code: '28000',
      message: none
        ? `no AccessPolicy grants ${identity.username} anything here`
        : `no AccessPolicy offers ${identity.username} the role "${startup.user}"`,
      hint: none
        ? 'Ask the people who keep the policies of this gateway.'
        : `Connect as one of: ${picked.offered.join(', ')}.`,
    };
  }
  const rule = maskFor(document.masks, identity);
  if (rule !== null) return { reason: 'Masked', code: '28000', ...maskRefusal(rule, identity) };
  const { effective } = followPolicies(gateway, { identity, ...picked })(now);
  const settings = startupSettings(startup.parameters, effective);
  if (!settings.ok) return { reason: 'NoPolicy', code: '42501', message: settings.message, hint: settings.hint };
  const own = effective.limits.sessions;
  const most = Math.min(document.limits.connectionsPerIdentity, own ?? Number.POSITIVE_INFINITY);
  const leave = gateway.sessions.enter(identity.username, most);
  if (leave === null) {
    const policy = own === most ? limiting(effective.restricting, 'sessions', own) : null;
    return {
      reason: 'LimitReached',
      code: '53300',
      message: `too many connections of ${identity.username}: ${most} at a time are allowed`,
      hint: `Close some of them; ${policy === null ? 'spec.limits.connectionsPerIdentity, shared by the pods of the gateway,' : `spec.limits.sessions of AccessPolicy ${policy}`} sets the limit.`,
    };
  }
  return {
    role: picked.role,
    database: picked.database,
    settings: settings.settings,
    pinned: effective.session,
    leave,
  };
}

interface Session extends Admitted {
  readonly listener: Listener;
  readonly opened: Startup;
  readonly identity: Identity;
  readonly rest: Buffer;
}

async function establish(gateway: GatewayParts, session: Session, signal: AbortSignal): Promise<void> {
  const { socket } = session.opened;
  let upstream: UpstreamConnection;
  try {
    upstream = await dialAs(gateway, session, signal);
  } catch (error) {
    session.leave();
    if (!(error instanceof UpstreamError)) throw error;
    gateway.log.warn(
      { reason: error.code, detail: error.detail, role: session.role },
      'the database refused or could not be reached',
    );
    if (error.fatal !== null) return finish(socket, error.fatal);
    return refuse(socket, { code: error.sqlstate, message: error.message, hint: error.hint });
  }
  begin(gateway, session, upstream);
}

async function dialAs(gateway: GatewayParts, session: Session, signal: AbortSignal): Promise<UpstreamConnection> {
  const { upstream } = gateway.revision().document;
  const credentials = gateway.upstream.credentials(session.role);
  return await dialUpstream({
    hosts: upstream.hosts,
    tls: { mode: upstream.tls.mode, ca: gateway.upstream.ca() },
    authentication: upstream.authentication,
    connectTimeout: upstream.connectTimeout,
    user: credentials.username,
    password: credentials.password,
    startup: new Map([...session.settings, ['database', session.database]]),
    minor: session.opened.startup.minor,
    scramKeys: gateway.scramKeys,
    signal,
  });
}

function begin(gateway: GatewayParts, session: Session, upstream: UpstreamConnection): void {
  const { opened, identity, listener, database, role } = session;
  if (opened.socket.destroyed) {
    session.leave();
    upstream.socket.destroy();
    return;
  }
  const adopted = opened.tls === null ? adopt(opened.socket) : null;
  const socket = adopted?.socket ?? opened.socket;
  const startedAt = gateway.now();
  const version = upstream.parameters.get('server_version') ?? '';
  const { pinned } = session;
  const serverMajor = Number.parseInt(version, 10);
  const principal: Principal = { identity, database, role, serverMajor, pinned, startedAt };
  const context: SessionContext = {
    id: sessionId(startedAt),
    identity,
    database,
    role,
    listener: listener.name,
    client: { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
    tls: opened.tls,
    server: { address: upstream.address, port: upstream.target.port, version, pid: upstream.processId },
    applicationName: upstream.parameters.get('application_name') ?? '',
  };
  const activity = followActivity(context);
  const observer = observeSession(gateway.metrics, gateway.tracing, context);
  const leaveDatabase = gateway.catalog.use(database);
  const alert = gateway.alerts.session(context);
  const cancelUpstream = () =>
    upstream.cancel().catch((error: unknown) => {
      gateway.log.warn({ err: error, role, database }, 'a running statement could not be cancelled');
    });
  const pump = new Pump({
    client: socket,
    server: upstream.socket,
    clientRest: adopted === null ? session.rest : Buffer.concat([session.rest, adopted.rest]),
    serverRest: upstream.rest,
    environment: (wake) => createEnvironment(gateway, principal, wake),
    reported: upstream.parameters,
    audit: gateway.audit,
    recorder: gateway.audit.session(context),
    statementBytes: gateway.revision().document.limits.statementBytes,
    now: gateway.now,
    cancelUpstream,
    refreshCatalog: (done) => void gateway.catalog.outdate(database).then(done),
    onRecord(record) {
      activity.record(record);
      observer.record(record);
      alert(record);
    },
    onForwarded: (seconds) => gateway.metrics.gatewayLatency.observe(seconds),
    onFault: (error) => gateway.log.error({ err: error, role, database }, 'a session failed in an unforeseen way'),
    onEnd: (reason, bytes) => {
      unregister();
      leaveDatabase();
      gateway.sessions.remove(pump, cancelUntilGone(upstream.socket, cancelUpstream));
      observer.end(reason);
      gateway.metrics.bytes('Downstream').inc(bytes.toClient);
      gateway.metrics.bytes('Upstream').inc(bytes.toServer);
      gateway.log.info({ reason, role, database }, 'session ended');
    },
  });
  const unregister = gateway.cancels.register(upstream.processId, upstream.secretKey, () => pump.cancel());
  const { leave } = session;
  gateway.sessions.add(pump, { context, activity, startedAt, leave, idle: () => limits(gateway, principal) });
  welcome(socket, upstream);
  pump.start();
}

const CANCEL_AGAIN = 300;

/**
 * Resolves when the server has closed the connection of a session that is over. A cancel that came before the server
 * had begun with the statement has found nothing to cancel, and the statement would run on for nobody: it is repeated
 * (test: "one is ended in the middle of a statement"), one after another, as a server that is away answers none.
 */
function cancelUntilGone(server: Socket, cancel: () => Promise<void>): Promise<void> {
  if (server.closed) return Promise.resolve();
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout;
    const again = (): void => {
      if (server.closed) return;
      timer = setTimeout(() => void cancel().finally(again), CANCEL_AGAIN);
    };
    server.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    again();
  });
}

/** Milliseconds of idleness allowed now. */
function limits(gateway: GatewayParts, principal: Principal): number {
  const { effective } = followPolicies(gateway, principal)(gateway.now());
  return Math.min(gateway.revision().document.limits.idle, effective.session.idle ?? Number.POSITIVE_INFINITY);
}

/** BackendKeyData is the upstream's own; so are parameters and notices. */
function welcome(socket: Socket, upstream: UpstreamConnection): void {
  socket.write(
    Buffer.concat([
      encodeAuthentication({ kind: 'Ok' }),
      ...[...upstream.parameters].map(([name, value]) => encodeParameterStatus(name, value)),
      encodeBackendKeyData(upstream),
      ...upstream.notices,
      encodeReadyForQuery('I'),
    ]),
  );
}

/** UUIDv7 (RFC 9562, 5.7). */
function sessionId(now: number): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(now, 0, 6);
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
