import { classifyBuiltin } from './builtin.ts';
import type { StatementClass } from './classes.ts';
import type { Facts, FunctionUse, RawFunction, RawRelation, RawStatement, RelationUse } from './facts.ts';
import {
  type KnownFunction,
  type KnownRelation,
  nameKey,
  type Resolution,
  type ResolveEnvironment,
  type WrittenName,
} from './resolve-environment.ts';

/** System relations whose contents are secrets, or other people's: a rule must name them. */
const SECRET = new Set([
  'pg_authid',
  'pg_shadow',
  'pg_user_mapping',
  'pg_user_mappings',
  'pg_subscription',
  'pg_largeobject',
  'pg_statistic',
  'pg_statistic_ext_data',
  'pg_hba_file_rules',
  'pg_ident_file_mappings',
  'pg_file_settings',
  'pg_foreign_server',
]);
const WRITES: ReadonlySet<StatementClass> = new Set(['Insert', 'Update', 'Delete', 'Merge', 'Truncate']);

interface Found {
  readonly classes: Set<StatementClass>;
  readonly relations: RelationUse[];
  readonly functions: FunctionUse[];
  readonly unknown: string[];
  readonly askRelations: WrittenName[];
  readonly askFunctions: WrittenName[];
  /** How many of the relations are temporary. */
  temporary: number;
}

/** Says what the names of a statement mean for the session, or which names must be asked for first. */
export function resolve(raw: RawStatement, env: ResolveEnvironment): Resolution {
  const found: Found = {
    classes: new Set(raw.classes),
    relations: [],
    functions: [],
    unknown: [...raw.unknown],
    askRelations: [],
    askFunctions: [],
    temporary: 0,
  };
  for (const relation of raw.relations) resolveRelation(relation, env, found);
  for (const fn of raw.functions) resolveFunction(fn, env, found);
  for (const name of raw.attributes) resolveAttribute(name, env, found);
  for (const type of raw.types) resolveType(type, env, found);
  if (found.askRelations.length > 0 || found.askFunctions.length > 0) {
    return { kind: 'Ask', relations: found.askRelations, functions: found.askFunctions };
  }
  const { settings, readOnly } = raw;
  // DROP TABLE and the like of temporary objects alone define nothing that others see.
  const ownOnly = raw.primary === 'Ddl' && found.temporary > 0 && found.temporary === raw.relations.length;
  if (ownOnly) found.classes.delete('Ddl');
  const primary = ownOnly ? 'TempTable' : raw.primary;
  const { relations, functions, unknown } = found;
  if (unknown.length > 0) found.classes.add('Unknown');
  const facts: Facts = {
    primary,
    classes: [...found.classes],
    relations,
    functions,
    settings,
    unknown,
    // What a user function does is not known here.
    readOnly: readOnly && functions.length === 0,
  };
  return { kind: 'Facts', facts };
}

function resolveRelation(raw: RawRelation, env: ResolveEnvironment, found: Found): void {
  const known = findRelation(raw, env);
  if (known === undefined) {
    found.askRelations.push({ schema: raw.schema, name: raw.name });
    return;
  }
  const use: RelationUse = known ?? {
    schema: raw.schema ?? creationSchema(env),
    name: raw.name,
    kind: 'new',
    verb: raw.verb,
    reach: null,
  };
  const { schema, name, kind } = use;
  if (isTemporary(schema)) {
    found.classes.add('TempTable');
    found.temporary += 1;
  } else if (isSystem(schema) && !SECRET.has(name))
    found.classes.add(raw.verb === 'Select' ? 'Catalog' : 'CatalogWrite');
  else if (raw.verb === 'TempTable') found.classes.add('TempTable');
  else {
    const reach = reachOf(raw, known);
    const most = reach === 'Keyed' ? raw.reach?.most : undefined;
    found.relations.push({ schema, name, kind, verb: raw.verb, reach, ...(most === undefined ? {} : { most }) });
  }
}

/** undefined: to be asked for; null: there is no such relation. */
function findRelation(raw: RawRelation, env: ResolveEnvironment): (KnownRelation & RelationUse) | null | undefined {
  const { schema, name } = raw;
  // A name that is to be created is not looked for, and may hide another of that name: it goes where the path says.
  if (raw.creates) return null;
  const answer = env.overlay?.relations.get(nameKey(schema, name));
  if (answer !== undefined) return answer as (KnownRelation & RelationUse) | null;
  // Once the path has a temporary schema, only the session knows what is in it (test: "pg_temp in the path is asked").
  const local = schema === null && env.searchPath.some(isTemporary);
  if (!env.localNames && !local) {
    for (const place of schema === null ? env.searchPath : [schema]) {
      const known = env.catalog.relation(place, name);
      if (known !== undefined) return known as KnownRelation & RelationUse;
    }
  }
  return undefined;
}

function creationSchema(env: ResolveEnvironment): string {
  return env.searchPath.find((schema) => !isSystem(schema) && !isTemporary(schema)) ?? 'pg_catalog';
}

function isTemporary(schema: string): boolean {
  return schema === 'pg_temp' || schema.startsWith('pg_temp_') || schema.startsWith('pg_toast_temp_');
}

function isSystem(schema: string): boolean {
  return schema === 'pg_catalog' || schema === 'information_schema' || schema === 'pg_toast';
}

function reachOf(raw: RawRelation, known: KnownRelation | null): RelationUse['reach'] {
  if (raw.reach === null || !WRITES.has(raw.verb)) return null;
  const { floor, equated, values } = raw.reach;
  if (values) return 'Keyed';
  const keyed =
    floor === 'Filtered' && (known?.uniqueKeys ?? []).some((key) => key.every((column) => equated.includes(column)));
  return keyed ? 'Keyed' : floor;
}

function resolveFunction(raw: RawFunction, env: ResolveEnvironment, found: Found): void {
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
function resolveAttribute(name: string, env: ResolveEnvironment, found: Found): void {
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

function resolveType(type: WrittenName, env: ResolveEnvironment, found: Found): void {
  for (const place of type.schema === null ? env.searchPath : [type.schema]) {
    const name = type.name;
    if (env.catalog.userType(place, name)?.safe === true || env.catalog.relation(place, name) !== undefined) return;
  }
  found.unknown.push(`the type ${type.schema === null ? '' : `${type.schema}.`}${type.name}`);
}
