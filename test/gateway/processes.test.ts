import { once } from 'node:events';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ConfigDocument } from '../../gateway/config/document.ts';
import { encodeCancelRequest } from '../../gateway/wire/opening.ts';
import { type GatewayProcess, groupPolicy, rule, startGatewayProcess } from '../kit/gateway-process.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';

const ROLE = { name: 'app', password: 'app-secret' };
const OPERATORS = groupPolicy('operators', {
  group: 'operators',
  databases: [],
  role: 'app',
  rules: [rule('all', { statements: ['Any'], relations: ['*.*'] })],
});
let server: Postgres;
const gateways: GatewayProcess[] = [];

beforeAll(async () => {
  server = await startPostgres({
    version: 18,
    initSql: `CREATE ROLE app LOGIN PASSWORD '${ROLE.password}'; GRANT CREATE ON SCHEMA public TO app`,
  });
}, 60_000);
afterAll(async () => {
  await Promise.all(gateways.map((gateway) => gateway.stop()));
  await server.stop();
});

type Options = Partial<Parameters<typeof startGatewayProcess>[0]>;

async function start(options: Options = {}): Promise<GatewayProcess> {
  const gateway = await startGatewayProcess({ upstream: server, roles: [ROLE], policies: [OPERATORS], ...options });
  gateways.push(gateway);
  return gateway;
}

