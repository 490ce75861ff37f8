import type { CatalogSnapshot } from '../catalog/snapshot.ts';
import type { RawStatement } from '../sql/facts.ts';
import type { KnownSettings } from './settings.ts';

/**
 * What the settings will be after a statement, if all that it changes is search_path by a plain literal SET; null: only
 * the server can tell. For statements that follow in the same string; afterwards the server is asked all the same.
 */
export function afterLiteralSets(
  raw: RawStatement,
  known: KnownSettings,
  catalog: CatalogSnapshot | null,
): KnownSettings | null {
  if (catalog === null || raw.asks || raw.unknown.length > 0 || raw.settings.length !== 1) return null;
  const [change] = raw.settings;
  if (change === undefined || change.kind !== 'Set' || change.name.toLowerCase() !== 'search_path') return null;
  if (change.list === null || raw.functions.length > 0 || raw.effects.length > 0) return null;
  const namesTemporary = change.list.some((schema) => /^pg_temp/.test(schema));
  return { ...known, namesTemporary, searchPath: effectivePath(change.list, known, catalog) };
}

/** Like `current_schemas(true)`: the schemas that exist, with the implicit ones in front. */
function effectivePath(list: readonly string[], known: KnownSettings, catalog: CatalogSnapshot): string[] {
  const temporary = known.searchPath.find((schema) => schema.startsWith('pg_temp_'));
  const named = list
    .map((schema) => (schema === '$user' ? known.currentUser : schema))
    .map((schema) => (schema === 'pg_temp' ? (temporary ?? '') : schema))
    .filter((schema) => catalog.schemas.has(schema) || schema === temporary || schema === 'pg_catalog');
  const path = [...new Set(named)];
  if (!path.includes('pg_catalog')) path.unshift('pg_catalog');
  if (temporary !== undefined && !path.includes(temporary)) path.unshift(temporary);
  return path;
}
