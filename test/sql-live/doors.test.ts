import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeFunctionCall, encodeParse, encodeSync } from '../../gateway/wire/frontend.ts';
import { policy, rule, startWorld, type World } from '../gateway/harness.ts';
import { signIn } from '../gateway/raw.ts';

const OBJECTS = `
  CREATE TABLE ran (what text);
  CREATE FUNCTION listed(i int) RETURNS int LANGUAGE sql AS $$ INSERT INTO ran VALUES ('listed'); SELECT i $$;
  CREATE FUNCTION unlisted(i int) RETURNS int LANGUAGE sql AS $$ INSERT INTO ran VALUES ('unlisted'); SELECT i $$;
  CREATE FUNCTION orders_total(o orders) RETURNS numeric LANGUAGE sql AS 'SELECT o.amount';
  CREATE DOMAIN checked AS int CHECK (unlisted(VALUE) IS NOT NULL);
  CREATE EXTENSION hstore; CREATE EXTENSION dblink; CREATE EXTENSION tablefunc;
  GRANT ALL ON ran TO PUBLIC;
`;
const READING = ['Select', 'CopyTo', 'Explain', 'Cursor', 'Prepare', 'Transaction', 'Session', 'Function'] as const;
const CALLER = policy('callers', 'caller', 'analyst_ro', [
  rule('read', { statements: [...READING], relations: ['public.*'], functions: ['public.listed(integer)'] }),
]);
const AUTHOR = policy('authors', 'author', 'app_rw', [
  rule('define', { statements: [...READING, 'Code'], relations: ['public.*'] }),
]);

let world: World;
let client: pg.Client;
beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [CALLER, AUTHOR] }) });
  await world.server.query(OBJECTS);
}, 60_000);
afterAll(() => world.stop());
beforeEach(async () => {
  await world.server.query('TRUNCATE ran');
  client = await world.connect('caller');
});
afterEach(() => client.end());

const ran = async () => (await world.server.query('SELECT DISTINCT what FROM ran')).map(({ what }) => what);
const denied = (pattern: RegExp) => ({ code: '42501', message: expect.stringMatching(pattern) });
const oid = async (name: string) =>
  Number((await world.server.query(`SELECT '${name}'::regprocedure::oid AS oid`))[0]!.oid);

async function each(...statements: readonly string[]): Promise<void> {
  for (const sql of statements) await client.query(sql);
}

