import { as, constant, type Fields, list, names, unwrap } from './ast.ts';
import { compare, keyOf, type Scope, sideOf } from './comparisons.ts';
import { type Target, twinsAmong } from './target.ts';
import { constantly, every, not, some, type Test, Unknowns } from './truth.ts';

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
  const scope: Scope = { target, unknowns: new Unknowns(), depth };
  return scope.unknowns.always(compile(node, scope));
}

/** Whether a condition holds for no row. */
export function neverTrue(node: unknown, target: Target): boolean {
  const scope: Scope = { target, unknowns: new Unknowns(), depth: 0 };
  return scope.unknowns.always(not(compile(node, scope)));
}

function compile(node: unknown, outer: Scope): Test {
  const typed = unwrap(node);
  const scope = { ...outer, depth: outer.depth + 1 };
  if (typed === undefined || scope.depth > MAX_DEPTH) return atom(node, scope);
  const { fields } = typed;
  switch (typed.type) {
    case 'BoolExpr':
      return compileBool(fields, scope);
    case 'A_Expr':
      return compileOperator(node, fields, scope);
    case 'NullTest':
      return compileNullTest(fields, scope);
    case 'BooleanTest':
      return compileBooleanTest(node, fields, scope);
    case 'SubLink':
      return compileSubLink(node, fields, scope);
    case 'CaseExpr':
      return fields.arg === undefined ? compileCase(fields, scope) : atom(node, scope);
    case 'CoalesceExpr': {
      const first = list(fields.args).find((arg) => constant(arg) !== null);
      return compile(first, scope);
    }
    case 'A_Const':
    case 'TypeCast':
      return compileConstant(node, scope);
    default:
      return atom(node, scope);
  }
}

/** What depends on the row, or on more: true or false. */
function atom(node: unknown, scope: Scope): Test {
  return scope.unknowns.either(keyOf(node, scope.target, scope));
}

function compileBool(fields: Fields, scope: Scope): Test {
  const args = list(fields.args).map((arg) => compile(arg, scope));
  if (fields.boolop === 'NOT_EXPR') return not(args[0] ?? constantly(undefined));
  return fields.boolop === 'OR_EXPR' ? some(args) : every(args);
}

function compileConstant(node: unknown, scope: Scope): Test {
  const value = constant(node);
  if (value === undefined) return atom(node, scope);
  if (value === null) return constantly(undefined);
  if (/^(?:t|true|y|yes|on|1)$/i.test(value.trim())) return constantly(true);
  return constantly(/^(?:f|false|n|no|off|0)$/i.test(value.trim()) ? false : undefined);
}

function compileCase(fields: Fields, scope: Scope): Test {
  const arms = list(fields.args).map((arg) => {
    const when = as(arg, 'CaseWhen');
    return { when: compile(when?.expr, scope), result: compile(when?.result, scope) };
  });
  const otherwise = fields.defresult === undefined ? constantly(undefined) : compile(fields.defresult, scope);
  return (world) => {
    for (const { when, result } of arms) {
      const value = when(world);
      if (value !== false) return value === undefined ? undefined : result(world);
    }
    return otherwise(world);
  };
}

/** Columns that every row has. */
const SYSTEM_COLUMNS = /"(?:ctid|tableoid|xmin|xmax|cmin|cmax)"\]$/;

function compileNullTest(fields: Fields, scope: Scope): Test {
  const isNull = fields.nulltesttype === 'IS_NULL';
  const value = constant(fields.arg);
  if (value !== undefined) return constantly((value === null) === isNull);
  const key = keyOf(fields.arg, scope.target, scope);
  if (SYSTEM_COLUMNS.test(key)) return constantly(!isNull);
  // A row of NULLs and values is neither IS NULL nor IS NOT NULL.
  if (as(fields.arg, 'RowExpr') !== undefined) return scope.unknowns.either(`${isNull} ${key}`);
  const test = scope.unknowns.either(`null ${key}`);
  return isNull ? test : not(test);
}

function compileBooleanTest(node: unknown, fields: Fields, scope: Scope): Test {
  const test = compile(fields.arg, scope);
  switch (fields.booltesttype) {
    case 'IS_TRUE':
    case 'IS_NOT_FALSE':
      return test;
    case 'IS_FALSE':
    case 'IS_NOT_TRUE':
      return not(test);
    default:
      return atom(node, scope);
  }
}

/** Compared with each item of a list, a condition would be tried as often, and lists in lists multiply. */
function compileColumn(node: unknown, scope: Scope): Test | undefined {
  return as(node, 'ColumnRef') === undefined ? undefined : atom(node, scope);
}

