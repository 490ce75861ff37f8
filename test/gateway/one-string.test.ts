import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeExecute, encodeSync } from '../../gateway/wire/frontend.ts';
import { policy, rule, startWorld, type World } from './harness.ts';
import { bind, parse, signIn, sql } from './raw.ts';

/** Somebody who defines things; of functions, one alone is listed, and of `secret` nothing may be touched. */
const MIGRATOR = policy('migrators', 'migrator', 'app_rw', [
  rule('work', {
    statements: [
      ...(['Select', 'Insert', 'Update', 'Delete', 'Truncate', 'Ddl', 'Code', 'CopyFrom', 'Maintenance'] as const),
      ...(['Transaction', 'Session', 'TempTable', 'Prepare', 'Cursor', 'Sequence', 'Catalog', 'Lock'] as const),
    ],
    relations: ['public.*', 'work.*'],
    functions: ['public.listed()'],
  }),
]);

/** Reads `public`, does as she likes in `work`, but for tables of which rules say more. */
const NARROW = policy('narrow', 'narrow', 'app_rw', [
  rule('read', { statements: ['Select'], relations: ['public.*'] }),
  rule('own', {
    statements: [
      'Select',
      'Insert',
      'Update',
      'Delete',
      'Truncate',
      'Ddl',
      'Code',
      'Transaction',
      'Session',
      'TempTable',
      'Prepare',
      'Explain',
      'Lock',
    ],
    relations: ['work.*', 'other.*'],
    functions: ['public.listed()', 'work.listed(integer)'],
  }),
  rule('key', { action: 'Deny', statements: ['Delete'], relations: ['work.keyed'], reach: ['Filtered', 'Unbounded'] }),
  rule('kept', { action: 'Deny', statements: ['Delete'], relations: ['work.child'] }),
]);

const SETUP = `
  CREATE FUNCTION listed() RETURNS int LANGUAGE sql AS 'SELECT 1';
  CREATE FUNCTION unlisted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE FUNCTION unlisted(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
  CREATE TYPE money2 AS ENUM ('a', 'b');
  CREATE FUNCTION unlisted(money2, money2) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
  CREATE OPERATOR === (LEFTARG = money2, RIGHTARG = money2, FUNCTION = unlisted);
  CREATE DOMAIN guarded AS int CHECK (unlisted(value));
  CREATE TABLE purses (id int PRIMARY KEY, m money2, g guarded);
  CREATE TABLE base (id int PRIMARY KEY, a int); ALTER TABLE base OWNER TO app_rw; ALTER TABLE orders OWNER TO app_rw;
  CREATE SCHEMA work AUTHORIZATION app_rw; CREATE TABLE work.twin (id int); ALTER TABLE work.twin OWNER TO app_rw;
  CREATE VIEW work.stopped AS SELECT * FROM base; CREATE RULE r AS ON DELETE TO work.stopped DO INSTEAD NOTHING;
  CREATE FUNCTION work.instead() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
  CREATE TABLE work.sleeping (id int); CREATE TRIGGER x BEFORE INSERT ON work.sleeping FOR EACH ROW EXECUTE FUNCTION unlisted();
  ALTER TABLE work.sleeping DISABLE TRIGGER x;
  CREATE TABLE work.ruled (id int); CREATE RULE r AS ON INSERT TO work.ruled DO ALSO DELETE FROM public.base; ALTER TABLE work.ruled DISABLE RULE r;
  CREATE TABLE work.secured (id int); CREATE POLICY p ON work.secured USING (unlisted(id));
  CREATE TABLE work.parted (id int) PARTITION BY LIST (id);
  CREATE TRIGGER x BEFORE INSERT ON work.parted FOR EACH ROW EXECUTE FUNCTION unlisted();
  CREATE TABLE work.checked (id int CHECK (unlisted(id)));
  CREATE TABLE work.plain (id int); CREATE TABLE work.parent (id int PRIMARY KEY); CREATE TABLE work.child (id int);
  CREATE TABLE work.keyed (id int PRIMARY KEY, u int NOT NULL); CREATE UNIQUE INDEX keyed_u ON work.keyed (u);
  CREATE TYPE work.pair AS (a int); CREATE TABLE work.pairs (p work.pair);
  CREATE FUNCTION work.listed(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
  CREATE VIEW work.over AS SELECT * FROM base; CREATE TABLE work.watched (a int, b int);
  CREATE TRIGGER x BEFORE UPDATE OF a ON work.watched FOR EACH ROW EXECUTE FUNCTION unlisted();
  CREATE DOMAIN secret.wrapped AS int CHECK (unlisted(value)); CREATE FUNCTION secret.hidden() RETURNS int LANGUAGE sql AS 'SELECT 1';
  CREATE FUNCTION secret.hidden(orders) RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT USAGE ON SCHEMA secret TO PUBLIC;
  CREATE SCHEMA other AUTHORIZATION app_rw; CREATE FUNCTION other.listed(bigint) RETURNS int LANGUAGE sql AS 'SELECT 2';
  ALTER FUNCTION other.listed(bigint) OWNER TO app_rw; ALTER TYPE work.pair OWNER TO app_rw;
  DO $$ DECLARE r record; BEGIN FOR r IN SELECT oid::regclass::text AS n FROM pg_class WHERE relnamespace = 'work'::regnamespace AND relkind IN ('r', 'p', 'v')
    LOOP EXECUTE 'ALTER TABLE ' || r.n || ' OWNER TO app_rw'; END LOOP; END $$;
  GRANT ALL ON ALL TABLES IN SCHEMA public, secret, work TO app_rw; GRANT ALL ON SCHEMA secret TO app_rw`;

