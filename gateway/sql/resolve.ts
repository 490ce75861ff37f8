import type { StatementClass } from './classes.ts';
import type { Facts, FunctionUse, RawRelation, RawStatement, RelationUse } from './facts.ts';
import { resolveCalls } from './resolve-calls.ts';
import {
  creationSchema,
  isSystem,
  isTemporary,
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

/** What resolution has found so far. */
export interface Found {
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
  resolveCalls(raw, env, found);
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
  else found.relations.push({ schema, name, kind, verb: raw.verb, reach: reachOf(raw, known) });
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

function reachOf(raw: RawRelation, known: KnownRelation | null): RelationUse['reach'] {
  if (raw.reach === null || !WRITES.has(raw.verb)) return null;
  const { floor, equated, values } = raw.reach;
  if (values) return 'Keyed';
  const keyed =
    floor === 'Filtered' && (known?.uniqueKeys ?? []).some((key) => key.every((column) => equated.includes(column)));
  return keyed ? 'Keyed' : floor;
}
