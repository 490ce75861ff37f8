import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Catalog } from '../../gateway/catalog/catalog.ts';
import type { CatalogSnapshot } from '../../gateway/catalog/snapshot.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';
import type { PostgresMajor } from '../kit/postgres-install.ts';

const OBJECTS = `
  CREATE SCHEMA app; CREATE SCHEMA "Odd Schema";
  CREATE TABLE app.orders (id int PRIMARY KEY, item text, region text, code text NOT NULL UNIQUE, loose text UNIQUE);
  CREATE TABLE app.pairs (a int, b int, PRIMARY KEY (a, b));
  CREATE TABLE app.bare (id int);
  CREATE UNIQUE INDEX part ON app.bare (id) WHERE id > 0;
  CREATE VIEW app.seen AS SELECT id FROM app.orders;
  CREATE MATERIALIZED VIEW app.kept AS SELECT id FROM app.orders;
  CREATE SEQUENCE app.counter;
  CREATE TABLE app.parted (id int, at date) PARTITION BY RANGE (at);
  CREATE TABLE app.parted_1 PARTITION OF app.parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
  CREATE TABLE "Odd Schema"."Ünïcode ""T""" (id int);
  CREATE FUNCTION app.one(a int, b text DEFAULT 'x') RETURNS int LANGUAGE sql AS 'SELECT 1';
  CREATE FUNCTION app.one(VARIADIC a numeric[]) RETURNS int LANGUAGE sql AS 'SELECT 2';
  CREATE PROCEDURE app.run() LANGUAGE sql AS 'SELECT 1';
  CREATE TYPE app.mood AS ENUM ('good', 'bad');
  CREATE DOMAIN app.plain AS int;
  CREATE FUNCTION app.check_it(int) RETURNS bool LANGUAGE sql AS 'SELECT true';
  CREATE DOMAIN app.checked AS int CHECK (app.check_it(VALUE));
  CREATE OPERATOR app.### (LEFTARG = int, RIGHTARG = text, FUNCTION = app.one);
`;

