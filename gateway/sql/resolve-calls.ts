import { classifyBuiltin } from './builtin.ts';
import type { RawFunction } from './facts.ts';
import type { Found } from './resolve.ts';
import {
  creationSchema,
  type KnownFunction,
  nameKey,
  type ResolveEnvironment,
  type WrittenName,
} from './resolve-environment.ts';

export function resolveFunction(raw: RawFunction, env: ResolveEnvironment, found: Found): void {
  if (raw.operator) {
    resolveOperator(raw, env, found);
    return;
  }
  if (raw.schema === 'pg_catalog') {
    if (classifyBuiltin(raw.name) === undefined) found.unknown.push(`the function pg_catalog.${raw.name}`);
    return;
  }
  const candidates = functionsOf(raw, env).filter((fn) => !fn.builtin && takes(fn, raw.args));
  const unsafe = candidates.filter((fn) => !fn.safe);
  if (unsafe.length > 0) {
    const signatures = unsafe.map((fn) => `${fn.schema}.${fn.name}(${fn.arguments})`);
    found.functions.push({ schema: unsafe[0]!.schema, name: raw.name, candidates: signatures });
    return;
  }
  if (candidates.length > 0 || (raw.schema === null && classifyBuiltin(raw.name) !== undefined)) return;
  if (env.overlay?.functions.has(nameKey(raw.schema, raw.name)) === true) {
    found.functions.push({ schema: raw.schema ?? creationSchema(env), name: raw.name, candidates: [] });
  } else found.askFunctions.push({ schema: raw.schema, name: raw.name });
}

/** A column of that name may be meant as well; where a user function could be, a rule must allow it. */
export function resolveAttribute(name: string, env: ResolveEnvironment, found: Found): void {
  const candidates = env.searchPath
    .flatMap((place) => env.catalog.functions(place, name))
    .filter((fn) => !fn.builtin && !fn.safe && takes(fn, 1));
  if (candidates.length === 0) return;
  const signatures = candidates.map((fn) => `${fn.schema}.${fn.name}(${fn.arguments})`);
  found.functions.push({ schema: candidates[0]!.schema, name, candidates: signatures });
}

/** Every function that the call may mean: overloads win by exact type wherever they stand in the path. */
function functionsOf(raw: RawFunction, env: ResolveEnvironment): readonly KnownFunction[] {
  const answer = env.overlay?.functions.get(nameKey(raw.schema, raw.name));
  const places = raw.schema === null ? env.searchPath : [raw.schema];
  return [...(answer ?? []), ...places.flatMap((place) => env.catalog.functions(place, raw.name))];
}

function takes(fn: KnownFunction, args: number): boolean {
  return args < 0 || (args >= fn.minArgs && args <= fn.maxArgs);
}

function resolveOperator(raw: RawFunction, env: ResolveEnvironment, found: Found): void {
  for (const place of raw.schema === null ? env.searchPath : [raw.schema]) {
    const known = env.catalog.userOperator(place, raw.name);
    if (known?.safe === true) return;
  }
  found.unknown.push(`the operator ${raw.schema === null ? '' : `${raw.schema}.`}${raw.name}`);
}

export function resolveType(type: WrittenName, env: ResolveEnvironment, found: Found): void {
  for (const place of type.schema === null ? env.searchPath : [type.schema]) {
    const name = type.name;
    if (env.catalog.userType(place, name)?.safe === true || env.catalog.relation(place, name) !== undefined) return;
  }
  found.unknown.push(`the type ${type.schema === null ? '' : `${type.schema}.`}${type.name}`);
}
