import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { StatementClass } from '../../gateway/sql/classes.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';
import { factsOf } from '../sql/summary.ts';

const OBJECTS = `
  CREATE TABLE secret (word text); INSERT INTO secret VALUES ('xyzzy');
  CREATE TABLE ran (what text);
  CREATE FUNCTION check_it(i int) RETURNS bool LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO ran VALUES ('check_it'); RETURN true; END $$;
  CREATE DOMAIN checked AS int CHECK (check_it(VALUE));
  CREATE SEQUENCE counter; SELECT nextval('counter');
  CREATE TABLE big (i int) WITH (autovacuum_enabled = false);
  CREATE INDEX big_brin ON big USING brin (i) WITH (pages_per_range = 1);
  INSERT INTO big SELECT generate_series(1, 10000);
  ANALYZE big;
  SELECT lo_from_bytea(4711, 'large');
`;

let server: Postgres;
let client: pg.Client;
let heard = 0;

beforeAll(async () => {
  server = await startPostgres({ version: 18, config: { wal_level: 'logical' }, initSql: OBJECTS });
  client = new pg.Client(server.connectionString());
  client.on('notification', () => {
    heard += 1;
  });
  await client.connect();
  await client.query('LISTEN probe');
}, 60_000);
afterAll(async () => {
  await client.end();
  await server.stop();
});

const value = async (sql: string): Promise<unknown> => Object.values((await client.query(sql)).rows[0] as object)[0];
/** What a question says before and after differs. */
const changes = (question: string) => async (sql: string) => {
  const before = await value(question);
  await client.query(sql);
  expect(await value(question)).not.toEqual(before);
};
/** The result has something in it that no relation of the statement shows. */
const tells = (what: RegExp) => async (sql: string) => {
  expect(JSON.stringify((await client.query(sql)).rows)).toMatch(what);
};
const takes = (milliseconds: number) => async (sql: string) => {
  const started = performance.now();
  await client.query(sql);
  expect(performance.now() - started).toBeGreaterThan(milliseconds);
};
const RAN = 'SELECT count(*) FROM ran';
const LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
const SLOTS = 'SELECT count(*) FROM pg_replication_slots';
const OBJECT = 'SELECT md5(string_agg(data, NULL ORDER BY pageno)) FROM pg_largeobject';

