import { as, constant, type Fields, list, names, qualified, text, unwrap } from './ast.ts';
import { BUILTIN_OPERATORS, BUILTIN_TYPES } from './builtin.generated.ts';
import { classifyBuiltin } from './builtin.ts';
import type { StatementClass } from './classes.ts';
import type { RawFunction, RawReach, RawRelation, SettingChange } from './facts.ts';
import { GRAMMAR } from './grammar.generated.ts';
import { newerThan } from './majors.ts';
import { reachOf } from './reach.ts';
import { POSITIONS } from './statements.ts';

/** Names of common table expressions that hide relations, innermost first. */
interface Scope {
  readonly names: ReadonlySet<string>;
  readonly outer: Scope | null;
}

/** How what is below a node is meant. */
interface Context {
  readonly scope: Scope | null;
  /** `Parent.field` the node stands in. */
  readonly position: string;
  /** FROM of a SELECT … FOR UPDATE. */
  readonly locked: boolean;
  /** Under EXPLAIN without ANALYZE: planned, not run. */
  readonly planned: boolean;
  /** Reach of the statement whose target this may be. */
  readonly reach: RawReach | null;
}

/** What a walk finds; lists may repeat. */
export interface Findings {
  readonly classes: Set<StatementClass>;
  readonly relations: RawRelation[];
  readonly functions: RawFunction[];
  readonly types: { readonly schema: string | null; readonly name: string }[];
  readonly settings: SettingChange[];
  readonly unknown: string[];
  /** Names in attribute notation, which may be calls. */
  readonly attributes: Set<string>;
  asks: boolean;
  minMajor: number;
}

interface Item {
  readonly type: string;
  readonly fields: Fields;
  readonly context: Context;
}

/**
 * Walks a statement's tree with a stack of its own (chains of thousands of terms would overflow recursion) and with
 * the grammar's own knowledge of every node and field: what it does not list is reported as not understood.
 */
export function walk(node: unknown, source: Buffer, planned: boolean): Findings {
  const found: Findings = {
    classes: new Set(),
    relations: [],
    functions: [],
    types: [],
    settings: [],
    unknown: [],
    attributes: new Set(),
    asks: false,
    minMajor: 14,
  };
  const stack: Item[] = [];
  const top = unwrap(node);
  if (top !== undefined) {
    stack.push({ ...top, context: { scope: null, position: 'top', locked: false, planned, reach: null } });
  }
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    visit(item, found, source);
    pushChildren(item, found, stack);
  }
  return found;
}

function visit({ type, fields, context }: Item, found: Findings, source: Buffer): void {
  found.minMajor = Math.max(found.minMajor, newerThan(type, fields, source));
  switch (type) {
    case 'RangeVar':
      return visitRelation(fields, context, found);
    case 'FuncCall':
      return visitCall(fields, found);
    case 'TypeName':
      return visitType(fields, found);
    case 'ColumnRef':
      return visitAttributes(list(fields.fields).slice(1), found);
    case 'A_Indirection':
      return visitAttributes(list(fields.indirection), found);
    case 'A_Expr':
      return visitOperator(fields.name, found);
    case 'SubLink':
    case 'SortBy':
      return visitOperator(fields.operName ?? fields.useOp, found);
    case 'LockingClause':
      found.classes.add('Lock');
      return;
    case 'InsertStmt':
    case 'UpdateStmt':
    case 'DeleteStmt':
    case 'MergeStmt':
      return visitWrite(type, fields, context, found);
    default:
      return;
  }
}

function visitRelation(fields: Fields, context: Context, found: Findings): void {
  const { schemaname, relname, catalogname } = fields;
  const name = text(relname);
  if (catalogname !== undefined) found.unknown.push(`the name of another database in front of ${name}`);
  if (schemaname === undefined && context.position !== 'top' && isHidden(context, name)) return;
  const position = POSITIONS[context.position];
  if (position === undefined) {
    found.unknown.push(`a relation in ${context.position}`);
    return;
  }
  const schema = typeof schemaname === 'string' ? schemaname : null;
  const temporary = (fields.relpersistence === 't' || /^pg_temp/.test(text(schemaname))) && position.creates === true;
  const verb = temporary ? 'TempTable' : verbOf(position.verb, context);
  found.relations.push({
    schema: temporary ? null : schema,
    name,
    verb,
    creates: position.creates === true,
    reach: verb === position.verb && WRITES.has(verb) ? (context.reach ?? TRUNCATED) : null,
  });
  if (context.locked) found.relations.push({ schema, name, verb: 'Lock', creates: false, reach: null });
}

