/**
 * What relations are tied to, as rows of (relation, what, target, detail). The same text reads a whole database on the
 * catalogue connection and the surroundings of one relation on a session's own, so every operator, function and type is
 * written with its schema (see `rows.ts`).
 */

const EQ = 'OPERATOR(pg_catalog.=)';
const oidOf = (table: string) => `'pg_catalog.${table}'::pg_catalog.regclass::pg_catalog.oid`;
const anyOf = (values: string) => `${EQ} ANY ('{${values}}')`;
/** FirstNormalObjectId. */
const NORMAL = `OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid`;

/** Names of the columns of a relation that an array or vector lists, in its order, as JSON. */
const columnNames = (relation: string, numbers: string) => `(SELECT pg_catalog.json_agg(a.attname ORDER BY u.n)
  FROM pg_catalog.unnest(${numbers}) WITH ORDINALITY u(attnum, n)
  JOIN pg_catalog.pg_attribute a ON a.attrelid ${EQ} ${relation} AND a.attnum ${EQ} u.attnum)`;

/** The functions of a family of operators: those that support it, and those behind its operators. */
export const ofFamily = (family: string) => `SELECT p.amproc::pg_catalog.oid FROM pg_catalog.pg_amproc p
    WHERE p.amprocfamily ${EQ} ${family}
  UNION SELECT o.oprcode::pg_catalog.oid FROM pg_catalog.pg_amop m JOIN pg_catalog.pg_operator o ON o.oid ${EQ} m.amopopr
    WHERE m.amopfamily ${EQ} ${family}`;

/** User functions that objects of a kind call: named, by an operator, or by the constraints of a domain. */
const CALLS = `domain(type, fn) AS (
    SELECT k.contypid, d.refobjid FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_constraint k ON k.oid ${EQ} d.objid
    WHERE d.classid ${EQ} ${oidOf('pg_constraint')} AND d.refclassid ${EQ} ${oidOf('pg_proc')} AND d.refobjid ${NORMAL}
      AND k.contypid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
    UNION SELECT t.oid, f.fn FROM domain f
    JOIN pg_catalog.pg_type t ON t.typbasetype ${EQ} f.type OR t.typelem ${EQ} f.type),
  calls(classid, objid, fn, direct) AS (
    SELECT d.classid, d.objid, d.refobjid, true FROM pg_catalog.pg_depend d
    WHERE d.refclassid ${EQ} ${oidOf('pg_proc')} AND d.refobjid ${NORMAL}
    UNION ALL SELECT d.classid, d.objid, o.oprcode::pg_catalog.oid, true FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_operator o ON o.oid ${EQ} d.refobjid
    WHERE d.refclassid ${EQ} ${oidOf('pg_operator')} AND d.refobjid ${NORMAL}
    UNION ALL SELECT d.classid, d.objid, f.fn, false FROM pg_catalog.pg_depend d JOIN domain f ON f.type ${EQ} d.refobjid
    WHERE d.refclassid ${EQ} ${oidOf('pg_type')}),
  ordered(relation, fn) AS (
    SELECT d.objid, f.fn FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_opclass k ON k.oid ${EQ} d.refobjid
    CROSS JOIN LATERAL (${ofFamily('k.opcfamily')}) f(fn)
    WHERE d.classid ${EQ} ${oidOf('pg_class')} AND d.refclassid ${EQ} ${oidOf('pg_opclass')} AND d.refobjid ${NORMAL}
      AND f.fn ${NORMAL})`;

const GENERATED = `CASE WHEN a.attgenerated ${EQ} 's' THEN 'Generated'
  WHEN a.attgenerated ${EQ} 'v' THEN 'Virtual' ELSE 'Default' END`;

