import { as, type Fields, list, names, unwrap } from './ast.ts';
import { compare } from './comparisons.ts';
import { fold } from './fold.ts';
import { twinName, within } from './target.ts';
import { constantly, every, some, type Test } from './truth.ts';
import { keyOf, type Scope, sideOf } from './values.ts';

/** Aggregates make one row of any number of rows, none included. */
export const AGGREGATES: ReadonlySet<string> = new Set(
  'count sum avg min max bool_and bool_or every string_agg array_agg json_agg jsonb_agg'.split(' '),
);

/** `EXISTS (SELECT …)`, `x IN (SELECT …)`, `x = ALL (SELECT …)`, `(SELECT …)`. */
export function compileSubLink(node: unknown, fields: Fields, scope: Scope): Test {
  const query = as(fields.subselect, 'SelectStmt');
  if (query === undefined) return atom(node, scope);
  switch (fields.subLinkType) {
    case 'EXISTS_SUBLINK':
      return compileExists(node, query, scope);
    case 'EXPR_SUBLINK': {
      // `(SELECT id = id)` is what it selects.
      const [column] = list(query.targetList);
      const plain = query.fromClause === undefined && query.whereClause === undefined && !isCut(query, 1);
      return plain && query.larg === undefined ? scope.compile(as(column, 'ResTarget')?.val, scope) : atom(node, scope);
    }
    case 'ANY_SUBLINK':
      if (isEmpty(query, scope)) return constantly(false);
      return some([compileAny(fields, query, scope), atom(node, scope)]);
    case 'ALL_SUBLINK':
      return isEmpty(query, scope) ? constantly(true) : atom(node, scope);
    default:
      return atom(node, scope);
  }
}

function atom(node: unknown, scope: Scope): Test {
  const { key, dependence } = keyOf(node, scope);
  return scope.unknowns.either(key, dependence);
}

/** Arms of UNION, any of which may bring the row. */
function armsOf(query: Fields): Fields[] {
  const arms: Fields[] = [];
  const stack: unknown[] = [query];
  while (stack.length > 0) {
    const arm = stack.pop() as Fields;
    if (arm.op === 'SETOP_UNION' && !isCut(arm, 1)) stack.push(arm.larg, arm.rarg);
    else if (arm.op === undefined || arm.op === 'SETOP_NONE') arms.push(arm);
  }
  return arms;
}

/** `id IN (SELECT id FROM t)`: each row of t is among them, unless a WHERE leaves it out. */
function compileAny(fields: Fields, query: Fields, scope: Scope): Test {
  const operator = names(fields.operName)?.at(-1) ?? '=';
  const tests = armsOf(query).flatMap((arm) => {
    const inner = isCut(arm, 0) ? undefined : rowsOf(arm, scope);
    if (inner === undefined) return [];
    const tested = sideOf(fields.testexpr, scope);
    const same = valuesOf(arm).map((value) => compare(operator, tested, sideOf(value, inner), scope));
    return [onlyIfTrue(every([some(same), whereOf(arm, inner)]))];
  });
  return some(tests);
}

const MAX_ROWS = 100;
const MAX_DEPTH = 64;

/** What the first column of a query may be. */
function valuesOf(query: Fields): unknown[] {
  if (query.valuesLists === undefined) return [as(list(query.targetList)[0], 'ResTarget')?.val];
  return list(query.valuesLists)
    .slice(0, MAX_ROWS)
    .map((row) => list(as(row, 'List')?.items)[0]);
}

function compileExists(node: unknown, query: Fields, scope: Scope): Test {
  if (isEmpty(query, scope)) return constantly(false);
  const plain = query.fromClause === undefined && query.op !== 'SETOP_UNION' && query.valuesLists === undefined;
  // What a query without FROM finds is neither more nor less than its WHERE.
  if (plain && !isCut(query, 1) && query.whereClause !== undefined) return whereOf(query, scope);
  const tests = armsOf(query).map((arm): Test => {
    if (isCut(arm, 1)) return constantly(undefined);
    if (isOneRow(arm)) return constantly(true);
    // Without FROM there is one row, or as many as VALUES says.
    const inner = rowsOf(arm, scope);
    return inner === undefined ? constantly(undefined) : onlyIfTrue(whereOf(arm, inner));
  });
  return some([...tests, atom(node, scope)]);
}

