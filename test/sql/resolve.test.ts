import { expect, test } from 'vitest';
import { resolve } from '../../gateway/sql/resolve.ts';
import type { KnownCatalog, KnownRelation, ResolveEnvironment } from '../../gateway/sql/resolve-environment.ts';
import { factsOf } from './summary.ts';

const table = (schema: string, name: string): KnownRelation => ({ schema, name, kind: 'table', uniqueKeys: [['id']] });
const known = [table('public', 'orders'), table('app', 'orders'), table('pg_catalog', 'pg_class')];
const catalog: KnownCatalog = {
  serverMajor: 18,
  relation: (schema, name) => known.find((relation) => relation.schema === schema && relation.name === name),
  functions: () => [],
  functionByOid: () => undefined,
  userType: () => undefined,
  userTypeByOid: () => undefined,
  userOperators: () => [],
  userCasts: [],
  typesHeld: () => [],
};

const resolved = (sql: string, more: Partial<ResolveEnvironment> = {}) =>
  resolve(factsOf(sql)[0]!, {
    catalog,
    searchPath: ['pg_catalog', 'public', 'app'],
    overlay: null,
    localNames: false,
    ...more,
  });
const relationsOf = (sql: string) => {
  const resolution = resolved(sql);
  return resolution.kind === 'Facts' ? resolution.facts.relations.map((r) => `${r.kind} ${r.schema}.${r.name}`) : null;
};

test('a new relation goes where the path says, whatever other schemas have of that name', () => {
  expect(relationsOf('CREATE TABLE pg_class (id int)')).toEqual(['new public.pg_class']);
  expect(relationsOf('CREATE OR REPLACE VIEW orders AS SELECT 1')).toEqual(['new public.orders']);
});

test('a relation under its new name is told as well', () => {
  expect(relationsOf('ALTER TABLE app.orders SET SCHEMA public')).toEqual(['table app.orders', 'new public.orders']);
  expect(relationsOf('DROP SCHEMA app CASCADE')).toEqual(['new app.*']);
});

test('pg_temp in the path is asked: only the session knows what is in it', () => {
  const searchPath = ['pg_temp_3', 'pg_catalog', 'public'];
  expect(resolved('SELECT * FROM orders', { searchPath })).toEqual({
    kind: 'Ask',
    relations: [{ schema: null, name: 'orders' }],
    functions: [],
    types: [],
  });
  expect(resolved('SELECT * FROM public.orders', { searchPath })).toMatchObject({ kind: 'Facts' });
});

test.each(['DROP TABLE orders', 'ALTER TABLE orders ADD COLUMN a int', 'CREATE INDEX ON orders (id)'])(
  'what is done to temporary tables alone is no definition: %s',
  (sql) => {
    const relations = new Map([['\0orders', table('pg_temp_3', 'orders')]]);
    const overlay = { relations, functions: new Map() };
    expect(resolved(sql, { overlay })).toMatchObject({
      facts: { primary: 'TempTable', classes: ['TempTable'], relations: [] },
    });
    expect(resolved(sql)).toMatchObject({ facts: { primary: 'Ddl', classes: ['Ddl'] } });
  },
);

test('what only the keys tell: a column that is never NULL, a column that is the target’s own', () => {
  const reach = (sql: string) => {
    const resolution = resolved(sql);
    return resolution.kind === 'Facts' ? resolution.facts.relations.find((r) => r.verb !== 'Select')?.reach : null;
  };
  expect(reach('DELETE FROM orders WHERE id IS NOT NULL')).toBe('Unbounded');
  expect(reach('DELETE FROM orders WHERE other IS NOT NULL')).toBe('Filtered');
  expect(reach('DELETE FROM orders WHERE id IS NOT NULL AND other = 5')).toBe('Filtered');
  expect(reach('UPDATE orders SET a = 1 FROM app.orders s WHERE id = s.ref')).toBe('Filtered');
  expect(reach('UPDATE orders SET a = 1 FROM app.orders s WHERE id = 5 AND s.a = 1')).toBe('Keyed');
  expect(reach('UPDATE orders SET a = 1 FROM app.orders s WHERE x = 5')).toBe('Unbounded');
});

test('a write is Keyed only by all columns of a key', () => {
  const reach = (sql: string) => {
    const resolution = resolved(sql);
    return resolution.kind === 'Facts' ? resolution.facts.relations.map((r) => r.reach) : null;
  };
  expect(reach('DELETE FROM orders WHERE id = 5')).toEqual(['Keyed']);
  expect(reach('DELETE FROM orders WHERE id > 5')).toEqual(['Filtered']);
  expect(reach('DELETE FROM orders WHERE id = 5 OR id <> 5')).toEqual(['Unbounded']);
  expect(reach('INSERT INTO orders VALUES (1)')).toEqual(['Keyed']);
  expect(reach('DELETE FROM orders WHERE CURRENT OF c')).toEqual(['Keyed']);
});
