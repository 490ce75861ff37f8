import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Catalog } from '../../gateway/catalog/catalog.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';
import type { PostgresMajor } from '../kit/postgres-install.ts';
import { catalogOf } from './support.ts';

describe.each<PostgresMajor>([14, 18])('what PostgreSQL %d has defined since', (version) => {
  let server: Postgres;
  let catalog: Catalog;
  const clients: pg.Client[] = [];
  beforeAll(async () => {
    server = await startPostgres({
      version,
      initSql: `CREATE TABLE t (id int PRIMARY KEY, a int); CREATE TABLE u (id int); CREATE TABLE up (id int); CREATE TABLE plain (id int);
        CREATE VIEW v AS SELECT id FROM t; CREATE RULE r AS ON DELETE TO u DO ALSO NOTHING; CREATE POLICY p ON u;
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER g BEFORE INSERT ON u FOR EACH ROW EXECUTE FUNCTION f();
        CREATE DOMAIN d AS int CONSTRAINT k CHECK (VALUE > 0)`,
    });
    // No look but those that the tests ask for.
    catalog = catalogOf(server, 3_600_000);
    await catalog.ensure('postgres');
  }, 60_000);
  afterAll(async () => {
    for (const client of clients) await client.end();
    await catalog.close();
    await server.stop();
  });

  async function connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: server.connectionString() });
    await client.connect();
    clients.push(client);
    return client;
  }

  /** Whether a look gives another snapshot. */
  async function isSeen(work: () => Promise<unknown>): Promise<boolean> {
    const before = catalog.snapshot('postgres');
    await work();
    return (await catalog.refresh('postgres')) !== before;
  }

  test.each([
    'ALTER TABLE t RENAME COLUMN a TO b',
    'ALTER TABLE t ALTER COLUMN b SET NOT NULL',
    'ALTER TABLE t ALTER COLUMN b SET DEFAULT 5',
    'ALTER VIEW v RENAME COLUMN id TO nr',
    'CREATE OR REPLACE VIEW v AS SELECT b AS nr FROM t',
    'DROP RULE r ON u',
    'DROP POLICY p ON u',
    'ALTER TABLE u DISABLE TRIGGER g',
    'DROP TRIGGER g ON u',
    'CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN OLD; END$$',
    'ALTER DOMAIN d DROP CONSTRAINT k',
    'ALTER TABLE u INHERIT up',
    'ALTER TABLE u NO INHERIT up',
    'ALTER TABLE u ENABLE ROW LEVEL SECURITY',
    'ALTER TABLE u ADD FOREIGN KEY (id) REFERENCES t ON DELETE CASCADE',
    'ALTER TABLE u DROP CONSTRAINT u_id_fkey',
    'CREATE INDEX i ON u (id)',
    'DROP INDEX i; CREATE INDEX i ON u (id)',
    'ALTER SCHEMA public RENAME TO other; ALTER SCHEMA other RENAME TO public',
  ])('%s', async (sql) => {
    expect(await isSeen(() => server.query(sql))).toBe(true);
    expect(await isSeen(async () => {})).toBe(false);
  });

  test('rows that come and go are no definitions, nor is what is temporary', async () => {
    expect(await isSeen(() => server.query('INSERT INTO plain VALUES (1); DELETE FROM plain; ANALYZE plain'))).toBe(
      false,
    );
    const client = await connect();
    const temporary = `CREATE TEMP TABLE x (id serial PRIMARY KEY, a int NOT NULL CHECK (a > 0), b text UNIQUE);
      CREATE TEMP VIEW y AS SELECT * FROM x; CREATE RULE z AS ON DELETE TO x DO ALSO NOTHING;
      CREATE TRIGGER g BEFORE INSERT ON x FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE x ENABLE ROW LEVEL SECURITY;
      CREATE POLICY p ON x; CREATE TEMP TABLE w (a int REFERENCES x) ; ALTER TABLE x RENAME COLUMN a TO c`;
    expect(await isSeen(() => client.query(temporary))).toBe(false);
    expect(await isSeen(() => client.query('DROP TABLE w, x CASCADE'))).toBe(false);
    expect(await isSeen(() => client.query('BEGIN; CREATE TABLE gone (id int); ROLLBACK'))).toBe(false);
  });

  test('an older transaction that commits later is seen, and so is one within another', async () => {
    const [old, young] = [await connect(), await connect()];
    await old.query('BEGIN; ALTER TABLE up RENAME COLUMN id TO old_id');
    expect(await isSeen(() => young.query('ALTER TABLE t RENAME COLUMN b TO young'))).toBe(true);
    expect(await isSeen(() => old.query('COMMIT'))).toBe(true);
    await old.query('BEGIN; INSERT INTO up VALUES (1); SAVEPOINT s; ALTER TABLE up RENAME COLUMN old_id TO id');
    await young.query('INSERT INTO u VALUES (1)');
    expect(await isSeen(async () => {})).toBe(false);
    expect(await isSeen(() => old.query('RELEASE s; COMMIT'))).toBe(true);
    expect(await isSeen(async () => {})).toBe(false);
  });

  test('many definitions are read once, and nobody takes an old snapshot for a new one meanwhile', async () => {
    const before = catalog.snapshot('postgres')!;
    await server.query('CREATE TABLE made (id int)');
    const waits = [catalog.outdate('postgres'), catalog.outdate('postgres')];
    expect(catalog.snapshot('postgres')).toBeUndefined();
    expect(catalog.last('postgres')).toBe(before);
    const [one, two] = await Promise.all([catalog.ensure('postgres'), catalog.ensure('postgres')]);
    await Promise.all(waits);
    expect(one.relation('public', 'made')).toBeDefined();
    expect(two).toBe(one);
    expect(one.version).toBe(before.version + 1);
    expect(catalog.snapshot('postgres')).toBe(one);
  });
});