describe.each<PostgresMajor>([14, 18])('the catalogue of PostgreSQL %d', (version) => {
  let server: Postgres;
  let catalog: Catalog;
  let snapshot: CatalogSnapshot;
  const warnings: string[] = [];
  const connections: pg.Client[] = [];
  let looks = 0;

  beforeAll(async () => {
    server = await startPostgres({ version });
    await server.query(OBJECTS);
    catalog = new Catalog({
      async connect(database) {
        const { user, password } = server.superuser;
        const client = new pg.Client({ host: server.host, port: server.port, user, password, database });
        client.on('error', () => {});
        await client.connect();
        connections.push(client);
        const query = (text: string, values?: unknown[]) => {
          if (text.endsWith('AS digest')) looks += 1;
          return client.query(text, values);
        };
        return { query, end: () => client.end() };
      },
      log: { info() {}, warn: (_fields, message) => warnings.push(message) },
      pollInterval: 100,
    });
    catalog.use('postgres');
    snapshot = await catalog.ensure('postgres');
  }, 60_000);
  afterAll(async () => {
    await catalog.close();
    await server.stop();
  });

  test('knows its major and its schemas', () => {
    expect(snapshot.serverMajor).toBe(version);
    expect([...snapshot.schemas]).toEqual(expect.arrayContaining(['app', 'public', 'pg_catalog', 'Odd Schema']));
  });

  test.each([
    ['orders', 'table'],
    ['seen', 'view'],
    ['kept', 'matview'],
    ['counter', 'sequence'],
    ['parted', 'partitioned'],
    ['parted_1', 'table'],
    ['part', 'index'],
  ])('%s is a %s', (name, kind) => {
    expect(snapshot.relation('app', name)).toMatchObject({ schema: 'app', name, kind });
  });

  test('names are what they are: quotes, capitals and letters of any kind', () => {
    expect(snapshot.relation('Odd Schema', 'Ünïcode "T"')).toMatchObject({ kind: 'table' });
    expect(snapshot.relation('odd schema', 'ünïcode "t"')).toBeUndefined();
    expect(snapshot.relation('public', 'orders')).toBeUndefined();
  });

  test('keys are primary keys and unique constraints without nulls, whole, and no partial index', () => {
    const keys = (name: string) =>
      [...(snapshot.relation('app', name)?.uniqueKeys ?? [])].map((key) => [...key].sort());
    expect(keys('orders').sort()).toEqual([['code'], ['id']]);
    expect(keys('pairs')).toEqual([['a', 'b']]);
    expect(keys('bare')).toEqual([]);
  });

  test('functions with their arguments, defaults and variadics; procedures too', () => {
    const found = snapshot
      .functions('app', 'one')
      .map(({ arguments: args, minArgs, maxArgs, safe }) => ({ args, minArgs, maxArgs, safe }));
    expect(found).toEqual(
      expect.arrayContaining([
        { args: 'integer, text', minArgs: 1, maxArgs: 2, safe: false },
        { args: 'numeric[]', minArgs: expect.any(Number), maxArgs: Number.POSITIVE_INFINITY, safe: false },
      ]),
    );
    expect(snapshot.functions('app', 'run')).toMatchObject([{ kind: 'p', safe: false, builtin: false }]);
    expect(snapshot.functions('pg_catalog', 'now')).toMatchObject([{ builtin: true }]);
    const [now] = snapshot.functions('pg_catalog', 'now');
    expect(snapshot.functionByOid(now!.oid)).toBe(now);
  });

  test('types and operators that run somebody’s code are not safe', () => {
    expect(snapshot.userType('app', 'mood')).toMatchObject({ safe: true });
    expect(snapshot.userType('app', 'plain')).toMatchObject({ safe: true });
    expect(snapshot.userType('app', 'checked')).toMatchObject({ safe: false });
    expect(snapshot.userOperators('app', '###')).toMatchObject([{ args: 2, runs: { schema: 'app', name: 'one' } }]);
  });

  test('what is defined, dropped and made again is seen soon, and at once when asked for', async () => {
    await server.query('CREATE TABLE app.late (id int)');
    expect((await catalog.refresh('postgres')).relation('app', 'late')).toMatchObject({ uniqueKeys: [] });
    await server.query('DROP TABLE app.late; CREATE TABLE app.late (id int PRIMARY KEY)');
    const late = () => catalog.snapshot('postgres')?.relation('app', 'late');
    await expect.poll(() => late()?.uniqueKeys, { timeout: 5000 }).toEqual([['id']]);
    await server.query('DROP TABLE app.late');
    await expect.poll(late, { timeout: 5000 }).toBeUndefined();
  });

  test('nothing defined: the same snapshot', async () => {
    const before = await catalog.refresh('postgres');
    expect(await catalog.refresh('postgres')).toBe(before);
  });

  test('many who ask at once share a look', async () => {
    const before = looks;
    const answers = await Promise.all(Array.from({ length: 50 }, () => catalog.refresh('postgres')));
    expect(new Set(answers).size).toBe(1);
    expect(looks - before).toBeLessThan(5);
  });

  test('a lost connection is said once it is missed, and made again; the last snapshot stays', async () => {
    await server.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
    );
    await expect.poll(() => warnings.length, { timeout: 5000 }).toBeGreaterThan(0);
    expect(catalog.snapshot('postgres')?.relation('app', 'orders')).toBeDefined();
    await server.query('CREATE TABLE app.after (id int)');
    await expect.poll(() => catalog.snapshot('postgres')?.relation('app', 'after'), { timeout: 5000 }).toBeDefined();
  });

  test('a database that does not exist is refused, and known as soon as it does', async () => {
    await expect(catalog.ensure('missing')).rejects.toMatchObject({ code: '3D000' });
    expect(catalog.snapshot('missing')).toBeUndefined();
    await server.query('CREATE DATABASE missing');
    expect((await catalog.ensure('missing')).schemas.has('public')).toBe(true);
  });

  test('a database that nobody uses any more can be dropped, and its next user waits for what is true then', async () => {
    await server.query('CREATE DATABASE left_alone');
    const leave = [catalog.use('left_alone'), catalog.use('left_alone')] as const;
    const before = await catalog.ensure('left_alone');
    leave[0]();
    leave[0]();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(catalog.snapshot('left_alone')).toBe(before);
    leave[1]();
    await expect.poll(() => catalog.snapshot('left_alone'), { timeout: 5000 }).toBeUndefined();
    const open = "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = 'left_alone'";
    await expect.poll(async () => (await server.query(open))[0], { timeout: 5000 }).toEqual({ n: 0 });
    expect(await catalog.ensure('left_alone')).toBe(before);
    await server.query('DROP DATABASE left_alone');
    await server.query('CREATE DATABASE left_alone');
    await server.query('CREATE TABLE made_since (id int)', 'left_alone');
    expect((await catalog.ensure('left_alone')).relation('public', 'made_since')).toBeDefined();
    expect(await catalog.ensure('postgres')).toBe(catalog.snapshot('postgres'));
  }, 20_000);

  test('a database that takes the name of one that nobody uses is another one', async () => {
    await server.query('CREATE DATABASE swapped');
    await server.query('CREATE VIEW harmless AS SELECT 1 AS x', 'swapped');
    await server.query('CREATE DATABASE restored TEMPLATE swapped');
    await server.query('CREATE OR REPLACE VIEW harmless AS SELECT oid::int AS x FROM pg_class', 'restored');
    await server.query('CREATE TABLE elsewhere (id int)');
    const leave = catalog.use('swapped');
    const before = await catalog.ensure('swapped');
    leave();
    await expect.poll(() => catalog.snapshot('swapped'), { timeout: 5000 }).toBeUndefined();
    const open = "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = 'swapped'";
    await expect.poll(async () => (await server.query(open))[0], { timeout: 5000 }).toEqual({ n: 0 });
    await server.query('DROP DATABASE swapped');
    await server.query('ALTER DATABASE restored RENAME TO swapped');
    expect(await catalog.ensure('swapped')).not.toBe(before);
  }, 20_000);

  test('what a session defines that is the first one after a rest is read without anybody asking for it', async () => {
    await server.query('CREATE DATABASE rested');
    await catalog.ensure('rested');
    await expect.poll(() => catalog.snapshot('rested'), { timeout: 5000 }).toBeUndefined();
    let reads = 0;
    catalog.subscribe(() => {
      reads += 1;
    });
    const leave = catalog.use('rested');
    await server.query('CREATE TABLE made_now (id int)', 'rested');
    await catalog.outdate('rested');
    expect(catalog.snapshot('rested')?.relation('public', 'made_now')).toBeDefined();
    expect(reads).toBe(1);
    leave();
  }, 20_000);

  test('sessions that come and go do not put off the look', async () => {
    await server.query('CREATE DATABASE busy');
    await catalog.ensure('busy');
    await server.query('CREATE TABLE made_by_others (id int)', 'busy');
    const known = () => {
      catalog.use('busy')();
      return catalog.snapshot('busy')?.relation('public', 'made_by_others');
    };
    await expect.poll(known, { interval: 10, timeout: 15_000 }).toBeDefined();
  }, 20_000);

  test('its connection cannot write', async () => {
    const inUse = connections.findLast(({ database }) => database === 'postgres')!;
    await expect(inUse.query('CREATE TABLE public.x (id int)')).rejects.toMatchObject({ code: '25006' });
  });
});
