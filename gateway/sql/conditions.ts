import { as, type Fields, list, names, unwrap } from './ast.ts';
import { compare } from './comparisons.ts';
import { fold } from './fold.ts';
import { isNotNull, isNull } from './nulls.ts';
import { compileSubLink } from './subqueries.ts';
import type { Target } from './target.ts';
import { constantly, every, not, some, type Test, Unknowns } from './truth.ts';
import { keyOf, type Scope, type Side, sideOf } from './values.ts';

/** Conditions nested deeper than this are not looked into: nothing is proved. */
const MAX_DEPTH = 64;

/**
 * Whether a condition holds for every row, NULLs aside: constant folding and one-row algebra. Beyond what it proves a
 * condition may well be always true (`id > -1`).
 */
export function alwaysTrue(node: unknown, target: Target, depth = 0): boolean {
  const bool = as(node, 'BoolExpr');
  if (bool !== undefined && depth < MAX_DEPTH) {
    const args = list(bool.args);
    if (bool.boolop === 'AND_EXPR') return args.every((arg) => alwaysTrue(arg, target, depth + 1));
    if (bool.boolop === 'OR_EXPR' && args.some((arg) => alwaysTrue(arg, target, depth + 1))) return true;
  }
  const scope = newScope(target, depth);
  return scope.unknowns.always(compile(node, scope));
}

/** Whether a condition holds for no row. */
export function neverTrue(node: unknown, target: Target): boolean {
  const scope = newScope(target, 0);
  return scope.unknowns.everywhere(not(compile(node, scope)));
}

/** Columns asked for by more than this many tests are not tried. */
const MAX_NULLS = 6;

/** Sets of columns of which all must be NOT NULL for the condition to hold for every row; empty: no set suffices. */
export function trueUnlessNull(node: unknown, target: Target): string[][] {
  if (!asksForNull(node)) return [];
  const scope = newScope(target, 0);
  const test = compile(node, scope);
  const columns = [...new Set(scope.unknowns.nullColumns)];
  if (columns.length === 0 || columns.length > MAX_NULLS) return [];
  const suffice = (some_: readonly string[]) => scope.unknowns.always(test, new Set(some_));
  if (!suffice(columns)) return [];
  const single = columns.filter((column) => suffice([column]));
  if (single.length > 0) return single.map((column) => [column]);
  return [columns.reduce<readonly string[]>((left, column) => withoutIf(left, column, suffice), columns).slice()];
}

function asksForNull(condition: unknown): boolean {
  const stack = [condition];
  while (stack.length > 0) {
    const node = stack.pop();
    if (typeof node !== 'object' || node === null) continue;
    if ('NullTest' in node || 'BooleanTest' in node) return true;
    if (/DISTINCT/.test(String((node as Fields).kind))) return true;
    for (const value of Object.values(node)) stack.push(value);
  }
  return false;
}

function withoutIf(columns: readonly string[], column: string, suffice: (left: readonly string[]) => boolean) {
  const left = columns.filter((other) => other !== column);
  return suffice(left) ? left : columns;
}

function newScope(target: Target, depth: number): Scope {
  return { target, unknowns: new Unknowns(), depth, compile };
}

function compile(node: unknown, outer: Scope): Test {
  const typed = unwrap(node);
  const scope = { ...outer, depth: outer.depth + 1, often: false };
  if (typed === undefined || scope.depth > MAX_DEPTH) return atom(node, scope);
  const { fields } = typed;
  switch (typed.type) {
    case 'BoolExpr':
      return compileBool(fields, scope);
    case 'A_Expr':
      return compileOperator(node, fields, scope);
    case 'NullTest':
      return fields.nulltesttype === 'IS_NULL' ? isNull(fields.arg, scope) : isNotNull(fields.arg, scope);
    case 'BooleanTest':
      return compileBooleanTest(fields, scope);
    case 'SubLink':
      return compileSubLink(node, fields, scope);
    case 'CaseExpr':
      return compileCase(fields, scope);
    case 'CoalesceExpr':
      return compile(
        list(fields.args).find((arg) => fold(arg)?.text !== null),
        scope,
      );
    case 'FuncCall':
      return compileCall(node, fields, scope);
    case 'A_Const':
    case 'TypeCast':
      return compileConstant(node, scope);
    default:
      return atom(node, scope);
  }
}

/** What depends on the row, or on more: true or false. */
function atom(node: unknown, scope: Scope): Test {
  const { key, dependence } = keyOf(node, scope);
  return scope.unknowns.either(key, dependence);
}

function compileBool(fields: Fields, scope: Scope): Test {
  const args = list(fields.args).map((arg) => compile(arg, scope));
  if (fields.boolop === 'NOT_EXPR') return not(args[0] ?? constantly(undefined));
  return fields.boolop === 'OR_EXPR' ? some(args) : every(args);
}

/** Any beginning of a word that no other begins with will do. */
const TRUE = /^(?:t|tr|tru|true|y|ye|yes|on)$/i;
const FALSE = /^(?:f|fa|fal|fals|false|n|no|of|off)$/i;

function compileConstant(node: unknown, scope: Scope): Test {
  const folded = fold(node);
  if (folded === undefined) return atom(node, scope);
  if (folded.text === null) return constantly(undefined);
  const word = folded.text.trim();
  if (TRUE.test(word)) return constantly(true);
  if (FALSE.test(word)) return constantly(false);
  return /^\d+$/.test(word) ? constantly(Number(word) !== 0) : atom(node, scope);
}

