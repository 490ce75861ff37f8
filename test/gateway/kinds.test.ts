import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { policy, rule, startWorld, type World } from './harness.ts';

/* What a statement reads is told with what it is: tables, sequences, foreign tables, functions in FROM. */
const READER = policy('readers', 'reader', 'app_rw', [
  rule('read', {
    statements: ['Select', 'Sequence'],
    relations: ['public.*'],
    functions: ['public.numbers(integer)'],
  }),
  rule('nothing-of-others', { action: 'Deny', statements: ['Select'], relations: ['other.*'] }),
]);

let world: World;
let client: pg.Client;

beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [READER] }) });
  await world.server.query(`
    CREATE SEQUENCE counter;
    CREATE FUNCTION numbers(int) RETURNS SETOF int LANGUAGE sql AS 'SELECT generate_series(1, $1)';
    CREATE SCHEMA other; CREATE FUNCTION other.numbers() RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
    CREATE VIEW big AS SELECT * FROM orders WHERE amount > 10;
    CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER away FOREIGN DATA WRAPPER nowhere;
    CREATE FOREIGN TABLE remote (id int) SERVER away;
    GRANT ALL ON ALL TABLES IN SCHEMA public TO app_rw; GRANT ALL ON counter TO app_rw; GRANT USAGE ON SCHEMA other TO app_rw`);
  client = await world.connect('reader');
}, 60_000);
afterAll(async () => {
  await client.end();
  await world.stop();
});

/** What the record of a statement says of its relations, and of what they are. */
async function recorded(text: string): Promise<unknown> {
  const failure = await client.query(text).then(
    () => null,
    (error: Error) => error.message,
  );
  const own = (await world.events())
    .filter(({ query_info }) => (query_info as { query_string?: string })?.query_string === text)
    .map(({ unmapped }) => unmapped!.postern!)[0]!;
  return { relations: own.relations, kinds: own.relation_kinds, ...(failure === null ? {} : { failure }) };
}

test.each<[string, unknown]>([
  ['SELECT * FROM orders', { relations: ['public.orders:Select'], kinds: undefined }],
  ["SELECT nextval('counter')", { relations: ['public.counter:Sequence'], kinds: ['public.counter:sequence'] }],
  ['SELECT last_value FROM counter', { relations: ['public.counter:Select'], kinds: ['public.counter:sequence'] }],
  [
    'SELECT * FROM remote',
    {
      relations: ['public.remote:Select'],
      kinds: ['public.remote:foreign'],
      failure: 'foreign-data wrapper "nowhere" has no handler',
    },
  ],
  ['SELECT * FROM numbers(2)', { relations: ['public.numbers:Select'], kinds: ['public.numbers:function'] }],
  [
    'SELECT n.numbers FROM orders o, LATERAL public.numbers(o.id) n',
    { relations: ['public.orders:Select', 'public.numbers:Select'], kinds: ['public.numbers:function'] },
  ],
  [
    'SELECT * FROM ROWS FROM (numbers(2), generate_series(1, 2)) WITH ORDINALITY',
    {
      relations: ['pg_catalog.generate_series:Select', 'public.numbers:Select'],
      kinds: ['pg_catalog.generate_series:function', 'public.numbers:function'],
    },
  ],
  ['SELECT abs(1), numbers(2)', { relations: undefined, kinds: undefined }],
  ['SELECT * FROM big', { relations: ['public.big:Select', 'public.orders:Select'], kinds: ['public.big:view'] }],
])('%s', async (text, expected) => {
  expect(await recorded(text)).toEqual(expected);
});

test('a function in FROM is judged by rules about functions, whatever rules say of relations', async () => {
  const failure = (text: string) => client.query(text).catch((error: Error) => error.message);
  // Neither does a rule about relations allow it, nor does one deny it.
  expect(await failure('SELECT * FROM other.numbers()')).toBe(
    'no rule allows the function other.numbers() for role app_rw',
  );
  const listed = rule('listed', { statements: ['Select'], functions: ['other.numbers()'] });
  world.revise({ policies: [{ ...READER, rules: [...READER.rules, listed] }] });
  expect(await failure('SELECT * FROM other.numbers()')).toMatchObject({ rowCount: 1 });
});
