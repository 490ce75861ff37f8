import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { type Postgres, type PostgresMajor, type PostgresOptions, startPostgres } from './postgres.ts';

let server: Postgres | undefined;

afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function start(options: PostgresOptions): Promise<Postgres> {
  server = await startPostgres(options);
  return server;
}

describe('startPostgres', () => {
  test.each<PostgresMajor>([14, 15, 16, 17, 18])('starts PostgreSQL %i', async (version) => {
    const { query } = await start({ version }).then((it) => ({ query: it.query.bind(it) }));
    expect(await query('SHOW server_version_num')).toEqual([
      { server_version_num: expect.stringMatching(new RegExp(`^${version}`)) },
    ]);
  });

  test.each(['scram-sha-256', 'md5', 'password'] as const)(
    'logs in by %s and refuses a wrong password',
    async (auth) => {
      const it = await start({ auth });
      expect(await it.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
      const client = new pg.Client({ connectionString: it.connectionString('postgres', 'wrong') });
      await expect(client.connect()).rejects.toMatchObject({ code: '28P01' });
    },
  );

  test('serves TLS with a certificate of its own CA, and applies config, hba and initSql', async () => {
    const it = await start({
      tls: true,
      config: { log_statement: 'all' },
      hba: ['hostnossl all all all reject'],
      initSql: 'CREATE TABLE t (a int); INSERT INTO t VALUES (42)',
    });
    expect(await it.query('SELECT a, ssl FROM t, pg_stat_ssl WHERE pid = pg_backend_pid()')).toEqual([
      { a: 42, ssl: true },
    ]);
    expect(await it.log()).toContain('statement: CREATE TABLE t');
    const plain = new pg.Client({ connectionString: it.connectionString() });
    await expect(plain.connect()).rejects.toMatchObject({ code: '28000' });
  });

  test('comes back with its data after a crash', async () => {
    const it = await start({ initSql: 'CREATE TABLE t (a int)' });
    await it.query('INSERT INTO t VALUES (1)');
    await it.kill();
    await expect(it.query('SELECT 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await it.restart();
    expect(await it.query('SELECT a FROM t')).toEqual([{ a: 1 }]);
  });

  test('leaves nothing behind when it is stopped', async () => {
    const it = await start({});
    await it.stop();
    await expect(fs.access(path.dirname(it.dataDirectory))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(it.query('SELECT 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('leaves nothing behind when the process that started it is killed', async () => {
    const kit = new URL('postgres.ts', import.meta.url).href;
    const script = `import { startPostgres } from ${JSON.stringify(kit)};
      const it = await startPostgres();
      console.log(JSON.stringify({ port: it.port, data: it.dataDirectory }));
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const { data } = JSON.parse(line.toString()) as { data: string };
    await fs.access(data);
    child.kill('SIGKILL');
    const gone = () =>
      fs.access(path.dirname(data)).then(
        () => false,
        () => true,
      );
    for (let wait = 0; !(await gone()) && wait < 200; wait++) await sleep(50);
    expect(await gone()).toBe(true);
  });
});
