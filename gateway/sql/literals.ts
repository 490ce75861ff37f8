import { as, type Fields, list, names, qualified, type Typed, unwrap } from './ast.ts';
import { GRAMMAR } from './grammar.generated.ts';
import { SYSTEM_COLUMNS } from './nulls.ts';
import { settingsNamed } from './settings-view.ts';

/** Places of a query where a constant is only computed with: its value changes no fact. */
const TRANSPARENT = new Set(
  (
    'SelectStmt.targetList SelectStmt.whereClause SelectStmt.fromClause SelectStmt.groupClause SelectStmt.havingClause ' +
    'SelectStmt.sortClause SelectStmt.distinctClause SelectStmt.limitCount SelectStmt.limitOffset SelectStmt.larg ' +
    'SelectStmt.rarg SelectStmt.valuesLists SelectStmt.withClause WithClause.ctes CommonTableExpr.ctequery ' +
    'RangeSubselect.subquery JoinExpr.larg JoinExpr.rarg JoinExpr.quals SubLink.testexpr SubLink.subselect ' +
    'ResTarget.val A_Expr.lexpr A_Expr.rexpr BoolExpr.args List.items CaseExpr.arg CaseExpr.args CaseExpr.defresult ' +
    'CaseWhen.expr CaseWhen.result SortBy.node NullTest.arg BooleanTest.arg CoalesceExpr.args MinMaxExpr.args ' +
    'A_ArrayExpr.elements RowExpr.args CollateClause.arg A_Indirection.arg TypeCast.arg'
  ).split(' '),
);

/** Types whose values name nothing: `'t'::regclass` is a relation's name. */
const PLAIN_TYPES = new Set(
  'bool int2 int4 int8 float4 float8 numeric text varchar bpchar bytea date time timetz timestamp timestamptz interval uuid json jsonb'.split(
    ' ',
  ),
);

/**
 * Where constants stand whose values say nothing about the facts of a statement, in bytes of its text. A positive list:
 * what is an argument of a function, an option, a name, a type's length or part of a condition that is taken apart
 * (`WHERE 1 = 1`) is not on it.
 */
export function freeConstants(statement: unknown): number[] {
  const top = unwrap(statement);
  switch (top?.type) {
    case 'SelectStmt':
      return inQuery([top]) ?? [];
    case 'InsertStmt':
      return top.fields.withClause === undefined ? inInsert(top.fields) : [];
    case 'UpdateStmt':
    case 'DeleteStmt':
      if (top.fields.withClause !== undefined) return [];
      return [...computed(top.fields.targetList), ...inConjuncts(top.fields.whereClause)];
    default:
      return [];
  }
}

const WRITES = /^(?:Insert|Update|Delete|Merge)Stmt$/;

/** null: something in there writes, and how far it reaches hangs on what it reads. */
function inQuery(start: readonly Typed[], queries = true): number[] | null {
  const found: number[] = [];
  const stack = [...start];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    const { type, fields } = node;
    if (WRITES.test(type)) return null;
    // Its condition names a setting.
    if (type === 'SelectStmt' && settingsNamed(fields) !== null) return null;
    if (type === 'A_Const' && typeof fields.location === 'number') found.push(fields.location);
    if ((type === 'SubLink' && !queries) || (type === 'TypeCast' && !isPlain(fields))) continue;
    for (const [field, value] of Object.entries(fields)) {
      const position = `${type}.${field}`;
      if (TRANSPARENT.has(position)) stack.push(...below(GRAMMAR[type]?.[field] ?? '.', value));
    }
  }
  return found;
}

function below(shape: string, value: unknown): Typed[] {
  const type = shape.replace('*', '');
  return (shape.endsWith('*') ? list(value) : [value]).flatMap((item) => {
    const typed = type === 'Node' ? unwrap(item) : { type, fields: item as Fields };
    return typed === undefined ? [] : [typed];
  });
}

function isPlain(cast: Fields): boolean {
  const parts = names((cast.typeName as Fields | undefined)?.names) ?? [];
  const { schema, name } = qualified(parts);
  return PLAIN_TYPES.has(name) && (schema === null || schema === 'pg_catalog');
}

/** Values that are stored; queries among them are left out. */
function computed(items: unknown): number[] {
  return inQuery(below('Node*', items), false) ?? [];
}

function inInsert(fields: Fields): number[] {
  const values = as(fields.selectStmt, 'SelectStmt')?.valuesLists;
  const conflict = fields.onConflictClause as Fields | undefined;
  return [...computed(values), ...computed(conflict?.targetList)];
}

/**
 * `id = 5 AND day BETWEEN 'a' AND 'b'`: a column is compared with a constant, so some rows are left out whatever it is.
 * Only conjuncts of the whole condition: in `id > 5 OR id <= 5` the constants decide.
 */
function inConjuncts(where: unknown): number[] {
  const found: number[] = [];
  const stack: unknown[] = [where];
  while (stack.length > 0) {
    const typed = unwrap(stack.pop());
    if (typed?.type === 'A_Expr') found.push(...inComparison(typed.fields));
    if (typed?.type === 'BoolExpr' && typed.fields.boolop === 'AND_EXPR') stack.push(...list(typed.fields.args));
  }
  return found;
}

/** Of the columns that every row has, some values are told apart: `tableoid > 0`. */
function isPlainColumn(node: unknown): boolean {
  const column = as(node, 'ColumnRef');
  return column !== undefined && !SYSTEM_COLUMNS.has(names(column.fields)?.at(-1) ?? '');
}

const COMPARISON = /^(?:pg_catalog\.)?(?:[=<>]|<=|>=|<>)$/;

function inComparison({ kind, name, lexpr, rexpr }: Fields): number[] {
  const [left, right] = [lexpr, rexpr].map(isPlainColumn);
  if (left === right || !(left || right)) return [];
  switch (kind) {
    case 'AEXPR_OP':
      return COMPARISON.test(names(name)?.join('.') ?? '') ? plainConstants([left ? rexpr : lexpr]) : [];
    case 'AEXPR_IN':
    case 'AEXPR_BETWEEN':
      return left ? plainConstants(list(as(rexpr, 'List')?.items)) : [];
    default:
      return [];
  }
}

/** All of them, or none: nothing but constants may stand there. */
function plainConstants(items: readonly unknown[]): number[] {
  const found: number[] = [];
  for (const item of items) {
    const cast = as(item, 'TypeCast');
    const location = as(cast === undefined ? item : cast.arg, 'A_Const')?.location;
    if (typeof location !== 'number' || (cast !== undefined && !isPlain(cast))) return [];
    found.push(location);
  }
  return found;
}
