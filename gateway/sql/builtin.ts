import { CATALOG_TYPES, FUNCTIONS, OPERATORS, SHOWN_TYPES, TYPES } from './builtin.generated.ts';
import { BUILTIN_KINDS, type BuiltinKind } from './builtin-kinds.ts';
import type { StatementClass } from './classes.ts';

/** A function of PostgreSQL's own, as the reviewed table has it. */
export interface BuiltinFunction {
  readonly kind: BuiltinKind;
  readonly volatile: boolean;
  /** Argument types as pg_type names them. */
  readonly args: readonly string[];
  readonly minArgs: number;
  /** Infinity: VARIADIC. */
  readonly maxArgs: number;
}

/** What a call brings, whichever overload of the server's own it means. */
export interface BuiltinCall {
  readonly classes: readonly StatementClass[];
  readonly writes: boolean;
}

/** Lines of the table by name; a line is read when somebody calls its function. */
const lines = new Map(
  FUNCTIONS.trim()
    .split('\n')
    .map((line) => {
      const space = line.indexOf(' ');
      return [line.slice(0, space), line.slice(space + 1)];
    }),
);
const read = new Map<string, readonly BuiltinFunction[]>();
const kinds = new Map(Object.entries(BUILTIN_KINDS).map(([kind, { letter }]) => [letter, kind as BuiltinKind]));
const types = words(TYPES);
const catalogTypes = words(CATALOG_TYPES);
const operators = words(OPERATORS);
const shown = new Map(
  SHOWN_TYPES.trim()
    .split('\n')
    .map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]),
);

function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s/));
}

/** Every function of pg_catalog or information_schema with that name, of any supported version. */
function builtinFunctions(name: string, schema = 'pg_catalog'): readonly BuiltinFunction[] {
  const key = schema === 'pg_catalog' ? name : `${schema}.${name}`;
  let found = read.get(key);
  if (found === undefined) {
    const line = lines.get(key);
    if (line === undefined) return [];
    found = line.split(' ').map(readOverload);
    read.set(key, found);
  }
  return found;
}

/** `f(text,oid)=1`: see the head of the generated table. */
function readOverload(text: string): BuiltinFunction {
  const open = text.indexOf('(');
  const close = text.indexOf(')');
  const args = close === open + 1 ? [] : text.slice(open + 1, close).split(',');
  const [, defaults, variadic, aggregate] = /^(?:=(\d+))?(\*)?(~)?$/.exec(text.slice(close + 1))!;
  const required = args.length - Number(defaults ?? 0) - (variadic === undefined ? 0 : 1);
  return {
    kind: kinds.get(text[0]!)!,
    volatile: text[1] === 'v',
    args,
    // An ordered-set aggregate may be written with its direct arguments alone.
    minArgs: aggregate === undefined ? required : 0,
    maxArgs: variadic === undefined ? args.length : Number.POSITIVE_INFINITY,
  };
}

/** What a call of one of the server's own functions does; args -1: not known how many; undefined: it has none such. */
export function classifyBuiltin(name: string, args: number, schema = 'pg_catalog'): BuiltinCall | undefined {
  const meant = builtinFunctions(name, schema).filter(
    ({ minArgs, maxArgs }) => args < 0 || (args >= minArgs && args <= maxArgs),
  );
  if (meant.length === 0) return undefined;
  const meanings = meant.map(({ kind }) => BUILTIN_KINDS[kind]);
  const classes = meanings.map(({ cls }) => cls).filter((cls) => cls !== null);
  return { classes: [...new Set(classes)], writes: meanings.some(({ writes }) => writes) };
}

/** The entry for exactly this function of a server, its arguments as in `integer, text[]`; undefined: not reviewed. */
export function reviewedFunction(fn: {
  readonly schema: string;
  readonly name: string;
  readonly arguments: string;
}): BuiltinFunction | undefined {
  return builtinFunctions(fn.name, fn.schema).find(({ args }) => args.map(shownType).join(', ') === fn.arguments);
}

/** A type of pg_catalog as the catalogue shows it: int4 is integer. */
export function shownType(name: string): string {
  // An array type is called after its elements; `_text` and so on have no other name.
  if (name.startsWith('_')) return `${shownType(name.slice(1))}[]`;
  return shown.get(name) ?? name;
}

/** Whether calling a function by that name gives the same for the same arguments within a statement. */
export function isSteady(name: string): boolean {
  const found = builtinFunctions(name);
  return found.length > 0 && !found.some(({ volatile }) => volatile);
}

/** A type of pg_catalog that is no row type, or an array of one. */
export function isBuiltinType(name: string): boolean {
  return types.has(name.startsWith('_') ? name.slice(1) : name);
}

/** A conversion from text to it looks into the catalogue. */
export function isCatalogType(name: string): boolean {
  return catalogTypes.has(name.startsWith('_') ? name.slice(1) : name);
}

export function isBuiltinOperator(name: string): boolean {
  return operators.has(name);
}
