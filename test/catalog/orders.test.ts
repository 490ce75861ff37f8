import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Catalog } from '../../gateway/catalog/catalog.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';
import type { PostgresMajor } from '../kit/postgres-install.ts';
import { catalogOf, functionsIn, live } from './support.ts';

/* Functions that a superuser has put behind the order of values, or behind definitions: `runs` counts their calls. */
const OBJECTS = `
  CREATE SCHEMA app; CREATE SCHEMA bare; CREATE SEQUENCE app.runs;
  CREATE FUNCTION app.cmp(int, int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
    BEGIN PERFORM nextval('app.runs'); RETURN $1 - $2; END $$;
  CREATE OPERATOR CLASS app.odd_ops FOR TYPE int USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 app.cmp(int, int);
  CREATE TABLE app.t (id int, v text); CREATE INDEX ON app.t (id app.odd_ops);
  INSERT INTO app.t SELECT i, i FROM generate_series(1, 1000) i;
  CREATE TABLE app.plain (id int, v text); INSERT INTO app.plain VALUES (2, 'b'), (1, 'a');
  CREATE TABLE app.parts (id int) PARTITION BY RANGE (id app.odd_ops);
  CREATE TABLE app.part_1 PARTITION OF app.parts FOR VALUES FROM (1) TO (10);
  CREATE TABLE app.part_2 PARTITION OF app.parts FOR VALUES FROM (10) TO (20);
  CREATE TABLE app.others (id int) PARTITION BY LIST (id);
  CREATE TABLE app.other_1 PARTITION OF app.others FOR VALUES IN (1); CREATE INDEX ON app.other_1 (id app.odd_ops);
  CREATE TYPE app.pair AS (a int, b int);
  CREATE FUNCTION app.pair_lt(app.pair, app.pair) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT ($1).a < ($2).a';
  CREATE FUNCTION app.pair_cmp(app.pair, app.pair) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
    BEGIN PERFORM nextval('app.runs'); RETURN ($1).a - ($2).a; END $$;
  CREATE OPERATOR app.<# (LEFTARG = app.pair, RIGHTARG = app.pair, FUNCTION = app.pair_lt);
  CREATE FUNCTION app.pair_eq(app.pair, app.pair) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT ($1).a = ($2).a';
  CREATE OPERATOR app.=# (LEFTARG = app.pair, RIGHTARG = app.pair, FUNCTION = app.pair_eq);
  CREATE OPERATOR CLASS app.pair_ops DEFAULT FOR TYPE app.pair USING btree AS
    OPERATOR 1 app.<#, OPERATOR 3 app.=#, FUNCTION 1 app.pair_cmp(app.pair, app.pair);
  CREATE TABLE app.pairs (p app.pair); INSERT INTO app.pairs VALUES ('(2,1)'), ('(1,1)');
  CREATE FUNCTION app.weight(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
    BEGIN PERFORM nextval('app.runs'); RETURN $1; END $$;
  CREATE STATISTICS app.st ON app.weight(id), v FROM app.plain;
  CREATE TABLE app.loose (id int, v text);
  CREATE EXTENSION citext; CREATE TABLE app.words (w citext PRIMARY KEY);`;

const EVENTS = `
  CREATE FUNCTION app.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('app.runs'); END $$;
  CREATE FUNCTION app.on_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('app.runs'); END $$;
  CREATE FUNCTION app.on_rewrite() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('app.runs'); END $$;
  CREATE FUNCTION app.never() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('app.runs'); END $$;
  CREATE EVENT TRIGGER views ON ddl_command_end WHEN TAG IN ('CREATE VIEW', 'GRANT') EXECUTE FUNCTION app.on_ddl();
  CREATE EVENT TRIGGER drops ON sql_drop EXECUTE FUNCTION app.on_drop();
  CREATE EVENT TRIGGER rewrites ON table_rewrite EXECUTE FUNCTION app.on_rewrite();
  CREATE EVENT TRIGGER off ON ddl_command_start EXECUTE FUNCTION app.never(); ALTER EVENT TRIGGER off DISABLE`;

const CMP = 'Index app.cmp(integer, integer)';
const PAIR = ['cmp', 'eq', 'lt'].map((name) => `Call app.pair_${name}(app.pair, app.pair)`);

