import { as, type Fields, list, names, text, unwrap } from './ast.ts';
import { isSteady } from './builtin.ts';

/** Names under which a statement's target row may be spoken of in a condition. */
export interface Target {
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
}

/** For the restriction of a query by its WHERE: every column of its FROM counts. */
export function anyOf(from: readonly unknown[]): Target {
  return { name: null, alone: from.length <= 1 && as(from[0], 'JoinExpr') === undefined, ...NOT_ONE };
}

const NOT_ONE = { relation: null, inner: false, twins: new Set<string>() };

/** The target of UPDATE, DELETE or MERGE beside the other relations of its FROM. */
export function targetOf(relation: Fields, others: readonly unknown[]): Target {
  const own = { schema: schemaOf(relation), name: text(relation.relname) };
  const name = nameOf(relation);
  const target: Target = { name, alone: others.length === 0, relation: own, inner: false, twins: new Set() };
  return { ...target, twins: twinsAmong(others, target) };
}

/** The names that FROM items of the target's own relation have. */
export function twinsAmong(items: readonly unknown[], target: Target): Set<string> {
  const twins = new Set(target.twins);
  for (const item of items) {
    const other = as(item, 'RangeVar');
    if (other === undefined || target.relation === null) continue;
    if (text(other.relname) === target.relation.name && schemaOf(other) === target.relation.schema)
      twins.add(nameOf(other));
  }
  return twins;
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
  return parts.length === 1 ? target.alone || parts[0] === target.name : parts.at(-2) === target.name;
}

/** The same column has the same key, however it is qualified. */
function columnKey(column: Fields, target: Target): string {
  const parts = list(column.fields).map((part) => text(as(part, 'String')?.sval));
  const [qualifier, name] = [parts.at(-2), parts.at(-1) ?? ''];
  const own =
    (qualifier === undefined && target.alone) ||
    (target.name === null && target.alone) ||
    (qualifier !== undefined && (qualifier === target.name || target.twins.has(qualifier)));
  return JSON.stringify(['column', own ? null : (qualifier ?? ''), name]);
}

const PLACES = new Set(['location', 'rexpr_list_start', 'rexpr_list_end', 'list_start', 'list_end']);

/**
 * Equal for expressions that say the same, wherever they stand; `steady`: and that say the same each time they are
 * asked. Without recursion, trees may be deep.
 */
export function fingerprint(node: unknown, target: Target): { readonly key: string; readonly steady: boolean } {
  const parts: string[] = [];
  let steady = true;
  const stack: unknown[] = [node];
  while (stack.length > 0) {
    const item = stack.pop();
    if (typeof item !== 'object' || item === null) {
      parts.push(JSON.stringify(item) ?? '');
      continue;
    }
    const column = (item as { ColumnRef?: Fields }).ColumnRef;
    if (column !== undefined) {
      parts.push(columnKey(column, target));
      continue;
    }
    const call = (item as { FuncCall?: Fields }).FuncCall;
    if (call !== undefined && !isSteady(names(call.funcname)?.at(-1) ?? '')) steady = false;
    const entries = Object.entries(item).filter(([field]) => !PLACES.has(field));
    parts.push(`${Array.isArray(item) ? 'list' : 'node'} ${entries.length}`);
    for (const [field, value] of entries) stack.push(value, field);
  }
  return { key: parts.join(' '), steady };
}
