import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KnownTexts } from '../../gateway/analysis/known.ts';
import { loadParser } from '../../gateway/analysis/parser.ts';
import { analyzeText, freeIn } from '../../gateway/sql/analyze.ts';
import type { Analysis } from '../../gateway/sql/facts.ts';
import { templateOf } from '../../gateway/sql/template.ts';
import { fuzzRuns } from '../kit/fuzz.ts';

let parser = await loadParser();

/** What the worker would answer. */
async function analysed(sql: string): Promise<{ analysis: Analysis & { kind: 'Statements' }; free: number[] } | null> {
  try {
    const tree = parser.parse(sql);
    return { analysis: analyzeText(tree, Buffer.from(sql)), free: freeIn(tree) };
  } catch (error) {
    if ((error as { code?: string }).code !== 'POSTERN_SYNTAX') parser = await loadParser();
    return null;
  }
}

const keyOf = (sql: string) => templateOf(Buffer.from(sql))?.key ?? null;

describe('a template cuts plain literals', () => {
  test.each([
    ['SELECT a FROM t WHERE id = 123', 'SELECT a FROM t WHERE id = 0'],
    ["SELECT 'it''s é' , 1.25", "SELECT 'x' , 0.5"],
    ["SELECT '', ''''", "SELECT '', 'x'"],
    ['SELECT 12345678901', 'SELECT 3000000000'],
    ['UPDATE t SET a = a + -5', 'UPDATE t SET a = a + -0'],
    ['SELECT $1, "a""b", c1, x$1 FROM t', 'SELECT $1, "a""b", c1, x$1 FROM t'],
    ["SELECT '/* no comment */'", "SELECT 'x'"],
    ["SELECT '-- no comment'; SELECT 2", "SELECT 'x'; SELECT 0"],
  ])('%s', (sql, key) => {
    expect(keyOf(sql)).toBe(key);
  });
});

test.each([
  ['an escape string', "SELECT E'a'"],
  ['a bit string', "SELECT B'1'"],
  ['a national string', "SELECT N'a'"],
  ['a Unicode string', "SELECT U&'a'"],
  ['a Unicode string in small letters', "SELECT u&'a'"],
  ['a Unicode name', 'SELECT U&"a"'],
  ['a backslash', "SELECT 'a\\'"],
  ['a dollar quote', 'SELECT $$a$$'],
  ['a tagged dollar quote', 'SELECT $a$b$a$'],
  ['a comment', 'SELECT 1 /* 2 */'],
  ['a line comment', 'SELECT 1 -- 2'],
  ['a name beyond ASCII', 'SELECT é'],
  ['a quoted name beyond ASCII', 'SELECT "é"'],
  ['a space beyond ASCII', 'SELECT\u00a01'],
  ['junk after a number', 'SELECT 1a'],
  ['an exponent', 'SELECT 1e5'],
  ['a hexadecimal number', 'SELECT 0x1F'],
  ['grouped digits', 'SELECT 1_000'],
  ['a number that begins with its point', 'SELECT .5'],
  ['a number that ends with its point', 'SELECT 1.'],
  ['the edge of int4', 'SELECT 2147483648'],
  ['a number beyond int8', 'SELECT 9223372036854775808'],
  ['strings on two lines, which are one', "SELECT 'a'\n'b'"],
  ['a string that does not end', "SELECT 'a"],
  ['a name that does not end', 'SELECT "a'],
  ['a number next to a string', "SELECT 1'a'"],
  ['a parameter with junk', 'SELECT $1a'],
  ['a vertical tab', 'SELECT\v1'],
  ['a long text', `SELECT '${'x'.repeat(5000)}'`],
])('%s goes the slow way', (_, sql) => {
  expect(keyOf(sql)).toBe(null);
});

