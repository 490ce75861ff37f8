import type pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PostgresMajor } from '../kit/postgres-install.ts';
import { startWorld, username, type World } from './harness.ts';

/** What two unlike clients do every day, against every major that is supported. */
describe.each<PostgresMajor>([14, 15, 16, 17, 18])('PostgreSQL %d', (version) => {
  let world: World;

  beforeAll(async () => {
    world = await startWorld({ version });
  }, 60_000);
  afterAll(() => world.stop());

  test('pg: rows, parameters, an error of the server, a refusal, a transaction, and on', async () => {
    const client: pg.Client = await world.connect('analyst');
    const code = (text: string) =>
      client.query(text).then(
        () => 'ok',
        (error: { code: string }) => error.code,
      );
    expect((await client.query('SHOW server_version')).rows[0]?.server_version).toMatch(new RegExp(`^${version}\\b`));
    expect((await client.query('SELECT item FROM orders WHERE id = $1', [7])).rows).toEqual([{ item: 'item 7' }]);
    expect(
      (await client.query({ name: 'byId', text: 'SELECT id FROM orders WHERE id = $1', values: [8] })).rows,
    ).toEqual([{ id: 8 }]);
    expect(
      (await client.query({ name: 'byId', text: 'SELECT id FROM orders WHERE id = $1', values: [9] })).rows,
    ).toEqual([{ id: 9 }]);
    expect(await code('SELECT nothing FROM orders')).toBe('42703');
    expect(await code('SELEC 1')).toBe('42601');
    expect(await code('DROP TABLE orders')).toBe('42501');
    await client.query('BEGIN');
    expect(await code('UPDATE orders SET item = $$changed$$ WHERE id = 1')).toBe('ok');
    expect(await code('DELETE FROM orders')).toBe('42501');
    expect(await code('SELECT 1')).toBe('25P02');
    expect((await client.query('COMMIT')).command).toBe('ROLLBACK');
    expect((await client.query('SELECT item FROM orders WHERE id = 1')).rows).toEqual([{ item: 'item 1' }]);
    await client.end();
  });

  test('postgres.js: prepared statements, pipelines, cursors, COPY, transactions, a refusal, and on', async () => {
    const sql = postgres({
      host: '127.0.0.1',
      port: world.port,
      user: username('analyst'),
      database: 'postgres',
      password: await world.token('analyst'),
      max: 1,
      onnotice() {},
    });
    try {
      for (const id of [3, 4, 3])
        expect([...(await sql`SELECT id, item FROM orders WHERE id = ${id}`)]).toEqual([{ id, item: `item ${id}` }]);
      const several = await Promise.all([1, 2, 3, 4, 5].map((n) => sql`SELECT ${n}::int AS n`));
      expect(several.map(([row]) => row?.n)).toEqual([1, 2, 3, 4, 5]);
      let seen = 0;
      for await (const rows of sql`SELECT id FROM orders ORDER BY id`.cursor(20)) seen += rows.length;
      expect(seen).toBe(50);
      const out = await sql`COPY (SELECT id FROM orders ORDER BY id LIMIT 3) TO STDOUT`.readable();
      let copied = '';
      for await (const chunk of out) copied += String(chunk);
      expect(copied).toBe('1\n2\n3\n');
      await expect(sql`DROP TABLE orders`).rejects.toMatchObject({ code: '42501' });
      const failed = sql.begin(async (tx) => {
        await tx`UPDATE orders SET item = 'changed' WHERE id = 2`;
        await tx`DELETE FROM orders`;
      });
      await expect(failed).rejects.toMatchObject({ code: '42501' });
      expect([...(await sql`SELECT item FROM orders WHERE id = 2`)]).toEqual([{ item: 'item 2' }]);
    } finally {
      await sql.end({ timeout: 2 });
    }
  });

  test('a DBA reads what the catalogue of this major has, and writes', async () => {
    const client = await world.connect('dba');
    await client.query(
      'CREATE TABLE more (id int PRIMARY KEY, at timestamptz DEFAULT now()); INSERT INTO more VALUES (1)',
    );
    expect(
      (
        await client.query(
          "SELECT count(*)::int AS n FROM pg_attribute WHERE attrelid = 'more'::regclass AND attnum > 0",
        )
      ).rows,
    ).toEqual([{ n: 2 }]);
    await client.query('DROP TABLE more');
    await client.end();
  });
});
