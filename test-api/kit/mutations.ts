import type { Schema } from '../../operator/api/schemas.ts';

/** What a structural schema says of one value, beyond what the product reads of it. */
export interface FullSchema extends Schema {
  readonly properties?: Readonly<Record<string, FullSchema>>;
  readonly items?: FullSchema;
  readonly additionalProperties?: FullSchema;
  readonly required?: readonly string[];
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly format?: string;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
}

/** A value that a constraint refuses, and one just inside; undefined where there is none to be made up. */
export interface Mutation {
  readonly constraint: string;
  readonly refused: unknown;
  readonly neighbour?: unknown;
}

/** For each constraint of a schema, values made from one that it takes. */
export function mutations(value: unknown, schema: FullSchema): Mutation[] {
  return [
    ...wrongType(schema),
    ...ofNumber(schema),
    ...ofString(value, schema),
    ...ofList(value, schema),
    ...ofObject(value, schema),
  ];
}

function wrongType({ type }: FullSchema): Mutation[] {
  const wrong: Readonly<Record<string, unknown>> = {
    string: 1,
    integer: 'one',
    boolean: 'yes',
    array: 'list',
    object: 'thing',
  };
  return type === undefined ? [] : [{ constraint: `type ${type}`, refused: wrong[type] }];
}

function ofNumber({ minimum, maximum }: FullSchema): Mutation[] {
  return [
    ...(minimum === undefined ? [] : [{ constraint: 'minimum', refused: minimum - 1, neighbour: minimum }]),
    ...(maximum === undefined ? [] : [{ constraint: 'maximum', refused: maximum + 1, neighbour: maximum }]),
  ];
}

/** No pattern of ours takes a NUL. */
const NUL = '\u0000';

function ofString(value: unknown, { enum: words, pattern, minLength, maxLength, format }: FullSchema): Mutation[] {
  const found: Mutation[] = [];
  for (const word of words ?? []) found.push({ constraint: `enum ${word}`, refused: ` ${word}`, neighbour: word });
  if (pattern !== undefined) found.push({ constraint: 'pattern', refused: `${String(value)}${NUL}`, neighbour: value });
  if (minLength !== undefined) found.push({ constraint: 'minLength', refused: '', neighbour: value });
  if (maxLength !== undefined && typeof value === 'string')
    found.push({ constraint: 'maxLength', ...lengthened(value, maxLength, pattern) });
  if (format === 'date-time')
    found.push({ constraint: 'date-time', refused: 'tomorrow', neighbour: '2027-01-01T00:00:00+02:00' });
  return found;
}

/** Too long by one; the longest is only made up where it is sure to match the pattern. */
function lengthened(value: string, maxLength: number, pattern: string | undefined): Omit<Mutation, 'constraint'> {
  const of = (length: number): string => value.padEnd(length, value.at(-1) ?? 'a');
  const longest = of(maxLength);
  const fits = pattern === undefined || new RegExp(pattern).test(longest);
  return { refused: of(maxLength + 1), ...(fits && { neighbour: longest }) };
}

function ofList(value: unknown, schema: FullSchema): Mutation[] {
  const { minItems, maxItems, 'x-kubernetes-list-type': type } = schema;
  if (!Array.isArray(value)) return [];
  const many = (count: number): unknown[] => Array.from({ length: count }, (_, i) => distinct(value[0], i, schema));
  return [
    ...(minItems === undefined ? [] : [{ constraint: 'minItems', refused: [], neighbour: value }]),
    ...(maxItems === undefined ? [] : [{ constraint: 'maxItems', refused: many(maxItems + 1) }]),
    ...(type === 'set' || type === 'map'
      ? [{ constraint: `list ${type}`, refused: [...value, value[0]], neighbour: value }]
      : []),
  ];
}

/** Other in what has to be unique. */
function distinct(item: unknown, i: number, schema: FullSchema): unknown {
  if (typeof item === 'string') return schema.items?.enum === undefined ? `${item}${i}` : item;
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  const last = keys.at(-1);
  if (last === undefined) return item;
  return { ...(item as object), [last]: `${String((item as Record<string, unknown>)[last])}${i}` };
}

function ofObject(value: unknown, { required = [], maxProperties }: FullSchema): Mutation[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  const without = (name: string): unknown =>
    Object.fromEntries(Object.entries(value).filter(([field]) => field !== name));
  const many = (count: number): unknown =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`key${i}`, Object.values(value)[0]]));
  return [
    ...required.map((name) => ({ constraint: `required ${name}`, refused: without(name), neighbour: value })),
    ...(maxProperties === undefined
      ? []
      : [{ constraint: 'maxProperties', refused: many(maxProperties + 1), neighbour: many(maxProperties) }]),
  ];
}
