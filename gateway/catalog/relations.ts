import type { StatementClass } from '../sql/classes.ts';
import type {
  ForeignKeyAction,
  KnownCode,
  KnownForeignKey,
  KnownRelation,
  KnownRule,
  KnownTrigger,
  RelationLinks,
  RuleDefinition,
} from '../sql/resolve-environment.ts';
import { readDefinition } from './definition.ts';

/** A row in text format. */
export type TextRow = readonly (string | null)[];

/** What was read of relations, as `links.ts` orders the columns. */
export interface RelationRows {
  readonly relations: readonly TextRow[];
  readonly keys: readonly TextRow[];
  readonly columns: readonly TextRow[];
  readonly links: readonly TextRow[];
}

export interface CatalogRelation extends KnownRelation {
  readonly oid: number;
  readonly links: Links;
}

/** Links while they are being gathered. */
interface Links extends RelationLinks {
  readonly parents: number[];
  readonly children: number[];
  readonly referencing: KnownForeignKey[];
  readonly triggers: KnownTrigger[];
  readonly rules: KnownRule[];
  readonly code: KnownCode[];
  readonly policyReads: { relation: number; verbs: ReadonlySet<StatementClass> }[];
}

const KINDS: Readonly<Record<string, CatalogRelation['kind']>> = {
  r: 'table',
  v: 'view',
  m: 'matview',
  S: 'sequence',
  f: 'foreign',
  p: 'partitioned',
  i: 'index',
  I: 'index',
  c: 'composite',
  t: 'toast',
};

/** User functions that the definition of a rule calls, by the rule's OID. */
export type RuleCode = ReadonlyMap<number, readonly number[]>;

export interface Gathered {
  readonly relations: ReadonlyMap<number, CatalogRelation>;
  readonly ruleCode: RuleCode;
}

/** Relations by OID, tied to each other. */
export function gather(rows: RelationRows): Gathered {
  const relations = new Map<number, CatalogRelation>();
  const keys = byRelation(rows.keys);
  const columns = new Map(rows.columns.map(([relation, json]) => [Number(relation), json ?? '[]']));
  for (const row of rows.relations) {
    const relation = readRelation(row, keys, columns.get(Number(row[0])) ?? '[]');
    relations.set(relation.oid, relation);
  }
  const ruleCode = new Map<number, number[]>();
  for (const [owner, what, target, detail] of rows.links) {
    const relation = relations.get(Number(owner));
    if (relation === undefined) continue;
    const link = { what: what ?? '', target: Number(target), detail: detail ?? '' };
    if (link.what === 'RuleCode') push(ruleCode, Number(link.detail), link.target);
    else if (link.what === 'Parent') {
      relation.links.parents.push(link.target);
      relations.get(link.target)?.links.children.push(relation.oid);
    } else tie(relation.links, link);
  }
  return { relations, ruleCode };
}

