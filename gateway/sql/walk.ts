import { as, type Fields, list, names, text, unwrap } from './ast.ts';
import {
  convertColumns,
  visitCall,
  visitColumn,
  visitFunctionItem,
  visitFunctionName,
  visitIndirection,
  visitJson,
  visitOption,
  visitType,
} from './calls.ts';
import type { StatementClass } from './classes.ts';
import { addExcluded, type Level, levelOf, noteColumn, returningLevel, settleColumns, targetLevel } from './columns.ts';
import { doorInto } from './doors.ts';
import type { SyntaxDoor } from './facts.ts';
import { addRelation, type Findings, mayFold, NEW, noteOpclass, nothing } from './findings.ts';
import { GRAMMAR } from './grammar.generated.ts';
import { newerThan, returningMajor } from './majors.ts';
import { visitOperators } from './operators.ts';
import { addParameter, noteParameter } from './parameters.ts';
import { UNBOUNDED } from './reach.ts';
import { noteSettings } from './settings-view.ts';
import { POSITIONS } from './statements.ts';
import { type FindQuery, nameOf } from './target.ts';
import { type Write, writesOf } from './writes.ts';

/** A common table expression in scope: it hides relations of its name. Innermost first. */
interface Scope {
  readonly name: string;
  readonly query: unknown;
  readonly outer: Scope | null;
}

/** Which items of a FROM clause are locked: FOR UPDATE takes all, FOR UPDATE OF takes those it names. */
type Locked = 'all' | ReadonlySet<string>;
const NOTHING_LOCKED: Locked = new Set();

/** How what is below a node is meant. */
interface Context {
  readonly scope: Scope | null;
  /** `Parent.field` the node stands in. */
  readonly position: string;
  readonly locked: Locked;
  /** Under EXPLAIN without ANALYZE: planned, not run. */
  readonly planned: boolean;
  /** What is done to the target, where this may be the target. */
  readonly write: Write | null;
  readonly door: SyntaxDoor;
  /** FROM of the query around it. */
  readonly level: Level | null;
  /** RETURNING has a view of its own. */
  readonly returning: Level | null;
  /** What is done to a relation goes on to others. */
  readonly cascade: boolean;
  /** Queries around it. */
  readonly nesting: number;
  /** Where CREATE SCHEMA puts what it creates. */
  readonly schema: string | null;
}

interface Item {
  readonly type: string;
  readonly fields: Fields;
  readonly context: Context;
}

const AT_TOP: Context = {
  scope: null,
  position: 'top',
  locked: NOTHING_LOCKED,
  planned: false,
  write: null,
  door: 'Statement',
  level: null,
  returning: null,
  cascade: false,
  nesting: 0,
  schema: null,
};

/**
 * Walks a statement's tree with a stack of its own (chains of thousands of terms would overflow recursion) and with
 * the grammar's own knowledge of every node and field: what it does not list is reported as not understood.
 */
export function walk(node: unknown, source: Buffer, planned: boolean): Findings {
  const found = nothing();
  const stack: Item[] = [];
  const top = unwrap(node);
  if (top !== undefined) {
    stack.push({ ...top, context: { ...AT_TOP, planned } });
  }
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    visit(item, found, source);
    pushChildren(item, found, stack);
  }
  settleColumns(found.columns);
  convertColumns(found);
  return found;
}

