import { afterAll, beforeAll, expect, test } from 'vitest';
import { policy, rule, startWorld, type World } from './harness.ts';

const MIGRATOR = policy('migrators', 'migrator', 'app_rw', [
  rule('work', {
    statements: ['Select', 'Insert', 'Ddl', 'Code', 'Transaction', 'Session'],
    relations: ['public.*', 'twins.*'],
    functions: ['public.listed(integer)'],
  }),
]);
const OPEN = policy('open', 'open', 'app_rw', [rule('everything', { statements: ['Any'], relations: ['*.*'] })]);

let world: World;
beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [MIGRATOR, OPEN] }) });
  await world.server.query('GRANT CREATE ON SCHEMA public TO app_rw');
}, 60_000);
afterAll(() => world.stop());

const making = (name: string, returns = 'int', language = 'sql', body = 'SELECT 1') =>
  `CREATE FUNCTION ${name} RETURNS ${returns} LANGUAGE ${language} AS '${body}'`;

test('a function is not called in the string that makes it: whether a rule lists it cannot be told yet', async () => {
  const client = await world.connect('migrator');
  for (const call of ['SELECT mine(1)', 'BEGIN; SELECT mine(1)', 'INSERT INTO orders (id) VALUES (mine(99))']) {
    await expect(client.query(`${making('mine(int)')}; ${call}`)).rejects.toMatchObject({
      code: '42501',
      message: expect.stringContaining('earlier in the same string defines code'),
    });
    await client.query('ROLLBACK');
  }
  expect(await world.server.query("SELECT 1 FROM pg_proc WHERE proname = 'mine'")).toEqual([]);
  await client.query(making('mine(int)'));
  await expect(client.query('SELECT mine(1)')).rejects.toMatchObject({ code: '42501' });
  await client.query(making('listed(int)'));
  expect((await client.query('SELECT listed(1)')).rows).toEqual([{ listed: 1 }]);
  await client.end();
});

test('what only names a function may follow in the string that makes it, and built-in functions may be called', async () => {
  const client = await world.connect('migrator');
  const body = 'BEGIN RETURN NEW; END';
  await client.query(`CREATE TABLE watched (a int); ${making('watch()', 'trigger', 'plpgsql', body)};
    SELECT abs(-1), count(*) FROM pg_class; CREATE TRIGGER watch BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION watch()`);
  await client.end();
});

test('what is dropped and made again in one string may be used in it; what another may stand behind may not', async () => {
  const client = await world.connect('migrator');
  const again =
    'DROP TABLE IF EXISTS again; CREATE TABLE again (a int); INSERT INTO again VALUES (1); SELECT a FROM again';
  for (let i = 0; i < 2; i++) {
    const results = (await client.query(again)) as unknown as { rows: object[] }[];
    expect(results[3]?.rows).toEqual([{ a: 1 }]);
  }
  await client.query('CREATE TABLE behind (a int); DROP TABLE again; CREATE TABLE again (a int)');
  for (const text of [
    'DROP TABLE again; SELECT a FROM again',
    'ALTER TABLE behind RENAME TO front; SELECT a FROM front',
  ])
    await expect(client.query(text)).rejects.toMatchObject({ code: '42501' });
  await client.end();
});

test('twins that go together: one that is made again says nothing of the other', async () => {
  const client = await world.connect('migrator');
  await world.server.query(`CREATE SCHEMA twins AUTHORIZATION app_rw; CREATE SCHEMA hidden AUTHORIZATION app_rw;
    CREATE DOMAIN hidden.guarded AS int; CREATE TABLE hidden.twin (a hidden.guarded); INSERT INTO hidden.twin VALUES (7)`);
  const make = async () =>
    await client.query('CREATE TABLE IF NOT EXISTS twin (a int); CREATE TABLE IF NOT EXISTS twins.twin (a int)');
  const texts = [
    'DROP TABLE twins.twin, twin; CREATE TABLE twins.twin (a int); SELECT a FROM twin',
    'DROP TABLE twin; DROP TABLE twins.twin; CREATE TABLE twins.twin (a int); SELECT a FROM twin',
    "DROP TABLE twin; SELECT '(1)'::twin",
    "DROP TABLE twin; SELECT '{}'::_twin",
  ];
  await make();
  await client.query('SET search_path = public, hidden');
  for (const text of texts) {
    await expect(client.query(text)).rejects.toMatchObject({ code: '42501' });
    await make();
  }
  await client.end();
});

test('under Any a string makes functions and calls them', async () => {
  const client = await world.connect('open');
  const results = (await client.query(`${making('mine(text)')}; SELECT mine('x')`)) as unknown as { rows: object[] }[];
  expect(results[1]?.rows).toEqual([{ mine: 1 }]);
  await client.end();
});

test('an operator or a cast is made only of functions that a rule lists: who uses it in the same transaction calls no other', async () => {
  const client = await world.connect('migrator');
  await client.query(`CREATE TYPE level AS ENUM ('low', 'high')`);
  await client.query(making('raised(level, int)', 'level', 'sql', 'SELECT $1'));
  await client.query(making('as_number(level)'));
  for (const [text, fn] of [
    ['CREATE OPERATOR + (LEFTARG = level, RIGHTARG = int, FUNCTION = raised)', 'public.raised'],
    ['CREATE OPERATOR public.+ (LEFTARG = level, RIGHTARG = int, PROCEDURE = public.raised)', 'public.raised'],
    ['CREATE CAST (level AS int) WITH FUNCTION as_number(level) AS IMPLICIT', 'public.as_number'],
  ] as const) {
    for (const before of ['', 'BEGIN; ']) {
      await expect(client.query(`${before}${text}`)).rejects.toMatchObject({
        code: '42501',
        message: expect.stringContaining(`the function ${fn}(`),
      });
      await client.query('ROLLBACK');
    }
  }
  await client.end();
});
