import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConfigDocument, Policy, Rule, SessionLimits } from '../../gateway/config/document.ts';
import { freePort } from './free-port.ts';
import { startIssuer, type TestIssuer } from './issuer.ts';
import type { Postgres } from './postgres.ts';
import { createCertificateAuthority } from './tls.ts';

/** A database role that the gateway logs in as. */
export interface UpstreamRole {
  readonly name: string;
  readonly password: string;
}

/** What the gateway in front of a server is to look like. */
export interface GatewayOptions {
  readonly upstream: Postgres;
  readonly roles: readonly UpstreamRole[];
  readonly policies: readonly Policy[];
  readonly tlsMode?: 'Required' | 'Optional';
  readonly durability?: 'Written' | 'Synced';
  readonly limits?: Partial<ConfigDocument['limits']>;
  /** Another replica of the same gateway: its issuer is trusted, and each offers CancelRequests to the other. */
  readonly replicaOf?: GatewayProcess;
  /** Further arguments. */
  readonly args?: readonly string[];
  /** A shell command before the gateway is started, such as `ulimit -f 100`. */
  readonly before?: string;
}

/** A gateway in a process of its own, with an issuer that it trusts. */
export interface GatewayProcess {
  readonly host: 'localhost';
  readonly port: number;
  readonly pid: number;
  /** The CA of the gateway's certificate: a file. */
  readonly caFile: string;
  /** Where the gateway keeps its audit log. */
  readonly dataDirectory: string;
  /** The configuration document: a file that the gateway watches. */
  readonly configFile: string;
  readonly adminPort: number;
  readonly adminSocket: string;
  readonly peersPort: number;
  /** Where this one looks for a second replica. */
  readonly replicaPort: number;
  readonly issuer: TestIssuer;
  token(username: string, groups?: readonly string[]): Promise<string>;
  /** What the process has printed so far. */
  output(): string;
  /** Its exit code, once it has ended; null where it was killed. */
  readonly ended: Promise<number | null>;
  /** Asks the process to end; `SIGKILL` does not ask. Resolves with its exit code, null where it was killed. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>;
  /** Ends it and removes what it wrote. */
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 30_000;
/** As docs/operations.md has it. */
const NODE_FLAGS = ['--max-semi-space-size=8'];
const PROGRAM = path.join(import.meta.dirname, '../../gateway/main.ts');

/** Starts the gateway and waits until its listener accepts connections. */
export async function startGatewayProcess(options: GatewayOptions): Promise<GatewayProcess> {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'postern-gateway-'));
  const at = (name: string) => path.join(directory, name);
  const issuer = options.replicaOf?.issuer ?? (await startIssuer());
  const { replicaOf } = options;
  const [port, adminPort] = [await freePort(), await freePort()];
  const peersPort = replicaOf?.replicaPort ?? (await freePort());
  const replicaPort = replicaOf?.peersPort ?? (await freePort());
  const files = {
    caFile: at('ca.pem'),
    dataDirectory: at('data'),
    configFile: at('config.json'),
    adminSocket: at('run/admin.sock'),
  };
  await fs.writeFile(files.configFile, JSON.stringify(documentOf(options, issuer.url, port)));
  await writeSecrets(options, at('secrets'), files.caFile);
  const args = ['--config', files.configFile, '--secrets', at('secrets'), '--data', files.dataDirectory];
  args.push('--host', '127.0.0.1', '--admin-port', `${adminPort}`, '--peers-port', `${peersPort}`);
  args.push('--admin-socket', files.adminSocket, '--peer', `127.0.0.1:${replicaPort}`, '--log-level', 'warn');
  args.push(...(options.args ?? []));
  // The shell is replaced by the gateway, or ends with its parent's pipe.
  const script = `${options.before ?? ':'}; exec "$@"`;
  const child = spawn('bash', ['-c', script, 'gateway', process.execPath, ...NODE_FLAGS, PROGRAM, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const orphan = () => child.kill('SIGKILL');
  process.once('exit', orphan);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk));
  const ended = once(child, 'exit').then(() => child.exitCode);
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const exited = once(child, 'exit');
    child.kill(signal);
    const forced = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await exited;
    clearTimeout(forced);
    return child.exitCode;
  };
  const stop = async () => {
    await end('SIGTERM');
    process.off('exit', orphan);
    if (replicaOf === undefined) await issuer.close();
    await fs.rm(directory, { recursive: true, force: true });
  };

  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await accepts(port))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error(`the gateway did not start:\n${output}`);
    }
    await sleep(50);
  }
  const ports = { host: 'localhost', port, adminPort, peersPort, replicaPort, pid: child.pid! } as const;
  const token = (username: string, groups: readonly string[] = []) => issuer.mint({ username, groups });
  return { ...ports, ...files, issuer, token, output: () => output, ended, end, stop };
}