const BRANCHES = `
  SELECT i.inhrelid, 'Parent', i.inhparent, '' FROM pg_catalog.pg_inherits i
  UNION ALL SELECT k.confrelid, 'ForeignKey', k.conrelid, pg_catalog.json_build_array(k.confdeltype, k.confupdtype,
      ${columnNames('k.conrelid', 'k.conkey')}, ${columnNames('k.confrelid', 'k.confkey')})::pg_catalog.text
    FROM pg_catalog.pg_constraint k WHERE k.contype ${EQ} 'f' AND NOT EXISTS (
      -- The partitions of a table that references are reached through it.
      SELECT FROM pg_catalog.pg_constraint p WHERE p.oid ${EQ} k.conparentid AND p.confrelid ${EQ} k.confrelid)
  UNION ALL SELECT t.tgrelid, 'Trigger', f.fn, pg_catalog.json_build_array(t.tgtype,
      ${columnNames('t.tgrelid', 't.tgattr')})::pg_catalog.text
    FROM pg_catalog.pg_trigger t JOIN LATERAL (SELECT t.tgfoid AS fn UNION SELECT c.fn FROM calls c
      WHERE c.classid ${EQ} ${oidOf('pg_trigger')} AND c.objid ${EQ} t.oid) f ON true
    WHERE NOT t.tgisinternal AND t.tgenabled ${anyOf('O,A')}
  UNION ALL SELECT r.ev_class, 'Rule', r.oid, pg_catalog.json_build_array(r.ev_type,
      r.is_instead AND r.ev_qual::pg_catalog.text ${EQ} '<>')::pg_catalog.text
    FROM pg_catalog.pg_rewrite r WHERE r.ev_enabled ${anyOf('O,A')} AND r.oid ${NORMAL}
  UNION ALL SELECT r.ev_class, 'RuleCode', c.fn, r.oid::pg_catalog.text
    FROM calls c JOIN pg_catalog.pg_rewrite r ON r.oid ${EQ} c.objid WHERE c.classid ${EQ} ${oidOf('pg_rewrite')}
  UNION ALL SELECT d.adrelid, ${GENERATED}, c.fn, a.attname::pg_catalog.text
    FROM calls c JOIN pg_catalog.pg_attrdef d ON d.oid ${EQ} c.objid
    JOIN pg_catalog.pg_attribute a ON a.attrelid ${EQ} d.adrelid AND a.attnum ${EQ} d.adnum
    WHERE c.classid ${EQ} ${oidOf('pg_attrdef')}
  UNION ALL SELECT k.conrelid, 'Check', c.fn, '' FROM calls c JOIN pg_catalog.pg_constraint k ON k.oid ${EQ} c.objid
    WHERE c.classid ${EQ} ${oidOf('pg_constraint')} AND k.conrelid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
  UNION ALL SELECT a.attrelid, 'Check', f.fn, '' FROM domain f JOIN pg_catalog.pg_attribute a ON a.atttypid ${EQ} f.type
    WHERE a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
  UNION ALL SELECT COALESCE(i.indrelid, c.objid),
      CASE WHEN i.indexrelid IS NULL THEN 'Generated' ELSE 'Index' END, c.fn, ''
    FROM calls c LEFT JOIN pg_catalog.pg_index i ON i.indexrelid ${EQ} c.objid
    WHERE c.classid ${EQ} ${oidOf('pg_class')} AND (c.direct OR i.indexrelid IS NOT NULL)
  UNION ALL SELECT COALESCE(i.indrelid, o.relation), 'Order', o.fn, ''
    FROM ordered o LEFT JOIN pg_catalog.pg_index i ON i.indexrelid ${EQ} o.relation
  UNION ALL SELECT s.stxrelid, 'Statistics', c.fn, '' FROM calls c JOIN pg_catalog.pg_statistic_ext s ON s.oid ${EQ} c.objid
    WHERE c.classid ${EQ} ${oidOf('pg_statistic_ext')}
  UNION ALL SELECT p.polrelid, 'Policy', c.fn, p.polcmd::pg_catalog.text
    FROM calls c JOIN pg_catalog.pg_policy p ON p.oid ${EQ} c.objid
    JOIN pg_catalog.pg_class t ON t.oid ${EQ} p.polrelid AND t.relrowsecurity WHERE c.classid ${EQ} ${oidOf('pg_policy')}
  UNION ALL SELECT p.polrelid, 'PolicyRead', d.refobjid, p.polcmd::pg_catalog.text
    FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_policy p ON p.oid ${EQ} d.objid
    JOIN pg_catalog.pg_class t ON t.oid ${EQ} p.polrelid AND t.relrowsecurity
    WHERE d.classid ${EQ} ${oidOf('pg_policy')} AND d.refclassid ${EQ} ${oidOf('pg_class')}
      AND d.refobjid OPERATOR(pg_catalog.<>) p.polrelid`;

