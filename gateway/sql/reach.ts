import { as, type Fields, fixedBy, list, names, unwrap } from './ast.ts';
import { alwaysTrue, neverTrue, trueUnlessNull } from './conditions.ts';
import type { BoundColumn, RawReach } from './facts.ts';
import { fold } from './fold.ts';
import { fingerprint, mentions, type Target, within } from './target.ts';

/** IN lists up to this length count as keys. */
const MAX_KEYS = 100;
/** Conditions nested deeper than this are not taken apart. */
const MAX_DEPTH = 64;
/** More columns than this are not tried as the target's. */
const MAX_BARE = 4;

export const UNBOUNDED: RawReach = { floor: 'Unbounded', equated: [], values: false };
export const FILTERED: RawReach = { floor: 'Filtered', equated: [], values: false };
/** As many rows as the statement names. */
export const VALUES: RawReach = { ...FILTERED, values: true };

/** Reach of UPDATE, DELETE and MERGE by their condition; `where` undefined: there is none. */
export function reachOf(where: unknown, target: Target, keys: Keys = CONSTANTS): RawReach {
  // The row a cursor stands on.
  if (as(where, 'CurrentOfExpr') !== undefined) return VALUES;
  const reach = reachBy(where, target, keys);
  const ifOwn = target.alone ? [] : bareColumns(where).flatMap((column) => ifOwned(column, where, target, keys));
  return ifOwn.length === 0 ? reach : { ...reach, ifOwn };
}

function reachBy(where: unknown, target: Target, keys: Keys): RawReach {
  if (!isRestricted(where, target)) return UNBOUNDED;
  const open = trueUnlessNull(where, target);
  const reach: RawReach = { floor: 'Filtered', ...told(equated(where, target, keys)), values: false };
  return open.length === 0 ? reach : { ...reach, openIfNotNull: open };
}

/** Beside other relations, a column without qualifier is the target's where the target has such a column. */
function ifOwned(column: string, where: unknown, target: Target, keys: Keys) {
  const { floor, equated, bound } = reachBy(where, { ...target, own: new Set([column]) }, keys);
  return floor === 'Filtered' ? [{ column, equated, ...(bound === undefined ? {} : { bound }) }] : [];
}

/** What parameters decide apart from what is sure. */
export function told(columns: readonly BoundColumn[]): Pick<RawReach, 'equated' | 'bound'> {
  const bound = columns.filter(({ parameters }) => parameters.length > 0);
  const sure = columns.filter(({ parameters }) => parameters.length === 0).map(({ column }) => column);
  return { equated: sure, ...(bound.length === 0 ? {} : { bound }) };
}

/** Columns without qualifier, outside of queries within the condition. */
function bareColumns(where: unknown): string[] {
  const found = new Set<string>();
  const stack: unknown[] = [where];
  while (stack.length > 0 && found.size <= MAX_BARE) {
    const node = stack.pop();
    if (typeof node !== 'object' || node === null || 'SelectStmt' in node) continue;
    const column = (node as { ColumnRef?: Fields }).ColumnRef;
    const parts = column === undefined ? null : names(column.fields);
    if (parts?.length === 1) found.add(parts[0]!);
    else if (column === undefined) stack.push(...Object.values(node));
  }
  return found.size > MAX_BARE ? [] : [...found];
}

/** Whether a condition can leave rows of the target out. */
export function isRestricted(where: unknown, target: Target): boolean {
  if (unwrap(where) === undefined) return false;
  // A parameter may be anything, and says nothing of the target.
  if (!mentions(where, target)) return neverTrue(where, target);
  return !alwaysTrue(where, target) && restricts(where, target, false, 0);
}

/**
 * An OR leaves rows out only if every arm does (`id = 5 OR random() < 2`), an AND if one does; NOT turns them round.
 * Whether a parameter does is not known from the text.
 */
function restricts(node: unknown, target: Target, negated: boolean, depth: number): boolean {
  const typed = unwrap(node);
  if (depth > MAX_DEPTH) return concerns(node, target);
  if (typed?.type === 'SubLink' && typed.fields.subLinkType === 'EXISTS_SUBLINK') {
    return existsRestricts(typed.fields, target, negated, depth);
  }
  if (typed?.type !== 'BoolExpr') return concerns(node, target) || neverTrue(negated ? negation(node) : node, target);
  const args = list(typed.fields.args);
  if (typed.fields.boolop === 'NOT_EXPR') return restricts(args[0], target, !negated, depth + 1);
  const everyArm = (typed.fields.boolop === 'OR_EXPR') !== negated;
  return everyArm
    ? args.every((arg) => restricts(arg, target, negated, depth + 1))
    : args.some((arg) => restricts(arg, target, negated, depth + 1));
}

function negation(node: unknown): unknown {
  return { BoolExpr: { boolop: 'NOT_EXPR', args: [node] } };
}

function concerns(node: unknown, target: Target): boolean {
  return mentions(node, target) || fingerprint(node, target).parameter;
}

