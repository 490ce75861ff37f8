/** A node's fields, as the parser's JSON has them. */
export type Fields = Readonly<Record<string, unknown>>;

/** A node with its type. */
export interface Typed {
  readonly type: string;
  readonly fields: Fields;
}

/** `{ColumnRef: {…}}` → its type and fields; undefined for an empty list element. */
export function unwrap(node: unknown): Typed | undefined {
  if (typeof node !== 'object' || node === null) return undefined;
  const type = Object.keys(node)[0];
  return type === undefined ? undefined : { type, fields: (node as Record<string, Fields>)[type]! };
}

/** The fields of a node of one type; undefined if it is of another. */
export function as(node: unknown, type: string): Fields | undefined {
  const typed = unwrap(node);
  return typed?.type === type ? typed.fields : undefined;
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** The parts of a name given as a list of String nodes; null where a part is something else. */
export function names(value: unknown): string[] | null {
  const parts = list(value).map((part) => as(part, 'String')?.sval);
  return parts.every((part) => typeof part === 'string') ? (parts as string[]) : null;
}

/** The last part and the one before it. */
export function qualified(parts: readonly string[]): { schema: string | null; name: string } {
  return { schema: parts.at(-2) ?? null, name: parts.at(-1) ?? '' };
}

/** A constant as text, through casts; undefined: not a constant; null: NULL. */
export function constant(node: unknown): string | null | undefined {
  let typed = unwrap(node);
  while (typed?.type === 'TypeCast') typed = unwrap(typed.fields.arg);
  if (typed?.type === 'String') return text(typed.fields.sval);
  if (typed?.type !== 'A_Const') return undefined;
  const { sval, ival, fval, boolval, isnull } = typed.fields as Record<string, Fields | boolean | undefined>;
  if (isnull === true) return null;
  if (typeof sval === 'object') return text(sval.sval);
  if (typeof fval === 'object') return text(fval.fval);
  if (typeof boolval === 'object') return boolval.boolval === true ? 'true' : 'false';
  // Zero values are left out of the JSON: an integer without `ival` is 0.
  return typeof ival === 'object' ? String(ival.ival ?? 0) : '';
}

/** Types whose equality tells apart what a key of another type tells apart: not float8, not citext, not char(n). */
const EXACT =
  /^(?:int[248]|numeric|text|varchar|uuid|date|timetz?|timestamptz?|bool|bytea|oid|name|inet|cidr|interval|pg_lsn)$/;

/** A type, as written, under whose equality a value is equal to one key at most. */
export function isExactType(typeName: unknown): boolean {
  const { names: written, arrayBounds } = (typeName ?? {}) as Fields;
  const parts = names(written) ?? [];
  return (
    arrayBounds === undefined && EXACT.test(parts.at(-1) ?? '') && (parts.length === 1 || parts[0] === 'pg_catalog')
  );
}

/**
 * A constant, or a parameter, of a type under which no two keys are equal (test: "a cast that makes keys equal is none"):
 * the parameter whose own type decides that, if there is one; null: it is neither.
 */
export function fixedBy(node: unknown): readonly number[] | null {
  let typed = unwrap(node);
  let cast = false;
  while (typed?.type === 'TypeCast') {
    if (!isExactType(typed.fields.typeName)) return null;
    cast = true;
    typed = unwrap(typed.fields.arg);
  }
  if (typed?.type === 'ParamRef') return cast ? NONE : [Number(typed.fields.number ?? 0)];
  return typed?.type === 'A_Const' ? NONE : null;
}

const NONE: readonly number[] = [];

export function isFixed(node: unknown): boolean {
  return fixedBy(node) !== null;
}
