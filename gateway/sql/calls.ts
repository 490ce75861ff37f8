import { as, constant, type Fields, list, names, qualified } from './ast.ts';
import { BUILTIN_OPERATORS, BUILTIN_TYPES } from './builtin.generated.ts';
import { classifyBuiltin } from './builtin.ts';
import type { Findings } from './findings.ts';
import { addSetting } from './settings.ts';

/** A function call: which function, what class it brings, which setting it touches. */
export function visitCall(fields: Fields, found: Findings): void {
  const parts = names(fields.funcname);
  if (parts === null || parts.length === 0) {
    found.unknown.push('a function without a name');
    return;
  }
  const { schema, name } = qualified(parts);
  const args = list(fields.args);
  const literals = args.map((arg) => constant(arg) ?? null);
  const counted =
    fields.agg_star === true || fields.func_variadic === true || args.some((a) => as(a, 'NamedArgExpr'))
      ? -1
      : args.length;
  found.functions.push({ schema, name, args: counted, literals, operator: false });
  classify(name, schema === null || schema === 'pg_catalog', found);
  if (schema !== null && schema !== 'pg_catalog') return;
  if (name === 'set_config') visitSetConfig(args.map(bareLiteral), found);
  if (name === 'current_setting') showSetting(args.map(bareLiteral)[0] ?? null, found);
}

/** A function that is named and will be called, but not here: of a trigger, a sampling method, an aggregate. */
export function visitFunctionName(value: unknown, args: number, found: Findings): void {
  const parts = names(value);
  if (parts === null || parts.length === 0) return;
  found.functions.push({ ...qualified(parts), args, literals: [], operator: false });
}

/** dblink's functions are an extension's, in whatever schema: they open connections of the server's own. */
const LINK =
  /^(?:dblink(?:_(?:connect(?:_u)?|disconnect|open|fetch|close|exec|send_query|cancel_query|get_(?:result|connections|notify)|is_busy|error_message))?|postgres_fdw_\w+)$/;

function classify(name: string, builtin: boolean, found: Findings): void {
  if (LINK.test(name)) {
    found.classes.add('Link');
    found.writes = true;
  }
  const known = builtin ? classifyBuiltin(name) : undefined;
  if (known?.safe !== false) return;
  found.classes.add(known.cls);
  if (known.cls !== 'Session') found.writes = true;
}

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
 * `x.f` is also a call of a function f with one argument (test: "attribute notation calls functions"). The first name
 * of a column reference cannot be one.
 */
export function visitAttributes(parts: readonly unknown[], found: Findings): void {
  for (const part of parts) {
    const name = as(part, 'String')?.sval;
    if (typeof name !== 'string') continue;
    classify(name, true, found);
    if (name === 'current_setting') showSetting(null, found);
    if (classifyBuiltin(name) === undefined) found.attributes.add(name);
  }
}

/** Where a type says which object is meant, or what a function takes: nothing is converted to it. */
const NAMED_ONLY =
  /^(?:ObjectWithArgs|FunctionParameter|CreateFunctionStmt|CreateCastStmt|(?:Drop|Comment|AlterOwner|Rename|SecLabel|AlterObjectSchema|AlterExtensionContents|Grant)Stmt)\./;
/** Not types, but a way to write a column with a sequence. */
const SERIAL = /^(?:small|big)?serial$|^serial[248]$/;

/** A type that a value may be converted to: its input function runs. */
export function visitType(fields: Fields, position: string, found: Findings): void {
  const parts = names(fields.names);
  if (parts === null || parts.length === 0 || NAMED_ONLY.test(position)) return;
  const { schema, name } = qualified(parts);
  if (schema === 'pg_catalog' || schema === 'information_schema') return;
  if (schema === null && BUILTIN_TYPES.has(name.replace(/^_/, ''))) return;
  if (schema === null && position === 'ColumnDef.typeName' && SERIAL.test(name)) return;
  found.types.push({ schema, name });
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

export function visitOperator(value: unknown, found: Findings): void {
  const parts = names(value);
  if (parts === null || parts.length === 0) return;
  const { schema, name } = qualified(parts);
  const builtin = BUILTIN_OPERATORS.has(name) || /^(?:BETWEEN|NOT BETWEEN)/.test(name);
  if (builtin && (schema === null || schema === 'pg_catalog')) return;
  found.functions.push({ schema, name, args: 2, literals: [], operator: true });
}
