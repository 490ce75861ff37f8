import type { Reach } from '../config/document.ts';
import type { StatementClass } from './classes.ts';
import { hasLostKeys } from './earlier.ts';
import type { ParameterType, RawReach, RawRelation, RawStatement } from './facts.ts';
import type { Column, KnownRelation } from './resolve-environment.ts';
import type { Surroundings } from './resolve-links.ts';

const WRITES: ReadonlySet<StatementClass> = new Set(['Insert', 'Update', 'Delete', 'Merge', 'Truncate']);

/** Whether a verb changes rows. */
export function isWrite(verb: StatementClass): boolean {
  return WRITES.has(verb);
}

/** What is known of a statement's parameters. */
export interface Parameters extends Pick<RawStatement, 'parameters' | 'repeated'> {
  /** A relation of the statement has values of types that are not the server's own. */
  readonly ownTypes: () => boolean;
}

interface Reaching {
  readonly around: Surroundings;
  readonly of: Parameters;
}

/** How far a write reaches, with what is known of keys and nulls; null: it is no write. */
export function reachOf(raw: RawRelation, known: KnownRelation | null, { around, of }: Reaching): Reach | null {
  if (raw.reach === null || !isWrite(raw.verb)) return null;
  const { floor, values, openIfNotNull = [], ifOwn = [] } = raw.reach;
  if (values) return 'Keyed';
  if (known === null) return floor;
  const keys = keysOf(known, { only: raw.only === true, around, depth: 0 });
  // Columns of keys are never NULL, and surely the relation's own.
  const ofKeys = keys.flat().map(({ name }) => name);
  const neverNull = new Set([...ofKeys, ...(known.links?.notNull ?? [])]);
  if (openIfNotNull.some((columns) => columns.every((column) => neverNull.has(column)))) return 'Unbounded';
  const has = new Set([...ofKeys, ...(known.links?.columns ?? [])]);
  const own = ifOwn.filter(({ column }) => has.has(column));
  if (floor === 'Unbounded' && own.length === 0) return 'Unbounded';
  const covers = (one: Pick<RawReach, 'equated' | 'bound'>) =>
    keys.some((key) => key.every((column) => isGiven(column, one, of)));
  return covers(raw.reach) || own.some(covers) ? 'Keyed' : 'Filtered';
}

/** By a constant, or by parameters none of which can be equal to more than one key. */
function isGiven({ name, type }: Column, { equated, bound = [] }: Pick<RawReach, 'equated' | 'bound'>, of: Parameters) {
  if (equated.includes(name)) return true;
  return bound.some((one) => one.column === name && one.parameters.every((number) => isOneKey(number, type, of)));
}

/**
 * Test: "a parameter whose type makes keys equal is none". Without a type of its own it takes the key's, unless something
 * else in the statement gives it another first.
 */
function isOneKey(number: number, key: number | undefined, { parameters, repeated, ownTypes }: Parameters): boolean {
  const type: ParameterType = parameters?.[number - 1] ?? 'Open';
  if (type !== 'Open') return type === 'Exact' || (typeof type === 'number' && type === key);
  if (repeated?.used.includes(number) === true) return false;
  return repeated?.compared.includes(number) !== true || !ownTypes();
}

/** Views over views deeper than this are taken to have no key. */
const MAX_DEPTH = 16;

interface Looking {
  readonly only: boolean;
  readonly around: Surroundings;
  readonly depth: number;
}

/** Unique keys; a simple view has those of the relation that it is over. */
function keysOf(known: KnownRelation, looking: Looking): readonly (readonly Column[])[] {
  const { links, uniqueKeys, kind } = known;
  if (hasLostKeys(looking.around.earlier, known)) return [];
  // Inheritance children have keys of their own: a value may be there as well.
  if (kind === 'table' && !looking.only && links !== undefined && links.children.length > 0) return [];
  if (kind !== 'view')
    return uniqueKeys.map((key, i) =>
      key.map((name, j) => ({ name, number: links?.keyNumbers[i]?.[j] ?? 0, type: links?.keyTypes?.[i]?.[j] })),
    );
  const query = links?.rules.find(({ verb }) => verb === 'Select');
  const definition = query === undefined ? undefined : looking.around.definition(query);
  const base = definition?.base === null ? undefined : looking.around.relation(definition?.base?.relation ?? 0);
  if (definition?.base == null || base === undefined || looking.depth > MAX_DEPTH) return [];
  const keys = keysOf(base, { ...looking, only: definition.base.only, depth: looking.depth + 1 });
  return keys.flatMap((key) => {
    const columns = key.flatMap(({ number, type }) => {
      const column = definition.columns.get(number);
      return column === undefined ? [] : [{ ...column, type }];
    });
    return columns.length === key.length ? [columns] : [];
  });
}
