import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Policy } from '../../gateway/config/document.ts';
import { ANALYST, DBA, policy, rule, startWorld, type World } from './harness.ts';

let world: World;
let client: pg.Client;
beforeAll(async () => {
  world = await startWorld();
  await world.server.query(
    "CREATE FUNCTION loosen() RETURNS text LANGUAGE sql AS $$ SELECT set_config('transaction_read_only', 'off', true) $$",
  );
}, 60_000);
afterAll(() => world.stop());
afterEach(async () => {
  await client.end().catch(() => {});
  world.revise({ policies: [ANALYST, DBA] });
});

const READER = policy('analysts', 'analyst', 'analyst_ro', [
  rule('all', { statements: ['Any'], relations: ['*.*'], functions: ['public.loosen()'] }),
]);
const held = (session: Partial<Policy['session']>): Policy => ({
  ...READER,
  session: { ...READER.session, ...session },
});
const show = async (name: string) => String(Object.values((await client.query(`SHOW ${name}`)).rows[0]!)[0]);

describe('a read-only session', () => {
  beforeEach(async () => {
    world.revise({ policies: [held({ readOnly: true })] });
    client = await world.connect('analyst');
  });

  test('is so for the server as well', async () => {
    expect(await show('default_transaction_read_only')).toBe('on');
    expect(await show('transaction_read_only')).toBe('on');
  });

  test.each([
    'SET default_transaction_read_only = off',
    'SET transaction_read_only = off',
    'SET LOCAL transaction_read_only = 0',
    'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE',
    'BEGIN READ WRITE',
    'BEGIN; SET TRANSACTION READ WRITE; INSERT INTO orders VALUES (1000)',
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT set_config('default_transaction_read_only', 'o' || 'ff', false)",
    'SELECT loosen()',
    "DO $$ BEGIN PERFORM set_config('transaction_read_only', 'off', false); END $$",
    "UPDATE pg_settings SET setting = 'off' WHERE name = 'default_transaction_read_only'",
    'CREATE TEMP TABLE x (a int)',
    "SELECT nextval('s')",
    'SELECT * FROM orders FOR UPDATE',
    'INSERT INTO orders VALUES (1000)',
    'EXPLAIN ANALYZE DELETE FROM orders',
    'WITH d AS (DELETE FROM orders RETURNING *) SELECT * FROM d',
  ])('%s is refused', async (text) => {
    await expect(client.query(text)).rejects.toMatchObject({ code: '42501' });
    await client.query('ROLLBACK');
    const extended = { text, queryMode: 'extended' };
    const several = text.startsWith('BEGIN;');
    await expect(client.query(extended)).rejects.toMatchObject({ code: several ? '42601' : '42501' });
    await client.query('ROLLBACK');
    expect(await show('transaction_read_only')).toBe('on');
  });

  test('stays so after RESET and DISCARD, and reads', async () => {
    for (const text of ['RESET ALL', 'DISCARD ALL', 'RESET default_transaction_read_only']) {
      await client.query(text);
      expect(await show('transaction_read_only')).toBe('on');
    }
    expect((await client.query('SELECT id FROM orders WHERE id = 1')).rowCount).toBe(1);
    await client.query('BEGIN READ ONLY; SET LOCAL transaction_read_only = on; COMMIT');
  });

  test('cannot be begun otherwise', async () => {
    for (const options of ['-c default_transaction_read_only=off', '-c DEFAULT_transaction_read_only=off'])
      await expect(world.connect('analyst', { options })).rejects.toMatchObject({ code: '42501' });
  });
});