const MATTERS = 'literals matter';
test.each([
  ['SELECT * FROM t WHERE id = 1', 'SELECT * FROM t WHERE id = 2', 'shared'],
  ["SELECT * FROM t WHERE d = date '2020-01-01' LIMIT 5", "SELECT * FROM t WHERE d = date 'x' LIMIT 7", 'shared'],
  ['INSERT INTO t VALUES (1, -2)', 'INSERT INTO t VALUES (3, -400)', 'shared'],
  [
    'UPDATE t SET a = a + 1 WHERE id = 2 AND b IN (1, 2)',
    'UPDATE t SET a = a + 10 WHERE id = 3 AND b IN (1, 1)',
    'shared',
  ],
  [
    "INSERT INTO t VALUES ('a') ON CONFLICT (a) DO UPDATE SET b = 1",
    "INSERT INTO t VALUES ('b') ON CONFLICT (a) DO UPDATE SET b = 2",
    'shared',
  ],
  ['DELETE FROM t WHERE 1 = 1', 'DELETE FROM t WHERE 1 = 2', MATTERS],
  ['DELETE FROM t WHERE tableoid > 0', 'DELETE FROM t WHERE tableoid > 9', MATTERS],
  ['DELETE FROM t WHERE id > 5 OR id <= 5', 'DELETE FROM t WHERE id > 5 OR id <= 1', MATTERS],
  ['DELETE FROM t WHERE id NOT BETWEEN 1 AND 5', 'DELETE FROM t WHERE id NOT BETWEEN 5 AND 1', MATTERS],
  ["DELETE FROM t WHERE a LIKE '%'", "DELETE FROM t WHERE a LIKE 'a'", MATTERS],
  ["SELECT set_config('a', 'b', false)", "SELECT set_config('role', 'b', false)", MATTERS],
  ["SELECT nextval('a')", "SELECT nextval('b')", MATTERS],
  ["SELECT 'a'::regclass", "SELECT 'b'::regclass", MATTERS],
  ["SET work_mem = '1MB'", "SET work_mem = '1GB'", MATTERS],
  ['INSERT INTO t SELECT * FROM s LIMIT 10', 'INSERT INTO t SELECT * FROM s LIMIT 100000', MATTERS],
  ["COPY t FROM '/a'", "COPY t FROM '/b'", MATTERS],
  ["DO 'a'", "DO 'b'", MATTERS],
  ['WITH d AS (DELETE FROM t WHERE 1 = 1) SELECT 1', 'WITH d AS (DELETE FROM t WHERE 1 = 2) SELECT 1', MATTERS],
  ['SELECT 1::varchar(5)', 'SELECT 1::varchar(6)', 'the length alone matters'],
])('%s and %s: %s', async (one, other, verdict) => {
  expect(keyOf(one)).toBe(keyOf(other));
  const known = new KnownTexts(1 << 20);
  const lookup = known.find(Buffer.from(one));
  const { analysis, free } = (await analysed(one))!;
  if ('kind' in lookup) throw new Error('nothing is known yet');
  known.remember(lookup, analysis, free);
  expect(known.find(Buffer.from(one))).toBe(analysis);
  expect('kind' in known.find(Buffer.from(other)) ? 'shared' : MATTERS).toBe(verdict === 'shared' ? verdict : MATTERS);
});

/** Other literals of the same kinds in the same places. */
function swap(sql: string, strings: readonly string[], numbers: readonly number[]): string | null {
  const text = Buffer.from(sql);
  const template = templateOf(text);
  if (template === null) return null;
  const { cuts } = template;
  let made = '';
  let from = 0;
  for (let i = 0; i < cuts.length; i += 2) {
    const old = text.toString('utf8', cuts[i], cuts[i + 1]);
    made += text.toString('utf8', from, cuts[i]);
    const number = numbers[(i / 2) % numbers.length]!;
    if (old.startsWith("'"))
      made += old === "''" ? old : `'${strings[(i / 2) % strings.length]!.replaceAll("'", "''")}'`;
    else if (old.includes('.')) made += `${number % 1000}.${number % 7}`;
    else made += old.length > 10 ? String(3_000_000_000 + number) : String(number);
    from = cuts[i + 1]!;
  }
  return made + text.toString('utf8', from);
}

const LITERALS = [
  fc.array(fc.oneof(fc.constantFrom('%', 'role', 't', '1', "'", "a''b", '--', '/*', '$$', 'pg_class'), fc.string()), {
    minLength: 1,
    maxLength: 4,
  }),
  fc.array(fc.oneof(fc.nat({ max: 999_999_999 }), fc.constantFrom(0, 1, 5)), { minLength: 1, maxLength: 4 }),
] as const;

