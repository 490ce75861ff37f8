import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import pg from 'pg';
import { expect } from 'vitest';
import type { ConfigDocument, HostPort, Policy, Rule } from '../../gateway/config/document.ts';
import { makeRevision } from '../../gateway/config/revision.ts';
import { ConfigSource } from '../../gateway/config/source.ts';
import type { ControlAddress } from '../../gateway/control/client.ts';
import { type Gateway, startGateway } from '../../gateway/gateway.ts';
import { createLogger } from '../../gateway/telemetry/logs.ts';
import { startPostgres } from '../kit/postgres.ts';
import type { PostgresMajor } from '../kit/postgres-install.ts';

const PASSWORDS: Readonly<Record<string, string>> = {
  'analyst_ro/password': 'a-secret',
  'app_rw/password': 'b-secret',
};
/** Any signed token: both parts begin with `{"` in base64url. */
const TOKEN = /eyJ[\w-]+\.eyJ[\w-]+/;
const ISSUER = 'https://kubernetes.default.svc';
const AUDIENCE = 'postern';

export interface World {
  readonly gateway: Gateway;
  readonly server: Awaited<ReturnType<typeof startPostgres>>;
  /** Of the first listener. */
  readonly port: number;
  /** Of the audit log. */
  readonly directory: string;
  /** A real, signed token of a ServiceAccount. */
  token(name: string, seconds?: number): Promise<string>;
  /** A connected client, signed in as the ServiceAccount. */
  connect(name: string, config?: pg.ClientConfig): Promise<pg.Client>;
  /** Offers a changed document; throws when it is not taken. */
  revise(change: Partial<ConfigDocument>): void;
  /** What /metrics, /readyz or /livez answers. */
  admin(path: string): Promise<{ readonly status: number; readonly body: string }>;
  /** The events written so far, oldest first. */
  events(): Promise<Event[]>;
  stop(): Promise<void>;
}

/** One audit event; only what tests look at. */
export interface Event {
  readonly activity_name?: string;
  readonly unmapped?: { readonly postern?: Record<string, unknown> };
  readonly [field: string]: unknown;
}

export function rule(name: string, parts: Partial<Rule>): Rule {
  return {
    name,
    action: 'Allow',
    statements: [],
    relations: null,
    functions: [],
    reach: null,
    maxRows: null,
    message: null,
    alert: false,
    ...parts,
  };
}

export function policy(
  name: string,
  account: string,
  role: string | null,
  rules: readonly Rule[],
  session: Partial<Policy['session']> = {},
): Policy {
  return {
    namespace: 'shop',
    name,
    mode: 'Enforce',
    subjects: [{ user: username(account) }],
    databases: [],
    role,
    rules,
    session: {
      maxAge: null,
      idle: null,
      statementTimeout: null,
      rows: null,
      readOnly: false,
      settings: [],
      ...session,
    },
    limits: { sessions: null, statementsPerMinute: null, rowsPerDay: null, bytesPerDay: null },
    window: null,
    expiresAt: null,
  };
}

export function username(account: string): string {
  return `system:serviceaccount:shop:${account}`;
}

const SETUP = `
  CREATE ROLE analyst_ro LOGIN PASSWORD 'a-secret'; CREATE ROLE app_rw LOGIN PASSWORD 'b-secret';
  CREATE TABLE orders (id int PRIMARY KEY, item text NOT NULL, amount numeric);
  INSERT INTO orders SELECT i, 'item ' || i, i FROM generate_series(1, 50) i;
  CREATE SCHEMA secret; CREATE TABLE secret.salaries (who text, amount int);
  CREATE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM orders; SELECT 1';
  GRANT USAGE ON SCHEMA secret TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA public, secret TO analyst_ro, app_rw;
  GRANT ALL ON SCHEMA public TO analyst_ro, app_rw;`;

export const ANALYST = policy('analysts', 'analyst', 'analyst_ro', [
  rule('read', {
    statements: ['Select', 'CopyTo', 'Explain', 'Cursor', 'Prepare', 'Transaction', 'Session', 'TempTable'],
    relations: ['public.*'],
  }),
  rule('fix', { statements: ['Insert', 'Update', 'Delete'], relations: ['public.orders'], reach: ['Keyed'] }),
  rule('never-unbounded', {
    action: 'Deny',
    statements: ['Update', 'Delete', 'Truncate'],
    reach: ['Unbounded'],
    message: 'Add a WHERE clause.',
  }),
  rule('no-ddl', { action: 'Deny', statements: ['Ddl', 'Code'] }),
]);
export const DBA = policy('dbas', 'dba', 'app_rw', [rule('everything', { statements: ['Any'], relations: ['*.*'] })]);

export interface WorldOptions {
  readonly version?: PostgresMajor;
  /** Whether the server offers TLS. */
  readonly tls?: boolean;
  readonly change?: (document: ConfigDocument) => ConfigDocument;
  /** Contents of Secrets by `secret/key`, beside the roles' passwords. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Where other gateways listen for CancelRequests. */
  readonly peers?: readonly HostPort[];
  /** Where its operator is. */
  readonly control?: ControlAddress;
}

