import { as, type Fields, list, names, text, unwrap } from './ast.ts';
import { isSteady } from './builtin.ts';

/** What a name of a common table expression stands for; undefined: a relation. */
export type FindQuery = (name: string) => unknown;

/** Names under which a statement's target row may be spoken of in a condition. */
export interface Target {
  /** The query that a name of a common table expression stands for. */
  readonly find: FindQuery;
  /** Alias, or else the relation's name; null: any relation of FROM (for the restriction of an INSERT … SELECT). */
  readonly name: string | null;
  /** No other relation is in scope: a column without qualifier is the target's. */
  readonly alone: boolean;
  /** The relation itself, as written. */
  readonly relation: { readonly schema: string | null; readonly name: string } | null;
  /** The condition stands in a query of its own, whose FROM comes first for columns without qualifier. */
  readonly inner: boolean;
  /** Other names of the very same relation: what holds for every row holds for the row itself under them. */
  readonly twins: ReadonlySet<string>;
  /** Columns without qualifier that are the target's although it is not alone. */
  readonly own: ReadonlySet<string>;
}

/** For the restriction of a query by its WHERE: every column of its FROM counts. */
export function anyOf(from: readonly unknown[]): Target {
  return { name: null, alone: from.length <= 1 && as(from[0], 'JoinExpr') === undefined, ...NOT_ONE };
}

const NOT_ONE = {
  relation: null,
  inner: false,
  twins: new Set<string>(),
  own: new Set<string>(),
  find: () => undefined,
};

/** The target of UPDATE, DELETE or MERGE beside the other relations of its FROM. */
export function targetOf(relation: Fields, others: readonly unknown[], find: FindQuery): Target {
  const itself = { schema: schemaOf(relation), name: text(relation.relname) };
  const target = { ...NOT_ONE, name: nameOf(relation), alone: others.length === 0, relation: itself, find };
  return { ...target, twins: new Set(others.flatMap((item) => twinName(item, target) ?? [])) };
}

/** The name by which a FROM item is the target's own relation, or a query that lets all its rows through; null: it is not. */
export function twinName(item: unknown, target: Target, depth = 0): string | null {
  const typed = unwrap(item);
  if (typed === undefined || target.relation === null || depth > MAX_DEPTH) return null;
  const { type, fields } = typed;
  if ((fields.alias as Fields | undefined)?.colnames !== undefined) return null;
  if (type === 'RangeSubselect') return letsAllThrough(fields.subquery, target, depth) ? nameOf(fields) : null;
  if (type !== 'RangeVar') return null;
  const query = fields.schemaname === undefined ? target.find(text(fields.relname)) : undefined;
  if (query !== undefined) return letsAllThrough(query, target, depth) ? nameOf(fields) : null;
  const { schema, name } = target.relation;
  return text(fields.relname) === name && schemaOf(fields) === schema ? nameOf(fields) : null;
}

const MAX_DEPTH = 8;
const LIMITING = 'whereClause groupClause havingClause limitCount limitOffset distinctClause withClause'.split(' ');

/** `SELECT * FROM t` or `SELECT id, name FROM t`: the columns of t under their own names. */
function letsAllThrough(node: unknown, target: Target, depth: number): boolean {
  const query = as(node, 'SelectStmt');
  if (query === undefined || query.larg !== undefined || LIMITING.some((field) => query[field] !== undefined))
    return false;
  const from = list(query.fromClause);
  if (from.length !== 1 || twinName(from[0], target, depth + 1) === null) return false;
  return list(query.targetList).every((item) => {
    const column = as(item, 'ResTarget');
    return column?.name === undefined && as(column?.val, 'ColumnRef') !== undefined;
  });
}

/** The name by which columns of a relation or FROM item are qualified. */
export function nameOf(fields: Fields): string {
  return text((fields.alias as Fields | undefined)?.aliasname) || text(fields.relname);
}

function schemaOf(relation: Fields): string | null {
  return typeof relation.schemaname === 'string' ? relation.schemaname : null;
}

