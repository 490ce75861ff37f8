import type pg from 'pg';
import type { CatalogRelation } from './catalog/relations.ts';
import type { CatalogSnapshot } from './catalog/snapshot.ts';
import type { ConfigDocument } from './config/document.ts';
import { matches, type RelationPattern } from './policy/patterns.ts';
import type { Contents, KnownServer } from './policy/unmatched.ts';
import type { UpstreamAccess } from './upstream-access.ts';

const DATABASES = `SELECT datname AS name FROM pg_catalog.pg_database
  WHERE datallowconn AND NOT datistemplate ORDER BY datname`;
const ROLES = 'SELECT rolname AS name FROM pg_catalog.pg_roles WHERE rolcanlogin';

/** The catalogue role gets no connection to a database: it is not there, or closed to that role. */
const NO_ENTRY: ReadonlySet<string> = new Set(['3D000', '28000', '42501', '55000']);

/** Whether a connection could not be had, or a catalogue read, for that reason. */
export function isNoEntry(error: unknown): boolean {
  const { code, cause } = (error ?? {}) as { readonly code?: unknown; readonly cause?: { readonly code?: unknown } };
  return NO_ENTRY.has(String(code)) || NO_ENTRY.has(String(cause?.code));
}

/** Asks a server for its databases and for the roles that may log in, in the first database that lets us in. */
export async function askServer(
  upstream: UpstreamAccess,
  { policies }: Pick<ConfigDocument, 'policies'>,
): Promise<Pick<KnownServer, 'databases' | 'logins'>> {
  const named = new Set(policies.flatMap(({ databases }) => databases));
  const client = await enter(upstream, [...named, 'postgres', 'template1']);
  try {
    // What is written without a schema is the server's own, whatever the role's search_path is.
    await client.query("SET search_path = ''; SET statement_timeout = '10s'");
    const names = async (query: string) => (await client.query(query)).rows.map(({ name }) => String(name));
    return { databases: await names(DATABASES), logins: new Set(await names(ROLES)) };
  } finally {
    await client.end().catch(() => {});
  }
}

async function enter(upstream: UpstreamAccess, [first, ...others]: readonly string[]): Promise<pg.Client> {
  try {
    return await upstream.connectCatalog(first!);
  } catch (error) {
    if (others.length === 0 || !isNoEntry(error)) throw error;
    return await enter(upstream, others);
  }
}

/** What rules speak of; indexes and the like are no names in them. */
const RELATIONS: ReadonlySet<string> = new Set(['table', 'view', 'matview', 'sequence', 'foreign', 'partitioned']);

export function contentsOf(snapshot: CatalogSnapshot): Contents {
  const candidates = ({ exact }: Pick<RelationPattern, 'exact'>): readonly CatalogRelation[] => {
    if (exact === null) return snapshot.relationsOf('*').filter(({ kind }) => RELATIONS.has(kind));
    const relation = snapshot.relation(exact.schema, exact.name);
    return relation !== undefined && RELATIONS.has(relation.kind) ? [relation] : [];
  };
  return {
    hasRelation: (pattern) => candidates(pattern).some(({ schema, name }) => matches(pattern, schema, name)),
    hasColumn: (pattern) =>
      candidates(pattern).some(
        ({ schema, name, links }) =>
          matches(pattern, schema, name) && links.columns.some((column) => pattern.column.test(column)),
      ),
    hasFunction: (wanted) =>
      snapshot.functions(wanted.schema, wanted.name).some((one) => one.arguments === wanted.arguments),
  };
}

/** A database into which the gateway's catalogue role does not get: no session gets anything there. */
export const NOTHING: Contents = { hasRelation: () => false, hasColumn: () => false, hasFunction: () => false };