/** Relations that are near those of `near`: `WITH RECURSIVE near(oid) AS (SELECT … UNION ${NEIGHBOURS})`. */
const NEIGHBOURS = `SELECT e.oid FROM near CROSS JOIN LATERAL (
    SELECT i.inhparent AS oid FROM pg_catalog.pg_inherits i WHERE i.inhrelid ${EQ} near.oid
    UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent ${EQ} near.oid
    UNION ALL SELECT k.conrelid FROM pg_catalog.pg_constraint k WHERE k.confrelid ${EQ} near.oid AND k.contype ${EQ} 'f'
    UNION ALL SELECT x.indrelid FROM pg_catalog.pg_index x WHERE x.indexrelid ${EQ} near.oid
    UNION ALL SELECT d.refobjid FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.objid ${EQ} r.oid
      WHERE r.ev_class ${EQ} near.oid AND r.oid ${NORMAL} AND d.classid ${EQ} ${oidOf('pg_rewrite')}
        AND d.refclassid ${EQ} ${oidOf('pg_class')}
    UNION ALL SELECT d.refobjid FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_depend d ON d.objid ${EQ} p.oid
      WHERE p.polrelid ${EQ} near.oid AND d.classid ${EQ} ${oidOf('pg_policy')}
        AND d.refclassid ${EQ} ${oidOf('pg_class')}) e`;

/** Parts of a query that read relations; `only`: those of an array of OIDs, as an expression. */
function within(column: string, only: string | null): string {
  return only === null ? 'true' : `${column} ${EQ} ANY (${only}::pg_catalog.oid[])`;
}

const relations = (only: string | null) => `SELECT c.oid::pg_catalog.text, n.nspname::pg_catalog.text,
    c.relname::pg_catalog.text, c.relkind::pg_catalog.text, c.relispartition::pg_catalog.text,
    i.indrelid::pg_catalog.text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid ${EQ} c.relnamespace
  LEFT JOIN pg_catalog.pg_index i ON i.indexrelid ${EQ} c.oid WHERE ${within('c.oid', only)}`;

/**
 * Unique keys that hold at once, without nulls, in the columns' own collation and by what `=` says (an operator class may
 * be about another equality); the columns' numbers and types beside their names.
 */
const keys = (only: string | null) => `SELECT i.indrelid::pg_catalog.text,
    pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, a.attnum, a.atttypid::pg_catalog.int8) ORDER BY u.n)::pg_catalog.text
  FROM pg_catalog.pg_index i CROSS JOIN LATERAL pg_catalog.unnest(i.indkey) WITH ORDINALITY u(attnum, n)
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid ${EQ} i.indrelid AND a.attnum ${EQ} u.attnum AND a.attnum OPERATOR(pg_catalog.>) 0
  WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
    AND u.n OPERATOR(pg_catalog.<=) i.indnkeyatts AND i.indrelid ${NORMAL} AND ${within('i.indrelid', only)}
  GROUP BY i.indrelid, i.indexrelid
  HAVING pg_catalog.bool_and(a.attnum IS NOT NULL AND a.attnotnull
    AND i.indcollation[(u.n OPERATOR(pg_catalog.-) 1)::pg_catalog.int4] ${EQ} a.attcollation
    AND EXISTS (SELECT FROM pg_catalog.pg_opclass k JOIN pg_catalog.pg_amop m ON m.amopfamily ${EQ} k.opcfamily
      JOIN pg_catalog.pg_operator o ON o.oid ${EQ} m.amopopr
      WHERE k.oid ${EQ} i.indclass[(u.n OPERATOR(pg_catalog.-) 1)::pg_catalog.int4] AND m.amopstrategy ${EQ} 3
        AND m.amoplefttype ${EQ} k.opcintype AND m.amoprighttype ${EQ} k.opcintype AND o.oprname ${EQ} '='
        AND (k.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid OR k.opcintype ${NORMAL})))`;

/** The columns of what has rows; `!` stands before the names of those that are never null, `?` before others. */
const columns = (only: string | null) => `SELECT a.attrelid::pg_catalog.text, pg_catalog.json_agg(
    pg_catalog.concat(CASE WHEN a.attnotnull THEN '!' ELSE '?' END, a.attname) ORDER BY a.attnum)::pg_catalog.text
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid ${EQ} a.attrelid
  WHERE a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped AND a.attrelid ${NORMAL}
    AND c.relkind ${anyOf('r,p,v,m,f')} AND ${within('a.attrelid', only)} GROUP BY a.attrelid`;

const links = (only: string | null) => `WITH RECURSIVE ${CALLS}
  SELECT DISTINCT l.relation::pg_catalog.text, l.what::pg_catalog.text, l.target::pg_catalog.text, l.detail::pg_catalog.text
  FROM (${BRANCHES}) l(relation, what, target, detail) WHERE ${within('l.relation', only)}`;

