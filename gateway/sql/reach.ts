import { as, constant, type Fields, isFixed, list, names, text, unwrap } from './ast.ts';
import type { RawReach } from './facts.ts';

/** Names under which a statement's target row may be spoken of. */
export interface Target {
  /** Alias, or else the relation's name. */
  readonly name: string;
  /** No other relation is in scope: a column without qualifier is the target's. */
  readonly alone: boolean;
}

/** IN lists up to this length count as keys. */
const MAX_KEYS = 100;
/** Conditions nested deeper than this are not folded: honest Filtered. */
const MAX_DEPTH = 64;

/** Reach of UPDATE, DELETE and MERGE by their condition; `where` undefined: there is none. */
export function reachOf(where: unknown, target: Target): RawReach {
  if (unwrap(where) === undefined || fold(where, 0) === true || !restricts(where, target, 0)) {
    return { floor: 'Unbounded', equated: [], values: false };
  }
  return { floor: 'Filtered', equated: equated(where, target), values: false };
}

/** Whether the condition can leave target rows out: an OR does only if every arm does (`id = 5 OR random() < 2`). */
function restricts(node: unknown, target: Target, depth: number): boolean {
  const typed = unwrap(node);
  if (typed?.type !== 'BoolExpr' || depth > MAX_DEPTH) return mentions(node, target);
  const args = list(typed.fields.args);
  if (typed.fields.boolop === 'OR_EXPR') return args.every((arg) => restricts(arg, target, depth + 1));
  return args.some((arg) => restricts(arg, target, depth + 1));
}

/** Constant folding and one-row algebra; undefined: depends on the row. */
function fold(node: unknown, depth: number): boolean | undefined {
  const typed = unwrap(node);
  if (typed === undefined || depth > MAX_DEPTH) return undefined;
  const { fields } = typed;
  switch (typed.type) {
    case 'BoolExpr':
      return foldBool(fields, depth);
    case 'A_Expr':
      return foldComparison(fields);
    case 'NullTest':
      return foldNullTest(fields);
    case 'SubLink':
      return foldExists(fields);
    case 'A_Const':
    case 'TypeCast':
      return foldConstant(node);
    default:
      return undefined;
  }
}

function foldConstant(node: unknown): boolean | undefined {
  const value = constant(node);
  if (value === undefined || value === null) return value === null ? false : undefined;
  if (/^(?:t|true|y|yes|on|1)$/i.test(value.trim())) return true;
  return /^(?:f|false|n|no|off|0)$/i.test(value.trim()) ? false : undefined;
}

function foldBool(fields: Fields, depth: number): boolean | undefined {
  const args = list(fields.args).map((arg) => fold(arg, depth + 1));
  if (fields.boolop === 'NOT_EXPR') return args[0] === undefined ? undefined : !args[0];
  if (fields.boolop === 'OR_EXPR') return args.includes(true) ? true : every(args, false);
  return args.includes(false) ? false : every(args, true);
}

function every(args: readonly (boolean | undefined)[], value: boolean): boolean | undefined {
  return args.every((arg) => arg === value) ? value : undefined;
}

const REFLEXIVE = new Set(['=', '<=', '>=']);
const IRREFLEXIVE = new Set(['<>', '<', '>']);

function foldComparison(fields: Fields): boolean | undefined {
  const operator = names(fields.name)?.at(-1) ?? '';
  const [left, right] = [fields.lexpr, fields.rexpr];
  if (fields.kind === 'AEXPR_LIKE' || fields.kind === 'AEXPR_ILIKE') {
    return /^%+$/.test(constant(right) ?? '') && operator.startsWith('~~') ? true : undefined;
  }
  if (fields.kind === 'AEXPR_NOT_DISTINCT' && sameColumn(left, right)) return true;
  if (fields.kind !== 'AEXPR_OP') return undefined;
  // NULLs aside, which only make it narrower: `id = id` is honest about nothing.
  if (sameColumn(left, right)) return REFLEXIVE.has(operator) ? true : undefined;
  return foldConstants(operator, constant(left), constant(right));
}

