import { type KnownType, nameKey, typeKey, type WrittenName } from '../sql/resolve-environment.ts';
import { FIRST_NORMAL_OID } from './definition.ts';
import { IS_SIMPLE, surroundings } from './links.ts';
import {
  type CatalogRelation,
  define,
  gather,
  type RelationRows,
  readDefinitionRow,
  type TextRow,
} from './relations.ts';
import { FUNCTION_COLUMNS, readFunction } from './rows.ts';
import type { CatalogFunction } from './snapshot.ts';
import { readTypeRows, type TypeRows, typesOf } from './types.ts';

/**
 * Questions that the gateway puts on the session's own connection, as hidden extended queries with results in text
 * format: what this session sees right now, temporary objects and uncommitted DDL included. They never raise for
 * unknown names and do not depend on the search_path for their own meaning.
 */

/** One row; `readSettings` reads it. No parameters. */
export const SETTINGS_QUESTION = `SELECT pg_catalog.current_schemas(true)::pg_catalog.text, current_user::pg_catalog.text,
  session_user::pg_catalog.text, pg_catalog.current_setting('standard_conforming_strings'),
  pg_catalog.current_setting('client_encoding'), pg_catalog.current_setting('transaction_read_only'),
  pg_catalog.current_setting('default_transaction_read_only'), pg_catalog.current_setting('statement_timeout'),
  (pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0)::pg_catalog.text,
  (EXISTS (SELECT 1 FROM pg_catalog.pg_class c
     WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()))::pg_catalog.text,
  (pg_catalog.current_setting('search_path') OPERATOR(pg_catalog.~) 'pg_temp')::pg_catalog.text`;

/**
 * Makes the session's settings as close as a policy wants them. Parameters: `on` or nothing for
 * default_transaction_read_only; the greatest statement_timeout in milliseconds, or nothing.
 */
export const PINS_QUESTION = `SELECT
  CASE WHEN $1 OPERATOR(pg_catalog.=) 'on'
    THEN pg_catalog.set_config('default_transaction_read_only', 'on', false) END,
  CASE WHEN $2 OPERATOR(pg_catalog.<>) '' AND (s.setting OPERATOR(pg_catalog.=) '0'
      OR s.setting::pg_catalog.int8 OPERATOR(pg_catalog.>) NULLIF($2, '')::pg_catalog.int8)
    THEN pg_catalog.set_config('statement_timeout', $2, false) END
  FROM pg_catalog.pg_settings s WHERE s.name OPERATOR(pg_catalog.=) 'statement_timeout'`;

/** The settings that the gateway tracks, as the session has them. */
export interface TrackedSettings {
  /** Effective search path in order, with pg_catalog and an existing temporary schema even where they are implicit. */
  readonly searchPath: readonly string[];
  readonly currentUser: string;
  readonly sessionUser: string;
  readonly standardConformingStrings: boolean;
  readonly clientEncoding: string;
  readonly transactionReadOnly: boolean;
  readonly defaultTransactionReadOnly: boolean;
  /** As SHOW prints it. */
  readonly statementTimeout: string;
  /** The session has a temporary schema of its own. */
  readonly hasTemporarySchema: boolean;
  /** There is something in it. */
  readonly hasTemporaryObjects: boolean;
  /** search_path names one. */
  readonly namesTemporary: boolean;
}

/** Reads the row of `SETTINGS_QUESTION`. */
export function readSettings(row: TextRow): TrackedSettings {
  const text = (index: number) => row[index] ?? '';
  return {
    searchPath: parseArray(text(0)),
    currentUser: text(1),
    sessionUser: text(2),
    standardConformingStrings: text(3) === 'on',
    clientEncoding: text(4),
    transactionReadOnly: text(5) === 'on',
    defaultTransactionReadOnly: text(6) === 'on',
    statementTimeout: text(7),
    hasTemporarySchema: text(8) === 'true',
    hasTemporaryObjects: text(9) === 'true',
    namesTemporary: text(10) === 'true',
  };
}

