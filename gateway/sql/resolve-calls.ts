import { answersOf, askedAs } from './asked.ts';
import { classifyBuiltin, isBuiltinOperator, isBuiltinType } from './builtin.ts';
import { isMadeType } from './earlier.ts';
import type { FunctionUse, RawFunction, RawOperator, RawStatement, RawType, SyntaxDoor } from './facts.ts';
import type { Found } from './resolve.ts';
import {
  creationSchema,
  isTemporary,
  type KnownFunction,
  type KnownOperand,
  type KnownOperator,
  type KnownOrder,
  type KnownType,
  type ResolveEnvironment,
  type WrittenName,
  type WrittenType,
} from './resolve-environment.ts';
import { findType, isServersOwn, type Present, presentTypes, unsafeEarlier } from './resolve-types.ts';

/** Everything that a statement calls: by name, as an operator, by converting to a type or by a cast. */
export function resolveCalls(raw: RawStatement, env: ResolveEnvironment, found: Found): void {
  for (const fn of raw.functions) resolveFunction(fn, env, found);
  for (const name of raw.attributes) resolveAttribute(name, env, found);
  for (const type of raw.types) resolveType(type, env, found);
  resolveEarlier(raw, env, found);
  const present = presentTypes(raw, env);
  for (const operator of raw.operators) resolveOperator(operator, { env, found, present });
  if (env.catalog.userCasts.length > 0) resolveCasts(raw, { env, found, present });
  // Sorting, grouping, joining: whatever is done with values may call them (test: "an operator class of one's own").
  for (const order of env.catalog.userOrders ?? [])
    if (isNamed(order, raw, env) || (order.type !== null && present.some([order.type])))
      for (const fn of order.runs) use([fn], found);
}

function isNamed({ schema, name }: KnownOrder, { opclasses = [] }: RawStatement, { searchPath }: ResolveEnvironment) {
  return opclasses.some(
    (one) => one.name === name && (one.schema === null ? searchPath.includes(schema ?? '') : one.schema === schema),
  );
}

/** Verbs that make values of a relation's types. */
const FILLING = new Set(['Insert', 'Update', 'Merge']);

/**
 * Values come into columns, or become rows, of what the string has defined: its types are checked as where they are
 * written. Test: "the row type of a new table".
 */
function resolveEarlier(raw: RawStatement, env: ResolveEnvironment, found: Found): void {
  const { earlier } = env;
  if (earlier == null) return;
  const filled = raw.relations.some(({ name, verb }) => FILLING.has(verb) && earlier.relations.has(name));
  if (!filled && ![...raw.types, ...raw.functions].some((one) => isMadeType(earlier, one))) return;
  for (const type of unsafeEarlier(env)) convert(type, { schema: null, name: 'of a column' }, found);
}

/** What every resolution of one statement shares. */
interface Resolving {
  readonly env: ResolveEnvironment;
  readonly found: Found;
  readonly present: Present;
}

function resolveFunction(raw: RawFunction, env: ResolveEnvironment, found: Found): void {
  if (raw.oid !== undefined) {
    const known = env.catalog.functionByOid(raw.oid);
    if (known === undefined) found.unknown.push(`the function with OID ${raw.oid}`);
    else use([known], found);
    return;
  }
  const answer = answerFor(raw, env);
  const asked = answer !== undefined;
  // With definitions of its own under way, only the session knows all overloads (test: "an overload of one's own").
  if (env.localNames && !asked) {
    askFunction(raw, env, found);
    return;
  }
  const candidates = byExactTypes(
    raw,
    functionsOf(raw, env, answer).filter((fn) => takes(fn, raw.args)),
    env,
  );
  use(candidates, found);
  if (raw.item !== undefined) addItem(raw, raw.item, candidates[0]?.schema, found);
  if (candidates.length > 0 || classifyBuiltin(raw.name, raw.args, raw.schema ?? 'pg_catalog') !== undefined) return;
  const { schema, name } = raw;
  // For the record it is a function, whatever else it may turn out to be.
  if (env.partial === true) return void found.functions.push({ ...empty, schema: schema ?? creationSchema(env), name });
  if (!asked) return askFunction(raw, env, found);
  // Nobody has it: it is a conversion, or the server says so in its own words (test: "a function that nobody has").
  const type = raw.args === 1 ? findType({ schema, name }, env) : null;
  if (type === undefined) found.askTypes.push(...askedAs<WrittenType>({ schema, name }, env));
  else if (type === null) found.functions.push({ ...empty, schema: raw.schema ?? creationSchema(env), name: raw.name });
}

