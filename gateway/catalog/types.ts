import { reviewedFunction } from '../sql/builtin.ts';
import { BUILTIN_KINDS } from '../sql/builtin-kinds.ts';
import type { KnownCast, KnownOperand, KnownOperator, KnownOrder, KnownType } from '../sql/resolve-environment.ts';
import { FIRST_NORMAL_OID } from './definition.ts';
import { isSafeExtension } from './extensions.ts';
import { ofFamily } from './links.ts';
import type { CatalogFunction } from './snapshot.ts';

/** Types, operators and casts that are not the server's own, as rows in text format; lists of OIDs are joined by `,`. */

const OIDS = (select: string) => `(SELECT pg_catalog.string_agg(l.oid::pg_catalog.text, ',') FROM (${select}) l(oid))`;
const USERS = (oid: string) => `${oid} OPERATOR(pg_catalog.>=) ${FIRST_NORMAL_OID}`;

/** Of a domain's constraints: the functions and operators that they call, and the types that they convert to. */
const IN_CHECKS = (fields: string) => `SELECT DISTINCT m[1] FROM pg_catalog.pg_constraint k,
    pg_catalog.regexp_matches(k.conbin::pg_catalog.text, ':(?:${fields}) (\\d+)', 'g') m
  WHERE k.contypid OPERATOR(pg_catalog.=) t.oid AND m[1] OPERATOR(pg_catalog.<>) '0'`;

const types = (
  which: string,
) => `SELECT t.oid::pg_catalog.text, n.nspname::pg_catalog.text AS schema, t.typname::pg_catalog.text AS name,
    t.typtype::pg_catalog.text AS kind, t.typrelid::pg_catalog.text AS relation, t.typinput::pg_catalog.oid::pg_catalog.text AS input,
    x.extname::pg_catalog.text AS extension,
    CASE WHEN t.typtype OPERATOR(pg_catalog.=) 'b' AND t.typinput OPERATOR(pg_catalog.=) 'pg_catalog.array_in'::pg_catalog.regproc THEN t.typelem::pg_catalog.text
      WHEN t.typtype OPERATOR(pg_catalog.=) 'd' THEN t.typbasetype::pg_catalog.text
      WHEN t.typtype OPERATOR(pg_catalog.=) 'r' THEN (SELECT r.rngsubtype::pg_catalog.text FROM pg_catalog.pg_range r
        WHERE r.rngtypid OPERATOR(pg_catalog.=) t.oid)
      WHEN t.typtype OPERATOR(pg_catalog.=) 'm' THEN (SELECT r.rngtypid::pg_catalog.text FROM pg_catalog.pg_range r
        WHERE r.rngmultitypid OPERATOR(pg_catalog.=) t.oid) END AS of,
    CASE WHEN t.typtype OPERATOR(pg_catalog.=) 'r' THEN (SELECT r.rngcanonical::pg_catalog.oid::pg_catalog.text FROM pg_catalog.pg_range r
        WHERE r.rngtypid OPERATOR(pg_catalog.=) t.oid AND r.rngcanonical::pg_catalog.oid OPERATOR(pg_catalog.<>) 0)
      WHEN t.typtype OPERATOR(pg_catalog.=) 'd' THEN ${OIDS(IN_CHECKS('funcid|opfuncid|negfuncid|hashfuncid|aggfnoid|winfnoid'))} END AS calls,
    CASE WHEN t.typtype OPERATOR(pg_catalog.=) 'd' THEN ${OIDS(IN_CHECKS('resulttype'))} END AS converts,
    CASE WHEN t.typtype OPERATOR(pg_catalog.=) 'd' THEN ${OIDS(`SELECT o.oprcode::pg_catalog.oid FROM pg_catalog.pg_operator o
      WHERE o.oid::pg_catalog.text OPERATOR(pg_catalog.=) ANY (ARRAY(${IN_CHECKS('opno')}))`)} END AS operators
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace
  LEFT JOIN (pg_catalog.pg_depend d JOIN pg_catalog.pg_extension x ON x.oid OPERATOR(pg_catalog.=) d.refobjid
      AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass::pg_catalog.oid
      AND d.deptype OPERATOR(pg_catalog.=) 'e') ON d.objid OPERATOR(pg_catalog.=) t.oid
  WHERE ${USERS('t.oid')} AND ${which}`;
export const TYPES = types(`n.nspname::pg_catalog.text OPERATOR(pg_catalog.!~) '^pg_(toast|temp)'`);
/** Which user types the columns of each relation have. */
const columnTypes = (which: string) => `SELECT a.attrelid::pg_catalog.text AS relation,
    pg_catalog.string_agg(DISTINCT a.atttypid::pg_catalog.text, ',') AS types FROM pg_catalog.pg_attribute a
  WHERE ${USERS('a.atttypid')} AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped AND ${which} GROUP BY a.attrelid`;
