import type pg from 'pg';

export interface Rows {
  readonly schema: string;
  readonly name: string;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
}

/** What a statement did, as the server itself tells before the transaction is rolled back. */
export interface Outcome {
  /** The transaction wrote something, or locked a row. */
  readonly wrote: boolean;
  /** Tables, views and the like of users that were opened, with the modes of their locks. */
  readonly locks: readonly { readonly schema: string; readonly name: string; readonly mode: string }[];
  /** Rows of tables. */
  readonly rows: readonly Rows[];
  /** Settings by name, of those that differ from a fresh session's. */
  readonly settings: readonly string[];
}

const PROBE = `
  SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS wrote,
    (SELECT coalesce(json_agg(DISTINCT jsonb_build_object('schema', n.nspname, 'name', c.relname, 'mode', l.mode)), '[]')
       FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
         AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')) AS locks,
    (SELECT coalesce(json_agg(name || '=' || setting), '[]') FROM pg_settings) AS settings`;

/** Rows written by the session since its counters were last flushed, whenever that was. */
const COUNT = `
  SELECT schemaname AS schema, relname AS name, n_tup_ins::int AS inserted, n_tup_upd::int AS updated, n_tup_del::int AS deleted
    FROM pg_stat_xact_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0`;

async function count(client: pg.Client): Promise<Rows[]> {
  return (await client.query(COUNT)).rows as Rows[];
}

function since(before: readonly Rows[], after: readonly Rows[]): Rows[] {
  return after.map(({ schema, name, inserted, updated, deleted }) => {
    const old = before.find((rows) => rows.schema === schema && rows.name === name);
    return {
      schema,
      name,
      inserted: inserted - (old?.inserted ?? 0),
      updated: updated - (old?.updated ?? 0),
      deleted: deleted - (old?.deleted ?? 0),
    };
  });
}

/** Runs one statement in a transaction that is rolled back; null: the server refused it. */
export async function runAndProbe(client: pg.Client, sql: string, usual: ReadonlySet<string>): Promise<Outcome | null> {
  await client.query('BEGIN');
  try {
    const before = await count(client);
    await client.query(sql);
    const rows = since(before, await count(client));
    const [row] = (await client.query(PROBE)).rows as (Omit<Outcome, 'settings' | 'rows'> & { settings: string[] })[];
    const settings = row!.settings.filter((setting) => !usual.has(setting)).map((it) => it.split('=')[0]!);
    return { ...row!, rows, settings };
  } catch {
    return null;
  } finally {
    await client.query('ROLLBACK');
    await client.query('DISCARD ALL');
  }
}

/** The settings of a session in a fresh transaction. */
export async function usualSettings(client: pg.Client): Promise<Set<string>> {
  // The language brings settings of its own.
  await client.query('BEGIN; DO $$ BEGIN END $$');
  const [row] = (await client.query(PROBE)).rows as { settings: string[] }[];
  await client.query('ROLLBACK');
  return new Set(row!.settings);
}
