import { askedAs, throughPath } from './asked.ts';
import type { StatementClass } from './classes.ts';
import { isUnforeseen, madeTemporary } from './earlier.ts';
import type { Facts, FunctionUse, RawPlace, RawRelation, RawStatement, RelationUse } from './facts.ts';
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
  type WrittenType,
} from './resolve-environment.ts';
import { fireEventTriggers } from './resolve-events.ts';
import { follow } from './resolve-follow.ts';
import { type Surroundings, surroundingsOf } from './resolve-links.ts';
import { type Parameters, reachOf } from './resolve-reach.ts';
import { sequencesOf } from './resolve-sequences.ts';
import { hasOwnTypes, typesIn } from './resolve-types.ts';
import { unforeseen } from './resolve-use.ts';

/** What resolution has found so far. */
export interface Found {
  readonly classes: Set<StatementClass>;
  readonly relations: RelationUse[];
  readonly functions: FunctionUse[];
  readonly unknown: string[];
  readonly askRelations: WrittenName[];
  readonly askFunctions: WrittenName[];
  readonly askTypes: WrittenType[];
  /** How many of the relations are temporary. */
  temporary: number;
  /** Something that is reached through a relation writes. */
  writes: boolean;
}

/** Says what the names of a statement mean for the session, or what must be asked for or loaded first. */
export function resolve(raw: RawStatement, env: ResolveEnvironment): Resolution {
  const found: Found = {
    classes: new Set(raw.classes),
    relations: [],
    functions: [],
    unknown: [...raw.unknown],
    askRelations: [],
    askFunctions: [],
    askTypes: [],
    temporary: 0,
    writes: false,
  };
  const around = surroundingsOf(env);
  const named = [...raw.relations, ...sequencesOf(raw)];
  const of = { ...raw, ownTypes: () => hasOwnTypes(raw, env) };
  for (const relation of named) resolveRelation(relation, env, { found, around, of });
  if (raw.tag !== undefined) fireEventTriggers(raw.tag, env, { found, around });
  for (const view of raw.settingsViews ?? []) checkSettingsView(view, env, found);
  resolveCalls(raw, env, found);
  const missing = [...around.wanted];
  if (env.partial !== true) {
    const { askRelations: relations, askFunctions: functions, askTypes: types } = found;
    if (relations.length + functions.length + types.length > 0) return { kind: 'Ask', relations, functions, types };
    if (missing.length > 0) return { kind: 'Load', rules: missing };
  }
  return {
    kind: 'Facts',
    facts: factsOf(raw, env, found),
    missing,
    dependencies: {
      relations: [...around.relations],
      functions: [...around.functions],
      names: [...named, ...raw.functions, ...raw.types, ...raw.operators].map(({ schema, name }) =>
        nameKey(schema, name),
      ),
    },
  };
}

function factsOf(raw: RawStatement, env: ResolveEnvironment, found: Found): Facts {
  const { settings, readOnly } = raw;
  // DROP TABLE and the like of temporary objects alone define nothing that others see.
  const ownOnly = raw.primary === 'Ddl' && found.temporary > 0 && found.temporary === raw.relations.length;
  if (ownOnly) found.classes.delete('Ddl');
  const { relations, functions, unknown } = found;
  if (unknown.length > 0) found.classes.add('Unknown');
  return {
    primary: ownOnly ? 'TempTable' : raw.primary,
    classes: [...found.classes],
    relations: dedupe(relations),
    functions: dedupe(functions),
    settings,
    unknown,
    // What a user function does is not known here.
    readOnly: readOnly && !found.writes && functions.length === 0,
    ...(raw.makes === undefined ? {} : { holds: typesIn(raw, env) }),
  };
}

/** What is reached twice by the same door is told once. */
function dedupe<T extends RelationUse | FunctionUse>(uses: readonly T[]): readonly T[] {
  if (uses.every(({ of }) => of === undefined)) return uses;
  const seen = new Map<string, T>();
  for (const [at, use] of uses.entries()) {
    const { schema, name, door = '', of } = use;
    const how = 'verb' in use ? `${use.verb} ${use.reach} ${use.descendants === undefined}` : use.candidates.join();
    const key = of === undefined ? String(at) : `${schema}\0${name}\0${door}\0${how}`;
    if (!seen.has(key)) seen.set(key, use);
  }
  return [...seen.values()];
}