async function writeSecrets({ roles, upstream }: GatewayOptions, directory: string, caFile: string): Promise<void> {
  const authority = await createCertificateAuthority('Gateway test CA');
  const certificate = await authority.server(['localhost', '127.0.0.1']);
  await fs.writeFile(caFile, authority.caPem);
  const secrets: Record<string, Record<string, string>> = {
    ...Object.fromEntries(roles.map(({ name, password }) => [secretOf(name), { username: name, password }])),
    'gateway-tls': { 'tls.crt': certificate.certPem, 'tls.key': certificate.keyPem },
    'upstream-ca': { 'ca.crt': upstream.caPem },
  };
  for (const [secret, keys] of Object.entries(secrets)) {
    await fs.mkdir(path.join(directory, secret), { recursive: true });
    for (const [key, value] of Object.entries(keys))
      await fs.writeFile(path.join(directory, secret, key), value, { mode: 0o600 });
  }
}

function secretOf(role: string): string {
  return role.replaceAll('_', '-');
}

async function accepts(port: number): Promise<boolean> {
  const socket = net.connect({ host: '127.0.0.1', port });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

const DAY_MS = 86_400_000;

function documentOf(options: GatewayOptions, issuerUrl: string, port: number): ConfigDocument {
  const { upstream, roles } = options;
  return {
    schemaVersion: 1,
    gateway: { kind: 'PostgresGateway', namespace: 'test', name: 'gate', generation: 1 },
    objects: [],
    listeners: [{ name: 'token', port, authentication: 'Token' }],
    tls: { mode: options.tlsMode ?? 'Required', minVersion: '1.2', secret: 'gateway-tls' },
    upstream: {
      hosts: [{ host: upstream.host, port: upstream.port }],
      tls:
        upstream.caPem === ''
          ? { mode: 'Disable', ca: null }
          : { mode: 'VerifyFull', ca: { secret: 'upstream-ca', key: 'ca.crt' } },
      authentication: ['ScramSha256'],
      connectTimeout: 5000,
      roles: roles.map(({ name }) => ({ name, secret: secretOf(name) })),
      catalogRole: roles[0]!.name,
    },
    identity: {
      issuers: [
        {
          kind: 'Oidc',
          name: 'test',
          url: issuerUrl,
          audiences: ['postern'],
          algorithms: ['RS256'],
          claims: { username: 'email', groups: 'groups' },
          ca: null,
        },
      ],
      certificates: null,
      clockSkew: 0,
    },
    limits: {
      connections: 100,
      connectionsPerIdentity: 50,
      connectionsPerSource: 1000,
      statementBytes: 131_072,
      handshake: 10_000,
      idle: DAY_MS,
      sessionAge: DAY_MS,
      drain: 500,
      ...options.limits,
    },
    audit: {
      durability: options.durability ?? 'Written',
      onFailure: 'Deny',
      spoolBytes: 32 * 2 ** 30,
      recording: 'Statements',
      redaction: { parameters: 'Keep', literals: 'Keep' },
      sinks: [],
      alerts: null,
    },
    policies: options.policies,
    masks: [],
    tracing: null,
  };
}

/** A rule; what is left out is not restricted (relations of an Allow rule: none). */
export function rule(name: string, parts: Partial<Rule> & Pick<Rule, 'statements'>): Rule {
  const open = { relations: null, functions: [], reach: null, maxRows: null, message: null, alert: false };
  return { name, action: 'Allow', ...open, ...parts };
}

const NO_LIMITS: SessionLimits = {
  maxAge: null,
  idle: null,
  statementTimeout: null,
  rows: null,
  readOnly: false,
  settings: [],
};

/** A policy for a group, with a role in some databases. */
export function groupPolicy(
  name: string,
  parts: Pick<Policy, 'databases' | 'role' | 'rules'> & { readonly group: string },
): Policy {
  const { group, ...rest } = parts;
  const limits = { sessions: null, statementsPerMinute: null, rowsPerDay: null, bytesPerDay: null };
  const always = { mode: 'Enforce', session: NO_LIMITS, limits, window: null, expiresAt: null } as const;
  return { namespace: 'test', name, ...always, subjects: [{ group }], ...rest };
}
