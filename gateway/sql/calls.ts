import { as, constant, type Fields, list, names, qualified, text } from './ast.ts';
import { classifyBuiltin, isBuiltinType, isCatalogType, shownType } from './builtin.ts';
import type { RawType, SyntaxDoor } from './facts.ts';
import type { Findings } from './findings.ts';
import { addSetting } from './settings.ts';

/** A function call: which function, what class it brings, which setting it touches; `item`: it is one of FROM. */
export function visitCall(fields: Fields, item: SyntaxDoor | null, found: Findings): void {
  const parts = names(fields.funcname);
  if (parts === null || parts.length === 0) {
    found.unknown.push('a function without a name');
    return;
  }
  const { schema, name } = qualified(parts);
  const args = list(fields.args);
  const literals = args.map((arg) => constant(arg) ?? null);
  // VARIADIC passes any number; `count(*)` none.
  const counted = fields.func_variadic === true ? -1 : args.length;
  const argTypes = counted < 1 ? null : typesOf(args);
  found.functions.push({
    ...{ schema, name, args: counted, literals },
    ...(argTypes !== null && { argTypes }),
    ...(item !== null && { item }),
  });
  classify({ schema: schema ?? 'pg_catalog', name, args: counted }, found);
  if (counted === 1) mayConvert({ schema, name }, found);
  if (name.includes('json')) visitJson(found);
  if (schema !== null && schema !== 'pg_catalog') return;
  if (POPULATES.test(name) && as(args[0], 'TypeCast') === undefined) {
    found.classes.add('DynamicSql');
    found.writes = true;
  }
  if (name === 'set_config') {
    const [setting = null, ...more] = args.map(bareLiteral);
    visitSetConfig([found.settingsNamed.get(fields) ?? setting, ...more], found);
  }
  if (name === 'current_setting') showSetting(args.map(bareLiteral)[0] ?? null, found);
}

/** What the text says of the arguments' types: by a cast or by a constant that is no string; null: not of all. */
function typesOf(args: readonly unknown[]): string | null {
  const types = args.map(typeOf);
  return types.includes(null) ? null : types.join(', ');
}

function typeOf(node: unknown): string | null {
  const type = as(node, 'TypeCast')?.typeName as Fields | undefined;
  if (type === undefined) return constantType(as(node, 'A_Const'));
  const { schema, name } = qualified(names(type.names) ?? []);
  if ((schema !== null && schema !== 'pg_catalog') || !isBuiltinType(name)) return null;
  return `${shownType(name)}${type.arrayBounds === undefined ? '' : '[]'}`;
}

/** A number without a point that does not fit is a bigint or numeric: not told apart here. */
function constantType(fields: Fields | undefined): string | null {
  if (fields?.ival !== undefined) return 'integer';
  if (fields?.boolval !== undefined) return 'boolean';
  return fields?.fval !== undefined && /[.e]/i.test(text((fields.fval as Fields).fval)) ? 'numeric' : null;
}

/** A function that is named and will be called, but not here: of a trigger, a sampling method, an aggregate. */
export function visitFunctionName(value: unknown, args: number, found: Findings): void {
  const parts = names(value);
  if (parts === null || parts.length === 0) return;
  found.functions.push({ ...qualified(parts), args, literals: [] });
}

/** dblink's functions are an extension's, in whatever schema: they open connections of the server's own. */
const LINK =
  /^(?:dblink(?:_(?:connect(?:_u)?|disconnect|open|fetch|close|exec|send_query|cancel_query|get_(?:result|connections|notify)|is_busy|error_message))?|postgres_fdw_\w+)$/;

function classify(call: { readonly schema: string; readonly name: string; readonly args: number }, found: Findings) {
  const { schema, name, args } = call;
  if (LINK.test(name)) {
    found.classes.add('Link');
    found.writes = true;
  }
  const known = classifyBuiltin(name, args, schema);
  for (const cls of known?.classes ?? []) found.classes.add(cls);
  if (known?.classes.includes('Unknown')) found.unknown.push(`what the function ${name} does`);
  if (known?.writes === true) found.writes = true;
  // `regclass('t')` is a cast in the shape of a call.
  if (schema === 'pg_catalog' && args === 1 && isCatalogType(name)) found.classes.add('Catalog');
}

/** What makes JSON looks for casts to it (test: "a cast that JSON looks for"). */
export function visitJson(found: Findings): void {
  for (const name of ['json', 'jsonb']) found.types.set(`pg_catalog\0${name}`, { schema: 'pg_catalog', name });
}

/** They fill a row of the type of their first argument: which one that is must be written there. */
const POPULATES = /^jsonb?_populate_record/;

/** A cast may cut a constant: `'roleX'::varchar(4)` is `role` (test: "a cast hides no setting"). */
function bareLiteral(node: unknown): string | null {
  return as(node, 'A_Const') === undefined ? null : (constant(node) ?? null);
}

