import { reviewedFunction } from '../sql/builtin.ts';
import { FIRST_NORMAL_OID } from './definition.ts';
import { judgeExtensionFunction } from './extensions.ts';
import type { CatalogFunction } from './snapshot.ts';

/**
 * SQL fragments and row readers that the catalogue connection and the session's own questions share. Every operator,
 * function and type is written with its schema: the session's search_path may put anything in front of pg_catalog
 * (test: "a hostile search_path and operators in public change nothing").
 */

/** Name of the type `t` in namespace `tn`, whose element, where it is an array, is `e` in `en`. */
export const TYPE_NAME = `CASE WHEN tn.nspname OPERATOR(pg_catalog.=) 'pg_catalog' THEN pg_catalog.format_type(t.oid, NULL)
  WHEN e.oid IS NOT NULL THEN pg_catalog.concat(pg_catalog.quote_ident(en.nspname::pg_catalog.text), '.',
    pg_catalog.quote_ident(e.typname::pg_catalog.text), '[]')
  ELSE pg_catalog.concat(pg_catalog.quote_ident(tn.nspname::pg_catalog.text), '.',
    pg_catalog.quote_ident(t.typname::pg_catalog.text)) END`;

/**
 * Whether `p` (pg_proc) is what CREATE TYPE makes with a range type of the server's own values and order: it puts two of
 * them together, and runs nobody's code.
 */
export const MAKES_RANGE = `(p.oid OPERATOR(pg_catalog.>=) ${FIRST_NORMAL_OID}
  AND p.prosrc OPERATOR(pg_catalog.~) '^(multi)?range_constructor[0-3]$' AND EXISTS (
    SELECT FROM pg_catalog.pg_range r JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
    WHERE p.prorettype OPERATOR(pg_catalog.=) ANY (ARRAY[r.rngtypid, r.rngmultitypid])
      AND l.lanname OPERATOR(pg_catalog.=) 'internal' AND r.rngcanonical::pg_catalog.oid OPERATOR(pg_catalog.=) 0::pg_catalog.oid
      AND r.rngsubtype OPERATOR(pg_catalog.<) ${FIRST_NORMAL_OID} AND r.rngsubopc OPERATOR(pg_catalog.<) ${FIRST_NORMAL_OID}))`;

/** Columns for `p` (pg_proc) and `n` (pg_namespace), in the order in which `readFunction` takes them. */
export const FUNCTION_COLUMNS = `n.nspname::pg_catalog.text, p.proname::pg_catalog.text, p.oid::pg_catalog.text,
  (SELECT pg_catalog.string_agg(${TYPE_NAME}, ', ' ORDER BY u.n)
   FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY u(oid, n)
   JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) u.oid
   JOIN pg_catalog.pg_namespace tn ON tn.oid OPERATOR(pg_catalog.=) t.typnamespace
   LEFT JOIN pg_catalog.pg_type e ON e.oid OPERATOR(pg_catalog.=) t.typelem AND e.typarray OPERATOR(pg_catalog.=) t.oid
   LEFT JOIN pg_catalog.pg_namespace en ON en.oid OPERATOR(pg_catalog.=) e.typnamespace),
  p.pronargs::pg_catalog.text, p.pronargdefaults::pg_catalog.text,
  CASE WHEN p.provariadic OPERATOR(pg_catalog.<>) 0 THEN '-1'
    ELSE COALESCE(pg_catalog.array_length(p.proallargtypes, 1), p.pronargs)::pg_catalog.text END,
  p.provolatile::pg_catalog.text, p.prokind::pg_catalog.text,
  p.prosecdef::pg_catalog.text,
  (SELECT l.lanname::pg_catalog.text FROM pg_catalog.pg_language l WHERE l.oid OPERATOR(pg_catalog.=) p.prolang),
  (SELECT x.extname::pg_catalog.text FROM pg_catalog.pg_depend d
   JOIN pg_catalog.pg_extension x ON x.oid OPERATOR(pg_catalog.=) d.refobjid
   WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid
     AND d.objid OPERATOR(pg_catalog.=) p.oid AND d.deptype OPERATOR(pg_catalog.=) 'e' LIMIT 1),
  (SELECT pg_catalog.string_agg(u.oid::pg_catalog.text, ',')
   FROM pg_catalog.unnest(pg_catalog.array_append(p.proallargtypes, p.prorettype)) u(oid)
   WHERE u.oid OPERATOR(pg_catalog.>=) ${FIRST_NORMAL_OID}),
  (SELECT a.aggnumdirectargs::pg_catalog.text FROM pg_catalog.pg_aggregate a
   WHERE a.aggfnoid::pg_catalog.oid OPERATOR(pg_catalog.=) p.oid AND a.aggkind OPERATOR(pg_catalog.<>) 'n'),
  ${MAKES_RANGE}::pg_catalog.text`;

/** A row in text format, as `FUNCTION_COLUMNS` orders it. */
export function readFunction(row: readonly (string | null)[]): CatalogFunction {
  const [
    schema,
    name,
    oid,
    types,
    declared,
    defaults,
    most,
    volatile,
    kind,
    definer,
    language,
    extension,
    returns,
    direct,
    makesRange,
  ] = row;
  const common = {
    schema: schema ?? '',
    name: name ?? '',
    oid: Number(oid),
    arguments: types ?? '',
    volatile: (volatile ?? 'v') as CatalogFunction['volatile'],
    kind: (kind ?? 'f') as CatalogFunction['kind'],
    securityDefiner: definer !== 'false' && definer !== 'f',
    language: language ?? '',
    extension: extension ?? null,
  };
  return {
    ...common,
    ...argumentCounts({
      kind: common.kind,
      declared: Number(declared),
      defaults: Number(defaults),
      most: Number(most),
      direct: direct == null ? null : Number(direct),
    }),
    ...judgeExtensionFunction(common),
    ...(makesRange === 'true' ? { safe: true } : {}),
    // One of the server's that nobody has reviewed is like one of a user (test: "a function that the table lacks").
    builtin: common.oid < FIRST_NORMAL_OID && reviewedFunction(common) !== undefined,
    returns: returns == null ? [] : returns.split(',').map(Number),
  };
}

interface Counts {
  readonly kind: string;
  readonly declared: number;
  readonly defaults: number;
  /** Negative: VARIADIC; else OUT parameters included. */
  readonly most: number;
  /** Of an ordered-set aggregate; null: it is none. */
  readonly direct: number | null;
}

/** How many arguments a call may write: wider than PostgreSQL's own rule where the text alone cannot tell. */
function argumentCounts({ kind, declared, defaults, most, direct }: Counts) {
  // An ordered-set aggregate may be written with its direct arguments alone; CALL writes OUT parameters as well.
  const least = direct ?? declared - defaults;
  if (most < 0) return { minArgs: Math.max(0, least - 1), maxArgs: Number.POSITIVE_INFINITY };
  return { minArgs: least, maxArgs: kind === 'p' ? most : declared };
}
