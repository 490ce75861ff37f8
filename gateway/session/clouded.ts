import type { CatalogSnapshot } from '../catalog/snapshot.ts';
import type { RawFunction, RawStatement } from '../sql/facts.ts';
import type { Surroundings } from './judge.ts';

/** What a statement earlier in the same string has changed that only the server can tell. */
export type Clouded = 'Nothing' | 'SearchPath' | 'Everything';

/** The search path under which a statement is read that means the same under each. */
export const SERVERS_OWN = ['pg_catalog'] as const;

/**
 * Behind a change of the search path the statement means what it always means: it calls what the server alone has. So
 * pools end a client's use of a session, by `RESET ALL; …; SELECT pg_advisory_unlock_all()`. Test: "what pools send
 * between clients".
 */
export function meansTheSame(s: Surroundings, raw: RawStatement, catalog: CatalogSnapshot): boolean {
  if (s.clouded !== 'SearchPath' || s.settings.local !== 'no' || s.typesRenamed === true) return false;
  if (needsNames({ ...raw, functions: [] }) || (raw.opclasses ?? []).length > 0) return false;
  return raw.functions.every((fn) => isServersOwn(fn, catalog));
}

function isServersOwn({ schema, name, oid }: RawFunction, catalog: CatalogSnapshot): boolean {
  if (oid !== undefined || catalog.functions('pg_catalog', name).length === 0) return false;
  const others = [...catalog.schemas].filter((one) => one !== 'pg_catalog');
  return (
    schema === 'pg_catalog' || (schema === null && others.every((one) => catalog.functions(one, name).length === 0))
  );
}

export function needsNames({ relations, functions, types, operators, attributes }: RawStatement): boolean {
  // What the grammar itself writes as pg_catalog's (int, varchar, …) means that in every search path.
  const named = types.some(({ schema }) => schema !== 'pg_catalog');
  return named || [relations, functions, operators, attributes].some((names) => names.length > 0);
}
