import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fuzzRuns } from '../kit/fuzz.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';
import { factsOf } from '../sql/summary.ts';

/** What is said to leave no row out leaves no row out: random conditions over rows of every kind, none of them NULL. */
let server: Postgres;
let client: pg.Client;
beforeAll(async () => {
  server = await startPostgres({
    initSql: `CREATE TABLE t AS SELECT row_number() OVER () AS id, x, y, name, active
      FROM generate_series(-3, 4) x, generate_series(-2, 3) y, unnest(ARRAY['', 'a', '%', 'ab']) name, unnest(ARRAY[true, false]) active`,
  });
  client = new pg.Client({ connectionString: server.connectionString() });
  await client.connect();
}, 60_000);
afterAll(async () => {
  await client.end();
  await server.stop();
});

const number = fc.constantFrom(
  'x',
  'y',
  '0',
  '1',
  '2',
  '-1',
  '5',
  'x + 1',
  'x - 1',
  'y * 1',
  'x - x',
  'y * 0',
  '1 + 1',
  'abs(x)',
  'length(name)',
  'greatest(x, 2)',
  'least(y, x)',
  'x * x',
  'x % 3',
  'coalesce(x, 0)',
  '(SELECT x)',
  'x::bigint',
  '(SELECT count(*) FROM t z WHERE z.x = t.x)',
);
const column = fc.constantFrom('name', "name || ''", 'lower(name)');
const string = fc.constantFrom('name', "''", "'a'", "'%'", "name || ''", "'a' || 'b'", 'lower(name)');
const comparison = fc.constantFrom('=', '<>', '<', '<=', '>', '>=');

const { condition } = fc.letrec<{ condition: string }>((tie) => {
  const join = (word: string) => fc.tuple(tie('condition'), tie('condition')).map(([a, b]) => `(${a} ${word} ${b})`);
  return {
    condition: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.tuple(number, comparison, number).map(([a, op, b]) => `${a} ${op} ${b}`),
      fc.tuple(column, comparison, string).map(([a, op, b]) => `${a} ${op} ${b}`),
      fc
        .tuple(column, fc.constantFrom('LIKE', 'NOT LIKE', 'ILIKE', '~'), string)
        .map(([a, op, b]) => `${a} ${op} ${b}`),
      fc.tuple(number, number, number).map(([a, b, c]) => `${a} BETWEEN ${b} AND ${c}`),
      fc.tuple(number, number, number).map(([a, b, c]) => `${a} NOT BETWEEN ${b} AND ${c}`),
      fc.tuple(number, number, number).map(([a, b, c]) => `${a} IN (${b}, ${c})`),
      fc.tuple(number, number, number).map(([a, b, c]) => `${a} NOT IN (${b}, ${c})`),
      fc.tuple(number, number, comparison).map(([a, b, op]) => `${a} ${op} ANY (ARRAY[${b}, y])`),
      fc.tuple(number, number, comparison).map(([a, b, op]) => `${a} ${op} ALL (ARRAY[${b}])`),
      fc.tuple(number, number, number, number, comparison).map(([a, b, c, d, op]) => `(${a}, ${b}) ${op} (${c}, ${d})`),
      fc.tuple(number, number).map(([a, b]) => `${a} IS DISTINCT FROM ${b}`),
      fc.tuple(number, fc.constantFrom('IS NULL', 'IS NOT NULL')).map(([a, test]) => `(${a}) ${test}`),
      fc.constantFrom(
        'active',
        'NOT active',
        'active = true',
        'active IN (true, false)',
        'true',
        'false',
        "'t'::bool",
        'active IS NOT UNKNOWN',
      ),
      fc
        .tuple(fc.constantFrom('x', 'y', 'abs(x)'), fc.constantFrom('x', 'y', 'x + 1'))
        .map(([a, b]) => `${a} IN (SELECT ${b} FROM t)`),
      fc
        .tuple(number, comparison, number)
        .map(
          ([a, op, b]) =>
            `EXISTS (SELECT 1 FROM t z WHERE z.${a.replace(/\W.*/, '') === 'x' ? 'x' : 'y'} ${op} t.${b === 'y' ? 'y' : 'x'})`,
        ),
      fc.constantFrom('x <= (SELECT max(x) FROM t)', '(SELECT min(y) FROM t) > y', 'x < (SELECT max(x) FROM t)'),
      tie('condition').map((a) => `EXISTS (SELECT 1 WHERE ${a})`),
      tie('condition').map((a) => `NOT (${a})`),
      tie('condition').map((a) => `(${a}) IS TRUE`),
      tie('condition').map((a) => `(${a}) IS NOT FALSE`),
      tie('condition').map((a) => `coalesce(${a}, false)`),
      fc
        .tuple(tie('condition'), tie('condition'), tie('condition'))
        .map(([a, b, c]) => `CASE WHEN ${a} THEN ${b} ELSE ${c} END`),
      join('AND'),
      join('OR'),
    ),
  };
});

test('over rows without NULL', async () => {
  const seen = { unbounded: 0, filtered: 0, missed: [] as string[] };
  await fc.assert(
    fc.asyncProperty(condition, async (text) => {
      const target = factsOf(`DELETE FROM t WHERE ${text}`)[0]!.relations.find(({ verb }) => verb === 'Delete')!;
      const { floor, openIfNotNull } = target.reach!;
      const counted = await client
        .query(`SELECT count(*) FILTER (WHERE ${text})::int AS met, count(*)::int AS of FROM t`)
        .then(
          ({ rows }) => rows[0] as { met: number; of: number },
          () => null,
        );
      if (counted === null) return;
      if (floor === 'Unbounded' || openIfNotNull !== undefined) {
        seen.unbounded += 1;
        expect(counted.met, text).toBe(counted.of);
      } else {
        seen.filtered += 1;
        if (counted.met === counted.of) seen.missed.push(text);
      }
    }),
    { numRuns: fuzzRuns(600) },
  );
  console.info(
    `${seen.unbounded} conditions leave nothing out; of ${seen.filtered} others ${seen.missed.length} did not either`,
  );
  for (const text of seen.missed.slice(0, 25)) console.info(`  ${text}`);
  expect(seen.unbounded).toBeGreaterThan(50);
  expect(seen.missed.length).toBeLessThan(seen.filtered / 4);
}, 120_000);