/** For each risky class, statements that look like reading; the server shows what they do. */
const PROBES: readonly (readonly [StatementClass, sql: string, does: (sql: string) => Promise<void>])[] = [
  ['DynamicSql', "SELECT query_to_xml('select * from secret', true, true, '')", tells(/xyzzy/)],
  ['DynamicSql', "SELECT table_to_xml('secret', true, true, '')", tells(/xyzzy/)],
  ['DynamicSql', "SELECT schema_to_xml('public', true, true, '')", tells(/xyzzy/)],
  ['DynamicSql', "SELECT database_to_xml(true, true, '')", tells(/xyzzy/)],
  ['DynamicSql', "SELECT ts_stat('select word::tsvector from secret')", tells(/xyzzy/)],
  ['DynamicSql', "SELECT ts_rewrite('a'::tsquery, 'select ''a''::tsquery, word::tsquery from secret')", tells(/xyzzy/)],
  ['DynamicSql', "SELECT pg_input_is_valid('1', 'checked')", changes(RAN)],
  ['DynamicSql', "SELECT pg_input_error_info('1', 'checked')", changes(RAN)],
  ['DynamicSql', "SELECT domain_in('1', 'checked'::regtype, -1) IS NULL", changes(RAN)],
  ['DynamicSql', "SELECT array_in('{1}', 'checked'::regtype, -1)", changes(RAN)],
  ['LargeObject', 'SELECT lo_get(4711)', tells(/108,97,114,103,101/)],
  ['LargeObject', "SELECT lo_put(4711, 0, 'other')", changes(OBJECT)],
  ['LargeObject', "SELECT lo_from_bytea(0, 'new')", changes('SELECT count(*) FROM pg_largeobject_metadata')],
  ['LargeObject', 'SELECT lo_create(0)', changes('SELECT count(*) FROM pg_largeobject_metadata')],
  ['LargeObject', 'SELECT lo_unlink(4711)', changes('SELECT count(*) FROM pg_largeobject_metadata')],
  ['ServerFile', "SELECT pg_read_file('PG_VERSION')", tells(/18/)],
  ['ServerFile', "SELECT pg_read_binary_file('PG_VERSION')", tells(/49,56/)],
  ['ServerFile', "SELECT pg_ls_dir('.')", tells(/pg_wal/)],
  ['ServerFile', 'SELECT pg_ls_waldir()', tells(/[0-9A-F]{24}/)],
  ['ServerFile', "SELECT pg_stat_file('PG_VERSION')", tells(/\d{4}-\d\d/)],
  ['ServerFile', 'SELECT count(*) FROM pg_hba_file_rules()', tells(/[1-9]/)],
  ['ServerFile', "SELECT lo_import('PG_VERSION')", changes('SELECT count(*) FROM pg_largeobject_metadata')],
  ['Sequence', "SELECT nextval('counter')", changes('SELECT last_value FROM counter')],
  ['Sequence', "SELECT setval('counter', 77)", changes('SELECT last_value FROM counter')],
  ['Sequence', "SELECT pg_sequence_last_value('counter')", tells(/77/)],
  ['AdvisoryLock', 'SELECT pg_advisory_lock(1)', changes(LOCKS)],
  ['AdvisoryLock', 'SELECT pg_try_advisory_lock_shared(1, 2)', changes(LOCKS)],
  ['AdvisoryLock', 'SELECT pg_advisory_unlock_all()', changes(LOCKS)],
  ['Resource', 'SELECT pg_sleep(0.2)', takes(190)],
  ['Resource', "SELECT pg_sleep_for('200 ms')", takes(190)],
  ['Resource', "SELECT pg_sleep_until(clock_timestamp() + '200 ms')", takes(150)],
  ['Session', "SELECT set_config('work_mem', '7MB', false)", changes('SHOW work_mem')],
  ['ServerControl', 'SELECT pg_switch_wal()', changes('SELECT pg_walfile_name(pg_current_wal_lsn())')],
  ['ServerControl', "SELECT pg_create_restore_point('probe')", changes('SELECT pg_current_wal_insert_lsn()')],
  [
    'ServerControl',
    'SELECT pg_stat_reset()',
    changes('SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()'),
  ],
  ['ServerControl', "SELECT pg_backup_start('probe', true)", tells(/\//)],
  ['ServerControl', 'SELECT pg_backup_stop(false)', tells(/START WAL LOCATION/)],
  [
    'ServerControl',
    "SELECT pg_clear_relation_stats('public', 'big')",
    changes("SELECT reltuples FROM pg_class WHERE relname = 'big'"),
  ],
  ['Replication', "SELECT pg_create_physical_replication_slot('p')", changes(SLOTS)],
  ['Replication', "SELECT pg_create_logical_replication_slot('l', 'test_decoding', true)", changes(SLOTS)],
  ['Replication', "SELECT pg_drop_replication_slot('p')", changes(SLOTS)],
  ['Replication', "SELECT pg_replication_origin_create('o')", changes('SELECT count(*) FROM pg_replication_origin')],
  ['Replication', "SELECT pg_logical_emit_message(false, 'a', 'b')", changes('SELECT pg_current_wal_insert_lsn()')],
  ['Maintenance', "SELECT brin_summarize_new_values('big_brin')", tells(/[1-9]/)],
  ['CatalogWrite', "SELECT pg_nextoid('pg_class', 'oid', 'pg_class_oid_index')", tells(/\d{5}/)],
];

test.each(PROBES)('%s: %s', async (cls, sql, does) => {
  const [facts] = factsOf(sql);
  expect(facts!.classes).toContain(cls);
  if (cls !== 'Session') expect(facts!.readOnly).toBe(false);
  await does(sql);
});

test('Listen: a notification is heard', async () => {
  const sql = "SELECT pg_notify('probe', 'x')";
  expect(factsOf(sql)[0]).toMatchObject({ classes: expect.arrayContaining(['Listen']), readOnly: false });
  await client.query(sql);
  await expect.poll(() => heard).toBe(1);
});

test('ServerControl: another session ends, or its statement does', async () => {
  const other = new pg.Client(server.connectionString());
  const ended = new Promise((resolve) => other.on('error', resolve));
  await other.connect();
  const pid = (await other.query('SELECT pg_backend_pid() AS pid')).rows[0].pid as number;
  const cut = expect(other.query('SELECT pg_sleep(10)')).rejects.toMatchObject({ code: '57014' });
  await sleep(100);
  for (const sql of [`SELECT pg_cancel_backend(${pid})`, `SELECT pg_terminate_backend(${pid})`]) {
    expect(factsOf(sql)[0]!.classes).toContain('ServerControl');
    await client.query(sql);
    if (sql.includes('cancel')) await cut;
  }
  expect(await ended).toMatchObject({ code: '57P01' });
});

/** Look-alikes: the server runs them in a read-only transaction, and nothing is different afterwards. */
const HARMLESS = [
  "SELECT currval('counter'), lastval()",
  "SELECT ts_rewrite('a & b'::tsquery, 'a'::tsquery, 'c'::tsquery)",
  "SELECT pg_get_viewdef('pg_stats'), pg_get_functiondef('check_it'::regproc)",
  "SELECT has_table_privilege('secret', 'select'), to_regclass('secret'), 'secret'::regclass",
  "SELECT table_to_xmlschema('secret', true, true, '')",
  'SELECT pg_database_size(current_database()), pg_current_wal_lsn(), pg_is_in_recovery()',
  'SELECT current_setting($$work_mem$$), version(), pg_backend_pid(), txid_current_if_assigned()',
  'SELECT now(), clock_timestamp(), random(), gen_random_uuid()',
  "SELECT xmlparse(document '<a/>'), xpath('/a', '<a/>'), json_build_object('a', 1)",
  'SELECT * FROM pg_stat_get_activity(NULL), pg_lock_status() LIMIT 1',
  "SELECT repeat('x', 3), generate_series(1, 2), md5('x'), regexp_replace('a', 'b', 'c')",
  "SELECT pg_walfile_name('0/1'), pg_size_pretty(1::bigint), pg_typeof(1)",
  "SELECT EXTRACT(year FROM now()), OVERLAY('abc' PLACING 'x' FROM 1), POSITION('a' IN 'b'), TRIM('x'), CURRENT_USER",
  `SELECT * FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a int PATH '$'))`,
  "SELECT XMLSERIALIZE(CONTENT '<a/>'::xml AS text), JSON_VALUE('{}', '$.a'), NORMALIZE('a'), SUBSTRING('abc' SIMILAR 'a#\"b#\"c' ESCAPE '#')",
];

test.each(HARMLESS)('nothing happens: %s', async (sql) => {
  const [facts] = factsOf(sql);
  expect(facts!.classes.filter((cls) => cls !== 'Select' && cls !== 'Catalog')).toEqual([]);
  expect(facts!.readOnly).toBe(true);
  const state =
    'SELECT concat((SELECT count(*) FROM ran), (SELECT last_value FROM counter), (SELECT count(*) FROM pg_locks))';
  const before = await value(state);
  await client.query('BEGIN READ ONLY');
  await client.query(sql);
  await client.query('COMMIT');
  expect(await value(state)).toEqual(before);
});
