import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ANALYST, DBA, policy, rule, startWorld, type World } from './harness.ts';

/*
 * A text that was allowed is allowed again without being judged again, for as long as nothing has changed that the verdict
 * hung on. Each test changes one such thing, and runs the text before, between and after.
 */
let world: World;
let client: pg.Client;
beforeAll(async () => {
  world = await startWorld();
}, 60_000);
afterAll(() => world.stop());
beforeEach(async () => {
  client = await world.connect('analyst');
});
afterEach(async () => {
  world.revise({ policies: [ANALYST, DBA] });
  await client.end();
});

const FORMS: Readonly<Record<string, (text: string) => Promise<pg.QueryResult>>> = {
  Query: (text) => client.query(text),
  'an unnamed Parse': (text) => client.query({ text, values: [], queryMode: 'extended' } as pg.QueryConfig),
};
const REFUSED = { code: '42501' };

const outcome = (attempt: () => Promise<unknown>) =>
  attempt().then(
    () => 'rows',
    (error: { code: string }) => error.code,
  );

describe.each(Object.entries(FORMS))('the same text by %s', (_form, run) => {
  /** Runs the text often enough for anything to be remembered of it. */
  const again = async (text: string) => {
    for (let i = 0; i < 3; i++) await run(text);
  };

  test('under other policies', async () => {
    await again('SELECT count(*) FROM orders');
    const narrow = policy('analysts', 'analyst', 'analyst_ro', [rule('none', { statements: ['Session'] })]);
    world.revise({ policies: [narrow, DBA] });
    await expect(run('SELECT count(*) FROM orders')).rejects.toMatchObject(REFUSED);
    world.revise({ policies: [ANALYST, DBA] });
    await again('SELECT count(*) FROM orders');
  });

  test('in another search_path, also by the end of a transaction', async () => {
    await world.server.query('CREATE TABLE IF NOT EXISTS secret.orders (id int)');
    await again('SELECT count(*) FROM orders');
    await client.query('SET search_path = secret, public');
    await expect(run('SELECT count(*) FROM orders')).rejects.toMatchObject(REFUSED);
    await client.query('RESET search_path');
    await again('SELECT count(*) FROM orders');
    await client.query('BEGIN');
    await client.query('SET LOCAL search_path = secret, public');
    await expect(run('SELECT count(*) FROM orders')).rejects.toMatchObject(REFUSED);
    await client.query('ROLLBACK');
    await again('SELECT count(*) FROM orders');
  });

  test('where somebody else gave the name to another table', async () => {
    await world.server.query('CREATE TABLE swapped (n int); GRANT SELECT ON swapped TO analyst_ro');
    // Those of the other form were called the same.
    await expect.poll(() => outcome(() => run('SELECT * FROM swapped')), { timeout: 1500, interval: 50 }).toBe('rows');
    await again('SELECT * FROM swapped');
    await world.server.query(`ALTER TABLE swapped RENAME TO gone;
      CREATE VIEW swapped AS SELECT amount AS n FROM secret.salaries; GRANT SELECT ON swapped TO analyst_ro`);
    await expect.poll(() => outcome(() => run('SELECT * FROM swapped')), { timeout: 1500, interval: 50 }).toBe('42501');
    await world.server.query('DROP VIEW swapped; DROP TABLE gone');
  });

  test('behind a temporary table of the session, and without it', async () => {
    await again('SELECT count(*)::int AS n FROM orders');
    await client.query('CREATE TEMP TABLE orders (id int)');
    expect((await run('SELECT count(*)::int AS n FROM orders')).rows).toEqual([{ n: 0 }]);
    await client.query('DROP TABLE pg_temp.orders').catch(() => client.query('DISCARD TEMP'));
    const { rows } = await run('SELECT count(*)::int AS n FROM orders');
    expect([0, 50]).toContain(rows[0].n);
  });

  test('with another literal: a verdict for both, a record for each', async () => {
    await again("SELECT item FROM orders WHERE item = 'first' OR id = 1");
    await run("SELECT item FROM orders WHERE item = 'second' OR id = 2");
    const texts = (await world.events()).flatMap(({ query_info, metadata }) => {
      const { query_string } = (query_info ?? {}) as { readonly query_string?: string };
      const { event_code } = metadata as { readonly event_code: string };
      return event_code === 'intent' && query_string !== undefined ? [query_string] : [];
    });
    expect(texts.at(-1)).toContain("'second' OR id = 2");
    expect(texts.at(-2)).toContain("'first' OR id = 1");
  });

  test('with a literal that matters', async () => {
    await again('DELETE FROM orders WHERE id = 1000');
    await expect(run('DELETE FROM orders WHERE id = 1000 OR 1 = 1')).rejects.toMatchObject(REFUSED);
    await again("UPDATE orders SET item = item WHERE id = 3 AND 'a' = 'a'");
    await expect(run("UPDATE orders SET item = item WHERE id = 3 OR 'a' = 'a'")).rejects.toMatchObject(REFUSED);
  });

  test('refused in an aborted transaction is not refused behind it', async () => {
    await client.query('SET search_path = public');
    await client.query('BEGIN');
    await expect(client.query('SELECT 1 / 0')).rejects.toMatchObject({ code: '22012' });
    await expect(run('SELECT count(*) FROM orders')).rejects.toMatchObject({ code: '25P02' });
    await client.query('ROLLBACK');
    await again('SELECT count(*) FROM orders');
  });
});

test('a prepared statement that met an aborted transaction is not refused behind it', async () => {
  const prepared = { name: 'count', text: 'SELECT count(*) FROM orders' };
  await client.query(prepared);
  await client.query('BEGIN');
  await client.query('SET LOCAL search_path = public');
  await expect(client.query('SELECT 1 / 0')).rejects.toMatchObject({ code: '22012' });
  await expect(client.query(prepared)).rejects.toMatchObject({ code: '25P02' });
  await client.query('ROLLBACK');
  expect((await client.query(prepared)).rowCount).toBe(1);
});