/** `starts_with(name, '')`. */
function compileCall(node: unknown, { funcname, args }: Fields, scope: Scope): Test {
  const everything = names(funcname)?.at(-1) === 'starts_with' && fold(list(args)[1])?.text === '';
  return everything ? constantly(true) : atom(node, scope);
}

function compileCase(fields: Fields, scope: Scope): Test {
  const subject = fields.arg === undefined ? undefined : sideOf(fields.arg, scope);
  const often = { ...scope, often: true };
  const arms = list(fields.args).map((arg) => {
    const { expr, result } = as(arg, 'CaseWhen') ?? {};
    const when = subject === undefined ? compile(expr, scope) : compare('=', subject, sideOf(expr, scope), often);
    return { when, result: compile(result, scope) };
  });
  const otherwise = fields.defresult === undefined ? constantly(false) : compile(fields.defresult, scope);
  return (world) => {
    for (const { when, result } of arms) {
      const value = when(world);
      if (value !== false) return value === undefined ? undefined : result(world);
    }
    return otherwise(world);
  };
}

function compileBooleanTest(fields: Fields, scope: Scope): Test {
  const test = compile(fields.arg, scope);
  switch (fields.booltesttype) {
    case 'IS_TRUE':
    case 'IS_NOT_FALSE':
      return test;
    case 'IS_FALSE':
    case 'IS_NOT_TRUE':
      return not(test);
    default:
      return fields.booltesttype === 'IS_UNKNOWN' ? isNull(fields.arg, scope) : not(isNull(fields.arg, scope));
  }
}

function compileOperator(node: unknown, fields: Fields, scope: Scope): Test {
  const parts = names(fields.name) ?? [];
  const operator = parts.at(-1) ?? '';
  if (parts.length > 1 && parts.at(-2) !== 'pg_catalog') return atom(node, scope);
  const { kind, lexpr, rexpr: right } = fields;
  const left = sideOf(lexpr, scope);
  const once = { ...scope, often: kind !== 'AEXPR_OP' };
  const compared = (op: string, other: unknown) => compare(op, left, sideOf(other, scope), once);
  const [low, high] = list(as(right, 'List')?.items);
  switch (kind) {
    case 'AEXPR_OP':
    case 'AEXPR_LIKE':
    case 'AEXPR_ILIKE':
    case 'AEXPR_SIMILAR':
      return compared(operator, right);
    case 'AEXPR_DISTINCT':
      return isSame(left, lexpr, right, scope, '<>');
    case 'AEXPR_NOT_DISTINCT':
      return isSame(left, lexpr, right, scope, '=');
    case 'AEXPR_NULLIF':
      return every([compile(lexpr, scope), not(compile(right, scope))]);
    case 'AEXPR_IN': {
      const tests = list(as(right, 'List')?.items).map((item) => compared(operator, item));
      return operator === '<>' ? every(tests) : some(tests);
    }
    case 'AEXPR_OP_ANY':
    case 'AEXPR_OP_ALL':
      if (as(right, 'SubLink')?.subLinkType === 'ARRAY_SUBLINK') return compile(asSubLink(fields), scope);
      return compileArray(node, right, kind === 'AEXPR_OP_ANY', (item) => compared(operator, item), scope);
    case 'AEXPR_BETWEEN':
    case 'AEXPR_NOT_BETWEEN':
    case 'AEXPR_BETWEEN_SYM':
    case 'AEXPR_NOT_BETWEEN_SYM': {
      const between = every([compared('>=', low), compared('<=', high)]);
      const reversed = every([compared('>=', high), compared('<=', low)]);
      const within = kind.endsWith('SYM') ? some([between, reversed]) : between;
      return kind.startsWith('AEXPR_NOT') ? not(within) : within;
    }
    default:
      return atom(node, scope);
  }
}

/** `id = ANY (ARRAY(SELECT …))` is `id = ANY (SELECT …)`. */
function asSubLink({ kind, name, lexpr, rexpr }: Fields): unknown {
  const subLinkType = kind === 'AEXPR_OP_ANY' ? 'ANY_SUBLINK' : 'ALL_SUBLINK';
  return { SubLink: { ...as(rexpr, 'SubLink'), subLinkType, testexpr: lexpr, operName: name } };
}

/** IS [NOT] DISTINCT FROM, which tells NULL from the rest. */
function isSame(left: Side, lexpr: unknown, right: unknown, scope: Scope, operator: '=' | '<>'): Test {
  const [first, second] = [left.folded, fold(right)];
  const same = operator === '=';
  if (second?.text === null) return same ? isNull(lexpr, scope) : not(isNull(lexpr, scope));
  if (first?.text === null) return same ? isNull(right, scope) : not(isNull(right, scope));
  return compare(operator, left, sideOf(right, scope), scope);
}

/** `= ANY (ARRAY[…])`; of no elements, `ALL` holds. */
function compileArray(
  node: unknown,
  written: unknown,
  any: boolean,
  compared: (item: unknown) => Test,
  scope: Scope,
): Test {
  let array = written;
  for (let cast = as(array, 'TypeCast'); cast !== undefined; cast = as(array, 'TypeCast')) array = cast.arg;
  const elements = as(array, 'A_ArrayExpr');
  if (elements === undefined && fold(array)?.text?.trim() !== '{}') return atom(node, scope);
  const tests = list(elements?.elements).map(compared);
  return any ? some(tests) : every(tests);
}
