import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Catalog } from '../../gateway/catalog/catalog.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';
import type { PostgresMajor } from '../kit/postgres-install.ts';
import { catalogOf, functionsIn, live, relationsIn } from './support.ts';

/** Each part of the schema beside what it is for. */
const OBJECTS = `
  CREATE SCHEMA app; CREATE SCHEMA secret;
  CREATE TABLE secret.salaries (id int PRIMARY KEY, who text, amount int);
  CREATE TABLE app.orders (id int PRIMARY KEY, item text NOT NULL);
  CREATE FUNCTION app.noted() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO app.notes VALUES (TG_OP); RETURN COALESCE(NEW, OLD); END $$;
  CREATE FUNCTION app.tax(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';
  CREATE TABLE app.notes (what text);

  -- Views over views, over functions, over the server's own relations.
  CREATE VIEW app.paid AS SELECT id AS nr, amount FROM secret.salaries WHERE amount > 0;
  CREATE VIEW app.paid_twice AS SELECT nr, app.tax(amount) AS t FROM app.paid;
  CREATE VIEW app.odd AS WITH RECURSIVE r AS (SELECT id FROM app.orders UNION SELECT id + 1 FROM r WHERE id < 3)
    SELECT r.id, EXISTS (SELECT FROM secret.salaries s WHERE s.id = r.id) FROM r;
  CREATE VIEW app.roles AS SELECT rolname, rolpassword FROM pg_authid;
  CREATE VIEW app.names AS SELECT rolname FROM pg_authid;
  CREATE VIEW app.files AS SELECT pg_read_file('PG_VERSION') AS text;
  CREATE VIEW app.switch AS SELECT set_config('search_path', 'secret', false);
  CREATE VIEW app.locked AS SELECT id FROM app.orders FOR UPDATE;
  CREATE MATERIALIZED VIEW app.kept AS SELECT id, app.tax(amount) AS t FROM secret.salaries;

  -- Views that are written by triggers and rules.
  CREATE FUNCTION app.instead() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN DELETE FROM app.orders WHERE id = OLD.nr; RETURN OLD; END $$;
  CREATE VIEW app.by_trigger AS SELECT id AS nr FROM app.orders;
  CREATE TRIGGER t INSTEAD OF DELETE ON app.by_trigger FOR EACH ROW EXECUTE FUNCTION app.instead();
  CREATE VIEW app.by_rule AS SELECT id, item FROM app.orders;
  CREATE RULE r AS ON UPDATE TO app.by_rule DO INSTEAD (
    UPDATE secret.salaries SET who = NEW.item WHERE salaries.id = OLD.id; INSERT INTO app.notes VALUES ('rule'));

  -- Rules on a table.
  CREATE TABLE app.ruled (id int PRIMARY KEY);
  CREATE RULE also AS ON INSERT TO app.ruled DO ALSO INSERT INTO secret.salaries VALUES (NEW.id + 100, 'rule', 1);
  CREATE TABLE app.loud (id int); CREATE RULE tell AS ON INSERT TO app.loud DO ALSO NOTIFY news;
  CREATE RULE never AS ON DELETE TO app.ruled DO INSTEAD NOTHING;
  CREATE RULE wipe AS ON UPDATE TO app.ruled DO ALSO DELETE FROM app.notes;

  -- Foreign keys.
  CREATE TABLE app.customers (id int PRIMARY KEY, code int UNIQUE, name text);
  CREATE TABLE app.bills (id int PRIMARY KEY, customer int REFERENCES app.customers ON DELETE CASCADE);
  CREATE TABLE app.lines (bill int REFERENCES app.bills ON DELETE SET NULL, text text);
  CREATE TABLE app.marks (code int REFERENCES app.customers (code) ON UPDATE CASCADE ON DELETE NO ACTION);
  CREATE TRIGGER noted AFTER UPDATE ON app.lines FOR EACH ROW EXECUTE FUNCTION app.noted();

  -- Partitions and inheritance.
  CREATE TABLE app.events (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
  CREATE TABLE app.events_26 PARTITION OF app.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
  CREATE TABLE secret.events_27 PARTITION OF app.events FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
  CREATE TRIGGER noted BEFORE DELETE ON app.events_26 FOR EACH ROW EXECUTE FUNCTION app.noted();
  CREATE TABLE app.people (id int PRIMARY KEY, name text);
  CREATE TABLE secret.staff (pay int) INHERITS (app.people);

  -- What runs when a row is written or read.
  CREATE FUNCTION app.next_code() RETURNS int LANGUAGE sql AS 'SELECT 7';
  CREATE FUNCTION app.sound(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 > 0';
  CREATE DOMAIN app.positive AS int CHECK (app.sound(VALUE));
  CREATE TABLE app.coded (id serial PRIMARY KEY, code int DEFAULT app.next_code(),
    twice int GENERATED ALWAYS AS (app.tax(3)) STORED);
  CREATE TABLE app.checked (id int CHECK (app.sound(id)), n app.positive);
  CREATE TABLE app.indexed (id int); CREATE INDEX ON app.indexed (app.tax(id));
  CREATE TABLE app.members (who text);
  CREATE FUNCTION app.mine(text) RETURNS bool STABLE LANGUAGE sql AS 'SELECT true';
  CREATE TABLE app.rooms (id int, owner text); ALTER TABLE app.rooms ENABLE ROW LEVEL SECURITY;
  CREATE POLICY p ON app.rooms USING (app.mine(owner) AND owner IN (SELECT who FROM app.members));

  CREATE SEQUENCE secret.counter;
  INSERT INTO app.customers VALUES (1, 10, 'a'); INSERT INTO app.bills VALUES (2, 1);
  INSERT INTO app.lines VALUES (2, 'x'); INSERT INTO app.marks VALUES (10);
  INSERT INTO app.orders VALUES (1, 'a'), (2, 'b'); INSERT INTO secret.salaries VALUES (1, 'x', 5), (2, 'y', 6);
  INSERT INTO app.events VALUES (1, '2026-05-05'), (2, '2027-05-05');
`;

