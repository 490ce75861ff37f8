import { isBuiltinType } from './builtin.ts';
import type { RawStatement, RawType } from './facts.ts';
import {
  isSystem,
  isTemporary,
  type KnownType,
  nameKey,
  type ResolveEnvironment,
  typeKey,
} from './resolve-environment.ts';

/** What a type means; plain: one of the server's own, or of rows; null: nothing; undefined: the session must be asked. */
export function findType(type: RawType, env: ResolveEnvironment): KnownType | 'plain' | null | undefined {
  const { schema, oid } = type;
  const answer = env.overlay?.types?.get(typeKey(type));
  if (answer !== undefined) return answer;
  const local =
    env.partial !== true &&
    (env.localNames || (schema === null && oid === undefined && env.searchPath.some(isTemporary)));
  if (local) return isServersOwn(type, env) ? 'plain' : undefined;
  if (oid !== undefined) return env.catalog.userTypeByOid(oid);
  // What is written as a call is asked for once no function takes it: most calls are of functions.
  return sharedType(type, env) ?? (type.ifAny === true ? null : undefined);
}

/** No definition of the session's own can come before it in the path. */
export function isServersOwn({ schema, name, oid }: RawType, { searchPath }: ResolveEnvironment): boolean {
  if (oid !== undefined) return false;
  if (schema !== null) return isSystem(schema);
  const first = searchPath.indexOf('pg_catalog');
  return first >= 0 && isBuiltinType(name) && searchPath.slice(0, first).every(isSystem);
}

/** As the shared catalogue has it. */
function sharedType(
  { schema, name }: RawType,
  { catalog, searchPath }: ResolveEnvironment,
): KnownType | 'plain' | null {
  for (const place of schema === null ? searchPath : [schema]) {
    const known = catalog.userType(place, name);
    if (known !== undefined) return known;
    if (isSystem(place) && (schema !== null || isBuiltinType(name))) return 'plain';
    if (catalog.relation(place, name) !== undefined) return 'plain';
  }
  return null;
}

/** A relation that the statement names has columns of types that are not the server's own, as far as is known. */
export function hasOwnTypes(
  { relations }: RawStatement,
  { catalog, searchPath, localNames, earlier }: ResolveEnvironment,
): boolean {
  const places = (schema: string | null) => (schema === null ? searchPath : [schema]);
  // That of its rows is in every relation.
  const inColumns = (place: string, name: string) =>
    catalog.typesHeld(place, name).some((type) => type !== catalog.userType(place, name)?.oid);
  if (localNames || (earlier != null && relations.some(({ name }) => earlier.relations.has(name)))) return true;
  return relations.some(({ schema, name }) => places(schema).some((place) => inColumns(place, name)));
}

/** Which types, other than the server's own, values of a statement can have. */
export interface Present {
  some(types: readonly number[]): boolean;
}

/**
 * A value of a user's type comes from a row that has it, from a function that returns it, or from a conversion that the
 * text (or the client's parameter) names. Computed when first asked for: most databases have nothing that asks.
 */
export function presentTypes(raw: RawStatement, env: ResolveEnvironment): Present {
  let all: ReadonlySet<number> | 'any' | undefined;
  return {
    some(types) {
      all ??= collect(raw, env);
      const known = all;
      return known === 'any' || types.some((type) => known.has(type));
    },
  };
}

function collect(raw: RawStatement, env: ResolveEnvironment): ReadonlySet<number> | 'any' {
  // Only the session knows the columns of what it has just defined.
  if (env.localNames) return 'any';
  const found = new Set<number>();
  // What the string has defined has columns of types that its definitions come by.
  for (const one of [raw, ...(env.earlier?.definitions ?? [])]) {
    if (collectFrom(one, env, found) === 'any') return 'any';
  }
  return found;
}

function collectFrom(raw: RawStatement, env: ResolveEnvironment, found: Set<number>): 'any' | null {
  const { catalog, searchPath, overlay } = env;
  const places = (schema: string | null) => (schema === null ? searchPath : [schema]);
  const add = (types: readonly number[] = []) => {
    for (const type of types) found.add(type);
  };
  for (const { schema, name } of raw.relations) {
    const answer = overlay?.relations.get(nameKey(schema, name));
    if (answer != null && catalog.relation(answer.schema, name) === undefined) return 'any';
    for (const place of places(schema)) add(catalog.typesHeld(place, name));
  }
  for (const type of raw.types) {
    const { schema, name, oid } = type;
    const answer = overlay?.types?.get(typeKey(type));
    if (answer != null && answer !== 'plain' && catalog.userTypeByOid(answer.oid) === undefined) return 'any';
    if (oid !== undefined) add(catalog.userTypeByOid(oid)?.holds);
    else for (const place of places(schema)) add(catalog.userType(place, name)?.holds);
  }
  for (const { schema, name } of [...raw.functions, ...raw.attributes.map((name) => ({ schema: null, name }))]) {
    const answer = overlay?.functions.get(nameKey(schema, name)) ?? [];
    const known = places(schema).flatMap((place) => catalog.functions(place, name));
    const returned = [...answer, ...known].flatMap((fn) => fn.returns);
    add(returned.flatMap((type) => [type, ...(catalog.userTypeByOid(type)?.holds ?? [])]));
  }
  // CREATE TABLE … AS EXECUTE.
  return raw.makes !== undefined && raw.effects.some(({ kind }) => kind === 'Execute') ? 'any' : null;
}

/** Types whose input runs code, of which values of what the string has defined may be. */
export function unsafeEarlier(env: ResolveEnvironment): readonly KnownType[] {
  const unsafe = env.catalog.unsafeTypes ?? [];
  if (unsafe.length === 0 || env.earlier == null) return [];
  const present = new Set<number>();
  const known = env.earlier.definitions.every((one) => collectFrom(one, env, present) !== 'any');
  return known ? unsafe.filter(({ oid }) => present.has(oid)) : unsafe;
}