/** Actions of rules with the columns of their relation; `which`: a condition on `r` (pg_rewrite). */
const definitions = (which: string) => `SELECT r.oid::pg_catalog.text, r.ev_class::pg_catalog.text,
    r.ev_action::pg_catalog.text, (SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum)::pg_catalog.text
      FROM pg_catalog.pg_attribute a WHERE a.attrelid ${EQ} r.ev_class AND a.attnum OPERATOR(pg_catalog.>) 0)
  FROM pg_catalog.pg_rewrite r WHERE r.oid ${NORMAL} AND ${which}`;

const SHARED = ` AND n.nspname::pg_catalog.text OPERATOR(pg_catalog.!~) '^pg_(toast|temp)'`;

/** The texts that read a whole database. */
export const ALL_RELATIONS = relations(null) + SHARED;
export const ALL_KEYS = keys(null);
export const ALL_COLUMNS = columns(null);
export const ALL_LINKS = links(null);

/** Definitions of rules by OID ($1: an array), and of all that is near their relations. */
export const DEFINITIONS = `WITH RECURSIVE near(oid) AS (
    SELECT r.ev_class FROM pg_catalog.pg_rewrite r WHERE r.oid ${EQ} ANY ($1::pg_catalog.oid[]) UNION ${NEIGHBOURS})
  ${definitions('r.ev_class OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT near.oid FROM near))')}`;

const array = (query: string, columns: number) => {
  const names = Array.from({ length: columns }, (_, at) => `c${at}`).join(', ');
  return `(SELECT pg_catalog.json_agg(pg_catalog.json_build_array(${names})) FROM (${query}) q(${names}))`;
};

/** Everything about relations ($1: an array of OIDs as text) and all that is near them, as one JSON value. */
export function surroundings(functionColumns: string): string {
  const near = 'around.oids';
  const called = `(SELECT pg_catalog.json_agg(pg_catalog.json_build_array(${functionColumns})) FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid ${EQ} p.pronamespace WHERE p.oid ${NORMAL} AND p.oid ${EQ} ANY (ARRAY(
      SELECT l.target::pg_catalog.oid FROM tied l)))`;
  return `WITH RECURSIVE near(oid) AS (
      SELECT pg_catalog.unnest($1::pg_catalog.text::pg_catalog.oid[]) UNION ${NEIGHBOURS}),
    around AS MATERIALIZED (SELECT ARRAY(SELECT near.oid FROM near) AS oids),
    tied(relation, what, target, detail) AS MATERIALIZED (${links('(SELECT around.oids FROM around)')})
    SELECT pg_catalog.json_build_object('relations', ${array(relations(near), 6)}, 'keys', ${array(keys(near), 2)},
      'columns', ${array(columns(near), 2)}, 'links', ${array('SELECT * FROM tied', 4)},
      'definitions', ${array(definitions(`r.ev_class ${EQ} ANY (${near})`), 4)},
      'functions', ${called})::pg_catalog.text
    FROM around`;
}

/**
 * Whether nothing hangs on a relation `c` (pg_class), and nothing runs when it is written, for sure: one that asks for
 * its surroundings needlessly loses time alone.
 */
export const IS_SIMPLE = `(c.relkind ${anyOf('r,S,i')} AND NOT (c.relhasrules OR c.relhastriggers OR c.relhassubclass
    OR c.relispartition OR c.relrowsecurity OR c.relchecks OPERATOR(pg_catalog.>) 0)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid ${EQ} a.atttypid
    WHERE a.attrelid ${EQ} c.oid AND (a.atthasdef OR a.atttypid ${NORMAL}))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i
    WHERE i.indrelid ${EQ} c.oid AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
      OR EXISTS (SELECT FROM pg_catalog.unnest(i.indclass) k(oid) WHERE k.oid ${NORMAL}))))`;

/** Event triggers that fire; which tags each is for, joined by a comma. */
export const EVENT_TRIGGERS = `SELECT t.evtname::pg_catalog.text AS name, t.evtevent::pg_catalog.text AS event,
    t.evtfoid::pg_catalog.text AS fn, pg_catalog.array_to_string(t.evttags, ',') AS tags
  FROM pg_catalog.pg_event_trigger t WHERE t.evtenabled ${anyOf('O,A')} ORDER BY t.evtname`;
