import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ANALYST, DBA, policy, rule, startWorld, type World } from './harness.ts';

/** A builder may define things of her own; she reads nothing of `secret`. */
const EVERY = ['Select', 'Insert', 'Update', 'Delete', 'Truncate', 'Lock', 'Maintenance', 'Ddl', 'Code'];
const BUILDER = policy('builders', 'builder', 'app_rw', [
  rule('work', {
    statements: [
      'Select',
      'Insert',
      'Update',
      'Delete',
      'Ddl',
      'Code',
      'Transaction',
      'Session',
      'TempTable',
      'Prepare',
      'Cursor',
    ],
    relations: ['public.*'],
    functions: ['public.stamp()'],
  }),
  rule('hands-off', { action: 'Deny', statements: EVERY, relations: ['secret.*'] }),
]);

let world: World;
let client: pg.Client;
beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [ANALYST, DBA, BUILDER] }) });
  await world.server.query(`
    CREATE VIEW leak AS SELECT who, amount FROM secret.salaries;
    CREATE VIEW leak_again AS SELECT * FROM leak;
    CREATE VIEW items AS SELECT id, item FROM orders;
    CREATE TABLE plain (id int PRIMARY KEY); CREATE TABLE stamped (id int PRIMARY KEY);
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE FUNCTION unlisted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER stamp BEFORE INSERT ON stamped FOR EACH ROW EXECUTE FUNCTION stamp();
    CREATE TABLE twin (id int); CREATE TABLE secret.twin (id int);
    CREATE TABLE owner (id int PRIMARY KEY); INSERT INTO owner VALUES (1);
    CREATE TABLE secret.owned (owner int REFERENCES owner ON DELETE CASCADE); INSERT INTO secret.owned VALUES (1);
    CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10);
    CREATE TABLE secret.parted_high PARTITION OF parted FOR VALUES FROM (10) TO (20);
    CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = pg_catalog.oidne);
    GRANT ALL ON ALL TABLES IN SCHEMA public, secret TO analyst_ro, app_rw`);
}, 60_000);
afterAll(() => world.stop());
beforeEach(async () => {
  client = await world.connect('builder');
});
afterEach(() => client.end());

/** Where a temporary table hides one of `secret`. */
const SHADOWED = 'SET search_path = secret, public';
const denied = (pattern: RegExp) => ({ code: '42501', message: expect.stringMatching(pattern) });
const LEAK = denied(/hands-off: Select on secret\.salaries \(through the view public\.leak\)/);

