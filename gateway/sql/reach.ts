import { as, type Fields, isFixed, list, names, unwrap } from './ast.ts';
import { alwaysTrue, neverTrue } from './conditions.ts';
import type { RawReach } from './facts.ts';
import { isTargets, namesOfFrom, type Target } from './target.ts';

/** IN lists up to this length count as keys. */
const MAX_KEYS = 100;
/** Conditions nested deeper than this are not taken apart. */
const MAX_DEPTH = 64;

export const UNBOUNDED: RawReach = { floor: 'Unbounded', equated: [], values: false };
export const FILTERED: RawReach = { floor: 'Filtered', equated: [], values: false };

/** Reach of UPDATE, DELETE and MERGE by their condition; `where` undefined: there is none. */
export function reachOf(where: unknown, target: Target, keys: Keys = CONSTANTS): RawReach {
  if (!isRestricted(where, target)) return UNBOUNDED;
  return { floor: 'Filtered', equated: equated(where, target, keys), values: false };
}

/** Whether a condition can leave rows of the target out. */
export function isRestricted(where: unknown, target: Target): boolean {
  return unwrap(where) !== undefined && !alwaysTrue(where, target) && restricts(where, target, false, 0);
}

/** An OR leaves rows out only if every arm does (`id = 5 OR random() < 2`), an AND if one does; NOT turns them round. */
function restricts(node: unknown, target: Target, negated: boolean, depth: number): boolean {
  const typed = unwrap(node);
  if (depth > MAX_DEPTH) return mentions(node, target);
  if (typed?.type === 'SubLink' && typed.fields.subLinkType === 'EXISTS_SUBLINK') {
    return existsRestricts(typed.fields, target, negated, depth);
  }
  if (typed?.type !== 'BoolExpr') return mentions(node, target) || (!negated && neverTrue(node, target));
  const args = list(typed.fields.args);
  if (typed.fields.boolop === 'NOT_EXPR') return restricts(args[0], target, !negated, depth + 1);
  const everyArm = (typed.fields.boolop === 'OR_EXPR') !== negated;
  return everyArm
    ? args.every((arg) => restricts(arg, target, negated, depth + 1))
    : args.some((arg) => restricts(arg, target, negated, depth + 1));
}

/** What EXISTS selects says nothing; where its rows are joined to the target's, they can be missing. */
function existsRestricts(fields: Fields, target: Target, negated: boolean, depth: number): boolean {
  const query = as(fields.subselect, 'SelectStmt');
  if (query === undefined || query.larg !== undefined) return mentions(fields, target);
  const inner = within(query, target);
  const joins = list(query.fromClause).some((item) => mentions(item, inner));
  if (joins || mentions(query.havingClause, inner)) return true;
  return negated ? mentions(query.whereClause, inner) : restricts(query.whereClause, inner, false, depth + 1);
}

/** The target as seen from inside a query: its FROM may hide the target's name, and takes columns without qualifier. */
function within(query: Fields, target: Target): Target {
  const from = list(query.fromClause);
  if (from.length === 0 || target.name === null) return target;
  const hidden = namesOfFrom(from).has(target.name);
  return { ...target, alone: false, inner: true, name: hidden ? '' : target.name };
}

/** Whether an expression speaks of the target at all. */
function mentions(expression: unknown, outer: Target): boolean {
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

/** Which expressions are known before the statement looks at any row. */
export type Keys = (node: unknown) => boolean;

const CONSTANTS: Keys = isFixed;

/** Columns that top-level conjuncts equate with constants or parameters. */
function equated(where: unknown, target: Target, keys: Keys): string[] {
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

function equatedBy(fields: Fields, target: Target, keys: Keys): string[] {
  const operator = names(fields.name)?.join('.');
  // Only the operator that every key's index is for; OPERATOR(other.=) may be anything.
  if (operator !== '=' && operator !== 'pg_catalog.=') return [];
  const [left, right] = [fields.lexpr, fields.rexpr];
  switch (fields.kind) {
    case 'AEXPR_OP':
      return equatedPair(left, right, target, keys);
    case 'AEXPR_IN':
      return areKeys(as(right, 'List')?.items, keys) ? targetColumn(left, target) : [];
    case 'AEXPR_OP_ANY':
      return areKeys(as(right, 'A_ArrayExpr')?.elements, keys) ? targetColumn(left, target) : [];
    default:
      return [];
  }
}

/** `id = 5`, or `(a, b) = (1, 2)`. */
function equatedPair(left: unknown, right: unknown, target: Target, keys: Keys): string[] {
  const [row, values] = [as(left, 'RowExpr'), as(right, 'RowExpr')];
  if (row !== undefined && values !== undefined) {
    const others = list(values.args);
    return list(row.args).flatMap((column, i) => (keys(others[i]) ? targetColumn(column, target) : []));
  }
  if (keys(right)) return targetColumn(left, target);
  return keys(left) ? targetColumn(right, target) : [];
}

function areKeys(items: unknown, keys: Keys): boolean {
  const values = list(items);
  return values.length > 0 && values.length <= MAX_KEYS && values.every(keys);
}

function targetColumn(node: unknown, target: Target): string[] {
  const parts = names(as(node, 'ColumnRef')?.fields);
  if (parts === null || parts.length === 0) return [];
  const [column, qualifier] = [parts.at(-1)!, parts.at(-2)];
  return qualifier === target.name || (qualifier === undefined && target.alone) ? [column] : [];
}