/** `SELECT count(*) FROM …` has a row, whatever it counts. */
function isOneRow(query: Fields): boolean {
  if (query.groupClause !== undefined) return false;
  return list(query.targetList).some((column) => {
    const call = as(as(column, 'ResTarget')?.val, 'FuncCall');
    return call?.over === undefined && AGGREGATES.has(names(call?.funcname)?.at(-1) ?? '');
  });
}

/** Whether something beside WHERE leaves rows out; `enough`: a LIMIT of as many rows is none. */
function isCut(query: Fields, enough: number): boolean {
  if (query.havingClause !== undefined) return true;
  const offset = query.limitOffset === undefined ? '0' : fold(query.limitOffset)?.text;
  if (offset !== '0' && offset !== null) return true;
  if (query.limitCount === undefined) return false;
  const limit = fold(query.limitCount)?.text;
  if (limit === null) return false;
  return enough === 0 || limit === undefined || !(Number(limit) >= enough);
}

/** Without a row, whatever the tables hold: `WHERE false`, `LIMIT 0`. */
function isEmpty(query: Fields, scope: Scope): boolean {
  if (query.limitCount !== undefined && fold(query.limitCount)?.text === '0') return true;
  if (query.larg !== undefined || query.valuesLists !== undefined || isOneRow(query)) return false;
  return isFalse(query.whereClause, scope, 0);
}

/**
 * `false`, `1 = 0 AND …`, by looking at constants alone: to compile the condition here and again where it counts would
 * double the work with every query within a query (test: "facts take linear time: queries within queries").
 */
function isFalse(node: unknown, scope: Scope, depth: number): boolean {
  const typed = unwrap(node);
  if (typed === undefined || depth > MAX_DEPTH) return false;
  const { type, fields } = typed;
  if (type === 'BoolExpr') {
    const args = list(fields.args);
    if (fields.boolop === 'NOT_EXPR') return fold(args[0])?.text === 'true';
    return args[fields.boolop === 'AND_EXPR' ? 'some' : 'every']((arg) => isFalse(arg, scope, depth + 1));
  }
  if (type === 'A_Expr' && fields.kind === 'AEXPR_OP') {
    if (fold(fields.lexpr) === undefined || fold(fields.rexpr) === undefined) return false;
    const operator = names(fields.name)?.at(-1) ?? '';
    return compare(operator, sideOf(fields.lexpr, scope), sideOf(fields.rexpr, scope), scope)(undefined) === false;
  }
  return fold(node)?.text === 'false' || fold(node)?.text === null;
}

function whereOf(query: Fields, scope: Scope): Test {
  return query.whereClause === undefined ? constantly(true) : scope.compile(query.whereClause, scope);
}

/** A query over the target's own relation: the row itself is among its rows, so its names may stand for it. */
function rowsOf(query: Fields, scope: Scope): Scope | undefined {
  const items = list(query.fromClause);
  if (query.fromClause === undefined) return scope;
  const find = withOf(query, scope);
  if (items.every(hasRows)) return { ...scope, target: within(query, { ...scope.target, find }) };
  const alias = items.length === 1 ? twinName(items[0], { ...scope.target, find }) : null;
  if (alias === null) return undefined;
  const twins = new Set([...scope.target.twins, alias]);
  return { ...scope, target: { ...scope.target, find, alone: true, inner: true, twins } };
}

/** `(SELECT 1) x`, `(VALUES (1), (2)) v`, `generate_series(1, 5)`: not a table that may be empty. */
function hasRows(item: unknown): boolean {
  const typed = unwrap(item);
  if (typed?.type === 'RangeFunction') return true;
  const query = as(typed?.fields.subquery, 'SelectStmt');
  const filtered = ['fromClause', 'whereClause', 'limitCount', 'limitOffset', 'larg', 'havingClause'];
  return query !== undefined && filtered.every((field) => query[field] === undefined);
}

/** Its own common table expressions come first. */
function withOf(query: Fields, { target }: Scope): (name: string) => unknown {
  const ctes = list((query.withClause as Fields | undefined)?.ctes).map((cte) => as(cte, 'CommonTableExpr'));
  return (name) => ctes.find((cte) => cte?.ctename === name)?.ctequery ?? target.find(name);
}

/** Another row may do where this one does not. */
function onlyIfTrue(test: Test): Test {
  return (world) => (test(world) === true ? true : undefined);
}