/** Every name that the items of a FROM clause give to columns, joins' sides included. */
export function namesOfFrom(items: readonly unknown[]): Set<string> {
  const found = new Set<string>();
  const stack = [...items];
  while (stack.length > 0) {
    const item = unwrap(stack.pop());
    if (item === undefined) continue;
    const name = nameOf(item.fields);
    if (name !== '') found.add(name);
    if (item.type === 'JoinExpr') stack.push(item.fields.larg, item.fields.rarg);
    if (item.type === 'RangeTableSample') stack.push(item.fields.relation);
  }
  return found;
}

/** Whether a column may be the target row's; a name alone may also be the whole row. */
export function isTargets(column: Fields, target: Target): boolean {
  if (target.name === null) return true;
  const parts = list(column.fields).map((part) => text(as(part, 'String')?.sval));
  if (parts.length > 1) return parts.at(-2) === target.name;
  return target.alone || parts[0] === target.name || (!target.inner && target.own.has(parts[0]!));
}

/** The same column has the same key, however it is qualified; `own`: it is the target's, or that of a twin. */
function columnKey(column: Fields, target: Target): { readonly key: string; readonly own: boolean } {
  const parts = list(column.fields).map((part) => text(as(part, 'String')?.sval));
  const [qualifier, name] = [parts.at(-2), parts.at(-1) ?? ''];
  const own =
    (qualifier === undefined && (target.alone || (!target.inner && target.own.has(name)))) ||
    (target.name === null && target.alone) ||
    (qualifier !== undefined && (qualifier === target.name || target.twins.has(qualifier)));
  return { key: JSON.stringify(['column', own ? null : (qualifier ?? ''), name]), own };
}

const PLACES = new Set(['location', 'rexpr_list_start', 'rexpr_list_end', 'list_start', 'list_end']);

/** What an expression says, in a form that can be compared. */
export interface Fingerprint {
  /** Equal for expressions that say the same, wherever they stand. */
  readonly key: string;
  /** It says the same each time it is asked. */
  readonly steady: boolean;
  /** It holds a parameter. */
  readonly parameter: boolean;
  /** It speaks of the target's row, perhaps under another name. */
  readonly own: boolean;
}

/** Without recursion, trees may be deep. */
export function fingerprint(node: unknown, target: Target): Fingerprint {
  const parts: string[] = [];
  let [steady, parameter, ofTarget] = [true, false, false];
  const stack: unknown[] = [node];
  while (stack.length > 0) {
    const item = stack.pop();
    if (typeof item !== 'object' || item === null) {
      parts.push(JSON.stringify(item) ?? '');
      continue;
    }
    const { ColumnRef: column, FuncCall: call } = item as { ColumnRef?: Fields; FuncCall?: Fields };
    if (column !== undefined) {
      const { key, own } = columnKey(column, target);
      if (own) ofTarget = true;
      parts.push(key);
      continue;
    }
    if ('ParamRef' in item) parameter = true;
    if (call !== undefined && !isSteady(names(call.funcname)?.at(-1) ?? '')) steady = false;
    const entries = Object.entries(item).filter(([field]) => !PLACES.has(field));
    parts.push(`${Array.isArray(item) ? 'list' : 'node'} ${entries.length}`);
    for (const [field, value] of entries) stack.push(value, field);
  }
  return { key: parts.join(' '), steady, parameter, own: ofTarget };
}

/** The target as seen from inside a query: its FROM may hide the target's name, and takes columns without qualifier. */
export function within(query: Fields, target: Target): Target {
  const from = list(query.fromClause);
  if (from.length === 0 || target.name === null) return target;
  const hidden = namesOfFrom(from).has(target.name);
  return { ...target, alone: false, inner: true, name: hidden ? '' : target.name };
}

/** Whether an expression speaks of the target at all. */
export function mentions(expression: unknown, outer: Target): boolean {
  const stack: { readonly node: unknown; readonly target: Target }[] = [{ node: expression, target: outer }];
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    const { node, target } = item;
    if (typeof node !== 'object' || node === null) continue;
    const { ColumnRef, SelectStmt } = node as { ColumnRef?: Fields; SelectStmt?: Fields };
    if (ColumnRef !== undefined && isTargets(ColumnRef, target)) return true;
    if ('CurrentOfExpr' in node) return true;
    const below = SelectStmt === undefined ? target : within(SelectStmt, target);
    for (const value of Object.values(node)) stack.push({ node: value, target: below });
  }
  return false;
}