function visitSetConfig([name, value, local]: readonly (string | null)[], found: Findings): void {
  found.asks = true;
  if (name == null) {
    found.unknown.push('set_config of a setting whose name is not a constant');
    return;
  }
  const setting = name.toLowerCase();
  addSetting({ kind: 'Set', name: setting, value: value ?? null, list: null, local: local === 'true' }, found);
}

/** A name that is only known when it runs may be any: like SHOW ALL. */
function showSetting(name: string | null, found: Findings): void {
  found.settings.push({ kind: 'Show', name: name ?? 'all' });
}

/**
 * `x.f` is also a call of a function f with one argument (test: "attribute notation calls functions"), or a conversion
 * to a type f. The first name of a column reference cannot be one.
 */
export function visitColumn(fields: Fields, found: Findings): void {
  const [first, ...rest] = list(fields.fields).map((part) => text(as(part, 'String')?.sval));
  if (first === undefined || rest.length === 0) return;
  visitAttributes(rest, found);
  const of = found.columnParts.get(first) ?? new Set();
  for (const name of rest) of.add(name);
  found.columnParts.set(first, of);
}

export function visitIndirection(fields: Fields, found: Findings): void {
  const attributes = list(fields.indirection).map((part) => text(as(part, 'String')?.sval));
  visitAttributes(attributes, found);
  for (const name of attributes) mayConvert({ schema: null, name }, found);
}

function visitAttributes(attributes: readonly string[], found: Findings): void {
  for (const name of attributes) {
    if (name === '') continue;
    classify({ schema: 'pg_catalog', name, args: 1 }, found);
    if (name === 'current_setting') showSetting(null, found);
    found.attributes.add(name);
  }
}

/** A function in FROM may return a scalar, whose attributes are conversions; `*`: its name is not known here. */
export function visitFunctionItem(fields: Fields, found: Findings): void {
  const alias = text((fields.alias as Fields | undefined)?.aliasname);
  const calls = list(fields.functions).map((item) => as(list(as(item, 'List')?.items)[0], 'FuncCall'));
  for (const call of calls) found.functionItems.add(alias || (names(call?.funcname)?.at(-1) ?? '*'));
}

/** When all is seen: attributes of functions in FROM. */
export function convertColumns(found: Findings): void {
  for (const [item, attributes] of found.columnParts) {
    if (!found.functionItems.has(item) && !found.functionItems.has('*')) continue;
    for (const name of attributes) mayConvert({ schema: null, name }, found);
  }
}

/** Where no function takes it, `app.positive('5')` converts to a type (test: "a type called as a function"). */
function mayConvert({ schema, name }: RawType, found: Findings): void {
  if (name !== '') found.types.set(`?${schema ?? ''}\0${name}`, { schema, name, ifAny: true });
}

/** Where a type says which object is meant, or what a function takes: nothing is converted to it. */
const NAMED_ONLY =
  /^(?:ObjectWithArgs|FunctionParameter|CreateFunctionStmt|CreateCastStmt|(?:Drop|Comment|AlterOwner|Rename|SecLabel|AlterObjectSchema|AlterExtensionContents|Grant)Stmt)\./;
/** Not types, but a way to write a column with a sequence. */
const SERIAL = /^(?:small|big)?serial$|^serial[248]$/;

/** A type that a value may be converted to: its input function runs, or that of a cast. */
export function visitType(fields: Fields, position: string, found: Findings): void {
  const parts = names(fields.names);
  if (parts === null || parts.length === 0 || NAMED_ONLY.test(position)) return;
  const { schema, name } = qualified(parts);
  if (schema === null && position === 'ColumnDef.typeName' && SERIAL.test(name)) return;
  const builtin = schema === null || schema === 'pg_catalog';
  if (position === 'TypeCast.typeName' && builtin && isCatalogType(name)) found.classes.add('Catalog');
  found.types.set(`${schema ?? ''}\0${name}`, { schema, name });
}

/** Options of CREATE AGGREGATE, OPERATOR, TYPE and the like whose value is a type; a function; else it is a word. */
const TYPE_OPTIONS = /^(?:leftarg|rightarg|basetype|stype|mstype|subtype|element|like|as)$/;
const FUNCTION_OPTIONS =
  /func1?$|^(?:procedure|function|restrict|join|input|output|receive|send|typmod_in|typmod_out|analyze|subscript|canonical|subtype_diff|start|gettoken|end|headline|lextypes|init|lexize)$/;

/** `name = value` where the grammar takes any bare word for a type: `sfunc = f`, `provider = icu`, `buffering = auto`. */
export function visitOption(fields: Fields, position: string, found: Findings): void {
  const type = as(fields.arg, 'TypeName');
  if (type === undefined) return;
  const name = String(fields.defname).toLowerCase();
  const defines = position === 'DefineStmt.definition' || position === 'CreateRangeStmt.params';
  if (TYPE_OPTIONS.test(name)) visitType(type, position, found);
  else if (defines && FUNCTION_OPTIONS.test(name)) visitFunctionName(type.names, -1, found);
}
