import { answersOf, throughPath } from './asked.ts';
import { isBuiltinType } from './builtin.ts';
import type { RawPlace, RawStatement, RawType } from './facts.ts';
import { isSystem, isTemporary, type KnownType, type ResolveEnvironment, typeKey } from './resolve-environment.ts';

/** What a type means; plain: one of the server's own, or of rows; null: nothing; undefined: the session must be asked. */
export function findType(type: RawType, env: ResolveEnvironment): KnownType | 'plain' | null | undefined {
  const { schema, oid } = type;
  if (env.foreseen === true && schema === null && oid === undefined) {
    const known = throughPath(type, env, env.overlay?.types, (place) => sharedTypeIn(place, type, env));
    return known === undefined && type.ifAny === true ? null : known;
  }
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
function sharedType(type: RawType, env: ResolveEnvironment): KnownType | 'plain' | null {
  for (const place of type.schema === null ? env.searchPath : [type.schema]) {
    const known = sharedTypeIn(place, type, env);
    if (known !== undefined) return known;
  }
  return null;
}

function sharedTypeIn(place: string, { schema, name }: RawType, { catalog }: ResolveEnvironment) {
  const known = catalog.userType(place, name);
  if (known !== undefined) return known;
  const rows = catalog.relation(place, name) !== undefined;
  return rows || (isSystem(place) && (schema !== null || isBuiltinType(name))) ? 'plain' : undefined;
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
  let own: ReadonlySet<number> | 'any' | undefined;
  // What the string has defined has columns of types that its definitions come by.
  const made = env.earlier?.holds ?? NONE;
  return {
    some(types) {
      // Only the session knows the columns of what it has just defined.
      own ??= env.localNames ? 'any' : typesIn(raw, env);
      return [own, made].some((known) => known === 'any' || types.some((type) => known.has(type)));
    },
  };
}

const NONE: ReadonlySet<number> = new Set();

/** OIDs of the types, other than the server's own, by which values come into a statement. */
export function typesIn(raw: RawStatement, env: ResolveEnvironment): ReadonlySet<number> | 'any' {
  // CREATE TABLE … AS EXECUTE.
  if (raw.makes !== undefined && raw.effects.some(({ kind }) => kind === 'Execute')) return 'any';
  const functions = [...raw.functions, ...raw.attributes.map((name) => ({ schema: null, name }))];
  const found = new Set<number>();
  for (const types of [
    ...raw.relations.map((one) => ofRelation(one, env)),
    ...raw.types.map((one) => ofType(one, env)),
    ...functions.map((one) => ofFunction(one, env)),
  ]) {
    if (types === 'any') return 'any';
    for (const type of types) found.add(type);
  }
  return found;
}

function placesOf(schema: string | null, { searchPath }: ResolveEnvironment): readonly string[] {
  return schema === null ? searchPath : [schema];
}

function ofRelation({ schema, name }: RawPlace, env: ResolveEnvironment): readonly number[] | 'any' {
  const { catalog, overlay } = env;
  for (const answer of answersOf(overlay?.relations, { schema, name }, env))
    if (answer != null && catalog.relation(answer.schema, name) === undefined) return 'any';
  return placesOf(schema, env).flatMap((place) => catalog.typesHeld(place, name));
}

function ofType(type: RawType, env: ResolveEnvironment): readonly number[] | 'any' {
  const { catalog, overlay } = env;
  const { schema, name, oid } = type;
  for (const answer of answersOf(overlay?.types, type, env))
    if (answer != null && answer !== 'plain' && catalog.userTypeByOid(answer.oid) === undefined) return 'any';
  if (oid !== undefined) return catalog.userTypeByOid(oid)?.holds ?? [];
  return placesOf(schema, env).flatMap((place) => catalog.userType(place, name)?.holds ?? []);
}

function ofFunction({ schema, name }: RawPlace, env: ResolveEnvironment): readonly number[] {
  const { catalog, overlay } = env;
  const answers = answersOf(overlay?.functions, { schema, name }, env).flatMap((fns) => fns ?? []);
  const known = placesOf(schema, env).flatMap((place) => catalog.functions(place, name));
  const returned = [...answers, ...known].flatMap((fn) => fn.returns);
  return returned.flatMap((type) => [type, ...(catalog.userTypeByOid(type)?.holds ?? [])]);
}

/** Types whose input runs code, of which values of what the string has defined may be. */
export function unsafeEarlier(env: ResolveEnvironment): readonly KnownType[] {
  const unsafe = env.catalog.unsafeTypes ?? [];
  if (unsafe.length === 0 || env.earlier == null) return [];
  const { holds } = env.earlier;
  return holds === 'any' ? unsafe : unsafe.filter(({ oid }) => holds.has(oid));
}
