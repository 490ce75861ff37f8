import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Catalog } from '../../gateway/catalog/catalog.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';
import type { PostgresMajor } from '../kit/postgres-install.ts';
import { catalogOf, functionsIn, live } from './support.ts';

const OBJECTS = `
  CREATE SCHEMA app; CREATE FUNCTION app.sound(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
  CREATE DOMAIN app.positive AS int CHECK (app.sound(VALUE));
  CREATE TYPE app.span AS RANGE (subtype = float8);
  CREATE TYPE app.checked_span AS RANGE (subtype = app.positive);
  CREATE FUNCTION app.cmp(int, int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 - $2';
  CREATE OPERATOR CLASS app.odd_ops FOR TYPE int USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 app.cmp(int, int);
  CREATE TYPE app.odd_span AS RANGE (subtype = int, subtype_opclass = app.odd_ops);
  CREATE FUNCTION app.mine(float8, float8) RETURNS app.span LANGUAGE sql AS 'SELECT app.span($1, $2)'`;

describe.each<PostgresMajor>([14, 18])('PostgreSQL %d', (version) => {
  let server: Postgres;
  let catalog: Catalog;

  beforeAll(async () => {
    server = await startPostgres({ version, initSql: OBJECTS });
    catalog = catalogOf(server);
  }, 60_000);
  afterAll(async () => {
    await catalog.close();
    await server.stop();
  });

  test.each([
    ['SELECT app.span(1, 2), app.span(1, 2, $$[]$$), app.span_multirange(app.span(1, 2)), app.span_multirange()', []],
    // Making these runs a check, an order, a function that is called the same as nothing.
    ['SELECT app.checked_span(1, 2)', ['Call app.checked_span(app.positive, app.positive)']],
    ['SELECT app.odd_span(1, 2)', ['Call app.odd_span(integer, integer)']],
    ['SELECT app.mine(1, 2)', ['Call app.mine(double precision, double precision)']],
  ])('what makes a range of the server’s own values needs no rule: %s', async (sql, expected) => {
    expect(functionsIn(await live(catalog, sql))).toEqual(expected);
  });

  test('a part that is temporary elsewhere is not known, so neither is the whole', async () => {
    const other = new pg.Client({ connectionString: server.connectionString() });
    await other.connect();
    await other.query(`CREATE DOMAIN pg_temp.guarded AS int CHECK (app.sound(VALUE));
      CREATE TYPE app.holder AS (g pg_temp.guarded); CREATE TYPE app.plain AS (g int)`);
    const snapshot = await catalog.refresh('postgres');
    expect(snapshot.userType('app', 'plain')).toMatchObject({ safe: true });
    expect(snapshot.userType('app', 'holder')).toMatchObject({ safe: false, runs: [] });
    expect((await live(catalog, "SELECT '(5)'::app.holder")).unknown).toEqual(['the type app.holder']);
    await other.end();
  });
});
