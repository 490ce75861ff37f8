import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../test/kit/free-port.ts';
import { groupPolicy, rule, startGatewayProcess } from '../test/kit/gateway-process.ts';
import type { Postgres } from '../test/kit/postgres.ts';
import { WireClient } from '../test/kit/wire-client.ts';

export const BENCH_ROLE = { name: 'bench', password: 'bench-password' } as const;

/** One way to the database. */
export interface Contender {
  readonly name: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Whether the client's connection is encrypted. */
  readonly tls: boolean;
  /** Of the proxy; undefined without one. */
  readonly pid: number | undefined;
  stop(): Promise<void>;
}

/** No proxy at all. */
export function direct(postgres: Postgres): Contender {
  const { name: user, password } = BENCH_ROLE;
  return { name: 'direct', port: postgres.port, user, password, tls: false, pid: undefined, stop: async () => {} };
}

/** PgBouncer in session mode, as Debian packages it, asking for the same clear-text password as the gateway. */
export async function pgbouncer(postgres: Postgres): Promise<Contender> {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'postern-pgbouncer-'));
  await fs.chmod(directory, 0o755);
  const port = await freePort();
  const { name: user, password } = BENCH_ROLE;
  const userlist = path.join(directory, 'userlist.txt');
  const config = path.join(directory, 'pgbouncer.ini');
  await fs.writeFile(userlist, `"${user}" "${password}"\n`);
  await fs.writeFile(
    config,
    `[databases]
postgres = host=127.0.0.1 port=${postgres.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = plain
auth_file = ${userlist}
pool_mode = session
max_client_conn = 1000
default_pool_size = 600
log_connections = 0
log_disconnections = 0
`,
  );
  // It refuses to run as root.
  const args = process.getuid?.() === 0 ? ['-q', '-u', 'nobody', config] : ['-q', config];
  const child = spawn('pgbouncer', args, {
    stdio: 'inherit',
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
  });
  const contender = {
    name: 'pgbouncer',
    port,
    user,
    password,
    tls: false,
    pid: child.pid,
    stop: () => end(child, directory),
  };
  for (let attempt = 0; !(await answers(contender)); attempt++) {
    if (attempt === 100 || child.exitCode !== null) throw new Error('PgBouncer did not start');
    await sleep(50);
  }
  return contender;
}

async function answers(contender: Contender): Promise<boolean> {
  try {
    (await WireClient.connect({ port: contender.port })).destroy();
    return true;
  } catch {
    return false;
  }
}

async function end(child: ChildProcess, directory: string): Promise<void> {
  if (child.exitCode === null) {
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
  }
  await fs.rm(directory, { recursive: true });
}

const RULES = [
  rule('transactions', { statements: ['Select', 'Insert', 'Update', 'Prepare', 'Cursor'], relations: ['public.*'] }),
  rule('session', { statements: ['Transaction', 'Session', 'Catalog'] }),
  rule('never-unbounded', { action: 'Deny', statements: ['Update', 'Delete', 'Truncate'], reach: ['Unbounded'] }),
  rule('no-ddl', {
    action: 'Deny',
    statements: ['Ddl', 'Code', 'Grant', 'Role', 'ServerControl', 'Program', 'ServerFile'],
  }),
];

/** A policy that grants, and one of the same role that grants something else. */
const POLICIES = [
  groupPolicy('bench', { group: 'bench', databases: ['postgres'], role: BENCH_ROLE.name, rules: RULES }),
  groupPolicy('reports', {
    group: 'bench',
    databases: ['postgres'],
    role: BENCH_ROLE.name,
    rules: [rule('read', { statements: ['Select', 'CopyTo'], relations: ['reporting.*'] })],
  }),
];

/** The gateway, rules and audit on. */
export async function gateway(
  name: string,
  postgres: Postgres,
  durability: 'Written' | 'Synced',
  tls: boolean,
): Promise<Contender> {
  const running = await startGatewayProcess({
    upstream: postgres,
    roles: [BENCH_ROLE],
    policies: POLICIES,
    tlsMode: 'Optional',
    durability,
    limits: { connections: 1000, connectionsPerIdentity: 1000 },
  });
  const password = await running.token('bench@example.com', ['bench']);
  return { name, port: running.port, user: BENCH_ROLE.name, password, tls, pid: running.pid, stop: running.stop };
}
