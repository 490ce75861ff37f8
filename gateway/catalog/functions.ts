import { FIRST_NORMAL_OID } from './definition.ts';
import type { TextRow } from './relations.ts';
import { MAKES_RANGE, readFunction, TYPE_NAME } from './rows.ts';
import type { CatalogFunction } from './snapshot.ts';

const EQ = 'OPERATOR(pg_catalog.=)';

/**
 * Every function (`<`: of the server's own; `>=`: of others), with its columns as `FUNCTION_COLUMNS` has them but for the
 * argument types, which are OIDs: names made one by one, for thousands of functions, would take seconds.
 */
export const ALL_FUNCTIONS = (
  which: '<' | '>=',
) => `SELECT n.nspname::pg_catalog.text AS c0, p.proname::pg_catalog.text AS c1,
    p.oid::pg_catalog.text AS c2, p.proargtypes::pg_catalog.text AS c3, p.pronargs::pg_catalog.text AS c4,
    p.pronargdefaults::pg_catalog.text AS c5, CASE WHEN p.provariadic OPERATOR(pg_catalog.<>) 0 THEN '-1'
      ELSE COALESCE(pg_catalog.array_length(p.proallargtypes, 1), p.pronargs)::pg_catalog.text END AS c6,
    p.provolatile::pg_catalog.text AS c7, p.prokind::pg_catalog.text AS c8, p.prosecdef::pg_catalog.text AS c9,
    l.lanname::pg_catalog.text AS c10, x.extname::pg_catalog.text AS c11,
    pg_catalog.concat_ws(',', p.prorettype, pg_catalog.array_to_string(p.proallargtypes, ',')) AS c12,
    g.aggnumdirectargs::pg_catalog.text AS c13, ${MAKES_RANGE}::pg_catalog.text AS c14
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid ${EQ} p.pronamespace
  JOIN pg_catalog.pg_language l ON l.oid ${EQ} p.prolang
  LEFT JOIN pg_catalog.pg_aggregate g ON g.aggfnoid::pg_catalog.oid ${EQ} p.oid AND g.aggkind OPERATOR(pg_catalog.<>) 'n'
  LEFT JOIN (pg_catalog.pg_depend d JOIN pg_catalog.pg_extension x ON x.oid ${EQ} d.refobjid
      AND d.refclassid ${EQ} 'pg_catalog.pg_extension'::pg_catalog.regclass::pg_catalog.oid AND d.deptype ${EQ} 'e')
    ON d.classid ${EQ} 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid AND d.objid ${EQ} p.oid
  WHERE p.oid OPERATOR(pg_catalog.${which}) ${FIRST_NORMAL_OID}`;

/** Names of the types that functions take. */
export const ARGUMENT_TYPES = `SELECT t.oid::pg_catalog.text AS c0, ${TYPE_NAME} AS c1
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace tn ON tn.oid ${EQ} t.typnamespace
  LEFT JOIN pg_catalog.pg_type e ON e.oid ${EQ} t.typelem AND e.typarray ${EQ} t.oid
  LEFT JOIN pg_catalog.pg_namespace en ON en.oid ${EQ} e.typnamespace
  WHERE t.oid ${EQ} ANY (ARRAY(SELECT DISTINCT pg_catalog.unnest(p.proargtypes) FROM pg_catalog.pg_proc p))`;

/** Reads the rows of `ALL_FUNCTIONS` with those of `ARGUMENT_TYPES`. */
export function readAllFunctions(rows: readonly TextRow[], types: readonly TextRow[]): CatalogFunction[] {
  const names = new Map(types.map(([oid, name]) => [oid, name ?? '']));
  return rows.map((row) => {
    const oids = row[3] == null || row[3] === '' ? [] : row[3].split(' ');
    const returns = (row[12] ?? '').split(',').filter((oid) => Number(oid) >= FIRST_NORMAL_OID);
    const named = row.with(3, oids.map((oid) => names.get(oid) ?? '').join(', '));
    return readFunction(named.with(12, returns.length === 0 ? null : returns.join(',')));
  });
}
