import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeParse, encodeSync } from '../../gateway/wire/frontend.ts';
import { policy, rule, startWorld, type World } from './harness.ts';
import { type Raw, signIn, sql } from './raw.ts';

/*
 * A key says which row only where the comparison is the one that the key is about: with a parameter of another type, or an
 * index about another equality, one value may be equal to several keys.
 */
const KEYED = policy('fixers', 'fixer', 'app_rw', [
  rule('read', { statements: ['Select', 'Prepare', 'Transaction'], relations: ['public.*'] }),
  rule('fix', { statements: ['Update', 'Delete'], relations: ['public.*'], reach: ['Keyed'] }),
  rule('compare', {
    statements: ['Select'],
    functions: ['public.eq_mod(integer,integer)', 'public.cmp_mod(integer,integer)'],
  }),
]);

const SETUP = `
  CREATE EXTENSION citext;
  CREATE TABLE numbers (id int8 PRIMARY KEY, note text);
  INSERT INTO numbers SELECT 9007199254740992 + i, 'x' FROM generate_series(0, 2) i;
  CREATE TABLE words (word varchar PRIMARY KEY, note text); INSERT INTO words VALUES ('a'), ('A'), ('a ');
  CREATE TABLE insensitive (word citext PRIMARY KEY, note text); INSERT INTO insensitive VALUES ('a'), ('b');
  CREATE TABLE floats (id float8 PRIMARY KEY, note text); INSERT INTO floats VALUES (1), (2);
  CREATE TYPE mood AS ENUM ('sad', 'happy');
  CREATE TABLE moods (mood mood PRIMARY KEY, note text); INSERT INTO moods VALUES ('sad'), ('happy');
  CREATE TABLE stored (f float8, w citext);
  CREATE FUNCTION eq_mod(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 % 1000 = $2 % 1000 AND $1 = $2';
  CREATE FUNCTION cmp_mod(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 - $2';
  CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = eq_mod);
  CREATE OPERATOR CLASS odd_ops FOR TYPE int USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 ===, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 cmp_mod(int, int);
  CREATE TABLE odd (id int NOT NULL, note text); CREATE UNIQUE INDEX ON odd (id odd_ops);
  CREATE VIEW shown AS SELECT id AS number, note FROM numbers;
  GRANT ALL ON ALL TABLES IN SCHEMA public TO app_rw`;

const FLOAT8 = 701;
const INT8 = 20;
const UNKNOWN = 705;
const BPCHAR = 1042;

let world: World;
let client: Raw;
const oids = new Map<string, number>();

beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [KEYED] }) });
  await world.server.query(SETUP);
  for (const name of ['citext', 'mood']) {
    const [row] = await world.server.query(`SELECT '${name}'::regtype::oid::int AS oid`);
    oids.set(name, Number(row!.oid));
  }
}, 60_000);
afterAll(() => world.stop());
beforeEach(async () => {
  client = await signIn(world, 'fixer');
});
afterEach(() => client.socket.destroy());

async function verdict(text: string, types: readonly (number | string)[] = []): Promise<string> {
  const parameterTypes = types.map((type) => (typeof type === 'string' ? oids.get(type)! : type));
  client.send(encodeParse({ statement: '', text: Buffer.from(text), parameterTypes }), encodeSync());
  const said = await client.until('Z:I');
  return said.includes('E:42501') ? 'refused' : said;
}

const KEY = '1 Z:I';

