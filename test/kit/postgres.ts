import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import type net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { freePort } from './free-port.ts';
import { installation, type PostgresMajor, type RunAs } from './postgres-install.ts';
import { createCertificateAuthority } from './tls.ts';

export type { PostgresMajor };

/** How to start a server; everything has a default. */
export interface PostgresOptions {
  readonly version?: PostgresMajor;
  /** TLS with a certificate for localhost and 127.0.0.1 from a CA of this server's own. */
  readonly tls?: boolean;
  /** Lines of postgresql.conf; they win over the kit's own. */
  readonly config?: Readonly<Record<string, string>>;
  /** The pg_hba.conf method of every connection; `md5` also stores the superuser's password that way. */
  readonly auth?: 'scram-sha-256' | 'md5' | 'password';
  /** Lines of pg_hba.conf that come before the one for everybody. */
  readonly hba?: readonly string[];
  /** Run by the superuser in database postgres before the server is handed out; several statements allowed. */
  readonly initSql?: string;
}

/** A real PostgreSQL on 127.0.0.1, alone on its port and in its data directory; it ends with the process that started it. */
export interface Postgres {
  readonly version: PostgresMajor;
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly superuser: { readonly user: string; readonly password: string };
  readonly dataDirectory: string;
  /** The CA of the server's certificate, PEM; empty without TLS. */
  readonly caPem: string;
  /** A URL for `user` (default: the superuser) and `database` (default: postgres). */
  connectionString(user?: string, password?: string, database?: string): string;
  /** Runs SQL as the superuser on a connection of its own and returns the (last) result's rows. */
  query(sql: string, database?: string): Promise<Record<string, unknown>[]>;
  /** The server's log so far. */
  log(): Promise<string>;
  /** Fast shutdown and removal of the data directory. */
  stop(): Promise<void>;
  /** Immediate shutdown, as a crash; `restart` brings it back with its data. */
  kill(): Promise<void>;
  /** Starts again on the same port with the same data; shuts a running server down first. */
  restart(): Promise<void>;
}

/**
 * Owns the server on the test's behalf: starts and signals it when told so, and when our end of the pipe closes,
 * however our process ended, shuts it down and removes its files. Shell, because that starts in a millisecond.
 */
const SUPERVISOR = `
root=$1; template=$2; shift 2
pg=
finish() { if [ -n "$pg" ]; then kill -s "$1" "$pg" 2>/dev/null; wait "$pg"; pg=; fi; }
while read -r word; do
  case $word in
    copy) cp -R "$template" "$root/data" ;;
    start) "$@" >>"$root/log" 2>&1 & pg=$! ;;
    *) finish "$word" ;;
  esac
  echo done
done
finish QUIT
rm -rf "$root"
`;

const DEFAULTS: Readonly<Record<string, string>> = {
  fsync: 'off',
  full_page_writes: 'off',
  shared_buffers: '32MB',
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
};

const START_TIMEOUT_MS = 30_000;

/** Starts a server and waits until it accepts connections: below half a second once the machine's cache is warm. */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  for (let attempt = 1; ; attempt++) {
    const server = await setUp(options, await freePort());
    try {
      await server.restart();
      await prepareDatabase(server, options);
      return server;
    } catch (error) {
      const taken = (await server.log()).includes('Address already in use');
      await server.stop();
      if (!taken || attempt === 5) throw error;
    }
  }
}

async function prepareDatabase(server: Postgres, options: PostgresOptions): Promise<void> {
  if (options.auth === 'md5') {
    const password = pg.escapeLiteral(server.superuser.password);
    await server.query(`SET password_encryption = md5; ALTER ROLE postgres PASSWORD ${password}`);
  }
  if (options.initSql !== undefined) await server.query(options.initSql);
}

interface Parts {
  readonly root: string;
  readonly supervisor: Supervisor;
  readonly superuserPassword: string;
  readonly caPem: string;
}

async function setUp(options: PostgresOptions, port: number): Promise<Server> {
  const version = options.version ?? 18;
  const { bin, template, superuserPassword, runAs } = await installation(version);
  const root = await fs.mkdtemp(path.join(os.tmpdir(), 'postern-pg-'));
  await giveTo(runAs, root);
  const data = path.join(root, 'data');
  const supervisor = new Supervisor(runAs, [root, template, path.join(bin, 'postgres'), '-D', data]);
  await supervisor.tell('copy');
  const caPem = options.tls === true ? await writeCertificate(data, runAs) : '';
  await writeConfiguration(data, port, options);
  return new Server(version, port, { root, supervisor, superuserPassword, caPem });
}

async function writeConfiguration(data: string, port: number, options: PostgresOptions): Promise<void> {
  const config = { ...DEFAULTS, port: String(port), ...(options.tls === true && { ssl: 'on' }), ...options.config };
  const lines = Object.entries(config).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
  await fs.appendFile(path.join(data, 'postgresql.conf'), lines.join(''));
  const everybody = `host all all all ${options.auth ?? 'scram-sha-256'}`;
  await fs.writeFile(path.join(data, 'pg_hba.conf'), [...(options.hba ?? []), everybody, ''].join('\n'));
}

