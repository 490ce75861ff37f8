import type { Facts, RawStatement, RelationUse } from '../sql/facts.ts';
import type { Clouded } from './clouded.ts';
import { Definitions } from './definitions.ts';
import { changesSettings, endsTransaction, makesTables, runsByName, runsOthers } from './effects.ts';
import type { Surroundings } from './judge.ts';
import type { Judged } from './judged.ts';
import { afterLiteralSets } from './simulate.ts';
import type { SessionState } from './state.ts';

/** What a statement in the middle of a string finds. */
export interface Around extends Surroundings {
  /** The open transaction contains a change of settings, perhaps made earlier in this string. */
  readonly changed: boolean;
  /** Grows with the string. */
  readonly earlier: Definitions;
  /** A statement earlier in this string makes functions, or what calls them. */
  readonly codeMade: boolean;
  /**
   * Relations that went away earlier in this string, and may have hidden others: name and schema; null: not one schema
   * alone, or not known. Grows with the string.
   */
  readonly gone: Map<string, string | null>;
}

export function atStart(s: SessionState): Around {
  return {
    ...s.surroundings(),
    changed: s.settings.touched,
    earlier: new Definitions(),
    codeMade: false,
    gone: new Map(),
  };
}

/** What the next statement of the string will find. */
export function after(s: SessionState, around: Around, raw: RawStatement, facts: Facts | null): Around {
  const next = {
    ...around,
    typesRenamed: around.typesRenamed === true || raw.renamesTypes === true,
    codeMade: around.codeMade || raw.classes.includes('Code'),
  };
  const callsMade = raw.classes.includes('Code') && raw.relations.length === 0 && around.earlier.callsMade(raw);
  around.earlier.add(raw, facts);
  noteGone(around.gone, raw, facts);
  const settingsBack = around.changed && raw.effects.some(endsTransaction);
  // DROP OWNED has no names at all.
  if (raw.removes === 'Any') return { ...next, clouded: 'Everything' };
  // An operator, a cast, …: whatever looks harmless may call it.
  if (callsMade && raw.makes?.functions.length === 0) return { ...next, clouded: 'Everything' };
  if (settingsBack || raw.classes.includes('Role')) return { ...next, clouded: worse(around.clouded, 'SearchPath') };
  if (!changesSettings(raw, facts)) return next;
  if (makesTables(raw) && !raw.asks && !runsOthers(raw, facts) && around.known?.namesTemporary === false)
    return { ...next, changed: true };
  const known = around.known === null ? null : afterLiteralSets(raw, around.known, s.env.catalog() ?? null);
  const clouds = known === null ? cloudsOf(raw, facts) : 'Nothing';
  return { ...next, changed: true, known, clouded: worse(around.clouded, clouds) };
}

/** RESET and DISCARD take settings back and make nothing; other code may. */
function cloudsOf(raw: RawStatement, facts: Facts | null): Clouded {
  const discards = raw.effects.length > 0 && raw.effects.every(({ kind }) => kind === 'Discard');
  return runsOthers(raw, facts) || (raw.asks && !discards) ? 'Everything' : 'SearchPath';
}

function worse(before: Clouded, now: Clouded): Clouded {
  return before === 'Everything' || now === 'Nothing' ? before : now;
}

/** What is made again where it was is found there again. */
function noteGone(gone: Around['gone'], raw: RawStatement, facts: Facts | null): void {
  const uses = facts?.relations ?? [];
  if (raw.removes !== undefined) return noteRemoved(gone, raw, uses);
  // What is temporary comes before others of its name.
  for (const name of raw.makes?.temporary ?? []) gone.delete(name);
  for (const { kind, verb, name, schema } of uses)
    if (kind === 'new' && verb === 'Ddl' && gone.get(name) === schema) gone.delete(name);
}

/** Twins in two schemas: one that is made again says nothing of the other (test: "twins that go together"). */
function noteRemoved(gone: Around['gone'], { relations }: RawStatement, uses: readonly RelationUse[]): void {
  const places = new Map<string, Set<string | null>>(relations.map(({ name }) => [name, new Set()]));
  for (const { name, schema } of uses) places.get(name)?.add(schema);
  for (const [name, schemas] of places) {
    const before = gone.get(name);
    if (before !== undefined) schemas.add(before);
    const [only = null] = schemas;
    gone.set(name, schemas.size > 1 ? null : only);
  }
}

/**
 * It names what went away, or may: a sequence is named in a literal, a row type goes with its table. Test: "behind what
 * else a name meant at the start of the string".
 */
export function usesWhatIsGone(gone: Around['gone'], raw: RawStatement): boolean {
  if (gone.size === 0) return false;
  const isGone = (schema: string | null, name: string) => schema === null && gone.has(name);
  return (
    raw.classes.includes('Sequence') ||
    raw.relations.some(({ schema, name, creates }) => !creates && isGone(schema, name)) ||
    raw.types.some(({ schema, name }) => isGone(schema, name) || isGone(schema, name.replace(/^_/, ''))) ||
    raw.effects.some((effect) => runsByName(effect) || ('inner' in effect && usesWhatIsGone(gone, effect.inner)))
  );
}

/**
 * What was prepared before goes on reading what a temporary table of the string hides. Test: "a temporary table behind what
 * was prepared".
 */
export function runsBehindTables({ temporary }: Definitions, { effects }: RawStatement): boolean {
  return temporary.size > 0 && effects.some(runsByName);
}

/**
 * It calls a function that nobody has yet: one that the string makes, perhaps. Definitions only name functions. Test: "a
 * function is not called in the string that makes it".
 */
export function callsNobody({ raw, facts, decision }: Judged, earlier: Definitions): boolean {
  if (decision.verdict === 'Deny' || raw === null || raw.classes.includes('Code')) return false;
  if (earlier.callsMade(raw)) return true;
  return facts?.functions.some(({ candidates }) => candidates.length === 0) === true;
}
