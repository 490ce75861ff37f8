import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Catalog } from '../../gateway/catalog/catalog.ts';
import type { CatalogFunction, CatalogSnapshot } from '../../gateway/catalog/snapshot.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';
import type { PostgresMajor } from '../kit/postgres-install.ts';

/** What a database owner can do to an extension that is his. */
const ADDED = `
  CREATE FUNCTION public.sneaky(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
  CREATE FUNCTION public.sneaky_step(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
  CREATE AGGREGATE public.sneaky_sum(int) (SFUNC = public.sneaky_step, STYPE = int);
  ALTER EXTENSION hstore ADD FUNCTION public.sneaky(int);
  ALTER EXTENSION hstore ADD FUNCTION public.sneaky_step(int, int);
  ALTER EXTENSION hstore ADD AGGREGATE public.sneaky_sum(int);
`;

describe.each<PostgresMajor>([14, 18])('extensions on PostgreSQL %d', (version) => {
  let server: Postgres;
  let snapshot: CatalogSnapshot;
  let members: readonly CatalogFunction[];

  beforeAll(async () => {
    server = await startPostgres({ version });
    const names = (await server.query(
      "SELECT name FROM pg_available_extensions WHERE name !~ '^pl|_pl(perl|python|tcl)' ORDER BY 1",
    )) as { name: string }[];
    for (const { name } of names) await server.query(`CREATE EXTENSION IF NOT EXISTS "${name}" CASCADE`);
    await server.query(ADDED);
    const catalog = new Catalog({
      async connect() {
        const client = new pg.Client(server.connectionString());
        client.on('error', () => {});
        await client.connect();
        return client;
      },
      log: { info() {}, warn() {} },
    });
    snapshot = await catalog.ensure('postgres');
    const rows = (await server.query('SELECT oid::int AS oid FROM pg_proc WHERE oid >= 16384')) as { oid: number }[];
    members = rows.map(({ oid }) => snapshot.functionByOid(oid)!).filter(({ extension }) => extension !== null);
    await catalog.close();
  }, 60_000);
  afterAll(() => server.stop());

  const of = (extension: string) => members.filter((fn) => fn.extension === extension);

  test.each([
    'btree_gin',
    'btree_gist',
    'citext',
    'cube',
    'earthdistance',
    'fuzzystrmatch',
    'isn',
    'ltree',
    'pg_trgm',
    'seg',
    'uuid-ossp',
  ])('%s is safe as a whole', (name) => {
    expect(of(name).length).toBeGreaterThan(5);
    expect(of(name).filter(({ safe }) => !safe)).toEqual([]);
  });

  test.each([
    ['dblink', 'Link'],
    ['postgres_fdw', 'Link'],
    ['file_fdw', 'ServerFile'],
    ['pageinspect', 'ServerFile'],
    ['pg_surgery', 'CatalogWrite'],
    ['amcheck', 'Maintenance'],
    ['pgstattuple', 'Maintenance'],
  ])('%s is not safe: %s', (name, cls) => {
    expect(of(name).length).toBeGreaterThan(0);
    expect(of(name).filter(({ safe, classes }) => safe || !classes.includes(cls as never))).toEqual([]);
  });

  test('the functions of tablefunc that run text are told from the one that does not', () => {
    const [safe, rest] = [true, false].map((is) => of('tablefunc').filter((fn) => fn.safe === is));
    expect(safe!.map(({ name }) => name)).toEqual(['normal_rand']);
    expect(rest!.every(({ classes }) => classes.includes('DynamicSql'))).toBe(true);
  });

  test('nothing volatile is safe but what is harmless by name', () => {
    const volatile = new Set(members.filter((fn) => fn.safe && fn.volatile === 'v').map(({ name }) => name));
    expect(
      [...volatile].filter(
        (name) => !/^(?:gen_|pgp_|uuid_generate_v|set_limit|isn_weak|normal_rand|ssl_|system_|fips_mode)/.test(name),
      ),
    ).toEqual([]);
    expect(volatile.size).toBeGreaterThan(10);
  });

  test('what was added to an extension is not the extension’s', () => {
    for (const name of ['sneaky', 'sneaky_step', 'sneaky_sum'])
      expect(snapshot.functions('public', name)).toMatchObject([{ extension: 'hstore', safe: false }]);
  });

  test('types and operators of safe extensions need no rule', () => {
    for (const name of ['citext', 'hstore', 'ltree', 'cube', 'seg', '_hstore'])
      expect(snapshot.userType('public', name)).toMatchObject({ safe: true });
    expect(snapshot.userOperators('public', '->').every(({ runs }) => runs?.safe)).toBe(true);
    // It fills a row: the input functions of the columns' types run.
    expect(snapshot.userOperators('public', '#=')).toMatchObject([{ runs: { name: 'populate_record', safe: false } }]);
  });
});