async function writeCertificate(data: string, runAs: RunAs): Promise<string> {
  const authority = await createCertificateAuthority('Test PostgreSQL CA');
  const { keyPem, certPem } = await authority.server(['localhost', '127.0.0.1']);
  const key = path.join(data, 'server.key');
  await fs.writeFile(key, keyPem, { mode: 0o600 });
  await giveTo(runAs, key);
  await fs.writeFile(path.join(data, 'server.crt'), certPem);
  return authority.caPem;
}

async function giveTo(runAs: RunAs, file: string): Promise<void> {
  if (runAs.uid !== undefined && runAs.gid !== undefined) await fs.chown(file, runAs.uid, runAs.gid);
}

class Supervisor {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #answers: AsyncIterator<string>;

  constructor(runAs: RunAs, args: readonly string[]) {
    // Detached, or Ctrl-C at a terminal would end the supervisor before it has cleaned up.
    const options = { ...runAs, cwd: '/', detached: true } as const;
    this.#child = spawn('/bin/sh', ['-c', SUPERVISOR, 'supervisor', ...args], {
      ...options,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#answers = readline.createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    this.#keepAlive(false);
  }

  /** A word of the script, or the name of a signal for the server; resolves when it is done. */
  async tell(word: 'copy' | 'start' | 'INT' | 'QUIT'): Promise<void> {
    this.#keepAlive(true);
    this.#child.stdin.write(`${word}\n`);
    const answer = await this.#answers.next();
    this.#keepAlive(false);
    if (answer.done === true) throw new Error('the PostgreSQL supervisor has ended');
  }

  async end(): Promise<void> {
    this.#keepAlive(true);
    const closed = once(this.#child, 'close');
    this.#child.stdin.end();
    await closed;
  }

  /** A server that a test forgot must not keep its process from ending. */
  #keepAlive(yes: boolean): void {
    for (const handle of [this.#child, this.#child.stdin as net.Socket, this.#child.stdout as net.Socket]) {
      if (yes) handle.ref();
      else handle.unref();
    }
  }
}

class Server implements Postgres {
  readonly version: PostgresMajor;
  readonly host = '127.0.0.1';
  readonly port: number;
  readonly superuser: { readonly user: string; readonly password: string };
  readonly caPem: string;
  readonly #root: string;
  readonly #supervisor: Supervisor;
  #stopped: Promise<void> | undefined;

  constructor(version: PostgresMajor, port: number, parts: Parts) {
    this.version = version;
    this.port = port;
    this.superuser = { user: 'postgres', password: parts.superuserPassword };
    this.caPem = parts.caPem;
    this.#root = parts.root;
    this.#supervisor = parts.supervisor;
  }

  get dataDirectory(): string {
    return path.join(this.#root, 'data');
  }

  connectionString(user = this.superuser.user, password?: string, database = 'postgres'): string {
    const secret = password ?? (user === this.superuser.user ? this.superuser.password : '');
    return `postgres://${encodeURIComponent(user)}:${encodeURIComponent(secret)}@${this.host}:${this.port}/${encodeURIComponent(database)}`;
  }

  async query(sql: string, database = 'postgres'): Promise<Record<string, unknown>[]> {
    const client = new pg.Client({
      host: this.host,
      port: this.port,
      ...this.superuser,
      database,
      ...(this.caPem !== '' && { ssl: { ca: this.caPem } }),
    });
    await client.connect();
    try {
      const result: pg.QueryResult | pg.QueryResult[] = await client.query(sql);
      return (Array.isArray(result) ? result.at(-1)?.rows : result.rows) ?? [];
    } finally {
      await client.end();
    }
  }

  async log(): Promise<string> {
    return await fs.readFile(path.join(this.#root, 'log'), 'utf8').catch(() => '');
  }

  async kill(): Promise<void> {
    await this.#supervisor.tell('QUIT');
  }

  async restart(): Promise<void> {
    await this.#supervisor.tell('INT');
    // A crashed server leaves this file behind, and the old one could say "ready".
    await fs.rm(path.join(this.dataDirectory, 'postmaster.pid'), { force: true });
    const before = (await this.log()).length;
    await this.#supervisor.tell('start');
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await this.#isReady())) {
      const log = (await this.log()).slice(before);
      if (/FATAL: /.test(log) || Date.now() > deadline) throw new Error(`PostgreSQL did not start:\n${log}`);
      await sleep(5);
    }
  }

  async #isReady(): Promise<boolean> {
    const file = await fs.readFile(path.join(this.dataDirectory, 'postmaster.pid'), 'utf8').catch(() => '');
    return file.split('\n')[7]?.trim() === 'ready';
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#supervisor.tell('INT').then(() => this.#supervisor.end());
    return this.#stopped;
  }
}