function visit({ type, fields, context }: Item, found: Findings, source: Buffer): void {
  found.minMajor = Math.max(found.minMajor, newerThan(type, fields, source));
  switch (type) {
    case 'RangeVar':
      return visitRelation(fields, context, found);
    case 'FuncCall':
      return visitCall(fields, context.position === FUNCTION_ITEM ? context.door : null, found);
    case 'CreateTrigStmt':
    case 'CreateEventTrigStmt':
      return visitFunctionName(fields.funcname, 0, found);
    case 'CreateCastStmt':
      return visitFunctionName((fields.func as Fields | undefined)?.objname, -1, found);
    case 'RangeTableSample':
      return visitFunctionName(fields.method, 1, found);
    case 'TypeName':
      return visitType(fields, context.position, found);
    case 'DefElem':
      return visitOption(fields, context.position, found);
    case 'ColumnRef':
      noteColumn(fields, context.level);
      return visitColumn(fields, found);
    case 'JsonObjectConstructor':
    case 'JsonArrayConstructor':
    case 'JsonArrayQueryConstructor':
    case 'JsonObjectAgg':
    case 'JsonArrayAgg':
    case 'JsonScalarExpr':
      return visitJson(found);
    case 'A_Indirection':
      return visitIndirection(fields, found);
    case 'RangeFunction':
      return visitFunctionItem(fields, found);
    case 'ParamRef':
      return addParameter(found, Number(fields.number ?? 0), false);
    case 'TypeCast':
    case 'A_Expr':
      noteParameter(type, fields, found);
      return visitOperators(type, fields, found);
    case 'SelectStmt':
      noteSettings(fields, (name) => queryNamed(context.scope, name) !== undefined, found);
      return visitOperators(type, fields, found);
    case 'IndexElem':
    case 'PartitionElem':
      return noteOpclass(fields.opclass, found);
    case 'LockingClause':
      found.classes.add('Lock');
      return;
    default:
      return visitOperators(type, fields, found);
  }
}

/** Where a function stands that is an item of FROM. */
const FUNCTION_ITEM = 'RangeFunction.functions';

/** Where a table is created. */
const TABLES = new Set(['CreateStmt.relation', 'IntoClause.rel']);

const WRITES: ReadonlySet<StatementClass> = new Set(['Insert', 'Update', 'Delete', 'Merge', 'Truncate']);

function visitRelation(fields: Fields, context: Context, found: Findings): void {
  const { schemaname, relname, catalogname } = fields;
  const name = text(relname);
  if (mayFold(`${text(schemaname)} ${name}`)) found.folds = true;
  if (catalogname !== undefined) found.unknown.push(`the name of another database in front of ${name}`);
  const position = POSITIONS[context.position];
  if (position === undefined) {
    found.unknown.push(`a relation in ${context.position}`);
    return;
  }
  if (schemaname === undefined && position.verb === 'Select' && queryNamed(context.scope, name) !== undefined) return;
  const creates = position.creates === true;
  const schema = typeof schemaname === 'string' ? schemaname : creates ? context.schema : null;
  if (creates && isTemporary(fields)) return addTemporary(name, context, found);
  const { door, write } = context;
  const verb = verbOf(position.verb, context);
  const writing = WRITES.has(verb);
  addRelation(found, { schema, name }, verb, {
    creates,
    door,
    reach: writing ? (write?.reach ?? UNBOUNDED) : null,
    writes: writing ? (write?.columns ?? ['*']) : [],
    source: found.columns.sources.get(fields) ?? null,
    ...onlyOf(fields),
    ...(context.cascade ? { cascade: true } : {}),
  });
  if (isLocked(context.locked, nameOf(fields))) {
    addRelation(found, { schema, name }, 'Lock', { door: 'Locking', ...onlyOf(fields) });
  }
}

function isTemporary({ relpersistence, schemaname }: Fields): boolean {
  return relpersistence === 't' || /^pg_temp/.test(text(schemaname));
}

/**
 * The first temporary object of a session puts pg_temp in front of its search path. Of tables it is known which names that
 * hides (`Makes`).
 */
function addTemporary(name: string, { position, planned }: Context, found: Findings): void {
  if (!TABLES.has(position)) found.asks = true;
  else if (!planned) found.temporary.push(name);
  addRelation(found, { schema: null, name }, 'TempTable', NEW);
}

/** Without `inh`, its children are left alone. */
export function onlyOf(relation: Fields): { readonly only?: true } {
  return relation.inh === true ? {} : { only: true };
}

function isLocked(locked: Locked, name: string): boolean {
  return locked === 'all' || locked.has(name);
}

/** EXPLAIN without ANALYZE writes nothing, but its plan tells of what it reads. */
function verbOf(verb: StatementClass, context: Context): StatementClass {
  return context.planned && WRITES.has(verb) ? 'Select' : verb;
}

function queryNamed(scope: Scope | null, name: string): unknown {
  for (let at = scope; at !== null; at = at.outer) if (at.name === name) return at.query;
  return undefined;
}