/** A gateway in front of a real PostgreSQL, with policies for an analyst and a DBA. */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const server = await startPostgres({ version: options.version ?? 18, tls: options.tls ?? false, initSql: SETUP });
  const directory = await mkdtemp(path.join(tmpdir(), 'postern-audit-'));
  const keys = await generateKeyPair('RS256');
  const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'one', alg: 'RS256' };
  const base = documentFor(server.port, jwk);
  const logged: string[] = [];
  const config = new ConfigSource(makeRevision(options.change === undefined ? base : options.change(base)));
  const gateway = await startGateway({
    config,
    secrets: {
      read(secret, key) {
        const value = { ...PASSWORDS, ...options.secrets }[`${secret}/${key}`];
        return value === undefined ? undefined : Buffer.from(value);
      },
    },
    directory,
    host: '127.0.0.1',
    ports: new Map(config.current.document.listeners.map(({ name }) => [name, 0])),
    adminPort: 0,
    adminSocket: null,
    peersPort: 0,
    peers: options.peers ?? [],
    control: options.control ?? null,
    log: createLogger({ level: 'debug', destination: { write: (line) => void logged.push(line) } }),
  });
  const port = [...gateway.ports.values()][0]!;
  const token = (name: string, seconds = 600) => sign(keys.privateKey, name, seconds);
  return {
    gateway,
    server,
    port,
    directory,
    token,
    async connect(name, config = {}) {
      const client = new pg.Client({
        host: '127.0.0.1',
        port,
        user: username(name),
        database: 'postgres',
        password: await token(name),
        ...config,
      });
      client.on('error', () => {});
      await client.connect();
      return client;
    },
    revise(change) {
      const result = config.offer({ ...config.current.document, ...change });
      if (!result.accepted) throw new Error(result.errors.join('; '));
    },
    async admin(path) {
      const response = await fetch(`http://127.0.0.1:${gateway.adminPort}${path}`);
      return { status: response.status, body: await response.text() };
    },
    events: () => readEvents(directory),
    async stop() {
      const metrics = await fetch(`http://127.0.0.1:${gateway.adminPort}/metrics`).then((answer) => answer.text());
      await gateway.drain();
      await server.stop();
      const written = JSON.stringify([metrics, logged, await readEvents(directory)]);
      await rm(directory, { recursive: true, force: true });
      for (const secret of [TOKEN, /PRIVATE KEY/, ...Object.values(PASSWORDS).map((one) => new RegExp(one))]) {
        // Whatever a test did: what was used to sign in is in no record, no log line and no metric.
        expect(secret.exec(written)?.[0] ?? null).toBeNull();
      }
    },
  };
}

async function sign(key: CryptoKey, name: string, seconds: number): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return await new SignJWT({ 'kubernetes.io': { namespace: 'shop', serviceaccount: { name, uid: randomUUID() } } })
    .setProtectedHeader({ alg: 'RS256', kid: 'one' })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setSubject(username(name))
    .setIssuedAt(now)
    .setExpirationTime(now + seconds)
    .sign(key);
}

function documentFor(port: number, jwk: Record<string, unknown>): ConfigDocument {
  return {
    schemaVersion: 1,
    gateway: { kind: 'PostgresGateway', namespace: 'shop', name: 'orders', generation: 1 },
    objects: [],
    listeners: [{ name: 'token', port: 5432, authentication: 'Token' }],
    tls: { mode: 'Optional', minVersion: '1.2', secret: null },
    upstream: {
      hosts: [{ host: '127.0.0.1', port }],
      tls: { mode: 'Disable', ca: null },
      authentication: ['ScramSha256'],
      connectTimeout: 5000,
      roles: [
        { name: 'analyst_ro', secret: 'analyst_ro' },
        { name: 'app_rw', secret: 'app_rw' },
      ],
      catalogRole: 'analyst_ro',
    },
    identity: {
      issuers: [{ kind: 'Kubernetes', name: 'cluster', audience: AUDIENCE, issuer: ISSUER, jwks: { keys: [jwk] } }],
      certificates: null,
      clockSkew: 0,
    },
    limits: {
      connections: 100,
      connectionsPerIdentity: 50,
      connectionsPerSource: 100,
      statementBytes: 131_072,
      handshake: 10_000,
      idle: 600_000,
      sessionAge: 3_600_000,
      drain: 500,
    },
    audit: {
      durability: 'Written',
      onFailure: 'Deny',
      spoolBytes: 1 << 30,
      recording: 'Statements',
      redaction: { parameters: 'Keep', literals: 'Keep' },
      sinks: [],
      alerts: null,
    },
    policies: [ANALYST, DBA],
    masks: [],
    tracing: null,
  };
}

async function readEvents(directory: string): Promise<Event[]> {
  const files = (await readdir(directory, { recursive: true })).filter((name) => name.endsWith('.ndjson')).sort();
  const texts = await Promise.all(files.map((name) => readFile(path.join(directory, name), 'utf8')));
  return texts
    .join('')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Event);
}
