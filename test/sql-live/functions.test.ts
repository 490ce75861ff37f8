import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Catalog } from '../../gateway/catalog/catalog.ts';
import type { CatalogSnapshot } from '../../gateway/catalog/snapshot.ts';
import type { Facts } from '../../gateway/sql/facts.ts';
import { resolve } from '../../gateway/sql/resolve.ts';
import { nameKey, typeKey } from '../../gateway/sql/resolve-environment.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';
import { factsOf } from '../sql/summary.ts';

/** Functions that leave their name behind when they run: the server itself says what a statement calls. */
const OBJECTS = `
  CREATE SCHEMA app; CREATE SCHEMA aside;
  CREATE TABLE public.ran (what text);
  CREATE TABLE public.people (id int PRIMARY KEY, name varchar(20), note text, at timestamptz);
  INSERT INTO public.people VALUES (1, 'ann', 'x', now()), (2, 'bob', 'y', now());
  ${trace('public.length(v varchar)', 'int', '1')}
  ${trace('public.lower(a varchar, b int)', 'text', "'x'")}
  ${trace('public.same(a varchar, b varchar)', 'bool', 'a::text = b::text')}
  ${trace('public.below(a varchar, b varchar)', 'bool', 'a::text < b::text')}
  ${trace('public.unlike(a varchar, b text)', 'bool', 'a::text LIKE b')}
  ${trace('public.glue(a varchar, b varchar)', 'text', 'a::text')}
  ${trace('public.minus(a varchar)', 'text', 'a::text')}
  ${trace('public.only_here(a int)', 'int', 'a')}
  ${trace('public.full(p public.people)', 'text', 'p.name')}
  ${trace('aside.length(v text)', 'int', '2')}
  ${trace('public.plus(a int, b int)', 'int', 'a')}
  CREATE OPERATOR public.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.same);
  CREATE OPERATOR public.< (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.below);
  CREATE OPERATOR public.<= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.below);
  CREATE OPERATOR public.>= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.below);
  CREATE OPERATOR public.~~ (LEFTARG = varchar, RIGHTARG = text, FUNCTION = public.unlike);
  CREATE OPERATOR public.|| (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.glue);
  CREATE OPERATOR public.- (RIGHTARG = varchar, FUNCTION = public.minus);
  CREATE OPERATOR public.### (LEFTARG = int, RIGHTARG = int, FUNCTION = public.plus);
  ${trace('public.step(a int, b text)', 'int', 'a')}
  CREATE AGGREGATE public.count(text) (SFUNC = public.step, STYPE = int, INITCOND = '0');
  ${trace('public.middle_end(a int, b float8)', 'float8', 'b')}
  CREATE AGGREGATE public.middle(float8 ORDER BY int) (SFUNC = public.plus, STYPE = int, INITCOND = '0', FINALFUNC = public.middle_end);
  CREATE AGGREGATE public.total(int) (SFUNC = public.plus, STYPE = int, INITCOND = '0');
  CREATE TYPE app.money AS (amount numeric);
  ${trace('app.money_text(m app.money)', 'text', "'money'")}
  ${trace('app.money_int(m app.money)', 'int', '1')}
  CREATE CAST (app.money AS text) WITH FUNCTION app.money_text(app.money) AS IMPLICIT;
  CREATE CAST (app.money AS int) WITH FUNCTION app.money_int(app.money) AS ASSIGNMENT;
  CREATE TABLE app.prices (id int, price app.money);
  INSERT INTO app.prices VALUES (1, ROW(5));
  ${trace('app.check_positive(i int)', 'bool', 'i > 0')}
  CREATE DOMAIN app.positive AS int CHECK (app.check_positive(VALUE));
  CREATE DOMAIN app.small AS int CHECK (VALUE < 100 AND length(VALUE::text) < 3);
  CREATE TYPE app.wrapped AS (p app.positive);
  CREATE TYPE app.mood AS ENUM ('good', 'bad');
  CREATE TABLE app.boxes (w int);
  INSERT INTO app.boxes VALUES (1);
  ${trace('app.box_width(b app.boxes)', 'int', '1')}
  CREATE CAST (app.boxes AS int) WITH FUNCTION app.box_width(app.boxes);
  CREATE TABLE app.nested (m app.money[]);
  INSERT INTO app.nested VALUES (ARRAY[ROW(5)::app.money]);
  CREATE TYPE app.level AS ENUM ('low', 'high');
  ${trace('app.level_json(l app.level)', 'json', "'1'::json")}
  CREATE CAST (app.level AS json) WITH FUNCTION app.level_json(app.level);
  CREATE TABLE app.levels (id int, l app.level);
  INSERT INTO app.levels VALUES (1, 'low');
  CREATE TABLE app.amounts (amount int);
  CREATE TABLE app.filled (p app.positive);
  CREATE PROCEDURE app.run() LANGUAGE sql AS 'INSERT INTO public.ran VALUES (''app.run'')';
`;