const FOLDER = new URL('corpus/', import.meta.url);
const corpus = readdirSync(FOLDER).flatMap((file) =>
  readFileSync(new URL(file, FOLDER), 'utf8')
    .split('\n')
    .filter((line) => /^[^#\s]/.test(line)),
);
const cuttable = corpus.filter((sql) => (templateOf(Buffer.from(sql))?.cuts.length ?? 0) > 0);

/** Whatever a template finds for a text is what the parser makes of that very text. */
async function provesEqual(one: string, other: string): Promise<boolean> {
  const [first, second] = [await analysed(one), await analysed(other)];
  if (first === null) return false;
  const known = new KnownTexts(1 << 20);
  const lookup = known.find(Buffer.from(one));
  if ('kind' in lookup) throw new Error('nothing is known yet');
  known.remember(lookup, first.analysis, first.free);
  const found = known.find(Buffer.from(other));
  if (!('kind' in found)) return false;
  expect(found).toEqual(second?.analysis);
  return true;
}

test('same key, same facts: statements of the corpus with other literals', async () => {
  let shared = 0;
  const run = async (sql: string, strings: readonly string[], numbers: readonly number[]) => {
    const other = swap(
      sql,
      strings.filter((text) => text !== '' && !/[\\\0]/.test(text) && text.isWellFormed()).concat('x'),
      numbers,
    );
    if (other !== null && (await provesEqual(sql, other))) shared += 1;
  };
  for (const sql of cuttable) await run(sql, ['%', 'role'], [1, 1, 0]);
  await fc.assert(fc.asyncProperty(fc.constantFrom(...cuttable), ...LITERALS, run), { numRuns: fuzzRuns(2000) });
  expect(shared).toBeGreaterThan(100);
});

const TOKENS = [
  ...[
    'SELECT',
    'select',
    'FROM',
    'WHERE',
    'E',
    'U&',
    'B',
    'x',
    'n',
    'AND',
    'OR',
    'IN',
    'LIMIT',
    'date',
    'interval',
    'DELETE',
    'UPDATE t SET a =',
    'INSERT INTO t VALUES (',
    'VALUES (',
  ],
  ...['1', '23', '1.5', '.5', '1.', '1e5', '0x1F', '1_0', '12345678901', '2147483648', '1a', '$1', '$2a'],
  ...["'a'", "''", "'it''s'", "'\\'", "'", '"', '"a"', '"a""b"', '$$', '$a$', '--', '/*', '*/', "'é'", 'é', '\u00a0'],
  ...[
    '(',
    ')',
    ',',
    ';',
    '.',
    '+',
    '-',
    '*',
    '/',
    '=',
    '<',
    '>',
    '&',
    '::',
    '::int',
    '::varchar(3)',
    '||',
    '@',
    '[',
    ']',
  ],
  ...[' ', ' ', ' ', ' ', '\n', '\t', '\r', '\v', '\f', 'a', 't', 'a = ', 'id = 5', 'f(', 'lower('],
];

test('same key, same facts: any tokens in any order', async () => {
  let shared = 0;
  const soup = fc
    .array(fc.constantFrom(...TOKENS), { minLength: 1, maxLength: 12 })
    .map((parts) => `SELECT a FROM t WHERE ${parts.join('')}`);
  const any = fc.oneof(
    soup,
    soup.map((text) => text.slice(22)),
  );
  await fc.assert(
    fc.asyncProperty(any, ...LITERALS, async (sql, strings, numbers) => {
      const other = swap(
        sql,
        strings.filter((text) => text !== '' && !/[\\\0]/.test(text) && text.isWellFormed()).concat('x'),
        numbers,
      );
      if (
        other !== null &&
        sql.trim() !== '' &&
        templateOf(Buffer.from(sql))!.cuts.length > 0 &&
        (await provesEqual(sql, other))
      )
        shared += 1;
    }),
    { numRuns: fuzzRuns(5000) },
  );
  expect(shared).toBeGreaterThan(10);
});
