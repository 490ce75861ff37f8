import { expect, test } from 'vitest';
import type { StatementClass } from '../../gateway/sql/classes.ts';
import { resolve } from '../../gateway/sql/resolve.ts';
import type {
  KnownCatalog,
  KnownFunction,
  KnownRelation,
  RelationLinks,
  ResolveEnvironment,
  RuleDefinition,
} from '../../gateway/sql/resolve-environment.ts';
import { factsOf } from './summary.ts';

/** A relation whose OID is all that its name needs to say. */
function relation(
  oid: number,
  name: string,
  links: Partial<RelationLinks> = {},
  kind: KnownRelation['kind'] = 'table',
) {
  const none = { parents: [], children: [], referencing: [], triggers: [], rules: [], code: [], policyReads: [] };
  const plain = {
    oid,
    columns: ['id', 'item'],
    notNull: ['id'],
    keyNumbers: [[1]],
    partition: false,
    indexOf: null,
    ...none,
  };
  return { schema: 'app', name, kind, uniqueKeys: [['id']], links: { ...plain, ...links } } satisfies KnownRelation;
}

const verbs = (...list: StatementClass[]): ReadonlySet<StatementClass> => new Set(list);
const view = (rule: number) => ({ rules: [{ oid: rule, verb: 'Select', replaces: true }] }) as const;

const RELATIONS = [
  relation(1, 'orders', { children: [2, 3], triggers: [] }, 'partitioned'),
  relation(2, 'orders_a', { parents: [1], partition: true }),
  relation(3, 'orders_b', { parents: [1], children: [4], partition: true }, 'partitioned'),
  relation(4, 'orders_b1', { parents: [3], partition: true }),
  relation(5, 'seen', view(50), 'view'),
  relation(6, 'loop', view(60), 'view'),
  relation(7, 'parent', {
    referencing: [
      { relation: 7, columns: ['up'], referenced: ['id'], onDelete: 'Cascade', onUpdate: 'Cascade' },
      { relation: 8, columns: ['p'], referenced: ['id'], onDelete: 'SetNull', onUpdate: 'Nothing' },
    ],
  }),
  relation(8, 'child', {
    triggers: [
      { fn: 100, verbs: verbs('Update'), columns: ['p'], insteadOf: false, forEachRow: true },
      { fn: 101, verbs: verbs('Update'), columns: ['other'], insteadOf: false, forEachRow: true },
    ],
  }),
];
const one = (oid: number, number = 1): RuleDefinition => ({
  relations: [{ relation: oid, verb: 'Select', reach: null, columns: null, only: false }],
  functions: [],
  notifies: false,
  base: { relation: oid, verb: 'Select', reach: null, columns: null, only: false },
  columns: new Map([[1, { name: 'nr', number }]]),
});
const DEFINITIONS = new Map([
  [50, one(1)],
  [60, one(6)],
]);

const fn = (oid: number): KnownFunction => ({
  oid,
  schema: 'app',
  name: `f${oid}`,
  arguments: '',
  minArgs: 0,
  maxArgs: 0,
  safe: false,
  builtin: false,
  classes: [],
  returns: [],
  volatile: 'v',
  securityDefiner: false,
  language: 'plpgsql',
  extension: null,
});

const catalog: KnownCatalog = {
  serverMajor: 18,
  relation: (schema, name) => (schema === 'app' ? RELATIONS.find((known) => known.name === name) : undefined),
  relationByOid: (oid) => RELATIONS.find(({ links }) => links.oid === oid),
  relationsOf: (schema) => RELATIONS.filter((known) => schema === '*' || known.schema === schema),
  definition: ({ oid }) => DEFINITIONS.get(oid),
  functions: () => [],
  functionByOid: fn,
  userType: () => undefined,
  userTypeByOid: () => undefined,
  userOperators: () => [],
  userCasts: [],
  typesHeld: () => [],
};
const environment: ResolveEnvironment = {
  catalog,
  searchPath: ['pg_catalog', 'app'],
  overlay: null,
  localNames: false,
};
const resolved = (sql: string, more: Partial<ResolveEnvironment> = {}) =>
  resolve(factsOf(sql)[0]!, { ...environment, ...more });
function facts(sql: string, more: Partial<ResolveEnvironment> = {}) {
  const resolution = resolved(sql, more);
  if (resolution.kind !== 'Facts') throw new Error(JSON.stringify(resolution));
  return resolution;
}
const uses = (sql: string) =>
  facts(sql).facts.relations.map(({ verb, name, reach, door, of }) =>
    [verb, name, reach, of === undefined ? null : `${door} ${of.name}`].filter((part) => part !== null).join(' '),
  );

test('a partitioned table is one relation, with all that is below it; a partition knows what it is part of', () => {
  const [whole] = facts('SELECT * FROM orders').facts.relations;
  expect(whole!.descendants!.map(({ name }) => name).toSorted()).toEqual(['orders_a', 'orders_b', 'orders_b1']);
  expect(whole!.ancestors).toBeUndefined();
  const [part] = facts('DELETE FROM orders_b1').facts.relations;
  expect(part).toMatchObject({ partition: true, ancestors: [{ name: 'orders_b' }, { name: 'orders' }] });
  expect(facts('SELECT * FROM ONLY orders').facts.relations[0]!.descendants).toBeUndefined();
});