interface Case {
  readonly sql: string;
  readonly relations: readonly string[];
  readonly functions?: readonly string[];
  readonly classes?: readonly string[];
  /** A query that shows that the server does it, run after the statement. */
  readonly shows?: readonly [query: string, value: unknown];
}

const CASES: readonly Case[] = [
  {
    sql: 'SELECT * FROM app.paid_twice',
    relations: ['Select app.paid View app.paid_twice', 'Select app.paid_twice', 'Select secret.salaries View app.paid'],
    functions: ['View app.tax(integer)'],
  },
  {
    sql: 'SELECT * FROM app.odd',
    relations: ['Select app.odd', 'Select app.orders View app.odd', 'Select secret.salaries View app.odd'],
  },
  { sql: 'SELECT * FROM app.roles', relations: ['Select app.roles', 'Select pg_catalog.pg_authid View app.roles'] },
  { sql: 'SELECT * FROM app.names', relations: ['Select app.names'], classes: ['Catalog'] },
  { sql: 'SELECT * FROM app.files', relations: ['Select app.files'], classes: ['ServerFile'] },
  { sql: 'SELECT * FROM app.switch', relations: ['Select app.switch'], classes: ['Session', 'Unknown'] },
  {
    sql: 'SELECT * FROM app.locked',
    relations: ['Lock app.orders View app.locked', 'Select app.locked', 'Select app.orders View app.locked'],
  },
  {
    sql: 'LOCK TABLE app.paid',
    relations: ['Lock app.paid', 'Lock secret.salaries View app.paid'],
  },
  { sql: 'SELECT * FROM app.kept', relations: ['Select app.kept'] },
  {
    sql: 'REFRESH MATERIALIZED VIEW app.kept',
    relations: ['Maintenance app.kept', 'Select secret.salaries View app.kept'],
    functions: ['View app.tax(integer)'],
    classes: ['Maintenance'],
  },
  { sql: 'ANALYZE app.kept', relations: ['Maintenance app.kept'], classes: ['Maintenance'] },
  {
    sql: 'UPDATE app.paid SET amount = 50 WHERE nr = 1',
    relations: [
      'Select secret.salaries View app.paid',
      'Update app.paid Keyed',
      'Update secret.salaries Keyed View app.paid',
    ],
    shows: ['SELECT amount AS v FROM secret.salaries WHERE id = 1', 50],
  },
  {
    sql: 'DELETE FROM app.paid WHERE amount = 50',
    relations: [
      'Delete app.paid Filtered',
      'Delete secret.salaries Filtered View app.paid',
      'Select secret.salaries View app.paid',
    ],
    shows: ['SELECT count(*)::int AS v FROM secret.salaries', 1],
  },
  {
    sql: 'DELETE FROM app.by_trigger WHERE nr = 2',
    relations: ['Delete app.by_trigger Keyed', 'Select app.orders View app.by_trigger'],
    functions: ['Trigger app.instead()'],
    shows: ['SELECT count(*)::int AS v FROM app.orders', 1],
  },
  {
    sql: "UPDATE app.by_rule SET item = 'z' WHERE id = 1",
    relations: [
      'Insert app.notes Filtered Rule app.by_rule',
      'Select app.orders View app.by_rule',
      'Select secret.salaries Rule app.by_rule',
      'Update app.by_rule Keyed',
      'Update secret.salaries Filtered Rule app.by_rule',
    ],
    shows: ['SELECT count(*)::int AS v FROM app.notes', 1],
  },
  {
    sql: 'INSERT INTO app.ruled VALUES (1)',
    relations: ['Insert app.ruled Keyed', 'Insert secret.salaries Filtered Rule app.ruled'],
    shows: ['SELECT count(*)::int AS v FROM secret.salaries WHERE id = 101', 1],
  },
  { sql: 'INSERT INTO app.loud VALUES (1)', relations: ['Insert app.loud Keyed'], classes: ['Listen'] },
  {
    sql: 'DELETE FROM app.ruled WHERE id = 1',
    relations: ['Delete app.ruled Keyed'],
    shows: ['SELECT count(*)::int AS v FROM app.ruled', 1],
  },
  {
    sql: 'UPDATE app.ruled SET id = 2 WHERE id = 1',
    relations: ['Delete app.notes Unbounded Rule app.ruled', 'Update app.ruled Keyed'],
    shows: ['SELECT count(*)::int AS v FROM app.notes', 0],
  },
  {
    sql: 'UPDATE app.customers SET code = 11 WHERE id = 1',
    relations: ['Update app.customers Keyed', 'Update app.marks Filtered ForeignKey app.customers'],
    shows: ['SELECT code AS v FROM app.marks', 11],
  },
  { sql: "UPDATE app.customers SET name = 'b' WHERE id = 1", relations: ['Update app.customers Keyed'] },
  {
    sql: 'TRUNCATE app.marks',
    relations: ['Truncate app.marks Unbounded'],
    shows: ['SELECT count(*)::int AS v FROM app.marks', 0],
  },
  {
    sql: 'DELETE FROM app.customers WHERE id = 1',
    relations: [
      'Delete app.bills Filtered ForeignKey app.customers',
      'Delete app.customers Keyed',
      'Update app.lines Filtered ForeignKey app.bills',
    ],
    functions: ['Trigger app.noted()'],
    shows: [
      'SELECT concat((SELECT count(*) FROM app.bills), bill, (SELECT what FROM app.notes)) AS v FROM app.lines',
      '0UPDATE',
    ],
  },
  {
    sql: 'TRUNCATE app.customers CASCADE',
    relations: [
      'Truncate app.bills Unbounded ForeignKey app.customers',
      'Truncate app.customers Unbounded',
      'Truncate app.lines Unbounded ForeignKey app.bills',
      'Truncate app.marks Unbounded ForeignKey app.customers',
    ],
    shows: ['SELECT count(*)::int AS v FROM app.lines', 0],
  },
  {
    sql: 'DELETE FROM app.events',
    relations: ['Delete app.events Unbounded'],
    functions: ['Trigger app.noted()'],
    shows: ['SELECT count(*)::int AS v FROM secret.events_27', 0],
  },
  { sql: 'DELETE FROM secret.events_27 WHERE id = 1', relations: ['Delete secret.events_27 Filtered'] },
  {
    sql: "DELETE FROM app.events WHERE id = 1 AND day = '2026-01-01'",
    relations: ['Delete app.events Keyed'],
    functions: ['Trigger app.noted()'],
  },
  { sql: 'DELETE FROM app.people WHERE id = 1', relations: ['Delete app.people Filtered'] },
  { sql: 'DELETE FROM ONLY app.people WHERE id = 1', relations: ['Delete app.people Keyed'] },
  {
    sql: 'INSERT INTO app.coded DEFAULT VALUES',
    relations: ['Insert app.coded Keyed'],
    functions: ['Default app.next_code()', 'Default app.tax(integer)'],
    shows: ['SELECT code AS v FROM app.coded', 7],
  },
  {
    sql: 'UPDATE app.coded SET code = DEFAULT WHERE id = 1',
    relations: ['Update app.coded Keyed'],
    functions: ['Default app.next_code()', 'Default app.tax(integer)'],
  },
  { sql: 'DELETE FROM app.coded WHERE id = 1', relations: ['Delete app.coded Keyed'] },
  {
    sql: 'INSERT INTO app.checked VALUES (1, 1)',
    relations: ['Insert app.checked Keyed'],
    functions: ['Check app.sound(integer)'],
  },
  {
    sql: 'INSERT INTO app.indexed VALUES (1)',
    relations: ['Insert app.indexed Keyed'],
    functions: ['Index app.tax(integer)'],
  },
  { sql: 'SELECT * FROM app.indexed', relations: ['Select app.indexed'] },
  {
    sql: 'SELECT * FROM app.rooms',
    relations: ['Select app.members Policy app.rooms', 'Select app.rooms'],
    functions: ['Policy app.mine(text)'],
  },
  { sql: "SELECT nextval('secret.counter')", relations: ['Sequence secret.counter'], classes: ['Select', 'Sequence'] },
  {
    sql: 'SELECT nextval(\'"secret"."counter"\'::regclass)',
    relations: ['Sequence secret.counter'],
    classes: ['Catalog', 'Select', 'Sequence'],
  },
  { sql: 'SELECT nextval($1)', relations: ['Sequence *.*'], classes: ['Select', 'Sequence'] },
  {
    sql: "SELECT ('secret.counter'::regclass).nextval",
    relations: ['Sequence *.*'],
    classes: ['Catalog', 'Select', 'Sequence'],
  },
  { sql: 'SELECT subname, subenabled FROM pg_subscription', relations: [], classes: ['Catalog'] },
  { sql: 'SELECT s FROM pg_subscription s', relations: ['Select pg_catalog.pg_subscription'] },
  { sql: 'TABLE pg_subscription', relations: ['Select pg_catalog.pg_subscription'] },
  { sql: 'SELECT row_to_json(s) FROM pg_subscription AS s', relations: ['Select pg_catalog.pg_subscription'] },
  { sql: 'SELECT e FROM pg_subscription AS s(a, b, c, d, e)', relations: ['Select pg_catalog.pg_subscription'] },
  { sql: 'SELECT (SELECT subconninfo) FROM pg_subscription', relations: ['Select pg_catalog.pg_subscription'] },
  {
    sql: 'SELECT 1 FROM pg_subscription JOIN (SELECT 1 AS subconninfo) x USING (subconninfo)',
    relations: ['Select pg_catalog.pg_subscription'],
  },
  { sql: 'COPY pg_subscription TO STDOUT', relations: ['Select pg_catalog.pg_subscription'] },
  { sql: 'SELECT attname, n_distinct FROM pg_stats', relations: [], classes: ['Catalog'] },
  { sql: 'SELECT most_common_vals FROM pg_stats', relations: ['Select pg_catalog.pg_stats'] },
  { sql: 'TABLE pg_foreign_server', relations: [], classes: ['Catalog'] },
  {
    sql: 'REINDEX INDEX app.indexed_tax_idx',
    relations: ['Maintenance app.indexed Index app.indexed_tax_idx', 'Maintenance app.indexed_tax_idx'],
    functions: ['Index app.tax(integer)'],
  },
  {
    sql: 'DROP INDEX app.indexed_tax_idx',
    relations: ['Ddl app.indexed Index app.indexed_tax_idx', 'Ddl app.indexed_tax_idx'],
  },
  { sql: 'COPY pg_subscription (subname) TO STDOUT', relations: [], classes: ['Catalog', 'CopyTo'] },
];

describe.each<PostgresMajor>([14, 18])('what hangs together in PostgreSQL %d', (version) => {
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

  // In this order, as statements show what they do.
  test.each(CASES)('$sql', async ({ sql, relations, functions = [], classes, shows }) => {
    const facts = await live(catalog, sql);
    expect(relationsIn(facts)).toEqual(relations);
    expect(functionsIn(facts)).toEqual(functions);
    if (classes !== undefined) expect(facts.classes.toSorted()).toEqual(classes);
    if (shows === undefined) return;
    await server.query(sql);
    expect((await server.query(shows[0]))[0]!.v).toEqual(shows[1]);
  });
});