// Parameters $1 and $2: schemas ('' for none) and names, as `encodeNames` writes them. A subscript would look through the
// array from its beginning each time: thousands of names took a minute.
const ASKED =
  'ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) q(schema, name)';

const PATH = 'pg_catalog.unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY path(nspname, place)';

const VISIBLE = `((q.schema OPERATOR(pg_catalog.=) '' AND path.place IS NOT NULL)
  OR n.nspname OPERATOR(pg_catalog.=) q.schema::pg_catalog.name
  OR (q.schema OPERATOR(pg_catalog.=) 'pg_temp' AND n.oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()))`;

/** The relation that each name means; a row for every name asked, without an OID where there is none. */
export const RELATIONS_QUESTION = `SELECT q.schema, q.name, r.* FROM ${ASKED} LEFT JOIN LATERAL (
  SELECT c.oid::pg_catalog.text, n.nspname::pg_catalog.text, c.relname::pg_catalog.text, c.relkind::pg_catalog.text,
    CASE WHEN c.relpersistence OPERATOR(pg_catalog.=) 't' THEN ${IS_SIMPLE}::pg_catalog.text END
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
  LEFT JOIN ${PATH} ON path.nspname OPERATOR(pg_catalog.=) n.nspname
  WHERE c.relname OPERATOR(pg_catalog.=) q.name::pg_catalog.name AND ${VISIBLE}
  ORDER BY path.place LIMIT 1) r ON true`;

/** One row: all about relations and what is near them, as this session sees it. It takes its time. */
export const SURROUNDINGS_QUESTION = surroundings(FUNCTION_COLUMNS);

/** The user functions that each name may mean; a row with empty columns where there are none. */
export const FUNCTIONS_QUESTION = `SELECT q.schema, q.name, r.* FROM ${ASKED} LEFT JOIN LATERAL (
  SELECT ${FUNCTION_COLUMNS}
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
  LEFT JOIN ${PATH} ON path.nspname OPERATOR(pg_catalog.=) n.nspname
  WHERE p.proname OPERATOR(pg_catalog.=) q.name::pg_catalog.name AND ${VISIBLE}
  ORDER BY path.place, p.oid) r ON true`;

/**
 * One row: what the types of some names, and those of some OIDs ($3), are made of, and all that runs when a value
 * becomes one. Temporary schemas are looked through for types as well.
 */
export const TYPES_QUESTION = typesOf(
  `SELECT q.schema, q.name, r.oid FROM ${ASKED} LEFT JOIN LATERAL (
    SELECT t.oid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace
    LEFT JOIN ${PATH} ON path.nspname OPERATOR(pg_catalog.=) n.nspname
    WHERE t.typname OPERATOR(pg_catalog.=) q.name::pg_catalog.name AND ${VISIBLE}
    ORDER BY path.place LIMIT 1) r ON true`,
  'SELECT pg_catalog.unnest($3::pg_catalog.text::pg_catalog.oid[])',
  FUNCTION_COLUMNS,
);

/** The first two parameters of the questions about names, in text format. */
export function encodeNames(asked: readonly WrittenName[]): readonly [schemas: string, names: string] {
  // What is asked for twice would be answered twice.
  const names = [...new Map(asked.map((one) => [nameKey(one.schema, one.name), one])).values()];
  return [encodeTexts(names.map(({ schema }) => schema ?? '')), encodeTexts(names.map(({ name }) => name))];
}

