import net from 'node:net';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Catalog } from '../../gateway/catalog/catalog.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';

let server: Postgres;
let proxy: net.Server;
/** Everything is accepted and nothing goes on, in either direction. */
let silent = false;
const warned: string[] = [];

beforeAll(async () => {
  server = await startPostgres({ version: 18, initSql: 'CREATE VIEW v AS SELECT 1 AS one' });
  proxy = net.createServer((client) => {
    const upstream = net.connect(server.port, server.host);
    client.on('data', (bytes) => silent || upstream.write(bytes));
    upstream.on('data', (bytes) => silent || client.write(bytes));
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => {});
      one.on('close', () => silent || other.destroy());
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
}, 60_000);
afterAll(async () => {
  proxy.close();
  await server.stop();
});

const port = () => (proxy.address() as net.AddressInfo).port;

function catalogBehind(): Catalog {
  return new Catalog({
    async connect(database) {
      const { user, password } = server.superuser;
      const client = new pg.Client({
        ...{ host: '127.0.0.1', port: port(), user, password, database, connectionTimeoutMillis: 300 },
      });
      client.on('error', () => {});
      await client.connect();
      return client;
    },
    log: { info() {}, warn: ({ reason }) => void warned.push(String(reason)) },
    pollInterval: 60_000,
    patience: { answer: 300, reading: 2000 },
  });
}

test('a server that falls silent is not waited for, and it is said which one', async () => {
  const catalog = catalogBehind();
  await catalog.refresh('postgres');
  expect(catalog.failure('postgres')).toBeNull();
  silent = true;
  const started = performance.now();
  const expected = `127.0.0.1:${port()} has not answered a question of the catalogue role for 0.3 seconds`;
  await expect(catalog.refresh('postgres')).rejects.toThrow(expected);
  expect(catalog.failure('postgres')).toBe(expected);
  expect(warned).toContain(expected);
  // Whoever comes next waits no longer than it takes to connect.
  await expect(catalog.define('postgres', [1])).rejects.toThrow();
  expect(performance.now() - started).toBeLessThan(5000);
  silent = false;
  await expect
    .poll(() =>
      catalog.refresh('postgres').then(
        ({ version }) => version > 0,
        () => false,
      ),
    )
    .toBe(true);
  expect(catalog.failure('postgres')).toBeNull();
  silent = true;
  await catalog.close();
  silent = false;
});