describe('a table is denied', () => {
  test('through every view, in every form', async () => {
    await expect(client.query('SELECT * FROM leak')).rejects.toMatchObject(LEAK);
    await expect(client.query('SELECT * FROM leak_again WHERE amount > $1', [1])).rejects.toMatchObject(LEAK);
    await expect(client.query('PREPARE p AS TABLE leak_again')).rejects.toMatchObject(LEAK);
    await expect(client.query('UPDATE leak SET amount = 1')).rejects.toMatchObject(denied(/hands-off/));
    await expect(client.query('CREATE VIEW mine AS SELECT * FROM leak')).rejects.toMatchObject(LEAK);
    expect((await client.query('SELECT * FROM items WHERE id = 1')).rows).toEqual([{ id: 1, item: 'item 1' }]);
  });

  test('to sessions with temporary tables and uncommitted views of their own, under a hostile search_path', async () => {
    await client.query('CREATE TEMP TABLE t (id int); SET search_path = public, pg_catalog');
    await expect(client.query('SELECT * FROM leak_again')).rejects.toMatchObject(LEAK);
    await client.query('BEGIN; CREATE VIEW over_items AS SELECT * FROM items');
    expect((await client.query('SELECT * FROM over_items WHERE id = 2')).rows).toHaveLength(1);
    await client.query('CREATE OR REPLACE VIEW over_items AS SELECT id, item FROM orders WHERE id < 2');
    await client.query('UPDATE over_items SET item = item WHERE id = 1');
    await expect(client.query('TABLE over_items; TABLE leak')).rejects.toMatchObject(LEAK);
    await client.query('ROLLBACK');
  });

  test.each([
    [['CREATE TEMP TABLE t (id int)'], 'SET search_path = secret, public; SELECT * FROM twin'],
    [[`${SHADOWED}; CREATE TEMP TABLE twin (id int)`], 'DROP TABLE pg_temp.twin; SELECT * FROM twin'],
    [[`${SHADOWED}; CREATE TEMP TABLE twin (id int)`], 'ALTER TABLE pg_temp.twin RENAME TO t; SELECT * FROM twin'],
    [['SET search_path = public, secret'], 'ALTER TABLE twin RENAME TO t; SELECT * FROM twin'],
    [['SET search_path = public, secret'], '/* */ DROP TABLE twin; SELECT * FROM twin'],
    [[SHADOWED, 'BEGIN', 'CREATE TEMP TABLE twin (id int)'], 'ROLLBACK; SELECT * FROM twin'],
    [
      [SHADOWED, 'BEGIN', 'SAVEPOINT s', 'CREATE TEMP TABLE twin (id int)', 'SELECT * FROM twin'],
      'ROLLBACK TO s; SELECT * FROM twin',
    ],
    [[SHADOWED, 'BEGIN', 'CREATE TEMP TABLE twin (id int) ON COMMIT DROP'], 'COMMIT; SELECT * FROM twin'],
  ])('behind what else a name meant at the start of the string: %s, then %s', async (before, text) => {
    for (const one of before) await client.query(one);
    await expect(client.query(text)).rejects.toMatchObject({ code: '42501' });
  });

  test('through a temporary view that was made before', async () => {
    await client.query('CREATE TEMP VIEW v AS SELECT item FROM orders');
    expect((await client.query('SELECT * FROM v LIMIT 1')).rows).toHaveLength(1);
    const no = rule('no-orders', { action: 'Deny', statements: EVERY, relations: ['public.orders'] });
    world.revise({ policies: [ANALYST, DBA, { ...BUILDER, rules: [...BUILDER.rules, no] }] });
    try {
      await expect(client.query('SELECT * FROM v LIMIT 1')).rejects.toMatchObject(denied(/no-orders/));
    } finally {
      world.revise({ policies: [ANALYST, DBA, BUILDER] });
    }
  });

  test('by a foreign key, and by an index', async () => {
    await expect(client.query('DELETE FROM owner WHERE id = 1')).rejects.toMatchObject(
      denied(/Filtered Delete on secret\.owned \(by a foreign key to public\.owner\)/),
    );
    await client.query('UPDATE owner SET id = 2 WHERE id = 3');
    await expect(client.query('DROP INDEX secret.salaries_pkey')).rejects.toMatchObject(denied(/secret/));
  });

  test('whatever the search_path is when a prepared statement runs', async () => {
    const sql = { name: 'twin', text: 'SELECT * FROM twin WHERE id = $1', values: [1] };
    await client.query(sql);
    await client.query('SET search_path = secret, public');
    await expect(client.query(sql)).rejects.toMatchObject(denied(/secret\.twin/));
    await client.query('SET search_path = public, secret; CREATE TEMP TABLE twin (id int)');
    await client.query('SET search_path = secret');
    expect((await client.query(sql)).rows).toEqual([]);
    await client.query('SET search_path = secret, pg_temp');
    await expect(client.query(sql)).rejects.toMatchObject(denied(/secret\.twin/));
  });

  test('what was prepared before a temporary table hid what it reads', async () => {
    const sql = { name: 'orders', text: 'SELECT * FROM orders WHERE id = $1', values: [1] };
    await client.query('CREATE TEMP TABLE first (id int)');
    await client.query(sql);
    await client.query('PREPARE p AS SELECT * FROM orders; BEGIN; DECLARE c CURSOR FOR SELECT * FROM orders');
    await client.query('CREATE TEMP TABLE orders (id int)');
    const no = rule('no-orders', { action: 'Deny', statements: EVERY, relations: ['public.orders'] });
    world.revise({ policies: [ANALYST, DBA, { ...BUILDER, rules: [...BUILDER.rules, no] }] });
    try {
      const overtaken = denied(/a temporary relation that was made since it was prepared/);
      for (const text of ['FETCH c', 'EXECUTE p']) {
        await client.query('SAVEPOINT s');
        await expect(client.query(text)).rejects.toMatchObject(overtaken);
        await client.query('ROLLBACK TO s');
      }
      await expect(client.query(sql)).rejects.toMatchObject(overtaken);
      await client.query('ROLLBACK');
      await client.query('DEALLOCATE ALL; CREATE TEMP TABLE orders (id int)');
      expect((await client.query({ ...sql, name: 'again' })).rows).toEqual([]);
    } finally {
      world.revise({ policies: [ANALYST, DBA, BUILDER] });
    }
  });

  test('in a partition of another schema, through the parent', async () => {
    await expect(client.query('SELECT * FROM parted')).rejects.toMatchObject(denied(/hands-off/));
    expect((await client.query('SELECT * FROM parted_low')).rows).toEqual([]);
    expect((await client.query('SELECT * FROM ONLY parted')).rows).toEqual([]);
  });
});

