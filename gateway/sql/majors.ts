import type { Fields } from './ast.ts';
import { list, names } from './ast.ts';

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
  ['MergeStmt', 'returningClause', 17],
  ['ReturningClause', 'options', 18],
];

/** The lowest server major that reads a node as the grammar here does; 14 is the oldest supported. */
export function newerThan(type: string, fields: Fields, source: Buffer): number {
  let major = NODES[type] ?? 14;
  for (const [node, field, since] of FIELDS) {
    if (node === type && fields[field] !== undefined) major = Math.max(major, since);
  }
  if (type === 'Constraint' && fields.generated_kind === 'v') major = 18;
  if (type === 'FuncCall') major = Math.max(major, callMajor(fields));
  if (type === 'MergeWhenClause' && fields.matchKind === 'MERGE_WHEN_NOT_MATCHED_BY_SOURCE') major = 17;
  return type === 'A_Const' ? Math.max(major, literalMajor(fields, source)) : major;
}

/** SYSTEM_USER without parentheses is a column name before 16; old and new of RETURNING are caught at their columns. */
function callMajor(fields: Fields): number {
  return fields.funcformat === 'COERCE_SQL_SYNTAX' && names(list(fields.funcname))?.at(-1) === 'system_user' ? 16 : 14;
}

/** `0x1F`, `0o7`, `0b1` and `1_000` are a number with an alias to older servers. */
function literalMajor(fields: Fields, source: Buffer): number {
  if (fields.ival === undefined && fields.fval === undefined) return 14;
  const start = typeof fields.location === 'number' ? fields.location : 0;
  const written = source.toString('latin1', start, start + 64);
  return /^-?(?:0[xob]|[\d.]+_)/i.test(written) ? 16 : 14;
}