function encodeTexts(texts: readonly string[]): string {
  return `{${texts.map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;
}

/** What each name means, by `nameKey`: null where the session sees no relation. */
export type RelationAnswers = ReadonlyMap<string, CatalogRelation | NeedsSurroundings | null>;

/** More must be asked before it is known what hangs on the relation. */
export interface NeedsSurroundings {
  readonly needs: number;
}

/** Reads the rows of `RELATIONS_QUESTION`; `shared`: the shared catalogue's relation of an OID, where it can be relied on. */
export function readRelations(
  rows: readonly TextRow[],
  shared: (oid: number) => CatalogRelation | undefined,
): RelationAnswers {
  return new Map(rows.map((row) => [askedKey(row), readAnswer(row.slice(2), shared)]));
}

function readAnswer(row: TextRow, shared: (oid: number) => CatalogRelation | undefined) {
  const [oid, schema, name, kind, simple] = row;
  if (oid == null) return null;
  if (simple === 'true')
    return gather({ ...NOTHING, relations: [[oid, schema!, name!, kind!, 'false']] }).relations.get(Number(oid))!;
  return (simple == null ? shared(Number(oid)) : undefined) ?? { needs: Number(oid) };
}

const NOTHING = { relations: [], keys: [], columns: [], links: [] };

/** All that is near some relations, by OID. */
export interface Near {
  readonly related: ReadonlyMap<number, CatalogRelation>;
  readonly relatedFunctions: ReadonlyMap<number, CatalogFunction>;
}

/** The parameter of `SURROUNDINGS_QUESTION`, in text format. */
export function encodeOids(oids: readonly number[]): string {
  return `{${oids.join(',')}}`;
}

type Surroundings = { readonly [part in keyof RelationRows | 'definitions' | 'functions']: readonly TextRow[] | null };

/** Reads the row of `SURROUNDINGS_QUESTION`. */
export function readSurroundings(row: TextRow): Near {
  const near = JSON.parse(row[0] ?? '{}') as Partial<Surroundings>;
  const { relations: related, ruleCode } = gather({
    relations: near.relations ?? [],
    keys: near.keys ?? [],
    columns: near.columns ?? [],
    links: near.links ?? [],
  });
  const definitions = new Map((near.definitions ?? []).map((one) => readDefinitionRow(one, ruleCode)));
  for (const { links } of related.values()) define(links.rules, definitions);
  const functions = (near.functions ?? []).map(readFunction);
  return { related, relatedFunctions: new Map(functions.map((fn) => [fn.oid, fn])) };
}

/** Reads the rows of `FUNCTIONS_QUESTION`: empty where the session sees no such function; keys by `nameKey`. */
export function readFunctions(rows: readonly TextRow[]): Map<string, CatalogFunction[]> {
  const answers = new Map<string, CatalogFunction[]>();
  for (const row of rows) {
    const found = answers.get(askedKey(row)) ?? [];
    if (row[4] != null) found.push(readFunction(row.slice(2)));
    answers.set(askedKey(row), found);
  }
  return answers;
}

/** Reads the row of `TYPES_QUESTION`; keys by `typeKey`. */
export function readTypes(row: TextRow, wanted: readonly number[]): Map<string, KnownType | 'plain' | null> {
  const { asked, types, columnTypes, functions } = JSON.parse(row[0] ?? '{}') as TypesAnswer;
  const known = (functions ?? []).map(readFunction);
  const byOid = readTypeRows(
    { types: types ?? [], columnTypes: columnTypes ?? [] },
    new Map(known.map((fn) => [fn.oid, fn])),
  );
  const meaning = (oid: number) => byOid.get(oid) ?? (oid < FIRST_NORMAL_OID ? 'plain' : null);
  return new Map([
    ...(asked ?? []).map((one) => [askedKey(one), one[2] == null ? null : meaning(Number(one[2]))] as const),
    ...wanted.map((oid) => [typeKey({ schema: null, name: '', oid }), meaning(oid)] as const),
  ]);
}

interface TypesAnswer extends Partial<Pick<TypeRows, 'types' | 'columnTypes'>> {
  readonly asked?: readonly TextRow[] | null;
  readonly functions?: readonly TextRow[] | null;
}

/** The key under which answers about a name are kept. */
export function keyOf({ schema, name }: WrittenName): string {
  return nameKey(schema, name);
}

function askedKey(row: TextRow): string {
  return nameKey(row[0] === '' ? null : (row[0] ?? null), row[1] ?? '');
}

/** A one-dimensional array of text, as array_out prints it. */
function parseArray(text: string): string[] {
  const elements: string[] = [];
  for (const match of text.slice(1, -1).matchAll(/"((?:[^"\\]|\\.)*)"|([^,]+)/gs)) {
    elements.push(match[2] ?? (match[1] ?? '').replace(/\\(.)/gs, '$1'));
  }
  return elements;
}
