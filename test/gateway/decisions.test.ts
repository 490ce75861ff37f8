import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ANALYST, DBA, startWorld, username, type World } from './harness.ts';

let world: World;
let client: pg.Client;
beforeAll(async () => {
  world = await startWorld();
}, 60_000);
afterAll(() => world.stop());
beforeEach(async () => {
  client = await world.connect('analyst');
});
afterEach(() => client.end());

const denied = (pattern: RegExp) => ({ code: '42501', message: expect.stringMatching(pattern) });
const count = async (table = 'orders') =>
  Number((await world.server.query(`SELECT count(*) AS n FROM ${table}`))[0]!.n);

describe('an analyst', () => {
  test('gets rows, by the simple and the extended protocol', async () => {
    expect((await client.query('SELECT id FROM orders ORDER BY id LIMIT 2')).rows).toEqual([{ id: 1 }, { id: 2 }]);
    expect((await client.query('SELECT item FROM public.orders WHERE id = $1', [7])).rows).toEqual([
      { item: 'item 7' },
    ]);
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  test('is refused DROP TABLE with the rule named, and the session goes on', async () => {
    await expect(client.query('DROP TABLE orders')).rejects.toMatchObject(denied(/shop\/analysts, rule no-ddl/));
    await expect(client.query({ text: 'DROP TABLE orders', values: [] })).rejects.toMatchObject(denied(/no-ddl/));
    await expect(client.query('drop/**/table orders')).rejects.toMatchObject(denied(/no-ddl/));
    expect(await count()).toBe(50);
    expect((await client.query('SELECT 2 AS two')).rows).toEqual([{ two: 2 }]);
  });

  test('may write by key, and not without bounds', async () => {
    await client.query('UPDATE orders SET amount = 100 WHERE id = $1', [3]);
    await expect(client.query('DELETE FROM orders')).rejects.toMatchObject({
      ...denied(/never-unbounded/),
      hint: 'Add a WHERE clause.',
    });
    await expect(client.query('DELETE FROM orders WHERE 1 = 1')).rejects.toMatchObject(denied(/never-unbounded/));
    await expect(client.query("DELETE FROM orders WHERE item LIKE 'x%'")).rejects.toMatchObject(
      denied(/Filtered Delete on public.orders/),
    );
    await expect(client.query('WITH d AS (DELETE FROM orders RETURNING *) SELECT * FROM d')).rejects.toMatchObject(
      denied(/never-unbounded/),
    );
    expect(await count()).toBe(50);
  });

  test('does not reach another schema, by name or by search_path', async () => {
    await expect(client.query('SELECT * FROM secret.salaries')).rejects.toMatchObject(
      denied(/Select on secret.salaries/),
    );
    await client.query('SET search_path = secret, public');
    await expect(client.query('SELECT * FROM salaries')).rejects.toMatchObject(denied(/Select on secret.salaries/));
    await expect(client.query('SET search_path = public; SELECT * FROM secret.salaries')).rejects.toMatchObject(
      denied(/secret.salaries/),
    );
    await client.query('RESET search_path');
    await expect(
      client.query('SELECT * FROM orders; SET search_path = secret; SELECT * FROM salaries'),
    ).rejects.toMatchObject(denied(/secret.salaries/));
  });

  test('calls no user function that no rule lists', async () => {
    await expect(client.query('SELECT wipe()')).rejects.toMatchObject(denied(/public\.wipe\(\)/));
    await expect(client.query("SELECT pg_read_file('PG_VERSION')")).rejects.toMatchObject(denied(/ServerFile/));
    expect(await count()).toBe(50);
  });

  test('takes no other role', async () => {
    for (const sql of [
      'SET ROLE postgres',
      'SET SESSION AUTHORIZATION app_rw',
      "SELECT set_config('role', 'app_rw', false)",
      'RESET ROLE; DROP TABLE orders',
    ]) {
      await expect(client.query(sql)).rejects.toMatchObject({ code: '42501' });
    }
  });

  test('gets a syntax error in the words of PostgreSQL, with its position', async () => {
    await expect(client.query('SELEC 1')).rejects.toMatchObject({
      code: '42601',
      message: 'syntax error at or near "SELEC"',
      position: '1',
    });
  });

  test('gets errors of the server as they are', async () => {
    await expect(client.query('SELECT 1/0')).rejects.toMatchObject({ code: '22012' });
    await expect(client.query('SELECT nope FROM orders')).rejects.toMatchObject({ code: '42703' });
    await expect(client.query('SELECT * FROM no_such_table')).rejects.toMatchObject({ code: '42P01' });
  });
});

describe('a denial leaves the transaction state true', () => {
  test('in a transaction: it is aborted, and earlier work is rolled back', async () => {
    await client.query('BEGIN');
    await client.query('DELETE FROM orders WHERE id = 1');
    await expect(client.query('DROP TABLE orders')).rejects.toMatchObject({ code: '42501' });
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '25P02' });
    await client.query('COMMIT');
    expect(await count()).toBe(50);
  });

  test('in a string of several statements: what came before is rolled back with it', async () => {
    await expect(client.query('DELETE FROM orders WHERE id = 2; DROP TABLE orders; SELECT 1')).rejects.toMatchObject({
      code: '42501',
    });
    expect(await count()).toBe(50);
  });

  test('BEGIN; INSERT; COMMIT; <denied>: the commit stands', async () => {
    await expect(
      client.query("BEGIN; INSERT INTO orders VALUES (99, 'x', 1); COMMIT; DROP TABLE orders"),
    ).rejects.toMatchObject({ code: '42501' });
    expect(await count()).toBe(51);
    await client.query('DELETE FROM orders WHERE id = 99');
  });

  test('after a denied SET the settings are what they were', async () => {
    await expect(client.query('SET log_statement = none')).rejects.toMatchObject({ code: '42501' });
    await client.query("SET application_name = 'ann'");
    expect((await client.query('SHOW application_name')).rows).toEqual([{ application_name: 'ann' }]);
  });
});