function askFunction({ schema, name }: WrittenName, env: ResolveEnvironment, found: Found): void {
  found.askFunctions.push(...askedAs<WrittenName>({ schema, name }, env));
}

/** A function in FROM is told among the relations; a name that nobody has is not one. */
function addItem({ schema, name, args }: RawFunction, door: SyntaxDoor, place: string | undefined, found: Found): void {
  const builtin = classifyBuiltin(name, args, schema ?? 'pg_catalog') === undefined ? undefined : 'pg_catalog';
  const where = place ?? builtin;
  if (where !== undefined)
    found.relations.push({ schema: where, name, kind: 'function', verb: 'Select', reach: null, door });
}

const empty = { candidates: [], called: [] } as const;

/** A column of that name may be meant as well; where a user function could be, a rule must allow it. */
function resolveAttribute(name: string, env: ResolveEnvironment, found: Found): void {
  const written = { schema: null, name };
  const answer = answerFor(written, env);
  // Test: "a function of one’s own, called as an attribute".
  if (env.localNames && answer === undefined) {
    askFunction(written, env, found);
    return;
  }
  const candidates = functionsOf(written, env, answer).filter((fn) => takes(fn, 1));
  use(candidates, found);
}

/** Candidates that are neither the server's nor safe need a rule, together; what they are known for counts as well. */
function use(candidates: readonly KnownFunction[], found: Found): void {
  const unsafe = candidates.filter((fn) => !fn.builtin && !fn.safe);
  if (unsafe.length === 0) return;
  for (const fn of unsafe) for (const cls of fn.classes) found.classes.add(cls);
  found.functions.push(functionUse(unsafe));
}

/** The use of functions of which any may be meant. */
export function functionUse(functions: readonly KnownFunction[]): FunctionUse {
  const { schema, name } = functions[0]!;
  const candidates = functions.map((fn) => `${fn.schema}.${fn.name}(${fn.arguments})`);
  const called = functions.map(({ volatile, securityDefiner, language, extension }) => ({
    volatile,
    securityDefiner,
    language,
    extension,
  }));
  return { schema, name, candidates, called };
}

/** The session's answer; undefined: not all of it has been asked. */
function answerFor(name: WrittenName, env: ResolveEnvironment): readonly KnownFunction[] | undefined {
  const answers = answersOf(env.overlay?.functions, name, env);
  return answers.includes(undefined) ? undefined : answers.flatMap((fns) => fns ?? []);
}

/** Every function that the call may mean: overloads win by exact type wherever they stand in the path. */
function functionsOf(
  raw: WrittenName,
  env: ResolveEnvironment,
  answer: readonly KnownFunction[] | undefined,
): readonly KnownFunction[] {
  if (raw.schema !== null) return joined(answer, env.catalog.functions(raw.schema, raw.name));
  let all = answer ?? NONE;
  for (const place of env.searchPath) all = joined(all, env.catalog.functions(place, raw.name));
  return all;
}

const NONE: readonly KnownFunction[] = [];

/** The session's answer and the catalogue may both know a function. */
function joined(a: readonly KnownFunction[] = NONE, b: readonly KnownFunction[]): readonly KnownFunction[] {
  if (a.length === 0) return b;
  return b.length === 0 ? a : [...a, ...b.filter((fn) => !a.some(({ oid }) => oid === fn.oid))];
}

function takes(fn: KnownFunction, args: number): boolean {
  return args < 0 || (args >= fn.minArgs && args <= fn.maxArgs);
}

/**
 * Where all types are known and one of the server's own functions takes exactly those, the server takes it, or one of the
 * same types that comes before it in the path, defaults and VARIADIC left out (test: "an overload for other types").
 */