let world: World;
beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [MIGRATOR, NARROW] }) });
  await world.server.query(SETUP);
}, 60_000);
afterAll(() => world.stop());

describe('a string of statements', () => {
  /** What comes back when all is sent at once, the connection's end included. */
  async function talk(account: string, messages: readonly Buffer[]): Promise<string> {
    const client = await signIn(world, account);
    client.send(...messages);
    client.socket.end();
    return await client.until('end');
  }

  /** Each by itself is refused at its last statement. */
  const ATTACKS: readonly (readonly [string, readonly string[]])[] = [
    [
      'a trigger on a new table',
      [
        'CREATE TABLE n (a int)',
        'CREATE TRIGGER x BEFORE INSERT ON n FOR EACH ROW EXECUTE FUNCTION unlisted()',
        'INSERT INTO n VALUES (1)',
      ],
    ],
    [
      'a trigger on a table that was there',
      [
        'CREATE TRIGGER x BEFORE INSERT ON base FOR EACH ROW EXECUTE FUNCTION unlisted()',
        'INSERT INTO base VALUES (1)',
      ],
    ],
    [
      'a trigger on a temporary table',
      [
        'CREATE TEMP TABLE n (a int)',
        'CREATE TRIGGER x BEFORE INSERT ON n FOR EACH ROW EXECUTE FUNCTION unlisted()',
        'INSERT INTO n VALUES (1)',
      ],
    ],
    ['a rule', ['CREATE RULE r AS ON INSERT TO base DO ALSO SELECT unlisted(1)', 'INSERT INTO base VALUES (1)']],
    [
      'a policy',
      [
        'CREATE POLICY p ON base USING (unlisted(id))',
        'ALTER TABLE base ENABLE ROW LEVEL SECURITY',
        'SELECT * FROM base',
      ],
    ],
    ['a check', ['ALTER TABLE base ADD CHECK (unlisted(id)) NOT VALID', 'INSERT INTO base VALUES (1)']],
    ['a default', ['CREATE TABLE n (a int, b bool DEFAULT unlisted(1))', 'INSERT INTO n (a) VALUES (1)']],
    ['a view over secret', ['CREATE VIEW v AS SELECT * FROM secret.salaries', 'SELECT * FROM v']],
    ['a temporary view over secret', ['CREATE TEMP VIEW v AS SELECT * FROM secret.salaries', 'SELECT * FROM v']],
    ['an operator by a column of a new table', ['CREATE TABLE n AS SELECT m FROM purses', 'SELECT m === m FROM n']],
    [
      'an operator by a column of a temporary table',
      ['CREATE TEMP TABLE n AS SELECT m FROM purses', 'SELECT m === m FROM n'],
    ],
    ['an operator by a column that is added', ['ALTER TABLE base ADD COLUMN m money2', 'SELECT m === m FROM base']],
    [
      'an operator by a column that is altered',
      ["ALTER TABLE work.plain ALTER id TYPE money2 USING 'a'::money2", 'SELECT id === id FROM work.plain'],
    ],
    ['an operator by a view', ['CREATE VIEW v AS SELECT m FROM purses', 'SELECT m === m FROM v']],
    ['the row type of a new table', ['CREATE TABLE n AS SELECT g FROM purses', "SELECT '(1)'::n"]],
    ['the row type of a temporary table', ['CREATE TEMP TABLE n AS SELECT g FROM purses', "SELECT '(1)'::n"]],
    [
      'an array of the row type of a temporary table',
      ['CREATE TEMP TABLE n AS SELECT g FROM purses', "SELECT '{}'::n[]"],
    ],
    [
      'the row type of a table with a new column',
      ['CREATE TABLE n (a int)', 'ALTER TABLE n ADD COLUMN g guarded', "SELECT '(1,1)'::n"],
    ],
    [
      'a column that runs a function as values come',
      ['CREATE TABLE n AS SELECT g FROM purses', 'INSERT INTO n VALUES (1)'],
    ],
    [
      'a column that runs a function, temporary',
      ['CREATE TEMP TABLE n AS SELECT g FROM purses', 'INSERT INTO n VALUES (1)'],
    ],
    ['a table that inherits secret', ['CREATE TABLE n () INHERITS (secret.salaries)', 'DELETE FROM n']],
    ['a table that secret inherits', ['ALTER TABLE secret.salaries INHERIT base', 'SELECT * FROM base']],
    [
      'a foreign key with a cascade',
      [
        'CREATE TABLE p (id int PRIMARY KEY)',
        'ALTER TABLE secret.salaries ADD FOREIGN KEY (amount) REFERENCES p ON DELETE CASCADE',
        'DELETE FROM p',
      ],
    ],
    [
      'another of that name behind a temporary one that went',
      [
        'CREATE TEMP TABLE salaries (a int)',
        'DROP TABLE salaries',
        'SET search_path = secret',
        'SELECT * FROM salaries',
      ],
    ],
    [
      'a temporary table that goes at COMMIT',
      [
        'SET search_path = secret, public',
        'BEGIN',
        'CREATE TEMP TABLE salaries (a int) ON COMMIT DROP',
        'COMMIT',
        'SELECT * FROM salaries',
      ],
    ],
    [
      'a temporary table that is rolled back',
      [
        'SET search_path = secret, public',
        'BEGIN',
        'CREATE TEMP TABLE salaries (a int)',
        'ROLLBACK',
        'SELECT * FROM salaries',
      ],
    ],
    [
      'a temporary table that is rolled back to a savepoint',
      [
        'SET search_path = secret, public',
        'BEGIN',
        'SAVEPOINT s',
        'CREATE TEMP TABLE salaries (a int)',
        'ROLLBACK TO s',
        'SELECT * FROM salaries',
      ],
    ],
    [
      'a path that puts temporary tables behind others',
      ['SET search_path = secret, pg_temp', 'CREATE TEMP TABLE salaries (a int)', 'SELECT * FROM salaries'],
    ],
    [
      'DISCARD TEMP',
      [
        'SET search_path = secret, public',
        'CREATE TEMP TABLE salaries (a int)',
        'DISCARD TEMP',
        'SELECT * FROM salaries',
      ],
    ],
    [
      'a settings view of one’s own',
      [
        "CREATE TEMP TABLE pg_settings AS SELECT 'session_authorization'::text AS name, 'x'::text AS setting",
        'SELECT set_config(name, setting, false) FROM pg_settings',
      ],
    ],
  ];
  const NARROW_ATTACKS: readonly (readonly [string, readonly string[]])[] = [
    ['a view that is written through', ['CREATE VIEW work.v AS SELECT * FROM public.base', 'DELETE FROM work.v']],
    [
      'a view that is replaced',
      [
        'CREATE VIEW work.v AS SELECT * FROM work.plain',
        'CREATE OR REPLACE VIEW work.v AS SELECT id FROM public.base',
        'DELETE FROM work.v',
      ],
    ],
    [
      'a rule that does something else',
      ['CREATE RULE r AS ON INSERT TO work.plain DO ALSO DELETE FROM public.base', 'INSERT INTO work.plain VALUES (1)'],
    ],
    ['a rule that goes', ['DROP RULE r ON work.stopped', 'DELETE FROM work.stopped']],
    [
      'a trigger that is enabled',
      ['ALTER TABLE work.sleeping ENABLE TRIGGER x', 'INSERT INTO work.sleeping VALUES (1)'],
    ],
    [
      'all triggers that are enabled',
      ['ALTER TABLE work.sleeping ENABLE TRIGGER USER', 'INSERT INTO work.sleeping VALUES (1)'],
    ],
    [
      'a trigger that is enabled, copied',
      ['ALTER TABLE work.sleeping ENABLE TRIGGER x', 'COPY work.sleeping FROM STDIN'],
    ],
    [
      'a trigger that is enabled, behind a view',
      [
        'CREATE VIEW work.v AS SELECT * FROM work.sleeping',
        'ALTER TABLE work.sleeping ENABLE TRIGGER x',
        'INSERT INTO work.v VALUES (1)',
      ],
    ],
    ['a rule that is enabled', ['ALTER TABLE work.ruled ENABLE RULE r', 'INSERT INTO work.ruled VALUES (1)']],
    [
      'row security that is enabled',
      ['ALTER TABLE work.secured ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', 'SELECT * FROM work.secured'],
    ],
    [
      'a new partition',
      ['CREATE TABLE work.np PARTITION OF work.parted FOR VALUES IN (5)', 'INSERT INTO work.np VALUES (5)'],
    ],
    [
      'a table that becomes a partition',
      [
        'CREATE TABLE work.np (id int)',
        'ALTER TABLE work.parted ATTACH PARTITION work.np FOR VALUES IN (5)',
        'INSERT INTO work.np VALUES (5)',
      ],
    ],
    ['LIKE', ['CREATE TABLE work.np (LIKE work.checked INCLUDING ALL)', 'INSERT INTO work.np VALUES (5)']],
    ['INHERITS', ['CREATE TABLE work.np () INHERITS (work.checked)', 'INSERT INTO work.np VALUES (5)']],
    [
      'a child that is read through its parent',
      ['CREATE TABLE work.np () INHERITS (work.child)', 'DELETE FROM work.np'],
    ],
    [
      'a foreign key',
      [
        'ALTER TABLE work.child ADD FOREIGN KEY (id) REFERENCES work.parent ON DELETE CASCADE',
        'DELETE FROM work.parent',
      ],
    ],
    [
      'a foreign key by column',
      ['ALTER TABLE work.child ADD COLUMN p int REFERENCES work.parent ON DELETE CASCADE', 'DELETE FROM work.parent'],
    ],
    ['a key that goes', ['ALTER TABLE work.keyed DROP CONSTRAINT keyed_pkey', 'DELETE FROM work.keyed WHERE id = 1']],
    [
      'a key’s column that goes',
      [
        'ALTER TABLE work.keyed DROP COLUMN id',
        'ALTER TABLE work.keyed ADD COLUMN id int',
        'DELETE FROM work.keyed WHERE id = 1',
      ],
    ],
    ['an index that goes', ['DROP INDEX work.keyed_u', 'DELETE FROM work.keyed WHERE u = 1']],
    [
      'an attribute that is added',
      ['ALTER TYPE work.pair ADD ATTRIBUTE m money2', 'SELECT (p).m === (p).m FROM work.pairs'],
    ],
    [
      'an overload of a function of the server',
      ["CREATE FUNCTION work.lower(money2) RETURNS int LANGUAGE sql AS 'SELECT 1'", "SELECT work.lower('a'::money2)"],
    ],
    [
      'an overload of a function of the server by the path',
      [
        'SET search_path = work, public',
        "CREATE FUNCTION work.lower(money2) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT lower('a'::money2)",
      ],
    ],
    [
      'an overload of a listed function',
      ["CREATE FUNCTION work.listed(bigint) RETURNS int LANGUAGE sql AS 'SELECT 1'", 'SELECT work.listed(1::bigint)'],
    ],
    [
      'an overload of a listed function that comes',
      [
        'DROP FUNCTION IF EXISTS work.listed(bigint)',
        'ALTER FUNCTION other.listed(bigint) SET SCHEMA work',
        'SELECT work.listed(1::bigint)',
      ],
    ],
    [
      'a trigger by a function of the string',
      [
        "CREATE FUNCTION work.mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        'CREATE TRIGGER x BEFORE INSERT ON work.plain FOR EACH ROW EXECUTE FUNCTION work.mine()',
        'INSERT INTO work.plain VALUES (1)',
      ],
    ],
    [
      'an operator by a function of the string',
      [
        "CREATE FUNCTION work.mine(money2, money2) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        'CREATE OPERATOR work.+ (LEFTARG = money2, RIGHTARG = money2, FUNCTION = work.mine)',
        "SELECT 'a'::money2 OPERATOR(work.+) 'b'::money2",
      ],
    ],
    [
      'a cast by a function of the string',
      [
        "CREATE FUNCTION work.mine(work.pair) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        'CREATE CAST (work.pair AS int) WITH FUNCTION work.mine(work.pair)',
        'SELECT p::int FROM work.pairs',
      ],
    ],
    [
      'a view over a table that is changed',
      [
        'CREATE VIEW work.v AS SELECT * FROM work.secured',
        'ALTER TABLE work.secured ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY',
        'SELECT * FROM work.v',
      ],
    ],
    [
      'a column that is renamed to a key’s name',
      [
        'ALTER TABLE work.keyed RENAME id TO was',
        'ALTER TABLE work.keyed ADD id int',
        'DELETE FROM work.keyed WHERE id = 1',
      ],
    ],
    [
      'EXPLAIN ANALYZE of a definition',
      ['EXPLAIN ANALYZE CREATE TABLE work.np AS SELECT g FROM public.purses', 'INSERT INTO work.np VALUES (1)'],
    ],
    [
      'a view that is locked',
      ['CREATE VIEW work.v AS SELECT * FROM public.base', 'LOCK work.v IN ACCESS EXCLUSIVE MODE'],
    ],
    [
      'rows that are locked through a view',
      ['CREATE VIEW work.v AS SELECT * FROM public.base', 'SELECT * FROM work.v FOR UPDATE'],
    ],
    ['a table of another name', ['ALTER TABLE work.checked RENAME TO np', 'INSERT INTO work.np VALUES (1)']],
    ['a view of another name', ['ALTER VIEW work.over RENAME TO over2', 'DELETE FROM work.over2']],
    [
      'a table in another schema',
      ['ALTER TABLE work.checked SET SCHEMA other', 'INSERT INTO other.checked VALUES (1)'],
    ],
    [
      'a temporary table of another name',
      [
        'CREATE TEMP TABLE t (LIKE work.checked INCLUDING ALL)',
        'ALTER TABLE t RENAME TO u',
        'INSERT INTO pg_temp.u VALUES (1)',
      ],
    ],
    [
      'a column that a trigger watches, of another name',
      ['ALTER TABLE work.watched RENAME a TO c', 'UPDATE work.watched SET c = 1'],
    ],
    [
      'EXPLAIN of a definition',
      ['SET search_path = secret, public', 'EXPLAIN CREATE TEMP TABLE salaries AS SELECT 1', 'SELECT * FROM salaries'],
    ],
    ['SELECT INTO', ['SELECT g INTO work.np FROM public.purses', 'INSERT INTO work.np VALUES (1)']],
    [
      'CREATE TABLE AS EXECUTE',
      [
        'PREPARE q AS SELECT g FROM public.purses',
        'CREATE TABLE work.np AS EXECUTE q',
        'INSERT INTO work.np VALUES (1)',
      ],
    ],
    [
      'a table through another that inherits later',
      ['CREATE TABLE work.np (id int)', 'ALTER TABLE work.np INHERIT work.child', 'DELETE FROM work.np'],
    ],
    [
      'an aggregate of one’s own',
      [
        'CREATE AGGREGATE work.listed(smallint) (SFUNC = pg_catalog.int82pl, STYPE = bigint, INITCOND = 0)',
        'SELECT work.listed(1::smallint)',
      ],
    ],
  ];
  test.each([
    ...ATTACKS.map(([what, statements]) => [what, statements, 'migrator'] as const),
    ...NARROW_ATTACKS.map(([what, statements]) => [what, statements, 'narrow'] as const),
  ])('is refused where its statements by themselves are: %s', async (_, statements, account) => {
    const client = await world.connect(account);
    const own = statements.some((text) => /^(?:BEGIN|DISCARD)/.test(text));
    if (!own) await client.query('BEGIN');
    const last = await each(client, statements);
    expect(last).toMatchObject({ code: '42501' });
    await client.query('ROLLBACK');
    await client.query('DISCARD ALL');
    await expect(client.query(statements.join('; '))).rejects.toMatchObject({ code: '42501' });
    await client.end();
    const begin = own ? [] : ['BEGIN'];
    const pipelined = [...begin, ...statements].flatMap((text) => [parse(text), bind(), encodeExecute('', 0)]);
    // A ROLLBACK takes SET with it there, and the server finds nothing.
    expect(await talk(account, [...pipelined, encodeSync()])).toMatch(/E:(?:42501|42P01)/);
    expect(await talk(account, [...begin, ...statements].map(sql))).toContain('E:42501');
  });
});

