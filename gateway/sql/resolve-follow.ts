import type { Reach } from '../config/document.ts';
import { reviewedFunction } from './builtin.ts';
import { BUILTIN_KINDS } from './builtin-kinds.ts';
import type { StatementClass } from './classes.ts';
import type { LinkDoor, QualifiedName, SyntaxDoor } from './facts.ts';
import type { Found } from './resolve.ts';
import { functionUse } from './resolve-calls.ts';
import { isSystem, type KnownForeignKey, type KnownRelation, type KnownRule } from './resolve-environment.ts';
import { kin, type Surroundings } from './resolve-links.ts';
import { isWrite } from './resolve-reach.ts';
import { addUse } from './resolve-use.ts';

/** A verb that comes to a relation, by its name or through another relation. */
export interface Arrival {
  readonly relation: KnownRelation;
  readonly verb: StatementClass;
  readonly reach: Reach | null;
  readonly door: SyntaxDoor | LinkDoor;
  /** The relation behind whose door it stands; null: the statement names it. */
  readonly of: QualifiedName | null;
  /** Without its children. */
  readonly only: boolean;
  readonly cascade: boolean;
  /** Columns that are read and set; `*`: all, or not known which. */
  readonly reads: readonly string[];
  readonly writes: readonly string[];
  /** The most rows that it can concern if it is Keyed. */
  readonly most?: number | undefined;
}

interface Way {
  readonly around: Surroundings;
  readonly found: Found;
}

/** Adds what a statement does to a relation, and to all that this leads to. */
export function follow(start: Arrival, way: Way): void {
  const seen = new Set<string>();
  const stack = [start];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    const { relation, verb, reach, only } = at;
    const key = `${relation.schema}\0${relation.name}\0${verb}\0${reach}\0${only}`;
    if (seen.has(key)) continue;
    seen.add(key);
    addUse(at, way);
    stack.push(...beyond(at, way));
  }
}

/** What a verb on a relation does elsewhere; functions that it runs are added on the way. */
function beyond(at: Arrival, way: Way): Arrival[] {
  const { relation, verb } = at;
  if (relation.links === undefined || isSystem(relation.schema)) return [];
  if (relation.links.indexOf !== null) return indexed(relation.links.indexOf, at, way);
  if (verb === 'Select' || verb === 'Lock') {
    runCode(at, way);
    return [...(relation.kind === 'view' ? queried(at, way, verb) : []), ...policyReads(at, way)];
  }
  // REFRESH runs the query; reading the result later does not.
  if (verb === 'Maintenance' && relation.kind === 'matview') return at.cascade ? queried(at, way, 'Select') : [];
  if (verb === 'Maintenance') runCode(at, way);
  return isWrite(verb) ? [...written(at, way), ...policyReads(at, way)] : [];
}

/** What is done to an index is done to its table. */
function indexed(table: number, at: Arrival, way: Way): Arrival[] {
  const relation = way.around.relation(table);
  return relation === undefined ? [] : [{ ...behind(at, 'Index'), relation, verb: at.verb, reach: at.reach }];
}

function written(at: Arrival, way: Way): Arrival[] {
  const rules = (at.relation.links?.rules ?? []).filter(({ verb }) => verb === at.verb);
  const done = rules.flatMap((rule) => acted(rule, at, way));
  if (at.relation.kind === 'view') return [...done, ...throughView(at, way, rules)];
  if (rules.some(({ replaces }) => replaces)) return done;
  runTriggers(at, way);
  runCode(at, way);
  return [...done, ...cascaded(at, way)];
}

/** INSTEAD OF triggers, or rules, or else the one relation that the view is over. */
function throughView(at: Arrival, way: Way, rules: readonly KnownRule[]): Arrival[] {
  const triggers = (at.relation.links?.triggers ?? []).filter(({ verbs }) => verbs.has(at.verb));
  for (const { fn } of triggers) runFunction(fn, 'Trigger', at, way);
  const searched = at.verb === 'Insert' ? [] : queried(at, way, 'Select');
  if (triggers.some(({ insteadOf }) => insteadOf) || rules.some(({ replaces }) => replaces)) return searched;
  const query = at.relation.links?.rules.find(({ verb }) => verb === 'Select');
  const base = query === undefined ? undefined : way.around.definition(query)?.base;
  const relation = base == null ? undefined : way.around.relation(base.relation);
  if (base == null || relation === undefined) return searched;
  return [
    ...searched,
    { ...behind(at, 'View'), relation, verb: at.verb, reach: at.reach, most: at.most, only: base.only },
  ];
}

/** The relations of a view's query, read or locked. */
function queried(at: Arrival, way: Way, verb: StatementClass): Arrival[] {
  const query = at.relation.links?.rules.find((rule) => rule.verb === 'Select');
  if (query === undefined) return [];
  const found = defined(query, at, way, 'View');
  return found.map((one) => (one.verb === 'Select' ? { ...one, verb } : one));
}

/** What a rule's actions do. */
function acted(rule: KnownRule, at: Arrival, way: Way): Arrival[] {
  return defined(rule, at, way, 'Rule');
}

function defined(rule: KnownRule, at: Arrival, way: Way, door: LinkDoor): Arrival[] {
  const definition = way.around.definition(rule);
  if (definition === undefined) return [];
  for (const fn of definition.functions) runFunction(fn, door, at, way);
  if (definition.notifies) way.found.classes.add('Listen');
  return definition.relations.flatMap(({ relation: oid, verb, reach, columns, only }) => {
    const relation = way.around.relation(oid);
    if (relation === undefined) {
      way.found.unknown.push(`the relation with OID ${oid} of ${at.relation.schema}.${at.relation.name}`);
      return [];
    }
    return [{ ...behind(at, door), relation, verb, reach, reads: columns ?? EVERY, only }];
  });
}