export const COLUMN_TYPES = columnTypes('true');
export const OPERATORS = `SELECT n.nspname::pg_catalog.text AS schema, o.oprname::pg_catalog.text AS name,
    o.oprleft::pg_catalog.text AS left, o.oprright::pg_catalog.text AS right, o.oprcode::pg_catalog.oid::pg_catalog.text AS runs
  FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace
  WHERE ${USERS('o.oid')}`;
/** What CREATE TYPE makes with every range type; it runs nobody's code, unless the type has a function of its own. */
const TO_MULTIRANGE = `EXISTS (SELECT FROM pg_catalog.pg_range r
    JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) c.castfunc
    JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
    WHERE r.rngtypid OPERATOR(pg_catalog.=) c.castsource AND r.rngmultitypid OPERATOR(pg_catalog.=) c.casttarget
      AND r.rngcanonical::pg_catalog.oid OPERATOR(pg_catalog.=) 0::pg_catalog.oid
      AND l.lanname OPERATOR(pg_catalog.=) 'internal' AND p.prosrc OPERATOR(pg_catalog.=) 'multirange_constructor1')`;
export const CASTS = `SELECT c.castsource::pg_catalog.text AS source, c.casttarget::pg_catalog.text AS target,
    c.castcontext::pg_catalog.text AS context, c.castfunc::pg_catalog.text AS runs, n.nspname::pg_catalog.text AS schema,
    t.typname::pg_catalog.text AS name
  FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) c.casttarget
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace WHERE ${USERS('c.oid')} AND NOT ${TO_MULTIRANGE}`;

/** Operator classes with the functions of their families, and the type that each is the one for. */
export const ORDERS = `SELECT n.nspname::pg_catalog.text AS schema, k.opcname::pg_catalog.text AS name,
    CASE WHEN k.opcdefault AND ${USERS('k.opcintype')} THEN k.opcintype::pg_catalog.text END AS type,
    pg_catalog.string_agg(DISTINCT f.fn::pg_catalog.text, ',') AS runs
  FROM pg_catalog.pg_opclass k JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) k.opcnamespace
  CROSS JOIN LATERAL (${ofFamily('k.opcfamily')}) f(fn)
  WHERE ${USERS('k.oid')} AND ${USERS('f.fn')} GROUP BY k.oid, n.nspname, k.opcname, k.opcdefault, k.opcintype`;

/** The types of which values of a type `t` have parts, and those that its checks convert to. */
const PARTS = `SELECT t.typelem UNION ALL SELECT t.typbasetype
    UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid OPERATOR(pg_catalog.=) t.oid
    UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE r.rngmultitypid OPERATOR(pg_catalog.=) t.oid
    UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) t.typrelid
      AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
    UNION ALL SELECT c.oid::pg_catalog.oid FROM (${IN_CHECKS('resulttype')}) c(oid)`;

/** Made by a transaction that has not ended, or not long ago. */
const RECENT = (row: string) => `pg_catalog.age(${row}.xmin) OPERATOR(pg_catalog.<=)
    pg_catalog.age(pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::pg_catalog.xid)`;
/**
 * The functions of casts and operators of a type `t` that the shared catalogue cannot know yet: which of them a statement
 * calls is not looked into (test: "run nothing that is not listed: an assignment cast").
 */
const NOT_SHARED = `SELECT c.castfunc FROM pg_catalog.pg_cast c
    WHERE t.oid::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (ARRAY[c.castsource, c.casttarget]) AND ${USERS('c.castfunc')} AND ${RECENT('c')}
      AND NOT ${TO_MULTIRANGE}
  UNION SELECT o.oprcode::pg_catalog.oid FROM pg_catalog.pg_operator o
    WHERE t.oid::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (ARRAY[o.oprleft, o.oprright]) AND ${USERS('o.oprcode::pg_catalog.oid')} AND ${RECENT('o')}`;

/**
 * One JSON value: all that there is to know about types as one session sees them. `meant`: a query of (schema, name, oid),
 * as asked; `oids`: a query of further types.
 */
