import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RawRelation, RawStatement } from '../../gateway/sql/facts.ts';
import { fuzzRuns } from '../kit/fuzz.ts';
import { plainText, queries, statements, styledText, styles } from './generator.ts';
import { factsOf } from './summary.ts';

/** null: the grammar does not take it (a name of a function that is a keyword, `*` where none may stand). */
function parsed(sql: string): RawStatement | null {
  try {
    return factsOf(sql)[0] ?? null;
  } catch (error) {
    if ((error as { code?: string }).code === 'POSTERN_SYNTAX') return null;
    throw error;
  }
}

/** The doors differ, and the columns that a query around it may read; what is done to which relation does not. */
function use({ schema, name, verb, creates, reach, writes, only }: RawRelation): string {
  return JSON.stringify({ schema, name, verb, creates, reach, writes, only });
}

function expectWithin(inner: RawStatement, outer: RawStatement): void {
  expect(outer.relations.map(use)).toEqual(expect.arrayContaining(inner.relations.map(use)));
  for (const { schema, name, reads } of inner.relations) {
    const read = outer.relations.filter((r) => r.name === name && r.schema === schema).flatMap((r) => r.reads);
    if (!read.includes('*')) expect(read).toEqual(expect.arrayContaining([...reads]));
  }
  // A query without relations has its class for want of them.
  const classes = inner.classes.filter((cls) => cls !== 'Select');
  expect(outer.classes).toEqual(expect.arrayContaining(classes));
  for (const list of ['functions', 'types', 'settings', 'unknown', 'attributes'] as const) {
    expect(outer[list]).toEqual(expect.arrayContaining([...inner[list]]));
  }
  expect(outer.minMajor).toBeGreaterThanOrEqual(inner.minMajor);
  expect(outer.nesting).toBeGreaterThanOrEqual(inner.nesting);
  expect(outer.asks || !inner.asks).toBe(true);
  expect(inner.readOnly || !outer.readOnly).toBe(true);
}

/** Names of their own, so that nothing within is hidden. */
const AROUND_ANY: readonly (readonly [what: string, around: (sql: string) => string])[] = [
  ['a common table expression', (sql) => `WITH zz AS (${sql}) SELECT 1`],
  ['EXPLAIN ANALYZE', (sql) => `EXPLAIN (ANALYZE) ${sql}`],
  ['PREPARE', (sql) => `PREPARE zz AS ${sql}`],
  ['a function', (sql) => `CREATE FUNCTION zz() RETURNS void BEGIN ATOMIC ${sql}; END`],
  ['a rule', (sql) => `CREATE RULE zz AS ON INSERT TO zy DO ALSO (${sql})`],
  ['COPY', (sql) => `COPY (${sql}) TO STDOUT`],
];
const AROUND_QUERY: readonly (readonly [what: string, around: (sql: string) => string])[] = [
  ['a subquery in FROM', (sql) => `SELECT 1 FROM (${sql}) zz`],
  ['a subquery in an expression', (sql) => `SELECT (${sql})`],
  ['EXISTS', (sql) => `SELECT 1 WHERE EXISTS (${sql})`],
  ['a cursor', (sql) => `DECLARE zz CURSOR FOR ${sql}`],
  ['a view', (sql) => `CREATE VIEW zz AS ${sql}`],
  ['a materialized view', (sql) => `CREATE MATERIALIZED VIEW zz AS ${sql}`],
  ['CREATE TABLE AS', (sql) => `CREATE TABLE zz AS ${sql}`],
  ['INSERT', (sql) => `INSERT INTO zz ${sql}`],
  ['EXPLAIN', (sql) => `EXPLAIN ${sql}`],
  ['the condition of a DELETE', (sql) => `DELETE FROM zz WHERE zz.id IN (${sql})`],
  ['MERGE', (sql) => `MERGE INTO zz USING (${sql}) zy ON zz.id = 5 WHEN MATCHED THEN DELETE`],
  ['a policy', (sql) => `CREATE POLICY zz ON zy USING (EXISTS (${sql}))`],
];

describe('facts of a statement are within those of the statement around it', () => {
  const check = (around: (sql: string) => string, seen: { count: number }) => (sql: string) => {
    const [inner, outer] = [parsed(sql), parsed(around(sql))];
    if (inner === null || outer === null) return;
    seen.count += 1;
    expectWithin(inner, outer);
  };

  test.each(AROUND_ANY)('%s', (_, around) => {
    const seen = { count: 0 };
    fc.assert(fc.property(statements.map(plainText), check(around, seen)), { numRuns: fuzzRuns(80) });
    expect(seen.count).toBeGreaterThan(30);
  });

  test.each(AROUND_QUERY)('%s', (_, around) => {
    const seen = { count: 0 };
    fc.assert(fc.property(queries.map(plainText), check(around, seen)), { numRuns: fuzzRuns(80) });
    expect(seen.count).toBeGreaterThan(30);
  });
});

test('comments, space, case and quoting change no fact', () => {
  let seen = 0;
  fc.assert(
    fc.property(statements, styles, (tokens, style) => {
      const facts = parsed(plainText(tokens));
      if (facts === null) return;
      seen += 1;
      expect(parsed(styledText(tokens, style))).toEqual(facts);
    }),
    { numRuns: fuzzRuns(400) },
  );
  expect(seen).toBeGreaterThan(150);
});

test('a statement has the same facts alone and among others', () => {
  fc.assert(
    fc.property(statements.map(plainText), statements.map(plainText), (one, other) => {
      const [first, second] = [parsed(one), parsed(other)];
      if (first === null || second === null) return;
      expect(factsOf(`${one}; ${other}`)).toEqual([first, second]);
    }),
    { numRuns: fuzzRuns(100) },
  );
});