const EVERY = ['*'];

/** What is common to all that stands behind a relation's door. */
function behind({ relation: { schema, name } }: Arrival, door: LinkDoor): Omit<Arrival, 'relation' | 'verb' | 'reach'> {
  return { door, of: { schema, name }, only: false, cascade: false, reads: EVERY, writes: EVERY };
}

function policyReads(at: Arrival, way: Way): Arrival[] {
  const policies = at.relation.links?.policyReads.filter(({ verbs }) => verbs.has(at.verb)) ?? [];
  return policies.flatMap(({ relation: oid }) => {
    const relation = way.around.relation(oid);
    return relation === undefined ? [] : [{ ...behind(at, 'Policy'), relation, verb: 'Select' as const, reach: null }];
  });
}

/** The relation itself, and the children that the verb goes down to. */
function below(at: Arrival, way: Way): readonly KnownRelation[] {
  // Rows for a parent by inheritance stay there; those for a partitioned table do not.
  const down = !at.only && (at.verb !== 'Insert' || at.relation.kind === 'partitioned');
  return down ? [at.relation, ...kin(at.relation, way.around).descendants] : [at.relation];
}

/** An update that moves a row to another partition deletes and inserts it. */
const MOVED: ReadonlySet<StatementClass> = new Set(['Update', 'Insert', 'Delete']);

function runTriggers(at: Arrival, way: Way): void {
  for (const relation of below(at, way)) {
    const own = relation === at.relation;
    for (const trigger of relation.links?.triggers ?? []) {
      const moves = at.verb === 'Update' && at.relation.kind === 'partitioned' && trigger.forEachRow;
      const fires = trigger.verbs.has(at.verb) && (at.verb !== 'Update' || touches(at, trigger.columns));
      const fired = fires || (moves && [...trigger.verbs].some((verb) => verb !== 'Update' && MOVED.has(verb)));
      if (fired && (own || trigger.forEachRow || at.verb === 'Truncate')) runFunction(trigger.fn, 'Trigger', at, way);
    }
  }
}

/** Whether an update may set one of these columns; none: of any column. */
function touches({ writes }: Arrival, columns: readonly string[]): boolean {
  return columns.length === 0 || writes.includes('*') || columns.some((column) => writes.includes(column));
}

/** Defaults, generated columns, checks, indexes and policies that call user functions. */
function runCode(at: Arrival, way: Way): void {
  const reading = !isWrite(at.verb);
  for (const relation of below(at, way)) {
    for (const { fn, door, verbs, column } of relation.links?.code ?? []) {
      // Of children only their indexes matter to who reads through their parent, and their policies to nobody.
      if (relation !== at.relation && (reading ? door !== 'Index' : door === 'Policy')) continue;
      const defaulted = at.verb === 'Update' && column !== null && at.writes.includes(column);
      if (verbs.has(at.verb) || defaulted) runFunction(fn, door, at, way);
    }
  }
}

/** What ON DELETE, ON UPDATE and TRUNCATE … CASCADE do to the tables that reference this one. */
function cascaded(at: Arrival, way: Way): Arrival[] {
  const found: Arrival[] = [];
  for (const parent of below(at, way)) {
    for (const key of parent.links?.referencing ?? []) {
      const verb = cascade(key, at);
      const relation = verb === null ? undefined : way.around.relation(key.relation);
      if (verb === null || relation === undefined) continue;
      const reach = at.reach === 'Unbounded' ? 'Unbounded' : 'Filtered';
      const also = { writes: key.columns, cascade: at.cascade };
      found.push({ ...behind(at, 'ForeignKey'), ...also, relation, verb, reach });
    }
  }
  return found;
}

function cascade(key: KnownForeignKey, at: Arrival): StatementClass | null {
  switch (at.verb) {
    case 'Truncate':
      return at.cascade ? 'Truncate' : null;
    case 'Delete':
      if (key.onDelete === 'Nothing') return null;
      return key.onDelete === 'Cascade' ? 'Delete' : 'Update';
    case 'Update':
      return key.onUpdate !== 'Nothing' && touches(at, key.referenced) ? 'Update' : null;
    default:
      return null;
  }
}

/** Built-in functions count by their class; any other that is not known to be safe needs a rule that lists it. */
function runFunction(oid: number, door: LinkDoor, at: Arrival, { around, found }: Way): void {
  const { schema, name } = at.relation;
  const fn = around.fn(oid);
  if (fn === undefined) {
    found.unknown.push(`the function with OID ${oid} of ${schema}.${name}`);
    return;
  }
  if (!fn.builtin) {
    if (fn.safe) return;
    for (const cls of fn.classes) found.classes.add(cls);
    found.functions.push({ ...functionUse([fn]), door, of: { schema, name } });
    return;
  }
  const kind = reviewedFunction(fn)?.kind;
  if (kind === undefined) return;
  const { cls, writes } = BUILTIN_KINDS[kind];
  // What later statements mean would change without a statement that says so.
  if (kind === 'Settings') found.unknown.push(`${fn.name} in ${schema}.${name}`);
  if (cls !== null) found.classes.add(cls);
  if (writes) found.writes = true;
}