describe('DDL', () => {
  test('of somebody else counts within a second, for prepared statements too', async () => {
    const sql = { name: 'n', text: 'SELECT * FROM items WHERE id = $1', values: [3] };
    expect((await client.query(sql)).rows).toHaveLength(1);
    await world.server.query(
      'CREATE OR REPLACE VIEW items AS SELECT id, item FROM orders, (SELECT count(*) FROM secret.salaries) c',
    );
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await expect(client.query(sql)).rejects.toMatchObject(denied(/secret\.salaries/));
    await world.server.query('CREATE OR REPLACE VIEW items AS SELECT id, item FROM orders');
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect((await client.query(sql)).rows).toHaveLength(1);
  });

  test('of a session of the gateway counts at once for all', async () => {
    const dba = await world.connect('dba');
    for (let i = 0; i < 3; i++) {
      await dba.query('CREATE VIEW brief AS SELECT * FROM leak');
      await expect(client.query('SELECT * FROM brief')).rejects.toMatchObject(LEAK);
      await dba.query('DROP VIEW brief; CREATE VIEW brief AS SELECT * FROM items');
      await client.query('SELECT * FROM brief');
      await dba.query('DROP VIEW brief');
      await expect(client.query('SELECT * FROM brief')).rejects.toMatchObject({ code: '42P01' });
    }
    await dba.end();
  });

  test('a name that meant nothing is looked up again', async () => {
    await expect(client.query('SELECT * FROM later')).rejects.toMatchObject({ code: '42P01' });
    await world.server.query('CREATE VIEW later AS SELECT * FROM secret.salaries; GRANT SELECT ON later TO app_rw');
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await expect(client.query('SELECT * FROM later')).rejects.toMatchObject(denied(/secret\.salaries/));
  });

  test('a trigger runs a function that a rule lists, or nothing', async () => {
    await client.query('INSERT INTO stamped VALUES (1)');
    await world.server.query('CREATE TRIGGER more BEFORE UPDATE ON stamped FOR EACH ROW EXECUTE FUNCTION unlisted()');
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await client.query('INSERT INTO stamped VALUES (2)');
    await expect(client.query('UPDATE stamped SET id = 3 WHERE id = 2')).rejects.toMatchObject(
      denied(/no rule allows the function public\.unlisted\(\) \(by a trigger on public\.stamped\)/),
    );
  });
});

test('the catalogue of a database that a policy names is read at start', async () => {
  const policies = [{ ...ANALYST, databases: ['postgres'] }];
  const other = await startWorld({ change: (document) => ({ ...document, policies }) });
  const readers = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'postern catalogue'";
  await expect.poll(() => other.server.query(readers), { timeout: 5000 }).toHaveLength(1);
  await other.stop();
});

test('names are cut as the server cuts them', async () => {
  const long = 'é'.repeat(40);
  await client.query(`CREATE TABLE public."${long}" (id int); CREATE TABLE ${'x'.repeat(70)} (id int)`);
  expect((await client.query(`SELECT * FROM "${long}"`)).rows).toEqual([]);
  expect((await client.query(`SELECT * FROM ${'x'.repeat(63)}`)).rows).toEqual([]);
  expect((await client.query(`SELECT * FROM ${'X'.repeat(80)}`)).rows).toEqual([]);
});