const WRITES: ReadonlySet<StatementClass> = new Set(['Insert', 'Update', 'Delete', 'Merge', 'Truncate']);
const TRUNCATED: RawReach = { floor: 'Unbounded', equated: [], values: false };

/** EXPLAIN without ANALYZE writes nothing, but its plan tells of what it reads. */
function verbOf(verb: StatementClass, context: Context): StatementClass {
  return context.planned && WRITES.has(verb) ? 'Select' : verb;
}

/** A common table expression of that name is in scope; only where rows are read, never as a target. */
function isHidden(context: Context, name: string): boolean {
  if (POSITIONS[context.position]?.verb !== 'Select') return false;
  for (let scope = context.scope; scope !== null; scope = scope.outer) if (scope.names.has(name)) return true;
  return false;
}

function visitCall(fields: Fields, found: Findings): void {
  const parts = names(fields.funcname);
  if (parts === null || parts.length === 0) {
    found.unknown.push('a function without a name');
    return;
  }
  const { schema, name } = qualified(parts);
  const args = list(fields.args);
  const literals = args.map((arg) => constant(arg) ?? null);
  const counted =
    fields.agg_star === true || fields.func_variadic === true || args.some((a) => as(a, 'NamedArgExpr'))
      ? -1
      : args.length;
  found.functions.push({ schema, name, args: counted, literals, operator: false });
  if (schema !== null && schema !== 'pg_catalog') return;
  const builtin = classifyBuiltin(name);
  if (builtin?.safe === false) found.classes.add(builtin.cls);
  if (name === 'set_config') visitSetConfig(args.map(bareLiteral), found);
  if (name === 'current_setting' && literals[0] != null) found.settings.push({ kind: 'Show', name: literals[0] });
}

/** A cast may cut a constant: `'roleX'::varchar(4)` is `role` (test: "a cast hides no setting"). */
function bareLiteral(node: unknown): string | null {
  return as(node, 'A_Const') === undefined ? null : (constant(node) ?? null);
}

function visitSetConfig([name, value, local]: readonly (string | null)[], found: Findings): void {
  found.asks = true;
  if (name == null) {
    found.unknown.push('set_config of a setting whose name is not a constant');
    return;
  }
  if (/^(?:role|session_authorization)$/i.test(name)) found.classes.add('Role');
  found.settings.push({
    kind: 'Set',
    name: name.toLowerCase(),
    value: value ?? null,
    list: null,
    local: local === 'true',
  });
}

/**
 * `x.f` is also a call of a function f with one argument (test: "attribute notation calls functions"). The first name
 * of a column reference cannot be one.
 */
function visitAttributes(parts: readonly unknown[], found: Findings): void {
  for (const part of parts) {
    const name = as(part, 'String')?.sval;
    if (typeof name !== 'string') continue;
    const builtin = classifyBuiltin(name);
    if (builtin?.safe === false) found.classes.add(builtin.cls);
    else if (builtin === undefined) found.attributes.add(name);
  }
}

function visitType(fields: Fields, found: Findings): void {
  const parts = names(fields.names);
  if (parts === null || parts.length === 0) return;
  const { schema, name } = qualified(parts);
  if (schema === 'pg_catalog' || (schema === null && BUILTIN_TYPES.has(name.replace(/^_/, '')))) return;
  found.types.push({ schema, name });
}

function visitOperator(value: unknown, found: Findings): void {
  const parts = names(value);
  if (parts === null || parts.length === 0) return;
  const { schema, name } = qualified(parts);
  const builtin = BUILTIN_OPERATORS.has(name) || /^(?:BETWEEN|NOT BETWEEN)/.test(name);
  if (builtin && (schema === null || schema === 'pg_catalog')) return;
  found.functions.push({ schema, name, args: 2, literals: [], operator: true });
}