/** What they run is theirs: a rule lists the aggregate. */
const AGGREGATES: Readonly<Record<string, readonly string[]>> = {
  'public.total': ['public.plus'],
  'public.count': ['public.step'],
  'public.middle': ['public.plus', 'public.middle_end'],
};

/** A function that says that it ran. */
function trace(signature: string, type: string, result: string): string {
  const name = signature.slice(0, signature.indexOf('('));
  return `CREATE FUNCTION ${signature} RETURNS ${type} LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.ran VALUES ('${name}'); RETURN ${result}; END $$;`;
}

describe('what a statement calls, by the server’s own word', () => {
  let server: Postgres;
  let client: pg.Client;
  let catalog: Catalog;
  let snapshot: CatalogSnapshot;

  beforeAll(async () => {
    server = await startPostgres({ version: 18, initSql: OBJECTS });
    catalog = new Catalog({
      connect: async (database) =>
        await connected(new pg.Client(server.connectionString(undefined, undefined, database))),
      log: { info() {}, warn() {} },
    });
    snapshot = await catalog.ensure('postgres');
    client = await connected(new pg.Client(server.connectionString()));
  }, 60_000);
  afterAll(async () => {
    await client.end();
    await catalog.close();
    await server.stop();
  });

  /** Facts as a session with this search path has them; names that nobody has are answered as such. */
  async function factsWith(path: string, sql: string): Promise<Facts> {
    const { rows } = await client
      .query(`SET search_path = ${path}; SELECT current_schemas(true)::text[] AS path`)
      .then((all) => (all as unknown as { rows: { path: string[] }[] }[])[1]!);
    const overlay = { relations: new Map(), functions: new Map(), types: new Map() };
    for (;;) {
      const resolution = resolve(factsOf(sql)[0]!, {
        catalog: snapshot,
        searchPath: rows[0]!.path,
        overlay,
        localNames: false,
      });
      if (resolution.kind === 'Facts') return resolution.facts;
      if (resolution.kind === 'Load') {
        await catalog.define('postgres', resolution.rules);
        continue;
      }
      for (const { schema, name } of resolution.relations) overlay.relations.set(nameKey(schema, name), null);
      for (const { schema, name } of resolution.functions) overlay.functions.set(nameKey(schema, name), []);
      for (const type of resolution.types) overlay.types.set(typeKey(type), null);
    }
  }

  /** The functions that ran, without their arguments. */
  async function ran(path: string, sql: string): Promise<string[]> {
    await client.query(`TRUNCATE public.ran; SET search_path = ${path}`);
    await client.query(sql);
    const { rows } = await client.query('SELECT DISTINCT what FROM public.ran ORDER BY 1');
    return rows.map(({ what }) => what);
  }

  const told = (facts: Facts) =>
    new Set(facts.functions.flatMap(({ candidates }) => candidates.map((one) => one.slice(0, one.indexOf('(')))));

  test.each([
    ['an overload by exact type, behind pg_catalog', 'public', 'SELECT length(name) FROM people'],
    ['the same, in attribute notation', 'public', 'SELECT (p.name).length FROM people p'],
    ['a function of a whole row, in attribute notation', 'public', 'SELECT p.full FROM people p'],
    ['one that only a user has', 'public', 'SELECT only_here(1)'],
    ['in a schema that is first', 'aside, pg_catalog', "SELECT length('x'::text)"],
    ['an overload by the types that are written', 'public', "SELECT length('x'::varchar)"],
    ['an operator by exact type', 'public', 'SELECT name || name FROM people'],
    ['IN', 'public', "SELECT name IN ('a'::varchar, 'b'::varchar) FROM people"],
    ['IN a query', 'public', 'SELECT name IN (SELECT name FROM people) FROM people'],
    ['BETWEEN', 'public', 'SELECT name BETWEEN name AND name FROM people'],
    ['LIKE', 'public', "SELECT name LIKE 'a%' FROM people"],
    ['NULLIF', 'public', 'SELECT nullif(name, name) FROM people'],
    ['CASE x WHEN', 'public', 'SELECT CASE name WHEN name THEN 1 END FROM people'],
    ['IS DISTINCT FROM', 'public', 'SELECT name IS DISTINCT FROM name FROM people'],
    ['ANY', 'public', "SELECT name = ANY (ARRAY['a'::varchar]) FROM people"],
    ['USING', 'public', 'SELECT * FROM people a JOIN people b USING (name)'],
    ['NATURAL', 'public', 'SELECT * FROM (SELECT name FROM people) a NATURAL JOIN (SELECT name FROM people) b'],
    ['a prefix operator', 'public', 'SELECT - name FROM people'],
    ['an operator that only a user has', 'public', 'SELECT 1 ### 2'],
    ['an aggregate by its transition function', 'public', 'SELECT total(id) FROM people'],
    ['an overload of an aggregate', 'public', "SELECT count('x'::text) FROM people"],
    ['an ordered-set aggregate', 'public', 'SELECT middle(0.5) WITHIN GROUP (ORDER BY id) FROM people'],
    ['a cast that is written', 'public', 'SELECT l::json FROM app.levels'],
    ['a cast that the server inserts', 'public', 'SELECT upper(price) FROM app.prices'],
    ['a cast of a whole row', 'public', 'SELECT b::int FROM app.boxes b'],
    ['a cast of what is in an array', 'public', 'SELECT upper(m[1]) FROM app.nested'],
    ['a cast for an assignment', 'public', 'INSERT INTO app.amounts SELECT price FROM app.prices'],
    ['a cast that JSON looks for', 'public', 'SELECT to_json(l) FROM app.levels'],
    ['a cast that a JSON constructor looks for', 'public', 'SELECT JSON_ARRAY(l) FROM app.levels'],
    ['a cast that JSON_SCALAR looks for', 'public', 'SELECT JSON_SCALAR(l) FROM app.levels'],
    ['a cast within JSON_OBJECTAGG', 'public', "SELECT JSON_OBJECTAGG('a': l) FROM app.levels"],
    ['a cast on the way to a domain', 'public', 'SELECT price::app.small FROM app.prices'],
    ['a constant with a collation', 'public', `SELECT name || ('x' COLLATE "C") FROM people`],
    ['a cast within json_agg', 'public', 'SELECT json_agg(l) FROM app.levels'],
    ['a domain', 'public', "SELECT '5'::app.positive"],
    ['a domain under its bare name', 'app', "SELECT '5'::positive"],
    ['a domain in a row type', 'public', "SELECT '(5)'::app.wrapped"],
    ['a domain in an array', 'public', "SELECT '{5}'::app.positive[]"],
    ['a domain as a call', 'public', "SELECT app.positive('5')"],
    ['a domain as an attribute', 'app', "SELECT ('5'::text).positive"],
    ['a domain as an attribute of a function in FROM', 'app', "SELECT g.positive FROM lower('5') g"],
    ['a domain in a column definition list', 'public', `SELECT * FROM json_to_record('{"p":5}') AS x(p app.positive)`],
    ['a domain that JSON fills', 'public', `SELECT json_populate_record(null::app.wrapped, '{"p":5}')`],
    ['a row type that a table has', 'public', "SELECT '(5)'::app.filled"],
    ['a procedure', 'public', 'CALL app.run()'],
  ])('%s', async (_, path, sql) => {
    const called = await ran(path, sql);
    const facts = await factsWith(path, sql);
    expect(called).not.toEqual([]);
    const named = told(facts);
    const implementing = [...named].flatMap((name) => AGGREGATES[name] ?? [name]);
    expect(implementing).toEqual(expect.arrayContaining(called));
    expect(facts.functions.length).toBeGreaterThan(0);
    expect(facts.readOnly).toBe(false);
  });

  test.each([
    ['the same name with other arguments', 'public', "SELECT lower('A')"],
    [
      'an overload for another type than is written',
      'public',
      "SELECT length('x'::text), length(note::text) FROM people",
    ],
    ['a user function out of reach', 'public', "SELECT pg_catalog.length('x'::text)"],
    ['in a schema that is not in the path', 'pg_catalog', 'SELECT length(name) FROM public.people'],
    ['pinned operators', 'public', 'SELECT name OPERATOR(pg_catalog.||) name FROM people'],
    ['operators that no user has', 'public', 'SELECT id + 1, id * 2, id % 2, @ id FROM people WHERE id > 0'],
    ['a cast where nothing has its source', 'public', 'SELECT id::text, note::json FROM people WHERE false'],
    ['an enum, an array of it', 'app', "SELECT 'good'::mood, '{good}'::mood[]"],
    ['a domain whose check is the server’s alone', 'public', "SELECT '5'::app.small, app.small('6')"],
    ['a column that is called like a function of two arguments', 'public', 'SELECT x.lower FROM (SELECT 1 AS lower) x'],
    ['a column that is called like a checked domain', 'app', 'SELECT x.positive FROM (SELECT 1 AS positive) x'],
    ['aggregates and windows of the server', 'public', 'SELECT count(*), row_number() OVER (ORDER BY 1) FROM people'],
  ])('and is not refused for what it does not call: %s', async (_, path, sql) => {
    expect(await ran(path, sql)).toEqual([]);
    expect(await factsWith(path, sql)).toMatchObject({ functions: [], unknown: [], readOnly: true });
  });
});

async function connected(client: pg.Client): Promise<pg.Client> {
  client.on('error', () => {});
  await client.connect();
  return client;
}
