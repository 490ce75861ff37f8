import type { Rule } from '../config/document.ts';
import type { Facts, FunctionUse, QualifiedName, RelationUse } from '../sql/facts.ts';
import { isEverything } from './effective.ts';
import { canonicalFunction, matches, parsePattern, type RelationPattern } from './patterns.ts';

/** What needs a rule of its own: a class, a relation with its verb, or a function. */
export type Unit =
  | { readonly kind: 'Class'; readonly cls: string }
  | { readonly kind: 'Relation'; readonly use: RelationUse }
  | { readonly kind: 'Function'; readonly use: FunctionUse };

/** In the order in which they are decided. */
export function unitsOf(facts: Facts): Unit[] {
  return [
    ...facts.classes.map((cls) => ({ kind: 'Class', cls }) as const),
    // A function in FROM is judged as the function that it is.
    ...facts.relations.filter(({ kind }) => kind !== 'function').map((use) => ({ kind: 'Relation', use }) as const),
    ...facts.functions.map((use) => ({ kind: 'Function', use }) as const),
  ];
}

/**
 * Needs no Allow rule: reading the catalogue is open to every session that may do anything (drivers and psql's `\d` must
 * work), and of a function that does not exist the server says so.
 */
export function isFree(unit: Unit): boolean {
  if (unit.kind === 'Function') return unit.use.candidates.length === 0;
  return unit.kind === 'Class' && (unit.cls === 'Catalog' || unit.cls === 'Select');
}

/** For people. */
export function describeUnit(unit: Unit): string {
  if (unit.kind === 'Class') return unit.cls;
  if (unit.kind === 'Function')
    return `the function ${unit.use.candidates.join(' or ') || `${unit.use.schema}.${unit.use.name}`}${doorOf(unit.use)}`;
  const { verb, reach, schema, name } = unit.use;
  return `${reach === null ? '' : `${reach} `}${verb} on ${schema}.${name}${doorOf(unit.use)}`;
}

const DOORS: Readonly<Record<string, string>> = {
  View: 'through the view',
  Rule: 'by a rule on',
  ForeignKey: 'by a foreign key to',
  Trigger: 'by a trigger on',
  Default: 'by a default of',
  Check: 'by a constraint of',
  Index: 'by an index of',
  Statistics: 'by statistics of',
  Policy: 'by a row security policy of',
  EventTrigger: 'by the event trigger',
};

/** How the statement comes to what it does not name itself. */
function doorOf({ door, of }: RelationUse | FunctionUse): string {
  if (of === undefined) return '';
  const name = of.schema === '' ? of.name : `${of.schema}.${of.name}`;
  return ` (${DOORS[door ?? ''] ?? 'through'} ${name})`;
}

/** Which of a relation's kin a rule speaks of that does not speak of the relation itself. */
export function kinship(rule: Rule, unit: Unit): string {
  if (unit.kind !== 'Relation' || speaksOf(rule, unit.use)) return '';
  const kin = kinOf(rule, unit.use).find((one) => speaksOf(rule, one));
  if (kin === undefined) return '';
  const above = unit.use.ancestors?.includes(kin) === true;
  return `, which ${above ? 'is a part of' : 'includes'} ${kin.schema}.${kin.name}`;
}

interface Compiled {
  readonly statements: ReadonlySet<string>;
  readonly any: boolean;
  readonly relations: readonly RelationPattern[] | null;
  readonly functions: ReadonlySet<string>;
}

const compiled = new WeakMap<Rule, Compiled>();

function compile(rule: Rule): Compiled {
  let known = compiled.get(rule);
  if (known === undefined) {
    known = {
      statements: new Set(rule.statements),
      any: rule.statements.includes('Any'),
      relations: rule.relations?.map(parsePattern).filter((pattern) => pattern !== undefined) ?? null,
      functions: new Set(rule.functions.map(canonicalFunction)),
    };
    compiled.set(rule, known);
  }
  return known;
}

export function ruleMatches(rule: Rule, unit: Unit): boolean {
  switch (unit.kind) {
    case 'Class':
      return matchesClass(rule, unit.cls);
    case 'Relation':
      return matchesRelation(rule, unit.use);
    case 'Function':
      return matchesFunction(rule, unit.use);
  }
}

/** A rule about reach speaks of writes alone; a Deny rule about relations or functions, of those alone. */
function matchesClass(rule: Rule, cls: string): boolean {
  if (rule.reach !== null || (rule.action === 'Deny' && (rule.relations !== null || rule.functions.length > 0)))
    return false;
  const { statements, any } = compile(rule);
  return any ? isEverything(rule) || cls !== 'Unknown' : statements.has(cls);
}

function matchesRelation(rule: Rule, use: RelationUse): boolean {
  const { verb, reach } = use;
  const { statements, any, relations } = compile(rule);
  if (!any && !statements.has(verb)) return false;
  if (rule.reach !== null && (reach === null || !rule.reach.includes(reach))) return false;
  if (relations === null) return rule.action === 'Deny' && rule.functions.length === 0;
  return speaksOf(rule, use) || kinOf(rule, use).some((one) => speaksOf(rule, one));
}

function speaksOf(rule: Rule, { schema, name }: QualifiedName): boolean {
  const { any, relations } = compile(rule);
  return relations?.some((pattern) => (any && pattern.everything) || matches(pattern, schema, name)) === true;
}

const NO_KIN: readonly QualifiedName[] = [];

/**
 * What is denied on a table is denied on its parents, whose rows they are too, and on its children; what is allowed on a
 * partitioned table is allowed on its partitions, and what is reached through a table is allowed with it.
 */
function kinOf(
  rule: Rule,
  { ancestors = NO_KIN, descendants = NO_KIN, partition }: RelationUse,
): readonly QualifiedName[] {
  if (rule.action !== 'Deny') return partition === true ? ancestors : NO_KIN;
  return descendants.length === 0 ? ancestors : [...ancestors, ...descendants];
}

/** A call that may mean several functions is allowed where all of them are, and denied where one of them is. */
function matchesFunction(rule: Rule, { candidates }: FunctionUse): boolean {
  const { functions } = compile(rule);
  if (rule.action === 'Deny') return candidates.some((candidate) => functions.has(candidate));
  return isEverything(rule) || (candidates.length > 0 && candidates.every((candidate) => functions.has(candidate)));
}