/** What a data-modifying statement does to its target; the context of its parts. */
function visitWrite({ type, fields, context }: Item, scope: Scope | null, found: Findings): Context {
  found.dataModifying += 1;
  const find: FindQuery = (name) => queryNamed(scope, name);
  const [own, ...also] = writesOf(type, fields, find) as [Write, ...Write[]];
  const target = fields.relation as Fields;
  const place = {
    schema: typeof target.schemaname === 'string' ? target.schemaname : null,
    name: text(target.relname),
  };
  const door = type === 'MergeStmt' ? 'Merge' : context.door;
  for (const { verb, reach, columns } of also) {
    const meant = verbOf(verb, context);
    const writing = WRITES.has(meant);
    const done = writing ? { reach, writes: columns } : {};
    addRelation(found, place, meant, { door, ...done, ...onlyOf(target) });
  }
  const items = [type === 'UpdateStmt' ? fields.fromClause : (fields.usingClause ?? fields.sourceRelation)].flatMap(
    (item) => (Array.isArray(item) ? item : [item]),
  );
  const level = targetLevel(target, items, context.level, found.columns);
  if (type === 'InsertStmt') addExcluded(level);
  let returning: Level | null = null;
  if (fields.returningClause !== undefined) {
    const again = returningLevel(target, items, context.level, found.columns);
    returning = again.level;
    addRelation(found, place, 'Select', { door: 'Returning', source: again.source, ...onlyOf(target) });
  }
  // An update of this view is a call of set_config.
  if (place.name === 'pg_settings') found.asks = true;
  found.minMajor = Math.max(found.minMajor, returningMajor(type, fields));
  return { ...context, scope, locked: NOTHING_LOCKED, write: own, level, returning };
}

/** The children of a node, each with what it means for them. */
function pushChildren(item: Item, found: Findings, stack: Item[]): void {
  const { type, fields } = item;
  const shapes = GRAMMAR[type];
  if (shapes === undefined) {
    found.unknown.push(`the node ${type}`);
    return;
  }
  const context = inside(item, found);
  for (const [field, value] of Object.entries(fields)) {
    const shape = shapes[field];
    // A list is no place of its own.
    const position = type === 'List' ? item.context.position : `${type}.${field}`;
    if (shape === undefined) found.unknown.push(`the field ${type}.${field}`);
    else if (shape !== '.' && !ELSEWHERE.has(position))
      pushField(item, fieldContext(item, { ...context, position }), { shape, value }, stack);
  }
}

/** What of a node's context holds in one of its fields. */
function fieldContext({ fields, context: outer }: Item, context: Context): Context {
  const { position, planned, returning } = context;
  const door = doorInto(position, fields, context.door, planned);
  if (position.endsWith('.returningClause')) return { ...context, level: returning };
  // The query of an INSERT does not see the target.
  if (position === 'InsertStmt.selectStmt') return { ...context, level: outer.level };
  // Without LATERAL a query in FROM does not see its neighbours.
  if (position === 'RangeSubselect.subquery' && fields.lateral !== true) {
    return { ...context, door, level: context.level?.outer ?? null };
  }
  return door === context.door ? context : { ...context, door };
}

/** Names of FROM items, of another server's tables, of a table in either direction (`refineCopy`), of constraints. */
const ELSEWHERE = new Set([
  'LockingClause.lockedRels',
  'ImportForeignSchemaStmt.table_list',
  'CopyStmt.relation',
  'ConstraintsSetStmt.constraints',
]);

const DATA_MODIFYING = new Set(['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt']);

/** Scope, reach and locks that hold below a node. */
function inside(item: Item, found: Findings): Context {
  const { type, fields, context } = item;
  const scope = fields.withClause === undefined ? context.scope : withScope(fields, context.scope);
  if (DATA_MODIFYING.has(type)) return visitWrite(item, scope, found);
  switch (type) {
    case 'SelectStmt':
      return inQuery(item, scope, found);
    case 'CopyStmt':
      if (fields.relation === undefined) return context;
      return { ...context, level: copied(fields, found) };
    case 'TruncateStmt':
      return { ...context, cascade: fields.behavior === 'DROP_CASCADE' };
    case 'RefreshMatViewStmt':
      return { ...context, cascade: fields.skipData !== true };
    case 'RangeSubselect':
      return { ...context, locked: isLocked(context.locked, nameOf(fields)) ? 'all' : NOTHING_LOCKED };
    case 'CreateSchemaStmt':
      return { ...context, schema: newSchema(fields) };
    default:
      return { ...context, scope };
  }
}

