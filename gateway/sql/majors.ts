import type { Fields } from './ast.ts';
import { as, list, names, text, unwrap } from './ast.ts';
import { namesOfFrom } from './target.ts';

/** Nodes that older servers do not have: what stands there means something else to them. */
const NODES: Readonly<Record<string, number>> = {
  MergeStmt: 15,
  JsonObjectConstructor: 16,
  JsonArrayConstructor: 16,
  JsonArrayQueryConstructor: 16,
  JsonObjectAgg: 16,
  JsonArrayAgg: 16,
  JsonIsPredicate: 16,
  JsonTable: 17,
  JsonFuncExpr: 17,
  JsonParseExpr: 17,
  JsonScalarExpr: 17,
  JsonSerializeExpr: 17,
  MergeSupportFunc: 17,
};

/** Fields of nodes, when they are set. */
const FIELDS: readonly (readonly [node: string, field: string, major: number])[] = [
  ['IndexStmt', 'nulls_not_distinct', 15],
  ['Constraint', 'nulls_not_distinct', 15],
  ['Constraint', 'without_overlaps', 18],
  ['Constraint', 'fk_with_period', 18],
  ['ATAlterConstraint', 'alterEnforceability', 18],
  ['MergeStmt', 'returningClause', 17],
  ['ReturningClause', 'options', 18],
];

/** The lowest server major that reads a node as the grammar here does; 14 is the oldest supported. */
export function newerThan(type: string, fields: Fields, source: Buffer): number {
  let major = NODES[type] ?? 14;
  for (const [node, field, since] of FIELDS) {
    if (node === type && fields[field] !== undefined) major = Math.max(major, since);
  }
  switch (type) {
    case 'Constraint':
      return Math.max(major, constraintMajor(fields));
    case 'FuncCall':
      return Math.max(major, callMajor(fields));
    case 'MergeWhenClause':
      return fields.matchKind === 'MERGE_WHEN_NOT_MATCHED_BY_SOURCE' ? 17 : major;
    case 'A_Const':
      return literalMajor(fields, source);
    case 'DefElem':
      return optionMajor(fields, source);
    default:
      return major;
  }
}

/** VIRTUAL, ENFORCED and NOT ENFORCED. */
function constraintMajor(fields: Fields): number {
  const type = text(fields.contype);
  const lax = (type === 'CONSTR_CHECK' || type === 'CONSTR_FOREIGN') && fields.is_enforced !== true;
  return fields.generated_kind === 'v' || lax || /ENFORCED$/.test(type) ? 18 : 14;
}

/** SYSTEM_USER without parentheses is a column name before 16. */
function callMajor(fields: Fields): number {
  return fields.funcformat === 'COERCE_SQL_SYNTAX' && names(list(fields.funcname))?.at(-1) === 'system_user' ? 16 : 14;
}

/** `0x1F`, `0o7`, `0b1` and `1_000` are a number with an alias to older servers. */
function literalMajor(fields: Fields, source: Buffer): number {
  if (fields.ival === undefined && fields.fval === undefined) return 14;
  return /^-?(?:0[xob]|[\d.]+_)/i.test(written(fields, source)) ? 16 : 14;
}

/** INCREMENT BY 0x10: such a number has no place of its own. */
function optionMajor(fields: Fields, source: Buffer): number {
  if (as(fields.arg, 'Integer') === undefined && as(fields.arg, 'Float') === undefined) return 14;
  return /^\w+(?:\s+(?:by|with))?[\s=+-]*(?:0[xob]|[\d.]+_)/i.test(written(fields, source)) ? 16 : 14;
}

function written(fields: Fields, source: Buffer): string {
  const start = typeof fields.location === 'number' ? fields.location : 0;
  return source.toString('latin1', start, start + 64);
}

/** RETURNING old.x and new.x are the row before and after since 18; before, columns of a relation of that name. */
export function returningMajor(type: string, fields: Fields): number {
  const exprs = list((fields.returningClause as Fields | undefined)?.exprs);
  if (exprs.length === 0) return 14;
  const from = [type === 'UpdateStmt' ? fields.fromClause : fields.usingClause].flatMap(list);
  const own = namesOfFrom([{ RangeVar: fields.relation }, fields.sourceRelation, ...from]);
  const stack: unknown[] = [...exprs];
  while (stack.length > 0) {
    const node = stack.pop();
    if (typeof node !== 'object' || node === null) continue;
    const column = unwrap(node)?.type === 'ColumnRef' ? as(node, 'ColumnRef') : undefined;
    const [name] = list(column?.fields).map((part) => as(part, 'String')?.sval);
    if ((name === 'old' || name === 'new') && !own.has(name)) return 18;
    for (const value of Object.values(node)) stack.push(value);
  }
  return 14;
}