describe('a string of statements that is harmless', () => {
  const HARMLESS: readonly (readonly [string, string])[] = [
    [
      'a temporary table',
      "CREATE TEMP TABLE t (id int, n text); INSERT INTO t VALUES (1, 'a'); UPDATE t SET n = n; SELECT * FROM t",
    ],
    [
      'one that hides another',
      'CREATE TEMP TABLE orders (id int); INSERT INTO orders VALUES (1); DELETE FROM orders; SELECT * FROM public.orders',
    ],
    ['one by its schema', 'CREATE TEMP TABLE t (id int); INSERT INTO pg_temp.t VALUES (1); TRUNCATE t; DROP TABLE t'],
    [
      'one that is made anew',
      'DROP TABLE IF EXISTS t; CREATE TEMP TABLE t AS SELECT * FROM orders; CREATE INDEX ON t (id); ANALYZE t; SELECT count(*) FROM t',
    ],
    [
      'two that are joined',
      'CREATE TEMP TABLE a (id int); CREATE TEMP TABLE b (id int); INSERT INTO a VALUES (1); SELECT * FROM a JOIN b USING (id) JOIN orders USING (id)',
    ],
    ['SELECT INTO', 'SELECT id INTO TEMP t FROM orders; SELECT * FROM t'],
    [
      'in a transaction',
      'BEGIN; CREATE TEMP TABLE t (id int) ON COMMIT DROP; INSERT INTO t SELECT id FROM orders; SELECT * FROM t; COMMIT',
    ],
    [
      'where there may be one',
      'CREATE TEMP TABLE IF NOT EXISTS t (id int); CREATE TEMP TABLE IF NOT EXISTS t (id int); INSERT INTO t VALUES (1)',
    ],
    [
      'an ordinary table',
      "CREATE TABLE public.n (id serial PRIMARY KEY, n text NOT NULL DEFAULT 'x'); CREATE INDEX ON n (n); INSERT INTO n (n) VALUES ('a'); UPDATE n SET n = 'b' WHERE id = 1; COMMENT ON TABLE n IS 'x'; DROP TABLE n",
    ],
    [
      'tables with keys of each other',
      'CREATE TABLE public.p (id int PRIMARY KEY); CREATE TABLE public.n (p int REFERENCES p ON DELETE CASCADE); INSERT INTO p VALUES (1); INSERT INTO n VALUES (1); UPDATE n SET p = 1; DROP TABLE n; DROP TABLE p',
    ],
    [
      'a column that is added and filled',
      "ALTER TABLE base ADD COLUMN note text; UPDATE base SET note = ''; ALTER TABLE base ALTER note SET NOT NULL; SELECT note FROM base WHERE id = 1; ALTER TABLE base DROP COLUMN note",
    ],
    [
      'a foreign key, and its own table',
      'CREATE TABLE public.p (id int PRIMARY KEY); ALTER TABLE base ADD COLUMN p int; ALTER TABLE base ADD CONSTRAINT fk FOREIGN KEY (p) REFERENCES p ON DELETE SET NULL; UPDATE base SET p = NULL; ALTER TABLE base DROP COLUMN p; DROP TABLE p',
    ],
    [
      'a column that goes',
      'ALTER TABLE base ADD COLUMN gone int; ALTER TABLE base DROP COLUMN gone; UPDATE base SET a = 1 WHERE a = 2',
    ],
    ['a view', 'CREATE VIEW public.v AS SELECT id FROM orders; SELECT * FROM v; DROP VIEW v'],
    [
      'a table of an enumeration',
      "CREATE TABLE public.n (m money2); INSERT INTO n VALUES ('a'); SELECT m FROM n WHERE m = 'a'; DROP TABLE n",
    ],
    [
      'a partition',
      'CREATE TABLE public.n (id int) PARTITION BY LIST (id); CREATE TABLE public.n1 PARTITION OF n FOR VALUES IN (1); INSERT INTO n VALUES (1); SELECT * FROM n; DROP TABLE n1; DROP TABLE n',
    ],
    [
      'a function and a trigger',
      "CREATE FUNCTION public.trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER x BEFORE UPDATE ON work.plain FOR EACH ROW EXECUTE FUNCTION trg(); INSERT INTO work.twin VALUES (7); DROP TRIGGER x ON work.plain; DROP FUNCTION trg()",
    ],
  ];
  test.each(HARMLESS)('runs: %s', async (_, text) => {
    const client = await world.connect('migrator');
    // A session with and without temporary objects of its own.
    for (const before of ['', 'CREATE TEMP TABLE own (id int)']) {
      await client.query(before);
      await client.query(text);
      await client.query('DROP TABLE IF EXISTS pg_temp.t, pg_temp.a, pg_temp.b, pg_temp.orders');
    }
    await client.end();
  });

  describe('a path that the string sets', () => {
    test.each([
      ['a relation', 'SELECT * FROM salaries'],
      ['a relation that is emptied', 'TRUNCATE salaries'],
      ['a type', "SELECT '1'::wrapped"],
      ['a type written as a call', "SELECT wrapped('1')"],
      ['a function', 'SELECT hidden()'],
      ['a function written as an attribute', 'SELECT (o).hidden FROM orders o'],
    ])('is not judged by what was found by another: %s', async (_, text) => {
      const client = await world.connect('migrator');
      // Nobody has it; that is asked of the server, and remembered.
      await expect(client.query(text)).rejects.toMatchObject({ code: /^42(P01|704|883|703)$/ });
      for (const path of ['public, secret', 'secret', 'nowhere, secret, public']) {
        const whole = `SET search_path = ${path}; ${text}`;
        await expect(client.query(whole), path).rejects.toMatchObject({ code: '42501', message: /AccessPolicy|rule/ });
      }
      await client.end();
    });

    test('finds the server’s own before what was asked for by its schema', async () => {
      const client = await world.connect('narrow');
      await expect(client.query('SELECT 1 FROM work.pg_authid')).rejects.toMatchObject({ code: '42P01' });
      for (const path of ['work', 'work, public', 'pg_catalog, work'])
        await expect(
          client.query(`SET search_path = ${path}; SELECT rolpassword FROM pg_authid`),
        ).rejects.toMatchObject({
          code: '42501',
          message: /^(?!permission denied).*pg_authid/,
        });
      await client.end();
    });

    test('may name 32 schemas', async () => {
      const schemas = Array.from({ length: 40 }, (_, i) => `place${i}`);
      const made = schemas.map((one) => `CREATE SCHEMA ${one}; GRANT USAGE ON SCHEMA ${one} TO PUBLIC`);
      await world.server.query(made.join(';'));
      const client = await world.connect('migrator');
      // With pg_catalog and public.
      const read = (count: number) =>
        client.query(`SET search_path = ${schemas.slice(0, count - 2).join()}, public; SELECT a FROM base`).then(
          () => null,
          (error: Error) => error.message,
        );
      // As soon as the catalogue has been read anew.
      await expect.poll(() => read(33)).toMatch(/long search_path/);
      expect(await read(32)).toBeNull();
      await client.end();
    });

    test('may lack what is made, or not found there', async () => {
      const client = await world.connect('migrator');
      await client.query(
        'SET search_path = work, public; DROP TABLE IF EXISTS made; CREATE TABLE made (a int); INSERT INTO made VALUES (1); SELECT a FROM made; DROP TABLE made',
      );
      const missing = 'SET search_path = work, public; SELECT * FROM nothing_of_that_name';
      await expect(client.query(missing)).rejects.toMatchObject({ code: '42P01' });
      await client.end();
    });
  });

  test('what is refused says why, and what to do', async () => {
    const client = await world.connect('migrator');
    await expect(client.query('CREATE VIEW public.v AS SELECT id FROM orders; DELETE FROM v')).rejects.toMatchObject({
      message:
        'not understood, so not run: public.v, which a statement earlier in the same string defines or changes (send this one by itself)',
    });
    await client.end();
  });
});

/** The error of the first that fails. */
async function each(client: pg.Client, statements: readonly string[]): Promise<unknown> {
  for (const text of statements) {
    try {
      await client.query(text);
    } catch (error) {
      return error;
    }
  }
  return null;
}