async function connect(gateway: GatewayProcess, user = 'olga@example.com'): Promise<pg.Client> {
  const client = new pg.Client({
    host: gateway.host,
    port: gateway.port,
    user: 'app',
    database: 'postgres',
    password: await gateway.token(user, ['operators']),
    ssl: { ca: await readFile(gateway.caFile, 'utf8'), servername: 'localhost' },
  });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Sends a CancelRequest for the client's session to a gateway, and waits for its end. */
async function cancel(gateway: GatewayProcess, processId: number, key: Buffer): Promise<void> {
  const socket = net.connect({ host: '127.0.0.1', port: gateway.port });
  socket.write(encodeCancelRequest(processId, key));
  socket.resume();
  await once(socket, 'close');
}

const keyOf = (client: pg.Client): [number, Buffer] => {
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
  const key = Buffer.alloc(4);
  key.writeInt32BE(secretKey);
  return [processID, key];
};

const sleeping = async () =>
  Number(
    (
      await server.query(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'",
      )
    )[0]?.n,
  );

async function events(gateway: GatewayProcess): Promise<string> {
  const names = (await readdir(gateway.dataDirectory, { recursive: true })).filter((name) => name.endsWith('.ndjson'));
  const texts = await Promise.all(names.sort().map((name) => readFile(path.join(gateway.dataDirectory, name), 'utf8')));
  return texts.join('');
}

describe('two replicas', () => {
  test('a CancelRequest works through either, and a guessed key through none', async () => {
    const first = await start();
    const second = await start({ replicaOf: first });
    for (const [mine, other] of [
      [first, second],
      [second, first],
    ] as const) {
      const [client, bystander] = [await connect(mine), await connect(other, 'ben@example.com')];
      const query = client.query('SELECT pg_sleep(30)').then(
        () => 'done',
        (error: { code: string }) => error.code,
      );
      const theirs = bystander.query('SELECT pg_sleep(30)').catch((error: { code: string }) => error.code);
      await expect.poll(sleeping, { timeout: 5000 }).toBe(2);
      const [processId, key] = keyOf(client);
      await cancel(other, processId, Buffer.from(key.map((byte) => byte ^ 1)));
      await cancel(other, keyOf(bystander)[0], key);
      expect(await sleeping()).toBe(2);
      await cancel(other, processId, key);
      expect(await query).toBe('57014');
      // The server tells of the error first, and of being idle then.
      await expect.poll(sleeping).toBe(1);
      await cancel(other, ...keyOf(bystander));
      expect(await theirs).toBe('57014');
      await Promise.all([client.end(), bystander.end()]);
    }
  });
});

describe('a gateway process', () => {
  test('drains on SIGTERM: a transaction may end, an idle session and a late one get 57P01, exit code 0', async () => {
    const gateway = await start({ limits: { drain: 1500 } });
    const [idle, busy, stuck] = [await connect(gateway), await connect(gateway), await connect(gateway)];
    const codes = new Map<string, string>();
    for (const [name, client] of Object.entries({ idle, busy, stuck }))
      client.once('error', (error: Error & { code?: string }) => codes.set(name, error.code ?? error.message));
    await busy.query('BEGIN');
    await stuck.query('BEGIN');
    const exit = gateway.end('SIGTERM');
    await expect.poll(() => codes.get('idle')).toBe('57P01');
    await expect(connect(gateway)).rejects.toThrow();
    await busy.query('CREATE TABLE survived (id int)');
    await busy.query('COMMIT');
    expect(await exit).toBe(0);
    expect(codes.get('stuck')).toBe('57P01');
    expect(await server.query("SELECT to_regclass('survived')::text AS name")).toEqual([{ name: 'survived' }]);
    expect(gateway.output()).not.toMatch(/"level":(50|60)/);
  });

  test('with a full disk refuses statements and says why; sessions live on, and the refusal names no secret', async () => {
    // A limit on file sizes stands for the full disk: it needs no privileges.
    const gateway = await start({ before: 'trap "" XFSZ; ulimit -f 48' });
    const client = await connect(gateway);
    let refused: { code?: string; message?: string; hint?: string } = {};
    for (let i = 0; i < 500 && refused.code === undefined; i++)
      await client.query(`SELECT '${'x'.repeat(1000)}'`).catch((error: typeof refused) => {
        refused = error;
      });
    expect(refused).toMatchObject({ code: '58030' });
    expect(refused.message).toContain('record');
    const written = (await events(gateway)).split('\n').filter((line) => line !== '');
    for (const line of written) JSON.parse(line);
    await client.end();
  });

  test('killed between records leaves whole lines, and the next one goes on in the same directory', async () => {
    const gateway = await start();
    const client = await connect(gateway);
    const done = client.query('SELECT pg_sleep(30)').catch(() => 'gone');
    await expect.poll(sleeping, { timeout: 5000 }).toBe(1);
    await gateway.end('SIGKILL');
    expect(await done).toBe('gone');
    const lines = (await events(gateway)).trimEnd().split('\n');
    const last = JSON.parse(lines.at(-1)!) as {
      metadata: { event_code: string };
      query_info: { query_string: string };
    };
    expect(last).toMatchObject({
      metadata: { event_code: 'intent' },
      query_info: { query_string: 'SELECT pg_sleep(30)' },
    });
    // The server notices on its own time: nobody else is left to tell it.
    await server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'");
  });

  test('follows its configuration file: a bad one changes nothing, a good one counts for open sessions', async () => {
    const gateway = await start();
    const client = await connect(gateway);
    const document = JSON.parse(await readFile(gateway.configFile, 'utf8')) as ConfigDocument;
    const put = async (text: string) => {
      await writeFile(`${gateway.configFile}.new`, text);
      await rename(`${gateway.configFile}.new`, gateway.configFile);
    };
    await put('{"schemaVersion": 1');
    await expect.poll(() => gateway.output(), { timeout: 5000 }).toContain('document: is not JSON');
    await client.query('SELECT 1');
    await put(JSON.stringify({ ...document, policies: [] }));
    await expect
      .poll(
        () =>
          client.query('SELECT 1').then(
            () => 'allowed',
            (error: { code: string }) => error.code,
          ),
        { timeout: 5000 },
      )
      .toBe('42501');
    const metrics = await (await fetch(`http://127.0.0.1:${gateway.adminPort}/metrics`)).text();
    expect(metrics).toMatch(/postern_config_refused_total 1/);
    expect(await events(gateway)).toMatch(/document: is not JSON/);
    await client.end().catch(() => {});
  });
});