describe('names of a session', () => {
  test('PREPARE and EXECUTE, cursors and temporary tables work and are judged by what they hold', async () => {
    await client.query('PREPARE p AS SELECT id FROM orders WHERE id = $1');
    expect((await client.query('EXECUTE p(5)')).rows).toEqual([{ id: 5 }]);
    await expect(client.query('PREPARE q AS DELETE FROM orders')).rejects.toMatchObject({ code: '42501' });
    await expect(client.query('EXECUTE q')).rejects.toMatchObject({ code: '26000' });
    await client.query('BEGIN');
    await client.query('DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id');
    expect((await client.query('FETCH 2 FROM c')).rows).toHaveLength(2);
    await client.query('COMMIT');
    await client.query('CREATE TEMP TABLE salaries AS SELECT 1 AS x');
    expect((await client.query('SELECT * FROM salaries')).rows).toEqual([{ x: 1 }]);
    await client.query('INSERT INTO salaries VALUES (2)');
  });

  test('a statement prepared before a policy changed is judged by the new one', async () => {
    const named = { name: 'n1', text: 'SELECT id FROM orders WHERE id = $1' };
    expect((await client.query({ ...named, values: [1] })).rows).toEqual([{ id: 1 }]);
    world.revise({ policies: [{ ...ANALYST, rules: ANALYST.rules.filter(({ name }) => name !== 'read') }, DBA] });
    try {
      await expect(client.query({ ...named, values: [1] })).rejects.toMatchObject({ code: '42501' });
    } finally {
      world.revise({ policies: [ANALYST, DBA] });
    }
    expect((await client.query({ ...named, values: [2] })).rows).toEqual([{ id: 2 }]);
  });
});

describe('sign-in', () => {
  test('a DBA under Any may do everything', async () => {
    const dba = await world.connect('dba');
    await dba.query('CREATE TABLE made (x int); INSERT INTO made VALUES (1)');
    await dba.query('DO $$ BEGIN PERFORM 1; END $$');
    await dba.query('DROP TABLE made');
    await dba.end();
  });

  test('names the role by the user parameter, and lists what is offered', async () => {
    const asRole = await world.connect('analyst', { user: 'analyst_ro' });
    expect((await asRole.query('SELECT current_user')).rows).toEqual([{ current_user: 'analyst_ro' }]);
    await asRole.end();
    await expect(world.connect('analyst', { user: 'postgres' })).rejects.toMatchObject({
      code: '28000',
      hint: expect.stringContaining('analyst_ro'),
    });
    await expect(world.connect('stranger')).rejects.toMatchObject({ code: '28000' });
  });

  test('a wrong password is refused and never repeated', async () => {
    const error = await world.connect('analyst', { password: 'hunter2-not-a-token' }).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: expect.stringMatching(/^28/) });
    expect(JSON.stringify([error, await world.events()])).not.toContain('hunter2');
  });

  test('options=-c role is refused', async () => {
    await expect(world.connect('analyst', { options: '-c role=postgres' })).rejects.toMatchObject({ code: '42501' });
    await expect(world.connect('analyst', { options: '-csession_authorization=postgres' })).rejects.toMatchObject({
      code: '42501',
    });
  });

  test('an identity that expires in mid-session gets an error that says so, in every form', async () => {
    for (const form of [(c: pg.Client) => c.query('SELECT 1'), (c: pg.Client) => c.query('SELECT $1::int', [1])]) {
      const brief = await world.connect('analyst', { password: await world.token('analyst', 2) });
      await form(brief);
      await new Promise((resolve) => setTimeout(resolve, 2200));
      await expect(form(brief)).rejects.toMatchObject({ code: '28000', message: expect.stringContaining('expired') });
      await brief.end().catch(() => {});
    }
  });
});

test('every statement has one intent and one outcome; the records name user, policy and rule', async () => {
  await client.query('SELECT 41 + 1 AS answer');
  await client.query('SELECT item FROM orders WHERE id = $1', [7]);
  await expect(client.query('DROP TABLE orders')).rejects.toBeDefined();
  await client.query('SELECT 1; SELECT 2');
  await client.end();
  client = await world.connect('analyst');
  const lines = (await world.events()).map((event) => JSON.stringify(event));
  expect(lines.some((line) => line.includes('SELECT 41 + 1 AS answer'))).toBe(true);
  expect(lines.some((line) => line.includes('no-ddl') && line.includes(username('analyst')))).toBe(true);
});

test('500 statements in one pipeline come back in order', async () => {
  const results = await Promise.all(Array.from({ length: 500 }, (_, i) => client.query('SELECT $1::int AS n', [i])));
  expect(results.map(({ rows }) => rows[0].n)).toEqual(Array.from({ length: 500 }, (_, i) => i));
});

test('COPY in both directions, large results and notices pass', async () => {
  const dba = await world.connect('dba');
  expect((await dba.query("SELECT i, repeat('x', 100) AS pad FROM generate_series(1, 20000) i")).rows).toHaveLength(
    20_000,
  );
  const big = await dba.query("SELECT repeat('y', 5000000) AS v");
  expect(big.rows[0].v).toHaveLength(5_000_000);
  await dba.end();
});