export function typesOf(meant: string, oids: string, functionColumns: string): string {
  const near = 'ANY (ARRAY(SELECT near.oid FROM near))';
  const rows = (query: string) => `(SELECT pg_catalog.json_agg(pg_catalog.row_to_json(q)) FROM (${query}) q)`;
  return `WITH RECURSIVE meant(schema, name, oid) AS MATERIALIZED (${meant}),
    near(oid) AS (SELECT m.oid FROM meant m UNION ${oids}
      UNION SELECT e.oid FROM near JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) near.oid
      CROSS JOIN LATERAL (${PARTS}) e(oid) WHERE ${USERS('e.oid')}),
    found AS MATERIALIZED (SELECT t.*, ${OIDS(NOT_SHARED)} AS attached FROM (${types(`t.oid OPERATOR(pg_catalog.=) ${near}`)}) t),
    called AS MATERIALIZED (SELECT DISTINCT c.oid::pg_catalog.oid FROM found f CROSS JOIN LATERAL pg_catalog.unnest(
      pg_catalog.string_to_array(pg_catalog.concat_ws(',', f.input, f.calls, f.operators, f.attached), ',')) c(oid))
    SELECT pg_catalog.json_build_object(
      'asked', (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(m.schema, m.name, m.oid::pg_catalog.text)) FROM meant m),
      'types', ${rows('SELECT * FROM found')},
      'columnTypes', ${rows(columnTypes(`a.attrelid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT f.relation::pg_catalog.oid FROM found f))`))},
      'functions', (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(${functionColumns})) FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
        WHERE p.oid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT c.oid FROM called c))))::pg_catalog.text`;
}

type Row = Readonly<Record<string, unknown>>;

/** The rows of the four queries above. */
export interface TypeRows {
  readonly types: readonly Row[];
  readonly columnTypes: readonly Row[];
  readonly operators: readonly Row[];
  readonly casts: readonly Row[];
  readonly orders: readonly Row[];
}

export interface TypeIndex {
  readonly types: ReadonlyMap<number, KnownType & Named>;
  readonly operators: readonly (KnownOperator & Named)[];
  /** Only those by functions that are not safe. */
  readonly casts: readonly KnownCast[];
  /** The same of what orders values. */
  readonly orders: readonly KnownOrder[];
  /** By relation's OID: the types of its rows and of their columns. */
  readonly held: ReadonlyMap<number, readonly number[]>;
}

/** Types by OID, without what hangs on them. */
export function readTypeRows(
  { types, columnTypes }: Pick<TypeRows, 'types' | 'columnTypes'>,
  functions: ReadonlyMap<number, CatalogFunction>,
): ReadonlyMap<number, KnownType> {
  const columns = new Map(columnTypes.map((row) => [Number(row.relation), oids(row.types)]));
  const reader = new TypeReader(types, columns, (oid) => harm(functions.get(oid)));
  return new Map(types.map((row) => [Number(row.oid), reader.read(Number(row.oid))!]));
}

interface Named {
  readonly schema: string;
  readonly name: string;
}

/** What the rows mean, once the functions are known. */
export function indexTypes(rows: TypeRows, functions: ReadonlyMap<number, CatalogFunction>): TypeIndex {
  const columnTypes = new Map(rows.columnTypes.map((row) => [Number(row.relation), oids(row.types)]));
  const held = new Map(columnTypes);
  for (const { relation, oid } of rows.types)
    if (relation !== '0') held.set(Number(relation), [Number(oid), ...(columnTypes.get(Number(relation)) ?? [])]);
  const reader = new TypeReader(rows.types, columnTypes, (oid) => harm(functions.get(oid)));
  const becomes = operandsOf(rows, reader);
  return {
    held,
    types: new Map(rows.types.map((row) => [Number(row.oid), reader.read(Number(row.oid))!])),
    operators: rows.operators.map((row) => {
      const runs = functions.get(Number(row.runs));
      const args = row.left === '0' ? 1 : 2;
      return { ...named(row), args, left: becomes(Number(row.left)), right: becomes(Number(row.right)), runs };
    }),
    orders: rows.orders.flatMap((row) => {
      const runs = oids(row.runs).map((oid) => functions.get(oid));
      const unsafe = runs.filter((fn) => fn !== undefined && !fn.safe).map((fn) => fn!);
      const type = typeof row.type === 'string' ? Number(row.type) : null;
      return unsafe.length === 0 ? [] : [{ ...named(row), type, runs: unsafe }];
    }),
    casts: rows.casts.flatMap((row) => {
      const runs = functions.get(Number(row.runs));
      if (runs === undefined || runs.safe || runs.builtin) return [];
      const source = isUsers(Number(row.source)) ? [Number(row.source)] : null;
      return [{ source, target: named(row), context: CONTEXTS[String(row.context)] ?? 'Implicit', runs }];
    }),
  };
}

const CONTEXTS: Readonly<Record<string, KnownCast['context']>> = { e: 'Explicit', a: 'Assignment', i: 'Implicit' };