function byRelation(rows: readonly TextRow[]): Map<number, string[]> {
  const found = new Map<number, string[]>();
  for (const [relation, json] of rows) push(found, Number(relation), json ?? '[]');
  return found;
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

function readRelation(row: TextRow, keys: Map<number, string[]>, columns: string): CatalogRelation {
  const oid = Number(row[0]);
  const unique = (keys.get(oid) ?? []).map(
    (json) => JSON.parse(json) as [name: string, number: number, type: number][],
  );
  return {
    oid,
    schema: row[1] ?? '',
    name: row[2] ?? '',
    kind: KINDS[row[3] ?? ''] ?? 'table',
    uniqueKeys: unique.map((key) => key.map(([name]) => name)),
    links: Object.assign(columnsOf(columns), {
      oid,
      keyNumbers: unique.map((key) => key.map(([, number]) => number)),
      keyTypes: unique.map((key) => key.map(([, , type]) => type)),
      partition: row[4] === 'true',
      indexOf: row[5] == null ? null : Number(row[5]),
      parents: [],
      children: [],
      referencing: [],
      triggers: [],
      rules: [],
      code: [],
      policyReads: [],
    }),
  };
}

/** They are many, and seldom needed: read when they are. */
function columnsOf(json: string): Pick<RelationLinks, 'columns' | 'notNull'> {
  let known: readonly string[] | undefined;
  const marked = () => {
    known ??= JSON.parse(json) as string[];
    return known;
  };
  return {
    get columns() {
      return marked().map((column) => column.slice(1));
    },
    get notNull() {
      return marked()
        .filter((column) => column.startsWith('!'))
        .map((column) => column.slice(1));
    },
  };
}

interface Link {
  readonly what: string;
  readonly target: number;
  readonly detail: string;
}

const verbs = (...list: StatementClass[]): ReadonlySet<StatementClass> => new Set(list);
const WRITTEN = verbs('Insert', 'Update');
const INDEXED = verbs('Insert', 'Update', 'Maintenance');
const READ = verbs('Select', 'Lock');
/** Wherever rows are looked for, or put in their place. */
const SORTED = verbs('Select', 'Lock', 'Insert', 'Update', 'Delete', 'Maintenance');
/** pg_policy.polcmd; rows that a write looks for are rows that are read. */
const POLICY_VERBS: Readonly<Record<string, ReadonlySet<StatementClass>>> = {
  '*': verbs('Select', 'Lock', 'Insert', 'Update', 'Delete'),
  r: verbs('Select', 'Lock', 'Update', 'Delete'),
  a: verbs('Insert'),
  w: verbs('Update', 'Lock'),
  d: verbs('Delete'),
};
const NONE = verbs();

function tie(links: Links, { what, target, detail }: Link): void {
  const code = (door: KnownCode['door'], of: ReadonlySet<StatementClass>, column: string | null = null) =>
    links.code.push({ fn: target, door, verbs: of, column });
  switch (what) {
    case 'ForeignKey':
      links.referencing.push(readForeignKey(target, detail));
      return;
    case 'Trigger':
      links.triggers.push(readTrigger(target, detail));
      return;
    case 'Rule':
      links.rules.push(readRule(target, detail));
      return;
    case 'Default':
      code('Default', verbs('Insert'), detail);
      return;
    case 'Generated':
      code('Default', WRITTEN);
      return;
    case 'Virtual':
      code('Default', READ);
      return;
    case 'Check':
      code('Check', WRITTEN);
      return;
    case 'Index':
      code('Index', INDEXED);
      return;
    case 'Order':
      code('Index', SORTED);
      return;
    case 'Statistics':
      code('Statistics', verbs('Maintenance'));
      return;
    case 'Policy':
      code('Policy', POLICY_VERBS[detail] ?? NONE);
      return;
    case 'PolicyRead':
      links.policyReads.push({ relation: target, verbs: POLICY_VERBS[detail] ?? NONE });
      return;
    default:
      throw new Error(`a link that nobody reads: ${what}`);
  }
}

const ACTIONS: Readonly<Record<string, ForeignKeyAction>> = { c: 'Cascade', n: 'SetNull', d: 'SetNull' };

function readForeignKey(relation: number, detail: string): KnownForeignKey {
  const [onDelete, onUpdate, columns, referenced] = JSON.parse(detail) as [string, string, string[], string[]];
  return {
    relation,
    columns,
    referenced,
    onDelete: ACTIONS[onDelete] ?? 'Nothing',
    onUpdate: ACTIONS[onUpdate] ?? 'Nothing',
  };
}

/** Bits of pg_trigger.tgtype (catalog/pg_trigger.h). */
const TRIGGER_VERBS: readonly (readonly [bit: number, verb: StatementClass])[] = [
  [4, 'Insert'],
  [8, 'Delete'],
  [16, 'Update'],
  [32, 'Truncate'],
];

function readTrigger(fn: number, detail: string): KnownTrigger {
  const [type, columns] = JSON.parse(detail) as [number, string[] | null];
  return {
    fn,
    verbs: new Set(TRIGGER_VERBS.filter(([bit]) => (type & bit) !== 0).map(([, verb]) => verb)),
    columns: columns ?? [],
    insteadOf: (type & 64) !== 0,
    forEachRow: (type & 1) !== 0,
  };
}

/** CmdType, as pg_rewrite.ev_type has it. */
const RULE_VERBS: Readonly<Record<string, StatementClass>> = { 1: 'Select', 2: 'Update', 3: 'Insert', 4: 'Delete' };

function readRule(oid: number, detail: string): KnownRule {
  const [type, replaces] = JSON.parse(detail) as [string, boolean];
  return { oid, verb: RULE_VERBS[type] ?? 'Unknown', replaces };
}

/** A row of `definitions` in `links.ts`. */
export function readDefinitionRow(row: TextRow, ruleCode: RuleCode): [rule: number, definition: RuleDefinition] {
  const [rule, relation, action, columns] = row;
  const owner = { relation: Number(relation), columns: JSON.parse(columns ?? '[]') as string[] };
  const definition = readDefinition(action ?? '', owner);
  const called = [...new Set([...definition.functions, ...(ruleCode.get(Number(rule)) ?? [])])];
  return [Number(rule), { ...definition, functions: called }];
}

/** Puts definitions where they belong. */
export function define(rules: KnownRule[], definitions: ReadonlyMap<number, RuleDefinition>): void {
  for (const [at, rule] of rules.entries()) {
    const definition = definitions.get(rule.oid);
    if (definition !== undefined) rules[at] = { ...rule, definition };
  }
}