function compileOperator(node: unknown, fields: Fields, scope: Scope): Test {
  const parts = names(fields.name) ?? [];
  const operator = parts.at(-1) ?? '';
  if (parts.length > 1 && parts.at(-2) !== 'pg_catalog') return atom(node, scope);
  const { kind, rexpr: right } = fields;
  const left = sideOf(fields.lexpr, scope.target, scope, kind === 'AEXPR_OP' ? compile : compileColumn);
  const compared = (op: string, other: unknown) =>
    compare(op, left, sideOf(other, scope.target, scope, compile), scope);
  const [low, high] = list(as(right, 'List')?.items);
  const between = () => every([compared('>=', low), compared('<=', high)]);
  const reversed = () => every([compared('>=', high), compared('<=', low)]);
  switch (kind) {
    case 'AEXPR_OP':
      return compared(operator, right);
    case 'AEXPR_DISTINCT':
      return compared('<>', right);
    case 'AEXPR_NOT_DISTINCT':
      return compared('=', right);
    case 'AEXPR_IN': {
      const tests = list(as(right, 'List')?.items).map((item) => compared(operator, item));
      return operator === '<>' ? every(tests) : some(tests);
    }
    case 'AEXPR_OP_ANY':
    case 'AEXPR_OP_ALL': {
      const array = as(right, 'A_ArrayExpr');
      if (array === undefined) return atom(node, scope);
      const tests = list(array.elements).map((item) => compared(operator, item));
      return kind === 'AEXPR_OP_ANY' ? some(tests) : every(tests);
    }
    case 'AEXPR_BETWEEN':
      return between();
    case 'AEXPR_NOT_BETWEEN':
      return not(between());
    case 'AEXPR_BETWEEN_SYM':
      return some([between(), reversed()]);
    case 'AEXPR_NOT_BETWEEN_SYM':
      return not(some([between(), reversed()]));
    case 'AEXPR_LIKE':
    case 'AEXPR_ILIKE':
    case 'AEXPR_SIMILAR':
      return compared(operator, right);
    default:
      return atom(node, scope);
  }
}

const NO_ROWS_LEFT_OUT = ['groupClause', 'havingClause', 'limitCount', 'limitOffset', 'distinctClause', 'windowClause'];

function compileSubLink(node: unknown, fields: Fields, scope: Scope): Test {
  const query = as(fields.subselect, 'SelectStmt');
  if (query === undefined) return atom(node, scope);
  if (fields.subLinkType === 'EXISTS_SUBLINK') return compileExists(node, query, scope);
  // `id IN (SELECT id FROM t)`: each row of t is among them, unless a WHERE leaves it out.
  const inner = ownRows(query, scope);
  const [column] = list(query.targetList);
  if (fields.subLinkType !== 'ANY_SUBLINK' || inner === undefined) return atom(node, scope);
  const operator = names(fields.operName)?.at(-1) ?? '=';
  const value = sideOf(as(column, 'ResTarget')?.val, inner.target, scope, compile);
  const same = compare(operator, sideOf(fields.testexpr, scope.target, scope, compile), value, scope);
  return onlyIfTrue(every([same, whereOf(query, inner)]));
}

function compileExists(node: unknown, query: Fields, scope: Scope): Test {
  if (query.op !== undefined && query.op !== 'SETOP_NONE') {
    if (query.op !== 'SETOP_UNION') return atom(node, scope);
    const arms = [query.larg, query.rarg] as Fields[];
    return some(arms.map((arm) => compileExists({ SelectStmt: arm }, arm, scope)));
  }
  if (NO_ROWS_LEFT_OUT.some((field) => query[field] !== undefined)) return atom(node, scope);
  // Without FROM there is one row, or as many as VALUES says.
  if (query.fromClause === undefined) return whereOf(query, scope);
  const own = ownRows(query, scope);
  if (own !== undefined) return onlyIfTrue(whereOf(query, own));
  // Rows of other relations: all that can be said is that there are none.
  const target = { ...scope.target, alone: false, inner: true };
  const where = whereOf(query, { ...scope, target, unknowns: new Unknowns() });
  return where(undefined) === false ? constantly(false) : atom(node, scope);
}

function whereOf(query: Fields, scope: Scope): Test {
  return query.whereClause === undefined ? constantly(true) : compile(query.whereClause, scope);
}

/** Inside a query over the target's own relation: the row itself is among its rows, so its names may stand for it. */
function ownRows(query: Fields, scope: Scope): Scope | undefined {
  const items = list(query.fromClause);
  if (items.length !== 1 || NO_ROWS_LEFT_OUT.some((field) => query[field] !== undefined)) return undefined;
  const twins = twinsAmong(items, scope.target);
  const own = as(items[0], 'RangeVar');
  if (own === undefined || twinsAmong(items, { ...scope.target, twins: new Set() }).size === 0) return undefined;
  return { ...scope, target: { ...scope.target, alone: true, inner: true, twins } };
}

/** Another row may do where this one does not. */
function onlyIfTrue(test: Test): Test {
  return (world) => (test(world) === true ? true : undefined);
}
