import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { policy, rule, startWorld, type World } from './harness.ts';

/** What drivers and pools send of themselves, on sessions that many clients use one after another. */
let world: World;

const APP = policy('apps', 'app', 'app_rw', [
  rule('work', {
    statements: ['Select', 'Insert', 'TempTable', 'Ddl', 'Transaction', 'Session', 'Cursor', 'Listen', 'AdvisoryLock'],
    relations: ['public.*', 'pg_temp.*'],
  }),
]);

beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [APP] }) });
}, 60_000);
afterAll(() => world.stop());

const NPGSQL =
  'SET SESSION AUTHORIZATION DEFAULT;RESET ALL;CLOSE ALL;UNLISTEN *;SELECT pg_advisory_unlock_all();DISCARD SEQUENCES;DISCARD TEMP';

describe('what pools send between clients', () => {
  test.each([
    NPGSQL,
    'DISCARD ALL',
    'SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL',
    'RESET ROLE',
    'SET ROLE NONE',
    'SET ROLE TO DEFAULT',
    'RESET SESSION AUTHORIZATION; SELECT pg_catalog.pg_advisory_unlock_all()',
    'DISCARD TEMP; SELECT pg_advisory_unlock_all()',
  ])('%s', async (text) => {
    const client = await world.connect('app');
    await client.query('SELECT * FROM orders LIMIT 1');
    await expect(client.query(text)).resolves.toBeDefined();
    expect((await client.query('SELECT current_user AS name')).rows).toEqual([{ name: 'app_rw' }]);
    await client.end();
  });

  test.each([`SET ROLE 'app_rw'`, 'SET ROLE app_rw', 'SET LOCAL ROLE app_rw'])(
    'its own role by name: %s',
    async (text) => {
      const client = await world.connect('app');
      await expect(client.query(text)).resolves.toBeDefined();
      await client.end();
    },
  );

  test.each([
    ['ALTER ROLE app_rw SET role = app_rw', 'Role'],
    ['SET ROLE app_rw; SET ROLE analyst_ro', 'Role'],
    ['SET ROLE analyst_ro', 'Role'],
    [`SET ROLE 'NONE'`, 'Role'],
    ['SET SESSION AUTHORIZATION analyst_ro', 'Role'],
    [`SET SESSION AUTHORIZATION 'none'`, 'Role'],
    [`SELECT set_config('role', 'analyst_ro', false)`, 'Role'],
    ['RESET ALL; SELECT * FROM orders', 'what names mean'],
    ['RESET ALL; SELECT pg_advisory_unlock_all() FROM orders', 'what names mean'],
    ['RESET ALL; SELECT own()', 'what names mean'],
    ['CREATE TEMP VIEW t AS SELECT 1; SELECT pg_advisory_unlock_all()', 'what names mean'],
  ])('and what is more than that: %s', async (text, why) => {
    const client = await world.connect('app');
    await expect(client.query(text)).rejects.toMatchObject({ code: '42501', message: expect.stringContaining(why) });
    await client.end();
  });

  test('a function that may stand before one of the server', async () => {
    await world.server.query(
      `CREATE SCHEMA before; CREATE FUNCTION before.pg_advisory_unlock_all() RETURNS void LANGUAGE sql AS 'SELECT wipe()';
       ALTER ROLE app_rw SET search_path = before, pg_catalog, public; GRANT USAGE ON SCHEMA before TO app_rw`,
    );
    await expect.poll(() => refusal(NPGSQL), { timeout: 10_000 }).toContain('what names mean');
    await world.server.query('DROP SCHEMA before CASCADE; ALTER ROLE app_rw RESET search_path');
  });
});

async function refusal(text: string): Promise<string> {
  const client = await world.connect('app');
  const message = await client.query(text).then(
    () => '',
    (error: Error) => error.message,
  );
  await client.end();
  return message;
}

test('questions leave no portal behind', async () => {
  const client = await world.connect('app');
  await client.query('BEGIN');
  await client.query('CREATE TEMP TABLE t (a int)');
  await client.query('INSERT INTO t VALUES ($1)', [1]);
  expect((await client.query('SELECT a FROM t')).rows).toEqual([{ a: 1 }]);
  // An open portal holds a snapshot, and so keeps VACUUM from its work on every table.
  expect((await client.query('SELECT name FROM pg_cursors')).rows).toEqual([]);
  await client.query('COMMIT');
  await client.end();
});
