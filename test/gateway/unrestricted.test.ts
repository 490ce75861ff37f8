import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  encodeBind,
  encodeDescribe,
  encodeExecute,
  encodeFlush,
  encodeFunctionCall,
  encodeSync,
} from '../../gateway/wire/frontend.ts';
import { startWorld, type World } from './harness.ts';
import { bind, parse, type Raw, signIn, sql } from './raw.ts';

/* A session under Any alone behaves as a direct connection. */

let world: World;
let dba: Raw;

beforeAll(async () => {
  world = await startWorld();
}, 60_000);
afterAll(() => world.stop());
beforeEach(async () => {
  dba = await signIn(world, 'dba');
});
afterEach(() => dba.socket.destroy());

const run = async (text: string, ready: 'Z:I' | 'Z:T' = 'Z:I') => {
  dba.send(sql(text));
  return await dba.until(ready);
};
/** An OID as parameter of a FunctionCall, in binary. */
const int4 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};
const oidOf = async (signature: string) =>
  Number((await world.server.query(`SELECT '${signature}'::regprocedure::oid::int AS oid`))[0]!.oid);

describe('names that were given inside the database', () => {
  test('a cursor that a function opened is described, fetched in parts and closed by the protocol', async () => {
    await run(
      `CREATE OR REPLACE FUNCTION open_it() RETURNS refcursor LANGUAGE plpgsql AS
       'DECLARE c refcursor := ''inner''; BEGIN OPEN c FOR SELECT id FROM orders ORDER BY id LIMIT 3; RETURN c; END'`,
    );
    await run('BEGIN; SELECT open_it()', 'Z:T');
    dba.send(encodeDescribe('P', 'inner'), encodeExecute('inner', 2), encodeExecute('inner', 0), encodeSync());
    expect(await dba.until('Z:T')).toBe('T D D s D C:SELECT_1 Z:T');
    await run('ROLLBACK');
    dba.send(encodeDescribe('P', 'inner'), encodeSync());
    expect(await dba.until('Z:I')).toBe('E:34000 Z:I');
  });

  test('a statement that a DO block prepared is described and bound', async () => {
    await run(`DO $$ BEGIN EXECUTE 'PREPARE inner_one AS SELECT 7'; END $$`);
    dba.send(encodeDescribe('S', 'inner_one'), bind('', 'inner_one'), encodeExecute('', 0), encodeSync());
    expect(await dba.until('Z:I')).toBe('t T 2 D C:SELECT_1 Z:I');
    dba.send(bind('', 'never_made'), encodeSync());
    expect(await dba.until('Z:I')).toBe('E:26000 Z:I');
  });
});

describe('FunctionCall', () => {
  test('with a parameter of megabytes', async () => {
    expect(
      await run(`SELECT lo_create(0); BEGIN; SELECT lo_open(max(oid), 131072) FROM pg_largeobject_metadata`, 'Z:T'),
    ).toContain('C:SELECT_1');
    const lowrite = await oidOf('lowrite(int,bytea)');
    const parameters = [int4(0), Buffer.alloc(3_000_000, 120)];
    dba.send(encodeFunctionCall({ functionOid: lowrite, formats: [1], parameters, resultFormat: 1 }));
    expect(await dba.until('Z:T')).toBe('V Z:T');
    await run('COMMIT');
    dba.send(sql('SELECT 1 FROM pg_largeobject_metadata, lo_get(oid) d WHERE length(d) = 3000000'));
    expect(await dba.until('Z:I')).toContain('D C:SELECT_1 Z:I');
  });

  test('of a function that was created a moment ago, and of none', async () => {
    await run('CREATE OR REPLACE FUNCTION fresh() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$');
    const fresh = await oidOf('fresh()');
    dba.send(encodeFunctionCall({ functionOid: fresh, formats: [], parameters: [], resultFormat: 0 }));
    expect(await dba.until('Z:I')).toBe('V Z:I');
    dba.send(encodeFunctionCall({ functionOid: 1, formats: [], parameters: [], resultFormat: 0 }));
    expect(await dba.until('Z:I')).toBe('E:42883 Z:I');
  });
});

test('a pipeline of 40,000 messages without a Sync is answered whole', async () => {
  dba.send(parse('SELECT', 'none'), encodeFlush());
  await dba.until('1');
  const pair = Buffer.concat([bind('', 'none'), encodeExecute('', 0)]);
  const batch = Buffer.concat(Array.from({ length: 1000 }, () => pair));
  for (let i = 0; i < 20; i++) dba.send(batch);
  dba.send(encodeSync());
  await expect.poll(() => dba.words.at(-1), { timeout: 25_000, interval: 100 }).toBe('Z:I');
  expect(dba.words.filter((word) => word === 'C:SELECT_1').length).toBe(20_000);
}, 30_000);

test('a statement of 65,536 parameters is described', async () => {
  const parameters = Array.from({ length: 65_536 }, (_, i) => `($${i + 1}::int)`);
  dba.send(parse(`VALUES ${parameters.join(',')}`, 'many'), encodeDescribe('S', 'many'), encodeFlush());
  expect(await dba.until('T')).toBe('1 t T');
  dba.send(encodeBind({ portal: '', statement: 'many', formats: [], parameters: [], resultFormats: [] }), encodeSync());
  expect(await dba.until('Z:I')).toBe('E:08P01 Z:I');
});
