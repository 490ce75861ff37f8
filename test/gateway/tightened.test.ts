import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { encodeExecute, encodeSync } from '../../gateway/wire/frontend.ts';
import { policy, rule, startWorld, type World } from './harness.ts';
import { bind, parse, type Raw, signIn, sql } from './raw.ts';

/*
 * A session that could do anything, and then no more: what it did before counts as what it was, by whatever door it came.
 */
const ANY = policy('anything', 'ann', 'app_rw', [rule('all', { statements: ['Any'], relations: ['*.*'] })]);
const LESS = policy('less', 'ann', 'app_rw', [
  rule('read', { statements: ['Select', 'Prepare', 'Cursor', 'Transaction'], relations: ['public.*'] }),
]);

let world: World;
let client: Raw;

beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [ANY] }) });
  await world.server.query(`
    CREATE SCHEMA other; CREATE TABLE other.orders (id int); GRANT USAGE ON SCHEMA other TO app_rw;
    CREATE TABLE other.hidden (id int); GRANT ALL ON ALL TABLES IN SCHEMA other, secret TO app_rw;
    CREATE FUNCTION swap() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
      EXECUTE 'DEALLOCATE x'; EXECUTE 'PREPARE x AS SELECT * FROM secret.salaries'; END $$`);
}, 60_000);
afterAll(() => world.stop());
beforeEach(async () => {
  world.revise({ policies: [ANY] });
  client = await signIn(world, 'ann');
});
afterEach(() => client.socket.destroy());

async function run(...messages: readonly Buffer[]): Promise<string> {
  client.words.length = 0;
  client.send(...messages, sql(''));
  const said = await client.until('I');
  await client.next();
  return said;
}

const prepared = (text: string, name: string) => [parse(text, name), encodeSync()];
const X = sql('PREPARE x AS SELECT * FROM orders WHERE id = 1');
const SECRET = 'PREPARE x AS SELECT * FROM secret.salaries';

const WAYS: Readonly<Record<string, readonly Buffer[]>> = {
  'EXECUTE of a DEALLOCATE and of a PREPARE': [
    ...prepared('DEALLOCATE x', 'd'),
    ...prepared(SECRET, 'p'),
    sql('EXECUTE d'),
    sql('EXECUTE p'),
  ],
  'EXECUTE of an EXECUTE of them': [
    ...prepared('DEALLOCATE x', 'd'),
    ...prepared('EXECUTE d', 'dd'),
    ...prepared(SECRET, 'p'),
    ...prepared('EXECUTE p', 'pp'),
    sql('EXECUTE dd; EXECUTE pp'),
  ],
  'Bind and Execute of an EXECUTE of them': [
    ...prepared('DEALLOCATE x', 'd'),
    ...prepared('EXECUTE d', 'dd'),
    ...prepared(SECRET, 'p'),
    sql('EXECUTE d'),
    ...[parse('EXECUTE p'), bind(), encodeExecute('', 0), encodeSync()],
  ],
  'a DO block': [sql(`DO $$ BEGIN EXECUTE 'DEALLOCATE x'; EXECUTE '${SECRET}'; END $$`)],
  'a function': [sql('SELECT swap()')],
  'a function of its own': [
    sql(`CREATE FUNCTION pg_temp.mine() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
      EXECUTE 'DEALLOCATE x'; EXECUTE '${SECRET}'; END $$`),
    sql('SELECT pg_temp.mine()'),
  ],
  'a text that nobody reads': [sql(`SELECT 1 /*${'x'.repeat(140_000)}*/; DEALLOCATE x; ${SECRET}`)],
};

test.each(Object.entries(WAYS))('what became of a name under Any by %s', async (_way, messages) => {
  expect(await run(X)).toBe('C:PREPARE Z:I I');
  expect(await run(...messages)).not.toContain('E:');
  world.revise({ policies: [LESS] });
  expect(await run(sql('EXECUTE x'))).toContain('E:42501');
  expect(await run(bind('', 'x'), encodeExecute('', 0), encodeSync())).toContain('E:42501');
});

test('a name that only known statements were run behind goes on', async () => {
  await run(X, sql('SELECT count(*), now() FROM orders'), ...prepared('SELECT 1', 'one'), sql('EXECUTE one'));
  world.revise({ policies: [LESS] });
  expect(await run(sql('EXECUTE x'))).toContain('C:SELECT_1');
  expect(await run(bind('', 'x'), encodeExecute('', 0), encodeSync())).toContain('C:SELECT_1');
});

test('a search_path that EXECUTE has changed is asked for', async () => {
  await run(sql('SELECT * FROM orders'), ...prepared('SET search_path = other', 's'), sql('EXECUTE s'));
  world.revise({ policies: [LESS] });
  expect(await run(sql('SELECT * FROM orders'))).toContain('E:42501');
  expect(await run(sql('SELECT * FROM hidden'))).toContain('E:42501');
});

test('a cursor that a function may have opened anew is read no more', async () => {
  await run(
    sql('BEGIN; DECLARE c CURSOR FOR SELECT id FROM orders'),
    sql(
      `DO $$ DECLARE c refcursor := 'c'; BEGIN EXECUTE 'CLOSE c'; OPEN c FOR SELECT amount FROM secret.salaries; END $$`,
    ),
  );
  world.revise({ policies: [LESS] });
  expect(await run(sql('FETCH ALL FROM c'))).toContain('E:42501');
});