function oids(list: unknown): readonly number[] {
  return typeof list === 'string' ? list.split(',').map(Number) : [];
}

function named({ schema, name }: Row): Named {
  return { schema: String(schema), name: String(name) };
}

function isUsers(oid: number): boolean {
  return oid >= FIRST_NORMAL_OID;
}

/** The function, if running it unasked is not harmless; `unknown`: there is none to be seen. */
function harm(fn: CatalogFunction | undefined): CatalogFunction | 'unknown' | null {
  if (fn === undefined) return 'unknown';
  if (fn.safe) return null;
  if (!fn.builtin) return fn;
  const reviewed = reviewedFunction(fn);
  return reviewed !== undefined && BUILTIN_KINDS[reviewed.kind].writes ? fn : null;
}

/** Follows types into their parts. */
class TypeReader {
  readonly #rows: ReadonlyMap<number, Row>;
  readonly #columnTypes: ReadonlyMap<number, readonly number[]>;
  readonly #harm: (oid: number) => CatalogFunction | 'unknown' | null;
  readonly #known = new Map<number, KnownType & Named>();

  constructor(
    rows: readonly Row[],
    columnTypes: ReadonlyMap<number, readonly number[]>,
    harmOf: (oid: number) => CatalogFunction | 'unknown' | null,
  ) {
    this.#rows = new Map(rows.map((row) => [Number(row.oid), row]));
    this.#columnTypes = columnTypes;
    this.#harm = harmOf;
  }

  kind(oid: number): string {
    return String(this.#rows.get(oid)?.kind ?? '');
  }

  /** undefined: one of the server's own. */
  read(oid: number): (KnownType & Named) | undefined {
    const row = this.#rows.get(oid);
    if (row === undefined) return undefined;
    const known = this.#known.get(oid);
    if (known !== undefined) return known;
    // A type cannot contain itself but by way of a table's columns; then what is known so far is enough.
    this.#known.set(oid, { oid, ...named(row), safe: true, runs: [], holds: [oid] });
    const read = this.#follow(oid, row);
    this.#known.set(oid, read);
    return read;
  }

  #follow(oid: number, row: Row): KnownType & Named {
    const parts = [...oids(row.of), ...oids(row.converts), ...(this.#columnTypes.get(Number(row.relation)) ?? [])];
    const inner = parts.map((part) => this.read(part)).filter((part) => part !== undefined);
    // A part that is nowhere to be seen is one of another session's own (test: "a part that is temporary elsewhere").
    const hidden = parts.some((part) => isUsers(part) && !this.#rows.has(part));
    const own = [...this.#ownHarm(row), ...(hidden ? (['unknown'] as const) : [])];
    const runs = [...own.filter((fn) => fn !== 'unknown'), ...inner.flatMap((part) => part.runs)];
    const safe = own.length === 0 && inner.every((part) => part.safe);
    // Something that is not known runs: no list of functions says it all.
    const told = own.every((fn) => fn !== 'unknown') && inner.every((part) => part.safe || part.runs.length > 0);
    const holds = [...new Set([oid, ...inner.flatMap((part) => part.holds)])];
    return { oid, ...named(row), safe, runs: told ? [...new Set(runs)] : [], holds };
  }

  #ownHarm(row: Row): readonly (CatalogFunction | 'unknown')[] {
    const ofExtension = typeof row.extension === 'string' && isSafeExtension(row.extension);
    if (row.kind === 'p') return ['unknown'];
    const input = row.kind === 'b' && row.of === null && !ofExtension ? [Number(row.input)] : [];
    const calls = [...input, ...oids(row.calls), ...oids(row.operators), ...oids(row.attached)];
    return [...new Set(calls)].map((call) => this.#harm(call)).filter((fn) => fn !== null);
  }
}

/** Which types must be there first for a value to become one of a type. */
function operandsOf(rows: TypeRows, types: TypeReader): (oid: number) => KnownOperand {
  const implicit = rows.casts.filter(({ context }) => context === 'i');
  const becomes = (oid: number, seen: ReadonlySet<number>): KnownOperand => {
    const type = types.read(oid);
    // Rows and values of a domain's base type become it where they are wanted; pseudo-types take anything.
    if (type === undefined || !/^[bermR]$/.test(types.kind(oid))) return null;
    const sources = implicit.filter(({ target }) => Number(target) === oid).map(({ source }) => Number(source));
    const all = new Set([oid]);
    for (const source of sources) {
      if (seen.has(source)) continue;
      const from = becomes(source, new Set([...seen, oid]));
      if (from === null) return null;
      for (const type of from) all.add(type);
    }
    return [...all];
  };
  return (oid) => becomes(oid, new Set());
}
