import type { MaskedColumn } from '../config/document.ts';

/** A relation pattern `schema.name`, ready to match: `*` stands for any characters within its part. */
export interface RelationPattern {
  /** `"*.*"`: every relation of user schemas, or under Any everything. */
  readonly everything: boolean;
  readonly schema: RegExp;
  readonly name: RegExp;
  /** The schema's part has a wildcard: it speaks of user schemas only; a schema that is spelled out is meant. */
  readonly anySchema: boolean;
  /** The one relation that it names; null: it has a wildcard. */
  readonly exact: { readonly schema: string; readonly name: string } | null;
}

/** Schemas of the server: no wildcard speaks of them. */
function isSystemSchema(schema: string): boolean {
  return schema === 'information_schema' || schema.startsWith('pg_');
}

const PART = '("(?:[^"]|"")+"|[^".]+)';
const RELATION = new RegExp(`^${PART}\\.${PART}$`);
const FUNCTION = new RegExp(`^${PART}\\.("(?:[^"]|"")+"|[^".(]+)\\((.*)\\)$`);

/** Quoted parts are literal, others fold to lower case as in PostgreSQL; undefined: not a pattern. */
export function parsePattern(source: string): RelationPattern | undefined {
  const [, schema, name] = RELATION.exec(source) ?? [];
  if (schema === undefined || name === undefined) return undefined;
  const anySchema = hasWildcard(schema);
  const exact = anySchema || hasWildcard(name) ? null : { schema: plainName(schema), name: plainName(name) };
  return { everything: source === '*.*', schema: toRegExp(schema), name: toRegExp(name), anySchema, exact };
}

/** A name as objects other than policies write them: never quoted, never folded, `*` for any characters. */
export function columnPattern({ schema, table, column }: MaskedColumn): RelationPattern & { readonly column: RegExp } {
  const [inSchema, inTable, inColumn] = [schema, table, column].map((part) => toWildcard(part, part.includes('*')));
  return {
    everything: false,
    schema: inSchema!,
    name: inTable!,
    column: inColumn!,
    anySchema: schema.includes('*'),
    exact: schema.includes('*') || table.includes('*') ? null : { schema, name: table },
  };
}

function hasWildcard(part: string): boolean {
  return !part.startsWith('"') && part.includes('*');
}

function toRegExp(part: string): RegExp {
  return toWildcard(plainName(part), hasWildcard(part));
}

function toWildcard(name: string, wildcard: boolean): RegExp {
  const literal = name.replace(/[\\^$.+?()[\]{}|/*]/g, '\\$&');
  return new RegExp(`^${wildcard ? literal.replaceAll('\\*', '[^]*') : literal}$`, 'u');
}

function plainName(part: string): string {
  return part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part.toLowerCase();
}

export function matches(pattern: RelationPattern, schema: string, name: string): boolean {
  if (!pattern.schema.test(schema) || !pattern.name.test(name)) return false;
  return !(pattern.anySchema && isSystemSchema(schema));
}

/** Other spellings of types, as the grammar has them: the catalogue knows the right-hand names alone. */
const TYPES: Readonly<Record<string, string>> = {
  int: 'integer',
  int4: 'integer',
  int8: 'bigint',
  int2: 'smallint',
  bool: 'boolean',
  decimal: 'numeric',
  varchar: 'character varying',
  char: 'character',
  bpchar: 'character',
  float4: 'real',
  float: 'double precision',
  float8: 'double precision',
  varbit: 'bit varying',
  time: 'time without time zone',
  timetz: 'time with time zone',
  timestamp: 'timestamp without time zone',
  timestamptz: 'timestamp with time zone',
};

/** A function as rules and facts name it, `app.f(int,text)`, in the one spelling in which they are compared. */
export function canonicalFunction(source: string): string {
  const parsed = parseFunction(source);
  return parsed === null ? source : `${parsed.schema}.${parsed.name}(${parsed.arguments})`;
}

/** The parts of a function's name in a rule, in that spelling; null: it names none. */
export function parseFunction(
  source: string,
): { readonly schema: string; readonly name: string; readonly arguments: string } | null {
  const [, schema, name, args] = FUNCTION.exec(source) ?? [];
  if (schema === undefined || name === undefined || args === undefined) return null;
  // Modifiers such as numeric(10, 2) are no part of a signature.
  const types = args
    .replace(/\([^()]*\)/g, '')
    .split(',')
    .map((type) => canonicalType(type.trim()));
  return { schema: plainName(schema), name: plainName(name), arguments: types.join(', ') };
}

function canonicalType(type: string): string {
  const [, base = type, array = ''] = /^(.*?)((?:\[\])*)$/.exec(type) ?? [];
  const plain = base.includes('"') ? base : base.replace(/\s+/g, ' ').trim().toLowerCase();
  return `${TYPES[plain] ?? plain}${array}`;
}
