import type { StatementClass } from './classes.ts';
import type { QualifiedName, RawType, Unforeseen } from './facts.ts';
import { degree, worst } from './makes.ts';
import type { Earlier, KnownRelation } from './resolve-environment.ts';

/*
 * A string of statements is judged before any of it has run. Whoever comes to what the string itself has changed would be
 * judged by what was there before (tests: test/gateway/one-string).
 */

/** What must not be unforeseen for a verb; what defines, grants or drops makes nothing happen. */
const NEEDED: ReadonlyMap<StatementClass, Unforeseen> = new Map([
  ['Update', 'Changes'],
  ['Delete', 'Changes'],
  ['Merge', 'Changes'],
  ['Truncate', 'Changes'],
  ['Insert', 'Inserts'],
  // What a view is over is locked with it.
  ['Lock', 'Inserts'],
  ['Select', 'Reads'],
  ['Maintenance', 'Reads'],
]);

/** Whether only the server knows what the verb does with a relation, or with one that it is tied to. */
export function isUnforeseen(
  earlier: Earlier,
  verb: StatementClass,
  { name }: QualifiedName,
  kin: readonly QualifiedName[] = [],
): boolean {
  const needed = NEEDED.get(verb);
  if (needed === undefined) return false;
  const own = worst([name, ...kin.map((one) => one.name)].flatMap((one) => [...(earlier.relations.get(one) ?? [])]));
  if (degree(own) >= degree(needed)) return true;
  // A view of the string's own reads whatever the string has changed.
  return degree(own) >= degree('Inserts') && earlier.hidden;
}

/** Its keys are not what they were. */
export function hasLostKeys(earlier: Earlier | null, { name }: Pick<KnownRelation, 'name'>): boolean {
  return (earlier?.relations.get(name)?.size ?? 0) > 0;
}

/** A type of rows, or an array of them, of a relation that the string has made or changed. */
export function isMadeType(earlier: Earlier, { name }: Pick<RawType, 'name'>): boolean {
  return earlier.relations.has(name) || earlier.relations.has(name.replace(/^_/, ''));
}

/** The relation that a name means once the string has made a temporary one; undefined: it has not. */
export function madeTemporary(
  earlier: Earlier | null | undefined,
  schema: string | null,
  name: string,
): KnownRelation | undefined {
  if (earlier == null || !earlier.temporary.has(name) || (schema !== null && schema !== 'pg_temp')) return undefined;
  return { schema: 'pg_temp', name, kind: 'table', uniqueKeys: [] };
}
