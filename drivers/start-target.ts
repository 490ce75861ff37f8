import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { type GatewayProcess, groupPolicy, rule, startGatewayProcess } from '../test/kit/gateway-process.ts';
import { type Postgres, type PostgresMajor, startPostgres } from '../test/kit/postgres.ts';
import type { Target } from './target.ts';

const PASSWORDS = { app_rw: 'app-password', app_ro: 'reader-password', dba_owner: 'dba-password' } as const;

const TABLES = ['public.items', 'public.orders', 'public.cheap_items', 'public.orders_id_seq'];

/** What the app may do: its own rows and cursors; a DBA may do everything. */
const POLICIES = [
  groupPolicy('apps', {
    group: 'apps',
    databases: ['shop'],
    role: 'app_rw',
    rules: [
      rule('work', {
        statements: [
          'Select',
          'Insert',
          'Update',
          'Delete',
          'CopyTo',
          'CopyFrom',
          'Explain',
          'Cursor',
          'Prepare',
          'Sequence',
        ],
        relations: TABLES,
      }),
      // AdvisoryLock: asyncpg's pool resets a session with pg_advisory_unlock_all().
      rule('session', { statements: ['Transaction', 'Session', 'TempTable', 'Listen', 'Catalog', 'AdvisoryLock'] }),
      rule('no-ddl', { action: 'Deny', statements: ['Ddl', 'Code', 'Grant', 'Role'], message: 'Ask the DBAs.' }),
    ],
  }),
  groupPolicy('readers', {
    group: 'readers',
    databases: ['shop'],
    role: 'app_ro',
    rules: [
      rule('read', { statements: ['Select', 'CopyTo', 'Lock', 'Prepare', 'Cursor'], relations: TABLES }),
      rule('session', { statements: ['Transaction', 'Session', 'Catalog'] }),
    ],
  }),
  groupPolicy('dbas', {
    group: 'dba',
    databases: ['shop', 'shop_copy'],
    role: 'dba_owner',
    rules: [rule('everything', { statements: ['Any'], relations: ['*.*'] })],
  }),
];

/** A server with the shop's data and, unless `direct`, a gateway in front of it. */
export async function startTarget(
  version: PostgresMajor,
  direct: boolean,
): Promise<{ readonly target: Target; readonly stop: () => Promise<void> }> {
  const postgres = await startPostgres({ version, tls: true });
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'postern-drivers-'));
  let gateway: GatewayProcess | undefined;
  const stop = async () => {
    await gateway?.stop();
    await postgres.stop();
    await fs.rm(directory, { recursive: true });
  };
  try {
    await seed(postgres);
    const databases = { database: 'shop', copyDatabase: 'shop_copy' };
    if (direct) {
      const caFile = path.join(directory, 'ca.pem');
      await fs.writeFile(caFile, postgres.caPem);
      const login = (user: keyof typeof PASSWORDS) => ({ user, token: PASSWORDS[user] });
      const logins = { app: login('app_rw'), reader: login('app_ro'), dba: login('dba_owner') };
      const target = { host: 'localhost', port: postgres.port, caFile, ...logins };
      return { target: { ...target, ...databases }, stop };
    }
    const roles = Object.entries(PASSWORDS).map(([name, password]) => ({ name, password }));
    gateway = await startGatewayProcess({ upstream: postgres, roles, policies: POLICIES });
    const { host, port, caFile } = gateway;
    const app = { user: 'app_rw', token: await gateway.token('shop@example.com', ['apps']) };
    const reader = { user: 'app_ro', token: await gateway.token('rita@example.com', ['readers']) };
    const dba = { user: 'dba_owner', token: await gateway.token('ada@example.com', ['dba']) };
    return { target: { host, port, caFile, app, reader, dba, ...databases }, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function seed(postgres: Postgres): Promise<void> {
  const script = await fs.readFile(path.join(import.meta.dirname, 'seed.sql'), 'utf8');
  const passwords = {
    ':app_password': PASSWORDS.app_rw,
    ':reader_password': PASSWORDS.app_ro,
    ':dba_password': PASSWORDS.dba_owner,
  };
  const filled = Object.entries(passwords).reduce((text, [name, value]) => text.replace(name, `'${value}'`), script);
  // One by one: CREATE DATABASE cannot run with others in one string.
  for (const statement of filled.split(';\n')) await postgres.query(statement);
  await postgres.query(await fs.readFile(path.join(import.meta.dirname, 'shop.sql'), 'utf8'), 'shop');
}