/** What EXISTS selects says nothing; where its rows are joined to the target's, they can be missing. */
function existsRestricts(fields: Fields, target: Target, negated: boolean, depth: number): boolean {
  const query = as(fields.subselect, 'SelectStmt');
  if (query === undefined || query.larg !== undefined) return concerns(fields, target);
  const inner = within(query, target);
  const joins = list(query.fromClause).some((item) => mentions(item, inner));
  if (joins || mentions(query.havingClause, inner)) return true;
  return negated ? mentions(query.whereClause, inner) : restricts(query.whereClause, inner, false, depth + 1);
}

/** Which expressions are known before the statement looks at any row: the parameters that they hang on; null: not. */
export type Keys = (node: unknown) => readonly number[] | null;

/** `2 + 3` as well. */
const CONSTANTS: Keys = (node) => fixedBy(node) ?? (fold(node)?.type === 'number' ? [] : null);

/** Columns that top-level conjuncts equate with constants or parameters. */
function equated(where: unknown, target: Target, keys: Keys): BoundColumn[] {
  return conjuncts(where).flatMap((fields) => equatedBy(fields, target, keys));
}

/** The most rows that a condition can select if the columns that it equates hold a key: the product of its lists. */
export function mostKeys(where: unknown, target: Target): number {
  return conjuncts(where)
    .filter((fields) => equatedBy(fields, target, CONSTANTS).length > 0)
    .reduce((product, { rexpr }) => product * Math.max(1, listed(rexpr).length), 1);
}

/** The members of IN (…) and ANY (ARRAY[…]). */
function listed(right: unknown): readonly unknown[] {
  return list(as(right, 'List')?.items ?? as(right, 'A_ArrayExpr')?.elements);
}

/** The comparisons that must all hold. */
function conjuncts(where: unknown): Fields[] {
  const found: Fields[] = [];
  const stack: unknown[] = [where];
  while (stack.length > 0) {
    const typed = unwrap(stack.pop());
    if (typed?.type === 'A_Expr') found.push(typed.fields);
    if (typed?.type !== 'BoolExpr' || typed.fields.boolop !== 'AND_EXPR') continue;
    for (const arg of list(typed.fields.args)) stack.push(arg);
  }
  return found;
}

function equatedBy(fields: Fields, target: Target, keys: Keys): BoundColumn[] {
  const operator = names(fields.name)?.join('.');
  // Only the operator that every key's index is for; OPERATOR(other.=) may be anything.
  if (operator !== '=' && operator !== 'pg_catalog.=') return [];
  const [left, right] = [fields.lexpr, fields.rexpr];
  switch (fields.kind) {
    case 'AEXPR_OP':
      return equatedPair(left, right, target, keys);
    case 'AEXPR_IN':
      return equatedList(left, list(as(right, 'List')?.items), target, keys);
    case 'AEXPR_OP_ANY':
      return equatedList(left, list(as(right, 'A_ArrayExpr')?.elements), target, keys);
    default:
      return [];
  }
}

/** `id = 5`, or `(a, b) = (1, 2)`. */
function equatedPair(left: unknown, right: unknown, target: Target, keys: Keys): BoundColumn[] {
  const [row, values] = [as(left, 'RowExpr'), as(right, 'RowExpr')];
  if (row !== undefined && values !== undefined) {
    const others = list(values.args);
    return list(row.args).flatMap((column, i) => boundColumn(column, keys(others[i]), target));
  }
  const parameters = keys(right);
  return parameters === null ? boundColumn(right, keys(left), target) : boundColumn(left, parameters, target);
}

/** `id IN (1, 2)`, `(a, b) IN ((1, 2), (3, 4))`. */
function equatedList(left: unknown, items: readonly unknown[], target: Target, keys: Keys): BoundColumn[] {
  if (items.length === 0 || items.length > MAX_KEYS) return [];
  if (as(left, 'RowExpr') !== undefined)
    return items.map((item) => equatedPair(left, item, target, keys)).reduce(inBoth);
  const all = items.map(keys);
  return boundColumn(left, all.includes(null) ? null : all.flatMap((parameters) => parameters ?? []), target);
}

/** Columns that both have, on the parameters of both. */
export function inBoth(a: readonly BoundColumn[], b: readonly BoundColumn[]): BoundColumn[] {
  return a.flatMap(({ column, parameters }) => {
    const other = b.find((one) => one.column === column);
    return other === undefined ? [] : [{ column, parameters: [...parameters, ...other.parameters] }];
  });
}

function boundColumn(node: unknown, parameters: readonly number[] | null, target: Target): BoundColumn[] {
  return parameters === null ? [] : targetColumn(node, target).map((column) => ({ column, parameters }));
}

function targetColumn(node: unknown, target: Target): string[] {
  const parts = names(as(node, 'ColumnRef')?.fields);
  if (parts === null || parts.length === 0) return [];
  const [column, qualifier] = [parts.at(-1)!, parts.at(-2)];
  const own = qualifier === undefined && (target.alone || target.own.has(column));
  return qualifier === target.name || own ? [column] : [];
}
