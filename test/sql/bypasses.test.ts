import { expect, test } from 'vitest';
import { loadParser } from '../../gateway/analysis/parser.ts';
import { analyzeTree } from '../../gateway/sql/analyze.ts';

const parser = await loadParser();
const facts = (sql: string) => analyzeTree(parser.parse(sql), Buffer.from(sql))[0]!;

test.each([
  ["SELECT ('PG_VERSION'::text).pg_read_file", 'ServerFile'],
  ["SELECT ('0.2'::float8).pg_sleep", 'Resource'],
  ['SELECT g.pg_sleep FROM abs(0.2::float8) g', 'Resource'],
])('attribute notation calls functions: %s', (sql, cls) => {
  expect(facts(sql)).toMatchObject({ classes: expect.arrayContaining([cls]), readOnly: false });
});

test('attribute notation may call a user function: its name is told', () => {
  expect(facts('SELECT t.evil FROM app.t').attributes).toEqual(['evil']);
  expect(facts('SELECT id FROM app.t').attributes).toEqual([]);
});

test('a cast hides no setting', () => {
  expect(facts("SELECT set_config('roleX'::varchar(4), 'weak', false)").unknown).not.toEqual([]);
  expect(facts("SELECT set_config('work_mem', '9999GB'::varchar(1), false)").settings).toMatchObject([{ value: null }]);
});

test('SET "ROLE" is SET ROLE, and so is set_config', () => {
  expect(facts('SET "ROLE" TO x')).toMatchObject({
    classes: expect.arrayContaining(['Role']),
    settings: [{ name: 'role' }],
  });
  expect(facts("SELECT set_config('ROLE', 'x', false)").classes).toContain('Role');
});

test.each([
  'DELETE FROM t WHERE id = 5 OR 1 + 1 = 2',
  'DELETE FROM t WHERE id = 5 OR random() < 2',
  'UPDATE t SET a = 1 WHERE id = id',
  'UPDATE t SET a = 1 WHERE true OR a = 2',
  "DELETE FROM t WHERE name LIKE '%'",
])('a condition that leaves nothing out is Unbounded: %s', (sql) => {
  expect(facts(sql).relations[0]!.reach).toMatchObject({ floor: 'Unbounded', equated: [] });
});

test.each(['DELETE FROM t WHERE id = 5 OR id = 6', 'DELETE FROM t WHERE id > 3 AND random() < 2'])(
  'a condition that may is Filtered: %s',
  (sql) => {
    expect(facts(sql).relations[0]!.reach).toMatchObject({ floor: 'Filtered' });
  },
);

test.each(["id = 'a'::app.ci", "id = 'a'::citext", 'id = 5::float8', 'id IN (1, 5::real)', 'id = $1::citext'])(
  'a cast that makes keys equal is none: %s',
  (condition) => {
    expect(facts(`DELETE FROM t WHERE ${condition}`).relations[0]!.reach).toMatchObject({ equated: [] });
  },
);

test("rows of a file of the server are not the client's VALUES", () => {
  expect(facts("COPY t FROM '/tmp/x'").relations[0]!.reach).toMatchObject({ values: false });
  expect(facts('COPY t FROM STDIN').relations[0]!.reach).toMatchObject({ values: true });
});

test('a type named in text runs code: pg_input_is_valid', () => {
  expect(facts("SELECT pg_input_is_valid('x', 'app.dom')").classes).toContain('DynamicSql');
});

test('CREATE TABLE pg_temp.x is a temporary table', () => {
  expect(facts('CREATE TABLE pg_temp.x (a int)').classes).toContain('TempTable');
});

test('what differs each time proves nothing', () => {
  const reach = (sql: string) => facts(sql).relations[0]!.reach!.floor;
  expect(reach('DELETE FROM t WHERE id = 5 OR random() <> random()')).toBe('Unbounded');
  expect(reach('DELETE FROM t WHERE id = 5 OR length($1) <> length($1)')).toBe('Filtered');
});

test('rows that MERGE does not match are not keyed', () => {
  const sql = 'MERGE INTO t USING s ON t.id = 5 WHEN NOT MATCHED BY SOURCE THEN DELETE';
  const unbounded = { reach: { floor: 'Unbounded', equated: [] } };
  expect(facts(sql).relations.filter((r) => r.reach !== null)).toMatchObject([unbounded, unbounded]);
});

test('a path through pg_temp makes temporary objects', () => {
  expect(facts('SET search_path = nosuch, pg_temp, public').classes).toContain('TempTable');
  expect(facts("SELECT set_config('search_path', 'pg_temp', false)").classes).toContain('TempTable');
  expect(facts('SET search_path = app, public').classes).not.toContain('TempTable');
});

const many = (count: number, term: (at: number) => string, between: string) =>
  Array.from({ length: count }, (_, at) => term(at)).join(between);

test.each([
  ['a list of 20,000 numbers', `DELETE FROM t WHERE id IN (${many(20_000, String, ',')})`],
  ['10,000 alternatives', `DELETE FROM t WHERE ${many(10_000, (i) => `id = ${i}`, ' OR ')}`],
  ['alternatives of many columns', `DELETE FROM t WHERE ${many(5000, (i) => `(a${i} = 1 AND b = ${i})`, ' OR ')}`],
  [
    'queries within queries',
    `DELETE FROM t WHERE ${'EXISTS (SELECT 1 FROM t WHERE a OR '.repeat(100)}b${')'.repeat(100)}`,
  ],
  ['lists within lists', `DELETE FROM t WHERE ${'('.repeat(60)}a${' IN (true, true, true))'.repeat(60)}`],
  ['NOT within NOT', `DELETE FROM t WHERE ${'NOT ('.repeat(500)}a${')'.repeat(500)}`],
  [
    'common table expressions that each use the one before twice',
    `WITH a0 AS (SELECT 1), ${many(2000, (i) => `a${i + 1} AS (SELECT * FROM a${i}, a${i} x)`, ',')} INSERT INTO t SELECT * FROM a2000`,
  ],
  ['a comment of a megabyte', `/*${'x'.repeat(1 << 20)}*/ DELETE FROM t`],
])('facts take linear time: %s', (_, sql) => {
  // Of this process alone: what else the machine does is no matter.
  const started = process.cpuUsage();
  expect(facts(sql).relations).not.toEqual([]);
  const { user, system } = process.cpuUsage(started);
  expect((user + system) / 1000).toBeLessThan(4000);
});