function inQuery({ fields, context }: Item, scope: Scope | null, found: Findings): Context {
  const arm = /^SelectStmt\.[lr]arg$/.test(context.position);
  const nesting = arm ? context.nesting : context.nesting + 1;
  found.nesting = Math.max(found.nesting, nesting);
  const level = levelOf(list(fields.fromClause), context.level, found.columns);
  return { ...context, scope, locked: lockedBy(fields, context), write: null, level, nesting };
}

/** COPY reads or writes the columns it lists, and its WHERE reads. */
function copied(fields: Fields, found: Findings): Level {
  const level = targetLevel(fields.relation as Fields, [], null, found.columns);
  if (fields.is_from === true) return level;
  if (fields.attlist === undefined) level.all.add('*');
  for (const name of names(fields.attlist) ?? []) level.unqualified.add(name);
  return level;
}

/** CREATE SCHEMA AUTHORIZATION alone names it after the role. */
export function newSchema(fields: Fields): string {
  return text(fields.schemaname) || text((fields.authrole as Fields | undefined)?.rolename);
}

/** Its own locking clauses, or that of the query around it. */
function lockedBy(fields: Fields, context: Context): Locked {
  if (context.position === 'RangeSubselect.subquery' && context.locked === 'all') return 'all';
  const clauses = list(fields.lockingClause).map((clause) => list(as(clause, 'LockingClause')?.lockedRels));
  if (clauses.some((rels) => rels.length === 0)) return 'all';
  return new Set(clauses.flat().map((rel) => text(as(rel, 'RangeVar')?.relname)));
}

function withScope(fields: Fields, outer: Scope | null): Scope | null {
  let scope = outer;
  for (const cte of list((fields.withClause as Fields).ctes)) scope = scopeOf(cte, scope);
  return scope;
}

function scopeOf(cte: unknown, outer: Scope | null): Scope | null {
  const fields = as(cte, 'CommonTableExpr');
  return fields === undefined ? outer : { name: text(fields.ctename), query: fields.ctequery, outer };
}

/** Where the FROM items of a query stand. */
const IN_FROM = /^(?:SelectStmt\.fromClause|JoinExpr\.[lr]arg|RangeTableSample\.relation|RangeSubselect\.subquery)$/;

function pushField(item: Item, context: Context, child: { shape: string; value: unknown }, stack: Item[]): void {
  if (context.position.endsWith('.withClause')) return pushWith(item, context, child.value as Fields, stack);
  // A bare word that the grammar takes for a type: `visitOption` has seen it.
  if (context.position === 'DefElem.arg' && as(child.value, 'TypeName') !== undefined) return;
  const below = IN_FROM.test(context.position) ? context : { ...context, locked: NOTHING_LOCKED };
  const type = child.shape.replace('*', '');
  for (const value of child.shape.endsWith('*') ? list(child.value) : [child.value]) {
    const typed = type === 'Node' ? unwrap(value) : { type, fields: value as Fields };
    if (typed !== undefined) stack.push({ ...typed, context: below });
  }
}

/** Without RECURSIVE a common table expression sees only those before it. */
function pushWith(item: Item, context: Context, clause: Fields, stack: Item[]): void {
  let seen = item.context.scope;
  for (const cte of list(clause.ctes)) {
    const fields = as(cte, 'CommonTableExpr');
    if (fields === undefined) continue;
    const scope = clause.recursive === true ? context.scope : seen;
    stack.push({
      type: 'CommonTableExpr',
      fields,
      context: { ...context, scope, locked: NOTHING_LOCKED, write: null, level: item.context.level },
    });
    seen = scopeOf(cte, seen);
  }
}
