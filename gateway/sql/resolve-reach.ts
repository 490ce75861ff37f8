import type { Reach } from '../config/document.ts';
import type { StatementClass } from './classes.ts';
import type { RawRelation } from './facts.ts';
import type { Column, KnownRelation } from './resolve-environment.ts';
import type { Surroundings } from './resolve-links.ts';

const WRITES: ReadonlySet<StatementClass> = new Set(['Insert', 'Update', 'Delete', 'Merge', 'Truncate']);

/** Whether a verb changes rows. */
export function isWrite(verb: StatementClass): boolean {
  return WRITES.has(verb);
}

/** How far a write reaches, with what is known of keys and nulls; null: it is no write. */
export function reachOf(raw: RawRelation, known: KnownRelation | null, around: Surroundings): Reach | null {
  if (raw.reach === null || !isWrite(raw.verb)) return null;
  const { floor, equated, values, openIfNotNull = [], ifOwn = [] } = raw.reach;
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
  const covers = (columns: readonly string[]) => keys.some((key) => key.every(({ name }) => columns.includes(name)));
  return covers(equated) || own.some((one) => covers(one.equated)) ? 'Keyed' : 'Filtered';
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
  // Inheritance children have keys of their own: a value may be there as well.
  if (kind === 'table' && !looking.only && links !== undefined && links.children.length > 0) return [];
  if (kind !== 'view')
    return uniqueKeys.map((key, i) => key.map((name, j) => ({ name, number: links?.keyNumbers[i]?.[j] ?? 0 })));
  const query = links?.rules.find(({ verb }) => verb === 'Select');
  const definition = query === undefined ? undefined : looking.around.definition(query);
  const base = definition?.base === null ? undefined : looking.around.relation(definition?.base?.relation ?? 0);
  if (definition?.base == null || base === undefined || looking.depth > MAX_DEPTH) return [];
  const keys = keysOf(base, { ...looking, only: definition.base.only, depth: looking.depth + 1 });
  return keys.flatMap((key) => {
    const columns = key.map(({ number }) => definition.columns.get(number));
    return columns.every((column) => column !== undefined) ? [columns] : [];
  });
}