/** Functions that a rule has to list, and whether the server calls one of them. */
const CASES: readonly (readonly [sql: string, functions: readonly string[], runs: boolean])[] = [
  ['SELECT * FROM app.t WHERE id = 5', [CMP], true],
  ["INSERT INTO app.t VALUES (5, 'x')", [CMP], true],
  ['UPDATE app.t SET id = id + 1 WHERE id = 5', [CMP], true],
  ['DELETE FROM app.t WHERE id = 5', [CMP], true],
  ['REINDEX TABLE app.t', [CMP], true],
  ['INSERT INTO app.parts VALUES (5)', [CMP], true],
  ['INSERT INTO app.other_1 VALUES (1), (1)', [CMP], true],
  ['INSERT INTO app.others VALUES (1), (1)', [CMP], true],
  ['SELECT * FROM app.others ORDER BY id', [CMP], false],
  ['CREATE INDEX ON app.plain (id app.odd_ops)', ['Call app.cmp(integer, integer)'], true],
  ['CREATE INDEX ON app.plain (id)', [], false],
  ['SELECT * FROM app.plain ORDER BY id', [], false],
  ['SELECT * FROM app.pairs ORDER BY p', PAIR, true],
  ['CREATE INDEX ON app.pairs (p)', PAIR, true],
  ['ANALYZE app.plain', ['Statistics app.weight(integer)'], true],
  ["INSERT INTO app.plain VALUES (3, 'c')", [], false],
  ["INSERT INTO app.words VALUES ('a')", [], false],
];

const DEFINITIONS: readonly (readonly [sql: string, functions: readonly string[]])[] = [
  ['CREATE VIEW app.v AS SELECT 1 AS one', ['EventTrigger app.on_ddl()']],
  ['CREATE TEMP VIEW v AS SELECT 1 AS one', ['EventTrigger app.on_ddl()']],
  ['GRANT SELECT ON app.plain TO PUBLIC', ['EventTrigger app.on_ddl()']],
  ['CREATE TABLE app.fresh (id int)', []],
  ['SELECT 1 AS one INTO app.fresh', []],
  ['DROP TABLE app.loose', ['EventTrigger app.on_drop()']],
  ['DROP SCHEMA bare CASCADE', ['EventTrigger app.on_drop()']],
  ['ALTER TABLE app.loose DROP COLUMN v', ['EventTrigger app.on_drop()', 'EventTrigger app.on_rewrite()']],
  ['ALTER TABLE app.loose ALTER id TYPE bigint', ['EventTrigger app.on_drop()', 'EventTrigger app.on_rewrite()']],
  ['TRUNCATE app.plain', []],
  ['SELECT * FROM app.plain', []],
  ['CREATE ROLE somebody', []],
  ["COMMENT ON TABLE app.plain IS 'x'", []],
];

describe.each<PostgresMajor>([14, 18])('PostgreSQL %d', (version) => {
  let server: Postgres;
  let catalog: Catalog;

  beforeAll(async () => {
    server = await startPostgres({ version, initSql: OBJECTS });
    catalog = catalogOf(server);
    await catalog.refresh('postgres');
  }, 60_000);
  afterAll(async () => {
    await catalog.close();
    await server.stop();
  });

  /** Calls that a statement makes, in a transaction that is rolled back (but for what cannot stand in one). */
  async function calls(sql: string): Promise<number> {
    const count = async () =>
      Number((await server.query('SELECT last_value::int + is_called::int AS n FROM app.runs'))[0]!.n);
    const before = await count();
    await server.query(
      /^(?:ANALYZE|REINDEX)/.test(sql) ? sql : `BEGIN; SET LOCAL enable_seqscan = off; ${sql}; ROLLBACK`,
    );
    return (await count()) - before;
  }

  test.each(CASES)('an operator class of one’s own: %s', async (sql, functions, runs) => {
    expect([...new Set(functionsIn(await live(catalog, sql)))]).toEqual(functions);
    expect((await calls(sql)) > 0).toBe(runs);
  });

  test('event triggers run for definitions, each for what it is about', async () => {
    await server.query(EVENTS);
    for (const [sql, functions] of DEFINITIONS) {
      expect([sql, ...functionsIn(await live(catalog, sql))]).toEqual([sql, ...functions]);
      // What fires has to be listed; not all that is listed fires each time (a rewrite may turn out to be none).
      if (functions.length === 0) expect([sql, await calls(sql)]).toEqual([sql, 0]);
      else expect([sql, (await calls(sql)) > 0]).toEqual([sql, true]);
    }
    await server.query('ALTER EVENT TRIGGER drops DISABLE');
    expect(functionsIn(await live(catalog, 'DROP TABLE app.loose'))).toEqual([]);
  });
});