/** What a data-modifying statement touches besides its target's own verb. */
function visitWrite(type: string, fields: Fields, context: Context, found: Findings): void {
  const target = fields.relation as Fields;
  const also = new Set<StatementClass>();
  if (fields.returningClause !== undefined) also.add('Select');
  const conflict = fields.onConflictClause as Fields | undefined;
  if (conflict?.action === 'ONCONFLICT_UPDATE') also.add('Update');
  for (const clause of list(fields.mergeWhenClauses)) {
    const command = as(clause, 'MergeWhenClause')?.commandType;
    if (command === 'CMD_INSERT') also.add('Insert');
    if (command === 'CMD_UPDATE') also.add('Update');
    if (command === 'CMD_DELETE') also.add('Delete');
  }
  const schema = typeof target.schemaname === 'string' ? target.schemaname : null;
  const reach = writeReach(type, fields);
  for (const verb of also) {
    const meant = verbOf(verb, context);
    found.relations.push({
      schema,
      name: text(target.relname),
      verb: meant,
      creates: false,
      reach: WRITES.has(meant) ? reach : null,
    });
  }
}

function writeReach(type: string, fields: Fields): RawReach {
  const target = fields.relation as Fields;
  const name = text((target.alias as Fields | undefined)?.aliasname) || text(target.relname);
  if (type === 'InsertStmt') return insertReach(fields);
  if (type === 'MergeStmt') return reachOf(fields.joinCondition, { name, alone: false });
  const others = type === 'UpdateStmt' ? fields.fromClause : fields.usingClause;
  return reachOf(fields.whereClause, { name, alone: list(others).length === 0 });
}

/** VALUES say which rows; a query says it by its own restriction. */
function insertReach(fields: Fields): RawReach {
  const query = as(fields.selectStmt, 'SelectStmt');
  const values = query === undefined || query.valuesLists !== undefined;
  const restricted =
    query?.whereClause !== undefined || query?.limitCount !== undefined || query?.fromClause === undefined;
  return { floor: values || restricted ? 'Filtered' : 'Unbounded', equated: [], values };
}

/** The children of a node, each with what it means for them. */
function pushChildren(item: Item, found: Findings, stack: Item[]): void {
  const { type, fields } = item;
  const shapes = GRAMMAR[type];
  if (shapes === undefined) {
    found.unknown.push(`the node ${type}`);
    return;
  }
  const context = inside(item);
  for (const [field, value] of Object.entries(fields)) {
    const shape = shapes[field];
    if (shape === undefined) found.unknown.push(`the field ${type}.${field}`);
    else if (shape !== '.') pushField(item, { ...context, position: `${type}.${field}` }, { shape, value }, stack);
  }
}

/** Scope, reach and locks that hold below a node. */
function inside({ type, fields, context }: Item): Context {
  const scope = fields.withClause === undefined ? context.scope : withScope(fields, context.scope);
  if (type === 'SelectStmt') return { ...context, scope, locked: fields.lockingClause !== undefined, reach: null };
  const writes = type === 'InsertStmt' || type === 'UpdateStmt' || type === 'DeleteStmt' || type === 'MergeStmt';
  return writes ? { ...context, scope, locked: false, reach: writeReach(type, fields) } : { ...context, scope };
}

function withScope(fields: Fields, outer: Scope | null): Scope {
  const ctes = list((fields.withClause as Fields).ctes).map((cte) => text(as(cte, 'CommonTableExpr')?.ctename));
  return { names: new Set(ctes), outer };
}

function pushField(item: Item, context: Context, child: { shape: string; value: unknown }, stack: Item[]): void {
  if (context.position.endsWith('.withClause')) return pushWith(item, context, child.value as Fields, stack);
  const inFrom = /^(?:SelectStmt\.fromClause|JoinExpr\.[lr]arg|RangeTableSample\.relation)$/.test(context.position);
  const below = inFrom ? context : { ...context, locked: false };
  const type = child.shape.replace('*', '');
  for (const value of child.shape.endsWith('*') ? list(child.value) : [child.value]) {
    const typed = type === 'Node' ? unwrap(value) : { type, fields: value as Fields };
    if (typed === undefined) continue;
    // A list is no place of its own: TRUNCATE a, b and DROP have their relations directly below the field.
    stack.push({ ...typed, context: below });
  }
}

/** Without RECURSIVE a common table expression sees only those before it. */
function pushWith(item: Item, context: Context, clause: Fields, stack: Item[]): void {
  const seen = new Set<string>();
  for (const cte of list(clause.ctes)) {
    const fields = as(cte, 'CommonTableExpr');
    if (fields === undefined) continue;
    const scope = clause.recursive === true ? context.scope : { names: new Set(seen), outer: item.context.scope };
    stack.push({ type: 'CommonTableExpr', fields, context: { ...context, scope, locked: false, reach: null } });
    seen.add(text(fields.ctename));
  }
}