function resolveRelation(
  raw: RawRelation,
  env: ResolveEnvironment,
  { found, around, of }: { found: Found; around: Surroundings; of: Parameters },
): void {
  if (isCut(raw.name, env)) found.unknown.push(`the name ${raw.name}, which the server cuts in another encoding`);
  const known = findRelation(raw, env);
  if (known === undefined) {
    found.askRelations.push(...askedAs<WrittenName>({ schema: raw.schema, name: raw.name }, env));
    return;
  }
  if (known === null) return addNew(raw, env, found);
  if (raw.verb === 'TempTable') {
    found.classes.add('TempTable');
    return;
  }
  follow(
    {
      relation: known,
      verb: raw.verb,
      reach: reachOf(raw, known, { around, of }),
      door: raw.door,
      of: null,
      only: raw.only === true,
      cascade: raw.cascade === true,
      most: raw.reach?.most,
      reads: raw.reads,
      writes: raw.writes,
    },
    { found, around },
  );
}

/**
 * Settings are set that a condition on this view names: another relation of that name, or another `=` than the server's,
 * could name others. Test: "a temporary view does not name settings".
 */
function checkSettingsView(view: RawPlace, env: ResolveEnvironment, found: Found): void {
  const known = findRelation(view, env);
  if (known === undefined) return; // asked for as the relation that it is
  const first = env.searchPath.find((place) => !isTemporary(place));
  if (known?.schema === 'pg_catalog' && first === 'pg_catalog') return;
  found.unknown.push('set_config of a setting whose name is not a constant');
}

/** What does not exist yet, or stands for all that is in a schema. */
function addNew(raw: RawRelation, env: ResolveEnvironment, found: Found): void {
  const schema = raw.schema ?? creationSchema(env);
  const { name, verb } = raw;
  if (env.earlier != null && isUnforeseen(env.earlier, verb, { schema, name })) unforeseen({ schema, name }, found);
  if (isTemporary(schema)) {
    found.classes.add('TempTable');
    found.temporary += 1;
    return;
  }
  if (raw.verb === 'TempTable' || isSystem(schema)) {
    found.classes.add(raw.verb === 'TempTable' ? 'TempTable' : raw.verb === 'Select' ? 'Catalog' : 'CatalogWrite');
    return;
  }
  const inside = name === '*' ? (env.catalog.relationsOf?.(schema) ?? []) : [];
  const descendants = inside
    .filter(({ kind }) => verb !== 'Sequence' || kind === 'sequence')
    .map((one) => ({ schema: one.schema, name: one.name }));
  const reach = raw.reach === null ? null : raw.reach.values ? 'Keyed' : raw.reach.floor;
  const { door } = raw;
  found.relations.push({
    schema,
    name,
    kind: verb === 'Sequence' && name === '*' ? 'sequence' : 'new',
    verb,
    reach,
    door,
    ...(descendants.length > 0 ? { descendants } : {}),
  });
}

/** undefined: to be asked for; null: there is no such relation. */
function findRelation(
  raw: RawPlace & { readonly creates?: boolean },
  env: ResolveEnvironment,
): KnownRelation | null | undefined {
  const { schema, name } = raw;
  // A name that is to be created is not looked for, and may hide another of that name: it goes where the path says.
  if (raw.creates === true) return null;
  const answer = env.overlay?.relations.get(nameKey(schema, name));
  const made = madeTemporary(env.earlier, schema, name);
  if (made !== undefined) {
    if (!env.localNames) return made;
    // One of that name may have been there before (IF NOT EXISTS).
    return answer === undefined || (answer !== null && isTemporary(answer.schema)) ? answer : made;
  }
  if (env.foreseen === true && schema === null)
    return throughPath(raw, env, env.overlay?.relations, (place) => env.catalog.relation(place, name));
  return answer === undefined ? sharedRelation(raw, env) : answer;
}

/** As the shared catalogue has it, if that can tell. */
function sharedRelation({ schema, name }: RawPlace, env: ResolveEnvironment): KnownRelation | undefined {
  // Once the path has a temporary schema, only the session knows what is in it (test: "pg_temp in the path is asked").
  if (env.localNames || (schema === null && env.searchPath.some(isTemporary))) return undefined;
  for (const place of schema === null ? env.searchPath : [schema]) {
    const known = env.catalog.relation(place, name);
    if (known !== undefined) return known;
  }
  return undefined;
}

/** NAMEDATALEN - 1, less the bytes of a character that does not fit. */
const SURE_BYTES = 60;

/** The parser cuts long names in UTF-8; a database in another encoding may cut elsewhere, and find another relation. */
function isCut(name: string, { catalog }: ResolveEnvironment): boolean {
  return catalog.utf8 === false && name.length * 2 > SURE_BYTES && Buffer.byteLength(name) >= SURE_BYTES;
}
