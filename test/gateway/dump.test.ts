import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { policy, rule, startWorld, type World } from './harness.ts';

/* What pg_dump of PostgreSQL 14 to 18 sends first, as a role that may only read. */
const READER = policy(
  'readers',
  'reader',
  'analyst_ro',
  [
    rule('read', {
      statements: ['Select', 'CopyTo', 'Lock', 'Prepare', 'Transaction', 'Session', 'TempTable'],
      relations: ['public.*'],
    }),
  ],
  { readOnly: true },
);
const WRITER = { ...READER, name: 'writers', session: { ...READER.session, readOnly: false } };

const RESTRICT =
  "SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'";

const FIRST = [
  "SELECT pg_catalog.set_config('search_path', '', false)",
  'SET DATESTYLE = ISO',
  'SET INTERVALSTYLE = POSTGRES',
  'SET extra_float_digits TO 3',
  'SET synchronize_seqscans TO off',
  'SET statement_timeout = 0',
  'SET lock_timeout = 0',
  'SET idle_in_transaction_session_timeout = 0',
  'SET transaction_timeout = 0',
  'SET row_security = off',
  RESTRICT,
  'BEGIN',
  'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY',
  'SELECT pg_catalog.pg_is_in_recovery()',
  'LOCK TABLE public.orders IN ACCESS SHARE MODE',
  'COPY public.orders (id, item, amount) TO stdout',
];

let world: World;
let client: pg.Client;

beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [READER] }) });
}, 60_000);
afterAll(() => world.stop());
beforeEach(async () => {
  world.revise({ policies: [READER] });
  client = await world.connect('reader');
});
afterEach(() => client.end());

const failure = (text: string) =>
  client.query(text).then(
    () => null,
    (error: Error) => error.message,
  );

test('pg_dump of a role that may only read gets what it asks for', async () => {
  for (const text of FIRST.slice(0, -1)) expect([text, await failure(text)]).toEqual([text, null]);
  await client.query('COMMIT');
  const [row] = (await client.query('SHOW restrict_nonsystem_relation_kind')).rows;
  expect(row).toEqual({ restrict_nonsystem_relation_kind: 'view, foreign-table' });
});

describe('a setting that a condition on pg_settings names', () => {
  const NO = /not a constant|may only be set|not on the list|at most/;
  test.each<[string, RegExp | null]>([
    [RESTRICT, null],
    [RESTRICT.replaceAll('pg_settings', 'pg_catalog.pg_settings s').replace('(name', '(s.name'), null],
    [`${RESTRICT} AND vartype = 'string'`, null],
    // Twice in one shape, with another name.
    [RESTRICT.replace('restrict_nonsystem_relation_kind', 'work_mem').replace('view, foreign-table', '4MB'), null],
    [RESTRICT.replace('restrict_nonsystem_relation_kind', 'work_mem').replace('view, foreign-table', '4GB'), NO],
    [RESTRICT.replace('restrict_nonsystem_relation_kind', 'log_statement'), NO],
    [RESTRICT.replace('view, foreign-table', ''), NO],
    [`${RESTRICT} OR name = 'log_statement'`, NO],
    [RESTRICT.replace('WHERE', 'WHERE NOT'), NO],
    [RESTRICT.replace(" = '", " > '"), NO],
    [RESTRICT.replace('(name', '(category'), NO],
    [RESTRICT.replace('(name', "(name || ''"), NO],
    [RESTRICT.replace('pg_settings WHERE', 'pg_settings, pg_class c(name) WHERE c.'), NO],
    [RESTRICT.replace('pg_settings', 'public.pg_settings'), NO],
    [`WITH pg_settings AS (SELECT 'log_statement' AS name) ${RESTRICT}`, NO],
    [`WITH pg_settings AS (SELECT 'log_statement' AS name) SELECT * FROM (${RESTRICT}) x`, NO],
    [
      `SELECT (SELECT set_config(name, 'x', false)) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'`,
      NO,
    ],
  ])('%s', async (text, expected) => {
    if (expected === null) expect(await failure(text)).toBeNull();
    else expect(await failure(text)).toMatch(expected);
  });

  test('a temporary view does not name settings', async () => {
    world.revise({ policies: [WRITER] });
    await client.end();
    client = await world.connect('reader');
    await client.query("CREATE TEMP VIEW pg_settings AS SELECT 'log_statement'::text AS name");
    expect(await failure(RESTRICT)).toMatch(NO);
    // The server's own, by its name, and with a path that puts it first.
    expect(await failure(RESTRICT.replace('pg_settings', 'pg_catalog.pg_settings'))).toBeNull();
    await client.query('DROP VIEW pg_temp.pg_settings');
    expect(await failure(RESTRICT)).toBeNull();
    await client.query("CREATE TEMP VIEW pg_settings AS SELECT 'log_statement'::text AS name");
    await client.query('SET search_path = pg_catalog, pg_temp');
    expect(await failure(RESTRICT)).toBeNull();
  });

  test('nor does another relation that comes first, nor another operator', async () => {
    await world.server.query(`CREATE VIEW public.pg_settings AS SELECT 'log_statement'::text AS name;
      GRANT SELECT ON public.pg_settings TO analyst_ro`);
    expect(await failure(RESTRICT)).toBeNull();
    await client.query('SET search_path = public, pg_catalog');
    await expect.poll(() => failure(RESTRICT)).toMatch(NO);
    await world.server.query('DROP VIEW public.pg_settings');
    await expect.poll(() => failure(RESTRICT)).toMatch(NO);
  });
});