describe('a policy that changes', () => {
  test('makes an open session read-only at its next statement, for the server at the next transaction', async () => {
    world.revise({ policies: [held({})] });
    client = await world.connect('analyst');
    expect(await show('default_transaction_read_only')).toBe('off');
    await client.query('BEGIN');
    world.revise({ policies: [held({ readOnly: true })] });
    await expect(client.query('INSERT INTO orders VALUES (1000)')).rejects.toMatchObject({ code: '42501' });
    await client.query('ROLLBACK');
    expect(await show('default_transaction_read_only')).toBe('on');
    for (const text of ['RESET ALL', 'DISCARD ALL', 'SET default_transaction_read_only TO DEFAULT']) {
      await client.query(text);
      expect(await show('default_transaction_read_only')).toBe('on');
    }
    world.revise({ policies: [held({})] });
    await client.query('SET default_transaction_read_only = off');
    await client.query('INSERT INTO orders VALUES (1000, $1)', ['x']);
    await client.query('DELETE FROM orders WHERE id = 1000');
  });

  test('shortens the statement timeout of an open session, and leaves a shorter one', async () => {
    world.revise({ policies: [held({})] });
    client = await world.connect('analyst');
    expect(await show('statement_timeout')).toBe('0');
    world.revise({ policies: [held({ statementTimeout: 300 })] });
    await expect(client.query('SELECT pg_sleep(5)')).rejects.toMatchObject({ code: '57014' });
    await client.query("SET statement_timeout = '200ms'");
    world.revise({ policies: [held({ statementTimeout: 250 })] });
    expect(await show('statement_timeout')).toBe('200ms');
    await client.query('RESET statement_timeout');
    expect(await show('statement_timeout')).toBe('250ms');
    for (const value of ['0', "'1s'", "'100us'"])
      await expect(client.query(`SET statement_timeout = ${value}`)).rejects.toMatchObject({ code: '42501' });
  });

  test('in the middle of a pipeline', async () => {
    world.revise({ policies: [held({})] });
    client = await world.connect('analyst');
    const first = Array.from({ length: 20 }, (_, i) => client.query('SELECT $1::int AS n', [i]));
    world.revise({ policies: [held({ readOnly: true, statementTimeout: 5000 })] });
    const rest = Array.from({ length: 20 }, (_, i) => client.query('SELECT $1::int AS n', [i + 20]));
    const results = await Promise.all([...first, ...rest]);
    expect(results.map(({ rows }) => rows[0].n)).toEqual(Array.from({ length: 40 }, (_, i) => i));
    expect(await show('default_transaction_read_only')).toBe('on');
    expect(await show('statement_timeout')).toBe('5s');
  });

  test('an expiry ends what it grants at the instant', async () => {
    world.revise({ policies: [{ ...READER, expiresAt: Date.now() + 700 }] });
    client = await world.connect('analyst');
    const named = { name: 'n', text: 'SELECT id FROM orders WHERE id = $1', values: [1] };
    await client.query(named);
    await new Promise((resolve) => setTimeout(resolve, 750));
    await expect(client.query(named)).rejects.toMatchObject({ code: '42501' });
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '42501' });
    await expect(world.connect('analyst')).rejects.toMatchObject({ code: '28000' });
  });

  test('a Deny rule that comes ends Any for what it does not understand', async () => {
    world.revise({ policies: [held({})] });
    client = await world.connect('analyst');
    await client.query('DO $$ BEGIN PERFORM 1; END $$');
    const guard = policy('guards', 'analyst', null, [rule('no-code', { action: 'Deny', statements: ['Do'] })]);
    world.revise({ policies: [held({}), guard] });
    await expect(client.query('DO $$ BEGIN PERFORM 1; END $$')).rejects.toMatchObject({
      message: expect.stringContaining('shop/guards, rule no-code'),
    });
  });

  test('mode Audit neither grants nor denies, and the record tells what it would have done', async () => {
    const trial = {
      ...policy('trial', 'analyst', null, [rule('no-reads', { action: 'Deny', statements: ['Select'] })]),
      mode: 'Audit' as const,
    };
    world.revise({ policies: [ANALYST, trial] });
    client = await world.connect('analyst');
    await client.query('SELECT id FROM orders WHERE id = 4711');
    const decisions = (await world.events()).map(({ unmapped }) => unmapped?.postern?.decision);
    expect(decisions).toContainEqual({
      verdict: 'Allow',
      policy: 'shop/analysts',
      rule: 'read',
      shadow: [{ verdict: 'Deny', policy: 'shop/trial', rule: 'no-reads' }],
    });
  });
});