describe('a user function through every door', () => {
  test.each<readonly [string, (call: string) => Promise<unknown>]>([
    ['simple', (call) => client.query(`SELECT ${call}`)],
    ['one of several statements', (call) => client.query(`SELECT 1; SELECT ${call}; SELECT 2`)],
    ['extended', (call) => client.query({ text: `SELECT ${call} WHERE $1`, values: [true] })],
    ['PREPARE', (call) => each(`PREPARE p AS SELECT ${call}`, 'EXECUTE p', 'DEALLOCATE p')],
    ['a cursor', (call) => each('BEGIN', `DECLARE c CURSOR FOR SELECT ${call}`, 'FETCH ALL FROM c', 'COMMIT')],
    ['EXPLAIN ANALYZE', (call) => client.query(`EXPLAIN ANALYZE SELECT ${call}`)],
    ['in FROM', (call) => client.query(`SELECT * FROM ${call}`)],
    ['in FROM ROWS', (call) => client.query(`SELECT * FROM ROWS FROM (${call})`)],
    ['LATERAL', (call) => client.query(`SELECT * FROM (VALUES (1)) v, LATERAL ${call} f`)],
    ['in a common table expression', (call) => client.query(`WITH w AS MATERIALIZED (SELECT ${call}) SELECT * FROM w`)],
    ['in LIMIT', (call) => client.query(`SELECT 1 LIMIT ${call}`)],
    ['in a condition', (call) => client.query(`SELECT 1 WHERE ${call} = 1`)],
    ['in VALUES', (call) => client.query(`VALUES (${call})`)],
    ['by name of argument', (call) => client.query(`SELECT ${call.replace('(1)', '(i => 1)')}`)],
    ['with its schema', (call) => client.query(`SELECT public.${call}`)],
  ])('%s', async (_, send) => {
    await expect(send('unlisted(1)')).rejects.toMatchObject(denied(/public\.unlisted\(integer\)/));
    expect(await ran()).toEqual([]);
    await client.query('ROLLBACK');
    await send('listed(1)');
    expect(await ran()).toEqual(['listed']);
  });

  test('EXPLAIN alone counts as well: constants are computed by the planner', async () => {
    await expect(client.query('EXPLAIN SELECT unlisted(1)')).rejects.toMatchObject(denied(/public\.unlisted/));
  });

  test('attribute notation', async () => {
    await expect(client.query('SELECT o.orders_total FROM orders o')).rejects.toMatchObject(denied(/orders_total/));
    expect((await client.query('SELECT o.item FROM orders o WHERE o.id = 1')).rows).toEqual([{ item: 'item 1' }]);
  });

  test('a type: written, called, of a parameter', async () => {
    for (const sql of ["SELECT '1'::checked", "SELECT checked('1')", "SELECT ('1'::text).checked"])
      await expect(client.query(sql)).rejects.toMatchObject(denied(/public\.unlisted\(integer\)/));
    const raw = await signIn(world, 'caller');
    const [{ oid: type }] = (await world.server.query("SELECT 'checked'::regtype::oid AS oid")) as [{ oid: number }];
    raw.send(
      encodeParse({ statement: '', text: Buffer.from('SELECT $1'), parameterTypes: [Number(type)] }),
      encodeSync(),
    );
    expect(await raw.until('Z:I')).toBe('E:42501 Z:I');
    raw.send(encodeParse({ statement: '', text: Buffer.from('SELECT $1'), parameterTypes: [23] }), encodeSync());
    expect(await raw.until('Z:I')).toBe('1 Z:I');
    raw.socket.destroy();
    expect(await ran()).toEqual([]);
  });

  test('FunctionCall: by its own OID, with the classes that it has', async () => {
    const raw = await signIn(world, 'caller');
    const call = async (functionOid: number, ...parameters: string[]) => {
      raw.send(
        encodeFunctionCall({
          functionOid,
          formats: [],
          parameters: parameters.map((p) => Buffer.from(p)),
          resultFormat: 0,
        }),
      );
      return await raw.until('Z:I');
    };
    expect(await call(await oid('unlisted(int)'), '1')).toBe('E:42501 Z:I');
    expect(await call(await oid('pg_sleep(float8)'), '0')).toBe('E:42501 Z:I');
    // Function and Session are allowed, but nobody sees which setting it is.
    expect(await call(await oid('set_config(text,text,bool)'), 'role', 'app_rw', 'f')).toBe('E:42501 Z:I');
    expect(await call(await oid('current_setting(text)'), 'work_mem')).toBe('V Z:I');
    expect(await call(await oid('listed(int)'), '1')).toBe('V Z:I');
    expect(await call(await oid('pg_backend_pid()'))).toBe('V Z:I');
    raw.socket.destroy();
    expect(await ran()).toEqual(['listed']);
  });
});

test('a function that nobody has is the server’s to refuse, in its own words', async () => {
  for (const sql of ['SELECT no_such(1)', 'SELECT public.no_such()', 'SELECT pg_catalog.no_such()', 'SELECT listed()'])
    await expect(client.query(sql)).rejects.toMatchObject({ code: '42883' });
  // One that others have just made is found before it is called.
  await world.server.query(`CREATE FUNCTION no_such(i int) RETURNS int LANGUAGE sql AS 'SELECT i'`);
  await expect(client.query('SELECT no_such(1)')).rejects.toMatchObject(denied(/public\.no_such\(integer\)/));
});

test('an overload of one’s own counts before it is committed', async () => {
  const author = await world.connect('author');
  expect((await author.query('SELECT length(item::varchar) FROM orders WHERE id = 1')).rows).toEqual([{ length: 6 }]);
  await author.query(`BEGIN; CREATE FUNCTION public.length(v varchar) RETURNS int LANGUAGE sql AS 'SELECT 99'`);
  await expect(author.query('SELECT length(item::varchar) FROM orders WHERE id = 1')).rejects.toMatchObject(
    denied(/public\.length\(character varying\)/),
  );
  await author.query('ROLLBACK');
  expect((await author.query('SELECT length(item::varchar) FROM orders WHERE id = 1')).rows).toEqual([{ length: 6 }]);
  await author.end();
});

test('known extensions: what is safe passes, what is not is refused by what it does', async () => {
  expect((await client.query(`SELECT ('a=>1'::hstore) -> 'a' AS a, hstore('b', '2')::text AS b`)).rows).toEqual([
    { a: '1', b: '"b"=>"2"' },
  ]);
  await expect(client.query("SELECT dblink_connect('host=x')")).rejects.toMatchObject(denied(/Link/));
  await expect(client.query("SELECT * FROM crosstab('SELECT 1') AS c(a int)")).rejects.toMatchObject(
    denied(/DynamicSql/),
  );
});
