/** What of a database had been seen at one moment. */
export interface Seen {
  /** `pg_current_snapshot()`: nothing was committed while it stays the same. */
  readonly snapshot: string;
  readonly counts: string;
  /** Transactions not older than the snapshot's oldest whose rows were there. */
  readonly transactions: ReadonlySet<string>;
}

export const NOW = 'SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text AS snapshot';

/** Temporary objects come and go without anybody else's knowledge: they do not count. */
const NOT_TEMPORARY = (relation: string) =>
  `NOT EXISTS (SELECT FROM temporary t WHERE t.oid OPERATOR(pg_catalog.=) c.${relation})`;
const NOT_IN_TEMPORARY = (namespace: string) =>
  `c.${namespace} OPERATOR(pg_catalog.<>) ALL (ARRAY(SELECT n.oid FROM pg_catalog.pg_namespace n
    WHERE n.nspname::pg_catalog.text OPERATOR(pg_catalog.~) '^pg_(toast_)?temp_'))`;

/** System catalogues, with the rows that count. */
const TABLES: Readonly<Record<string, string>> = {
  pg_namespace: NOT_IN_TEMPORARY('oid'),
  pg_class: `c.relpersistence OPERATOR(pg_catalog.<>) 't'`,
  pg_index: NOT_TEMPORARY('indrelid'),
  pg_constraint: NOT_TEMPORARY('conrelid'),
  pg_trigger: NOT_TEMPORARY('tgrelid'),
  pg_rewrite: NOT_TEMPORARY('ev_class'),
  pg_policy: NOT_TEMPORARY('polrelid'),
  pg_inherits: NOT_TEMPORARY('inhrelid'),
  pg_attrdef: NOT_TEMPORARY('adrelid'),
  pg_proc: 'true',
  pg_type: NOT_IN_TEMPORARY('typnamespace'),
  pg_operator: 'true',
  pg_cast: 'true',
  pg_opclass: 'true',
  pg_amop: 'true',
  pg_amproc: 'true',
  pg_statistic_ext: 'true',
  pg_event_trigger: 'true',
  pg_extension: 'true',
};

const RECENT = 'pg_catalog.age(c.xmin) OPERATOR(pg_catalog.<=) since.age';

/**
 * How many rows there are, and which transactions since the oldest of a snapshot ($1, its text) have left any: a row
 * that is new or changed carries a transaction that had not been seen, one that is gone is missing from the count. One
 * scan without a sort; subtransactions, which a snapshot does not list, count by themselves.
 */
export const CHANGES = `WITH temporary AS MATERIALIZED (
    SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relpersistence OPERATOR(pg_catalog.=) 't'),
  since AS MATERIALIZED (SELECT pg_catalog.age(pg_catalog.pg_snapshot_xmin($1::pg_catalog.pg_snapshot)::pg_catalog.xid) AS age)
  ${Object.entries(TABLES)
    .map(
      ([
        table,
        counts,
      ]) => `SELECT pg_catalog.count(*) AS count, pg_catalog.string_agg(DISTINCT c.xmin::pg_catalog.text, ' ')
    FILTER (WHERE ${RECENT}) AS transactions, pg_catalog.pg_current_snapshot()::pg_catalog.text AS snapshot
    FROM pg_catalog.${table} c CROSS JOIN since WHERE ${counts}`,
    )
    .join('\n  UNION ALL ')}
  UNION ALL SELECT 0, pg_catalog.string_agg(DISTINCT c.xmin::pg_catalog.text, ' '), NULL
    FROM pg_catalog.pg_attribute c CROSS JOIN since WHERE ${RECENT} AND ${NOT_TEMPORARY('attrelid')}`;

/** Reads the rows of `CHANGES`. */
export function readSeen(rows: readonly Readonly<Record<string, unknown>>[]): Seen {
  const transactions = rows.flatMap((row) => (typeof row.transactions === 'string' ? row.transactions.split(' ') : []));
  return {
    snapshot: String(rows[0]?.snapshot),
    counts: rows.map(({ count }) => String(count)).join(),
    transactions: new Set(transactions),
  };
}

/** Whether anything was defined, changed or dropped in between. */
export function hasChanged(before: Seen, now: Seen): boolean {
  return before.counts !== now.counts || [...now.transactions].some((one) => !before.transactions.has(one));
}