test('a view that reads itself ends', () => {
  expect(uses('SELECT * FROM loop')).toEqual(['Select loop']);
});

test('a write through a simple view is Keyed by the column that shows the key', () => {
  expect(uses('DELETE FROM seen WHERE nr = 1')).toContain('Delete orders Keyed View seen');
  expect(uses('DELETE FROM seen WHERE id = 1')).toContain('Delete orders Filtered View seen');
  expect(uses('DELETE FROM seen')).toContain('Delete orders Unbounded View seen');
});

test('foreign keys go on, to the same table too, and never Keyed', () => {
  expect(uses('DELETE FROM parent WHERE id = 1').toSorted()).toEqual([
    'Delete parent Filtered ForeignKey parent',
    'Delete parent Keyed',
    'Update child Filtered ForeignKey parent',
  ]);
  expect(uses('DELETE FROM parent')).toContain('Update child Unbounded ForeignKey parent');
  expect(uses('UPDATE parent SET id = 2 WHERE id = 1')).toContain('Update parent Filtered ForeignKey parent');
  expect(uses('UPDATE parent SET note = 2 WHERE id = 1')).toEqual(['Update parent Keyed']);
});

test('a trigger of an update fires for the columns that a foreign key sets', () => {
  const { functions } = facts('DELETE FROM parent WHERE id = 1').facts;
  expect(functions).toMatchObject([{ candidates: ['app.f100()'], door: 'Trigger', of: { name: 'child' } }]);
  expect(facts('UPDATE child SET other = 1').facts.functions).toMatchObject([{ candidates: ['app.f101()'] }]);
});

test('a condition that holds for every row that is not null reaches them all', () => {
  const [raw] = factsOf('DELETE FROM child WHERE id IS NOT NULL');
  const reach = (...openIfNotNull: string[][]) => {
    const relations = raw!.relations.map((one) => ({ ...one, reach: { ...one.reach!, openIfNotNull } }));
    const resolution = resolve({ ...raw!, relations }, environment);
    return resolution.kind === 'Facts' ? resolution.facts.relations[0]!.reach : null;
  };
  expect(reach(['id'])).toBe('Unbounded');
  expect(reach(['p'])).toBe('Filtered');
  expect(reach(['id', 'p'])).toBe('Filtered');
  expect(reach(['p'], ['id'])).toBe('Unbounded');
});

test('a column without qualifier is the target’s own if it has it', () => {
  expect(uses('DELETE FROM child USING seen WHERE item = 5')).toContain('Delete child Filtered');
  expect(uses('DELETE FROM child USING seen WHERE id = 5')).toContain('Delete child Keyed');
  expect(uses('DELETE FROM child USING seen WHERE nr = 5')).toContain('Delete child Unbounded');
});

test('definitions are loaded first, or left out of facts for the record', () => {
  const without = { ...catalog, definition: () => undefined };
  expect(resolved('SELECT * FROM seen', { catalog: without })).toEqual({ kind: 'Load', rules: [50] });
  expect(facts('SELECT * FROM seen, nosuch', { catalog: without, partial: true })).toMatchObject({
    missing: [50],
    facts: { relations: [{ name: 'seen' }] },
  });
});

test('facts name what they hang on', () => {
  const { dependencies } = facts('SELECT * FROM seen');
  expect(dependencies.relations).toEqual(expect.arrayContaining([5, 1]));
  expect(dependencies.names).toEqual(['\0seen']);
  expect(facts('UPDATE child SET p = 1').dependencies.functions).toEqual([100]);
});

test('all that is in a schema is in what is done to the schema', () => {
  const [use] = facts('DROP SCHEMA app CASCADE').facts.relations;
  expect(use!.descendants).toHaveLength(RELATIONS.length);
});

test('TOAST tables are no catalogue', () => {
  const toast: KnownRelation = { schema: 'pg_toast', name: 'pg_toast_1', kind: 'toast', uniqueKeys: [] };
  const overlay = { relations: new Map([['pg_toast\0pg_toast_1', toast]]), functions: new Map() };
  const { facts: told } = facts('SELECT chunk_id FROM pg_toast.pg_toast_1', { overlay });
  expect(told.relations).toMatchObject([{ schema: 'pg_toast', verb: 'Select' }]);
  expect(told.classes).not.toContain('Catalog');
});

test('a name that a database in another encoding may cut elsewhere is not understood', () => {
  const long = 'é'.repeat(35);
  const latin = { ...catalog, utf8: false };
  const overlay = { relations: new Map([[`\0${'é'.repeat(31)}`, null]]), functions: new Map() };
  expect(facts(`SELECT * FROM "${long}"`, { catalog: latin, overlay }).facts.unknown).toHaveLength(1);
  expect(facts(`SELECT * FROM "${long}"`, { overlay }).facts.unknown).toEqual([]);
});
