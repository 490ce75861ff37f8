import { as, type Fields, list, names, unwrap } from './ast.ts';
import { fold } from './fold.ts';
import { isTargets } from './target.ts';
import { constantly, every, not, some, type Test } from './truth.ts';
import { keyOf, type Scope } from './values.ts';

/** Operators that give NULL for a NULL, and for nothing else. */
const STRICT = /^(?:[-+*/%=<>]|<=|>=|<>|!?~~?\*?)$/;
const STRICT_FUNCTIONS = new Set(
  'length char_length octet_length lower upper initcap btrim ltrim rtrim abs round floor ceil ceiling trunc md5 reverse'.split(
    ' ',
  ),
);
/** What is never NULL itself. */
const DEFINITE = new Set(['NullTest', 'BooleanTest', 'A_ArrayExpr']);
/** Columns that every row has. */
export const SYSTEM_COLUMNS: ReadonlySet<string> = new Set(['ctid', 'tableoid', 'xmin', 'xmax', 'cmin', 'cmax']);
const MAX_DEPTH = 16;

/** `x IS NULL`. */
export function isNull(node: unknown, scope: Scope, depth = 0): Test {
  const typed = unwrap(node);
  const value = fold(node);
  if (value !== undefined) return constantly(value.text === null);
  if (typed === undefined || depth > MAX_DEPTH) return atom(node, scope);
  const { type, fields } = typed;
  if (DEFINITE.has(type)) return constantly(false);
  switch (type) {
    case 'ColumnRef':
      return isNullColumn(fields, scope);
    case 'TypeCast':
    case 'CollateClause':
      return isNull(fields.arg, scope, depth + 1);
    case 'RowExpr':
      return every(list(fields.args).map((arg) => isNull(arg, scope, depth + 1)));
    case 'MinMaxExpr':
    case 'CoalesceExpr':
      return every(list(fields.args).map((arg) => isNull(arg, scope, depth + 1)));
    case 'FuncCall': {
      if (!STRICT_FUNCTIONS.has(names(fields.funcname)?.at(-1) ?? '')) return atom(node, scope);
      return some(list(fields.args).map((arg) => isNull(arg, scope, depth + 1)));
    }
    case 'SubLink':
      return fields.subLinkType === 'EXISTS_SUBLINK' ? constantly(false) : atom(node, scope);
    case 'BoolExpr':
      return fields.boolop === 'NOT_EXPR' ? isNull(list(fields.args)[0], scope, depth + 1) : atom(node, scope);
    case 'A_Expr': {
      const strict = fields.kind === 'AEXPR_OP' && STRICT.test(names(fields.name)?.join('.') ?? '');
      const sides = [fields.lexpr, fields.rexpr].filter((side) => side !== undefined);
      return strict ? some(sides.map((side) => isNull(side, scope, depth + 1))) : atom(node, scope);
    }
    default:
      return atom(node, scope);
  }
}

/** `x IS NOT NULL`: of a row, that no column is. */
export function isNotNull(node: unknown, scope: Scope): Test {
  const row = as(node, 'RowExpr');
  return row === undefined ? not(isNull(node, scope)) : every(list(row.args).map((arg) => not(isNull(arg, scope))));
}

function isNullColumn(column: Fields, scope: Scope): Test {
  const parts = names(column.fields);
  const name = parts?.at(-1);
  const node = { ColumnRef: column };
  if (name === undefined) return atom(node, scope);
  if (SYSTEM_COLUMNS.has(name)) return constantly(false);
  const { target, unknowns } = scope;
  const { key } = keyOf(node, scope);
  // A name alone may be the whole row, which is neither NULL nor not.
  const own = isTargets(column, target) || target.twins.has(parts?.at(-2) ?? '') || (target.inner && target.alone);
  const known = own && target.name !== null && name !== target.name;
  return known ? unknowns.isNull(key, name) : atom(node, scope);
}

function atom(node: unknown, scope: Scope): Test {
  const { key, dependence } = keyOf(node, scope);
  return scope.unknowns.either(`null ${key}`, dependence);
}
