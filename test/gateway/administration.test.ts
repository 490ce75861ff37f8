import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { OpenSession, SessionList } from '../../gateway/telemetry/admin-socket.ts';
import { type GatewayProcess, groupPolicy, rule, startGatewayProcess } from '../kit/gateway-process.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';
import { requestOver } from '../kit/unix-http.ts';

const ROLE = { name: 'app', password: 'app-secret' };
const OPERATORS = groupPolicy('operators', {
  group: 'operators',
  databases: [],
  role: 'app',
  rules: [rule('all', { statements: ['Any'], relations: ['*.*'] })],
});
let server: Postgres;
let gateway: GatewayProcess;

beforeAll(async () => {
  server = await startPostgres({
    version: 18,
    initSql: `CREATE ROLE app LOGIN PASSWORD '${ROLE.password}'; GRANT CREATE ON SCHEMA public TO app`,
  });
  gateway = await startGatewayProcess({ upstream: server, roles: [ROLE], policies: [OPERATORS] });
}, 60_000);
afterAll(async () => {
  await gateway.stop();
  await server.stop();
});

async function connect(user: string, more: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({
    host: gateway.host,
    port: gateway.port,
    user: 'app',
    database: 'postgres',
    password: await gateway.token(user, ['operators']),
    ssl: { ca: await readFile(gateway.caFile, 'utf8'), servername: 'localhost' },
    ...more,
  });
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function list(): Promise<SessionList> {
  return JSON.parse((await requestOver(gateway.adminSocket, 'GET', '/sessions')).body) as SessionList;
}

async function sessionOf(user: string): Promise<OpenSession | undefined> {
  return (await list()).sessions.find((one) => one.user === user);
}

async function sleeping(): Promise<number> {
  const text = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'";
  return (await server.query(text)).length;
}

async function events(): Promise<string> {
  const names = (await readdir(gateway.dataDirectory, { recursive: true })).filter((name) => name.endsWith('.ndjson'));
  const texts = await Promise.all(names.sort().map((name) => readFile(path.join(gateway.dataDirectory, name), 'utf8')));
  return texts.join('');
}

describe('the sessions of a gateway', () => {
  test('are listed with who, as whom, where, since when and in which state; never with what they say', async () => {
    const begun = Date.now();
    const client = await connect('olga@example.com', { application_name: 'nightly' });
    const at = async () => (await sessionOf('olga@example.com'))!;
    expect(await at()).toMatchObject({
      issuer: 'test',
      role: 'app',
      database: 'postgres',
      applicationName: 'nightly',
      listener: 'token',
      client: expect.stringMatching(/^(127\.0\.0\.1|\[::1\]):\d+$/),
      state: 'Idle',
      statements: 0,
    });
    const pid = (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid;
    await client.query("SET application_name = 'by hand'");
    await client.query('BEGIN');
    await client.query("SELECT 'hush'");
    await expect.poll(async () => (await at()).state).toBe('InTransaction');
    const held = await at();
    expect(held).toMatchObject({ serverPid: pid, applicationName: 'by hand', statements: 4 });
    expect(Date.parse(held.started)).toBeGreaterThanOrEqual(begun - 1);
    expect(Date.parse(held.since!)).toBeGreaterThanOrEqual(Date.parse(held.started));
    await client.query('COMMIT');
    await expect.poll(async () => (await at()).state).toBe('Idle');
    const asked = Date.now();
    const running = client.query("SELECT pg_sleep(1.5), 'hush'");
    await expect.poll(at).toMatchObject({ state: 'Active', since: expect.any(String) });
    expect(Math.abs(Date.parse((await at()).since!) - asked)).toBeLessThan(1000);
    await running;
    expect(await at()).toMatchObject({ state: 'Idle', statements: 6 });
    expect(JSON.stringify(await list())).not.toContain('hush');
    await client.end();
    await expect.poll(at).toBeUndefined();
  });

  test('a COPY that waits for its client counts as a transaction', async () => {
    const client = await connect('cora@example.com');
    await client.query('CREATE TEMP TABLE copied (a int)');
    const submitted = new (class {
      submit(connection: pg.Connection) {
        connection.query('COPY copied FROM STDIN');
      }
      handleError() {}
      handleCopyInResponse() {}
      handleReadyForQuery() {}
      handleCommandComplete() {}
    })();
    client.query(submitted as unknown as pg.Submittable);
    await expect.poll(async () => (await sessionOf('cora@example.com'))?.state).toBe('InTransaction');
    const { id } = (await sessionOf('cora@example.com'))!;
    await requestOver(gateway.adminSocket, 'DELETE', `/sessions/${id}`);
    await expect.poll(() => sessionOf('cora@example.com')).toBeUndefined();
    await client.end().catch(() => {});
  });

  test('one is ended in the middle of a statement: 57P01, the server stops, the record says who ended it', async () => {
    const [client, other] = [await connect('tom@example.com'), await connect('tim@example.com')];
    const failed = client.query('SELECT pg_sleep(60)').catch((error: { code: string }) => error.code);
    await expect.poll(async () => (await sessionOf('tom@example.com'))?.state).toBe('Active');
    const { id, serverPid } = (await sessionOf('tom@example.com'))!;
    expect((await requestOver(gateway.adminSocket, 'DELETE', `/sessions/${id}`)).status).toBe(200);
    expect(await failed).toBe('57P01');
    expect((await requestOver(gateway.adminSocket, 'DELETE', `/sessions/${id}`)).status).toBe(404);
    await expect
      .poll(() => server.query(`SELECT pid FROM pg_stat_activity WHERE pid = ${serverPid}`), { timeout: 5000 })
      .toEqual([]);
    await other.query('SELECT 1');
    const ends = async () =>
      (await events())
        .split('\n')
        .filter((line) => line.includes('"session_end"') && line.includes(id))
        .map((line) => JSON.parse(line).unmapped.postern.reason);
    await expect.poll(ends).toEqual(['Terminated']);
    await other.end();
  });
});

describe('a drain that is asked for', () => {
  test('is the drain of a SIGTERM: no new sessions, transactions may end, exit code 0; the socket goes with it', async () => {
    const [idle, busy] = [await connect('ida@example.com'), await connect('ben@example.com')];
    const [idleEnd, busyEnd] = [once(idle, 'error'), once(busy, 'error')];
    await busy.query('BEGIN');
    const stuck = await connect('sam@example.com');
    const stuckEnd = stuck.query('SELECT pg_sleep(60)').catch((error: { code: string }) => error.code);
    await expect.poll(sleeping).toBe(1);
    const answer = requestOver(gateway.adminSocket, 'POST', '/drain?grace=1');
    const ready = async () => (await fetch(`http://127.0.0.1:${gateway.adminPort}/readyz`)).status;
    await expect.poll(ready).toBe(503);
    // In the time of grace those that still come are served.
    const late = await connect('lea@example.com');
    await late.end();
    expect(await list()).toMatchObject({ draining: true });
    expect(await idleEnd).toMatchObject([{ code: '57P01' }]);
    await expect(connect('eve@example.com')).rejects.toThrow();
    await busy.query('COMMIT').catch(() => {});
    await busyEnd;
    const lines = (await answer).body.trim().split('\n');
    expect(lines.at(-1)).toBe('{"sessions":0,"drained":true}');
    expect(await gateway.ended).toBe(0);
    expect(await stuckEnd).toBe('57P01');
    expect(await sleeping()).toBe(0);
    expect(existsSync(gateway.adminSocket)).toBe(false);
    expect(await events()).toMatch(/"log_stop"/);
  });
});