function foldConstants(
  operator: string,
  left: string | null | undefined,
  right: string | null | undefined,
): boolean | undefined {
  if (left === undefined || right === undefined || left === null || right === null) return undefined;
  const numeric = left !== '' && right !== '' && !Number.isNaN(Number(left)) && !Number.isNaN(Number(right));
  const order = numeric ? Number(left) - Number(right) : left === right ? 0 : undefined;
  if (order === undefined) return operator === '<>' ? true : undefined;
  if (order === 0) return REFLEXIVE.has(operator) ? true : IRREFLEXIVE.has(operator) ? false : undefined;
  const holds = order < 0 ? ['<', '<=', '<>'] : ['>', '>=', '<>'];
  return holds.includes(operator) ? true : REFLEXIVE.has(operator) || IRREFLEXIVE.has(operator) ? false : undefined;
}

function sameColumn(a: unknown, b: unknown): boolean {
  const left = names(as(a, 'ColumnRef')?.fields);
  const right = names(as(b, 'ColumnRef')?.fields);
  if (left === null || right === null || left.length === 0 || left.at(-1) !== right.at(-1)) return false;
  // `a.id = b.id` is a join; `t.id = id` is the same column written twice.
  return left.length !== right.length || left.join('.') === right.join('.');
}

function foldNullTest(fields: Fields): boolean | undefined {
  const value = constant(fields.arg);
  if (value === undefined) return undefined;
  return (value === null) === (fields.nulltesttype === 'IS_NULL');
}

/** EXISTS over a query without FROM, WHERE or HAVING has a row. */
function foldExists(fields: Fields): boolean | undefined {
  const query = as(fields.subselect, 'SelectStmt');
  if (fields.subLinkType !== 'EXISTS_SUBLINK' || query === undefined) return undefined;
  const plain = ['fromClause', 'whereClause', 'havingClause', 'limitCount', 'limitOffset'].every(
    (f) => query[f] === undefined,
  );
  return plain && query.larg === undefined ? true : undefined;
}

/** Whether the condition speaks of the target at all; a column without qualifier may be the target's. */
function mentions(where: unknown, target: Target): boolean {
  const stack: unknown[] = [where];
  while (stack.length > 0) {
    const node = stack.pop();
    if (typeof node !== 'object' || node === null) continue;
    const column = (node as { ColumnRef?: Fields }).ColumnRef;
    if (column !== undefined && isTargets(column, target)) return true;
    if ('CurrentOfExpr' in node) return true;
    stack.push(...Object.values(node));
  }
  return false;
}

function isTargets(column: Fields, target: Target): boolean {
  const parts = list(column.fields).map((part) => text(as(part, 'String')?.sval));
  return parts.length === 1 || parts.includes(target.name);
}

/** Columns that top-level conjuncts equate with constants or parameters. */
function equated(where: unknown, target: Target): string[] {
  const columns: string[] = [];
  const stack: unknown[] = [where];
  while (stack.length > 0) {
    const typed = unwrap(stack.pop());
    if (typed?.type === 'BoolExpr' && typed.fields.boolop === 'AND_EXPR') stack.push(...list(typed.fields.args));
    else if (typed?.type === 'A_Expr') columns.push(...equatedBy(typed.fields, target));
  }
  return columns;
}

function equatedBy(fields: Fields, target: Target): string[] {
  const operator = names(fields.name);
  // Only the operator that every key's index is for; OPERATOR(other.=) may be anything.
  if (operator === null || operator.join('.') !== '=') return [];
  const [left, right] = [fields.lexpr, fields.rexpr];
  if (fields.kind === 'AEXPR_OP') {
    if (isFixed(right)) return targetColumn(left, target);
    return isFixed(left) ? targetColumn(right, target) : [];
  }
  if (fields.kind === 'AEXPR_IN' && areKeys(as(right, 'List')?.items)) return targetColumn(left, target);
  if (fields.kind === 'AEXPR_OP_ANY') {
    const array = as(right, 'A_ArrayExpr');
    if (array !== undefined && areKeys(array.elements)) return targetColumn(left, target);
  }
  return [];
}

function areKeys(items: unknown): boolean {
  const values = list(items);
  return values.length > 0 && values.length <= MAX_KEYS && values.every(isFixed);
}

function targetColumn(node: unknown, target: Target): string[] {
  const parts = names(as(node, 'ColumnRef')?.fields);
  if (parts === null || parts.length === 0) return [];
  const [column, qualifier] = [parts.at(-1)!, parts.at(-2)];
  return qualifier === target.name || (qualifier === undefined && target.alone) ? [column] : [];
}
