import { as, type Fields, list, names, qualified, text, unwrap } from './ast.ts';
import type { Findings } from './findings.ts';

/** An operator by name, with its operands as far as they are known; left null: it has none. */
interface Use {
  readonly name: unknown;
  readonly left: unknown;
  readonly right: unknown;
}

/** `=` as the parser of the server writes it for IN, USING, CASE x WHEN and their kin: found by the search path. */
const EQUALS = [{ String: { sval: '=' } }];
const operator = (sval: string) => [{ String: { sval } }];
/** What BETWEEN and its kin are made of. */
const BETWEEN: Readonly<Record<string, readonly string[]>> = {
  AEXPR_BETWEEN: ['>=', '<='],
  AEXPR_BETWEEN_SYM: ['>=', '<='],
  AEXPR_NOT_BETWEEN: ['<', '>'],
  AEXPR_NOT_BETWEEN_SYM: ['<', '>'],
};

/** Every operator that a node brings, written or not. */
export function visitOperators(type: string, fields: Fields, found: Findings): void {
  switch (type) {
    case 'A_Expr':
      return visitExpression(fields, found);
    case 'SubLink':
      if (fields.testexpr !== undefined)
        addOperator({ name: fields.operName ?? EQUALS, left: fields.testexpr, right: undefined }, found);
      return;
    case 'CaseExpr':
      if (fields.arg !== undefined) addOperator({ name: EQUALS, left: fields.arg, right: whens(fields) }, found);
      return;
    case 'JoinExpr':
      if (fields.isNatural === true || fields.usingClause !== undefined)
        addOperator({ name: EQUALS, left: undefined, right: undefined }, found);
      return;
    case 'SortBy':
      if (fields.useOp !== undefined) addOperator({ name: fields.useOp, left: undefined, right: undefined }, found);
      return;
    case 'Constraint':
      // EXCLUDE (column WITH operator, …).
      for (const pair of list(fields.exclusions)) {
        const name = as(list(as(pair, 'List')?.items)[1], 'List')?.items;
        addOperator({ name, left: undefined, right: undefined }, found);
      }
      return;
    default:
      return;
  }
}

function visitExpression(fields: Fields, found: Findings): void {
  const { name, lexpr, rexpr } = fields;
  const between = BETWEEN[text(fields.kind)];
  if (between === undefined) return addOperator({ name, left: lexpr ?? null, right: rexpr }, found);
  for (const part of between) addOperator({ name: operator(part), left: lexpr, right: rexpr }, found);
}

function whens(fields: Fields): unknown {
  return { List: { items: list(fields.args).map((when) => as(when, 'CaseWhen')?.expr) } };
}

function addOperator({ name, left, right }: Use, found: Findings): void {
  const parts = names(name);
  if (parts === null || parts.length === 0) return;
  const args = left === null ? 1 : 2;
  const untyped = [isUntyped(left), isUntyped(right)] as const;
  const use = { ...qualified(parts), args, untyped } as const;
  found.operators.set(`${parts.join('\0')} ${args} ${untyped}`, use);
}

/** A constant without a type of its own, or a parameter, alone or within a row or list. */
function isUntyped(node: unknown): boolean {
  const typed = unwrap(node);
  if (typed === undefined) return false;
  const { type, fields } = typed;
  if (type === 'ParamRef') return true;
  if (type === 'CollateClause') return isUntyped(fields.arg);
  if (type === 'A_Const') return fields.sval !== undefined || fields.isnull === true;
  // Rows within rows are rare, and safe to take for untyped.
  const parts = type === 'RowExpr' ? list(fields.args) : type === 'List' ? list(fields.items) : [];
  return parts.some((part) => as(part, 'RowExpr') !== undefined || isUntyped(part));
}
