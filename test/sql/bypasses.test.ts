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
  'DELETE FROM t WHERE id = 5 OR $1',
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