describe('a parameter whose type makes keys equal is none', () => {
  test.each<[string, (number | string)[], string]>([
    ['DELETE FROM numbers WHERE id = $1', [], KEY],
    ['DELETE FROM numbers WHERE id = $1', [0], KEY],
    ['DELETE FROM numbers WHERE id = $1', [UNKNOWN], KEY],
    ['DELETE FROM numbers WHERE id = $1', [INT8], KEY],
    ['DELETE FROM numbers WHERE id = $1', [FLOAT8], 'refused'],
    ['DELETE FROM numbers WHERE $1 = id', [FLOAT8], 'refused'],
    ['DELETE FROM numbers WHERE id IN ($1, $2)', [INT8, FLOAT8], 'refused'],
    ['DELETE FROM numbers WHERE id IN ($1, $2)', [INT8, INT8], KEY],
    ['DELETE FROM numbers WHERE id = ANY (ARRAY[$1])', [FLOAT8], 'refused'],
    ['DELETE FROM numbers WHERE (id, 1) = ($1, 1)', [FLOAT8], 'refused'],
    ['DELETE FROM numbers WHERE id = $1::int8', [FLOAT8], KEY],
    ['UPDATE shown SET note = NULL WHERE number = $1', [FLOAT8], 'refused'],
    ['UPDATE shown SET note = NULL WHERE number = $1', [INT8], KEY],
    ['UPDATE numbers n SET note = o.item FROM orders o WHERE n.id = $1 AND o.id = 1', [FLOAT8], 'refused'],
    ['UPDATE numbers SET note = o.item FROM orders o WHERE numbers.id = $1 AND o.id = 1', [INT8], KEY],
    ['DELETE FROM words WHERE word = $1', ['citext'], 'refused'],
    ['DELETE FROM words WHERE word = $1', [BPCHAR], 'refused'],
    ['DELETE FROM words WHERE word = $1', [25], KEY],
    ['DELETE FROM insensitive WHERE word = $1', ['citext'], KEY],
    ['DELETE FROM insensitive WHERE word = $1', [25], KEY],
    ['DELETE FROM floats WHERE id = $1', [FLOAT8], KEY],
    ['DELETE FROM moods WHERE mood = $1', ['mood'], KEY],
    // Who meets it first says what it is.
    ['WITH a AS (SELECT $1::float8) DELETE FROM numbers WHERE id = $1', [], 'refused'],
    ['WITH a AS (SELECT $1::float8) DELETE FROM numbers WHERE id = $1', [INT8], KEY],
    ['WITH a AS (SELECT sqrt($1)) DELETE FROM numbers WHERE id = $1', [], 'refused'],
    ['WITH a AS (SELECT FROM stored WHERE w = $1) DELETE FROM words WHERE word = $1', [], 'refused'],
    ['WITH a AS (DELETE FROM moods WHERE note = $1 AND mood = $2) DELETE FROM words WHERE word = $1', [], 'refused'],
    ['WITH a AS (UPDATE orders SET item = $2 WHERE id = $1) DELETE FROM numbers WHERE id = $1', [], KEY],
  ])('%s %j', async (text, types, expected) => {
    expect(await verdict(text, types)).toBe(expected);
  });

  test('the server shows why', async () => {
    const count = async (text: string) => Number((await world.server.query(text))[0]!.n);
    expect(await count('SELECT count(*) AS n FROM numbers WHERE id = 9007199254740992::float8')).toBe(2);
    expect(await count("SELECT count(*) AS n FROM words WHERE word = 'a'::char(3)")).toBe(2);
  });
});

test.each([
  ['PREPARE p (float8) AS DELETE FROM numbers WHERE id = $1', 'E:42501'],
  ['PREPARE p (public.citext) AS DELETE FROM words WHERE word = $1', 'E:42501'],
  ['PREPARE p (unknown) AS DELETE FROM numbers WHERE id = $1', 'C:PREPARE'],
  ['PREPARE p (int8) AS DELETE FROM numbers WHERE id = $1', 'C:PREPARE'],
  ['PREPARE p AS DELETE FROM numbers WHERE id = $1', 'C:PREPARE'],
])('PREPARE says the types as well: %s', async (text, expected) => {
  client.send(sql(text), sql('EXECUTE p (5)'));
  await client.until('Z:I');
  const said = await client.until('Z:I');
  if (expected === 'C:PREPARE') expect(said).toContain('C:DELETE_0');
  else expect(said).toContain('E:42501');
});

test('a unique index about another equality is no key', async () => {
  expect(await verdict('DELETE FROM odd WHERE id = 5')).toBe('refused');
});