function byExactTypes(raw: RawFunction, all: readonly KnownFunction[], env: ResolveEnvironment) {
  const { argTypes } = raw;
  if (argTypes === undefined || env.searchPath.find((place) => !isTemporary(place)) !== 'pg_catalog') return all;
  if (!all.some((fn) => fn.builtin && fn.arguments === argTypes)) return all;
  const same = (fn: KnownFunction) => fn.arguments === argTypes || fn.arguments.startsWith(`${argTypes}, `);
  return all.filter((fn) => same(fn) || fn.maxArgs === Number.POSITIVE_INFINITY);
}

function resolveOperator(raw: RawOperator, { env, found, present }: Resolving): void {
  const { schema, name, args } = raw;
  const places = schema === null ? env.searchPath : [schema];
  let known = false;
  const candidates: KnownFunction[] = [];
  for (const place of places) {
    for (const operator of env.catalog.userOperators(place, name)) {
      if (operator.args !== args) continue;
      known = true;
      if (operator.runs !== undefined && reaches(operator, raw, present)) candidates.push(operator.runs);
    }
  }
  use(candidates, found);
  const builtin = isBuiltinOperator(name) && (schema === null || schema === 'pg_catalog');
  if (!known && !builtin) found.unknown.push(`the operator ${schema === null ? '' : `${schema}.`}${name}`);
}

/**
 * Whether an operator can be meant at all: the server takes one whose operands have, or may become, its types (test: "an
 * operator for another type is not called").
 */
function reaches(operator: KnownOperator, { args, untyped: [left, right] }: RawOperator, present: Present): boolean {
  const fits = (operand: KnownOperand, untyped: boolean) => operand === null || untyped || present.some(operand);
  if (!fits(operator.right, right)) return false;
  if (args === 1) return true;
  if (!fits(operator.left, left)) return false;
  // One operand must bring the type in: a constant alone is text to the server's own operators of that name.
  const strange = operator.left !== null && operator.right !== null;
  return !strange || (left && right) || present.some(operator.left!) || present.some(operator.right!);
}

function resolveType(type: RawType, env: ResolveEnvironment, found: Found): void {
  if (env.typesRenamed === true && !isServersOwn(type, env)) return refuseRenamed(type, found);
  const known = findType(type, env);
  if (known === 'plain') return;
  if (known === undefined && env.partial !== true) found.askTypes.push(...askedAs<WrittenType>(type, env));
  else if (known) convert(known, type, found);
  // A name that nobody has is left to the server's own words (test: "a type that nobody has").
  else if (known === undefined || type.oid !== undefined) found.unknown.push(`the type ${written(type)}`);
}

/** What is written as a call is one where the server has such a function (test: "renamed in the same string"). */
function refuseRenamed(type: RawType, found: Found): void {
  const { schema, name, ifAny } = type;
  if (ifAny === true && classifyBuiltin(name, 1, schema ?? 'pg_catalog') !== undefined) return;
  found.unknown.push(`the type ${written(type)}, as a statement earlier in the same string renames types`);
}

function convert({ safe, runs }: KnownType, type: RawType, found: Found): void {
  if (safe) return;
  if (runs.length === 0) found.unknown.push(`the type ${written(type)}`);
  // Each of them runs, so each needs a rule.
  for (const fn of runs) use([fn], found);
}

function written({ schema, name, oid }: RawType): string {
  if (oid !== undefined) return `with OID ${oid}`;
  return schema === null ? name : `${schema}.${name}`;
}

const ASSIGNING = new Set(['Insert', 'Update', 'Merge', 'CopyFrom', 'Do', 'Call']);

/** Casts by functions of users: those that are written, and those that the server inserts. */
function resolveCasts(raw: RawStatement, { env, found, present }: Resolving): void {
  const assigns =
    raw.classes.some((cls) => ASSIGNING.has(cls)) || raw.relations.some(({ verb }) => ASSIGNING.has(verb));
  // To a domain lead the casts to its base type; what is written as a call converts by text alone.
  const targets = raw.types.filter(({ ifAny }) => ifAny !== true).map(({ name }) => name.replace(/^_/, ''));
  const anyTarget = targets.some((name) => !isBuiltinType(name));
  for (const { source, target, context, runs } of env.catalog.userCasts) {
    const named = anyTarget || targets.includes(target.name);
    const inserted = context === 'Implicit' || (context === 'Assignment' && assigns);
    if ((named || inserted) && (source === null || present.some(source))) use([runs], found);
  }
}
