import { nameKey, type WrittenName } from '../sql/resolve-environment.ts';
import { surroundings } from './links.ts';
import { type CatalogRelation, gather, type RelationRows, readDefinitionRow, type TextRow } from './relations.ts';
import { FUNCTION_COLUMNS, readFunction } from './rows.ts';
import type { CatalogFunction } from './snapshot.ts';

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
     WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()))::pg_catalog.text`;

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
  };
}

// Parameter $1: a text[] of alternating schema ('' for none) and name, as `encodeNames` writes it.
const ASKED = `(SELECT s.i, a.names[s.i OPERATOR(pg_catalog.*) 2 OPERATOR(pg_catalog.-) 1] AS schema,
    a.names[s.i OPERATOR(pg_catalog.*) 2] AS name
  FROM (SELECT $1::pg_catalog.text[] AS names) a
  CROSS JOIN LATERAL pg_catalog.generate_series(1, pg_catalog.cardinality(a.names) OPERATOR(pg_catalog./) 2) s(i)) q`;

const PATH = 'pg_catalog.unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY path(nspname, place)';

const VISIBLE = `((q.schema OPERATOR(pg_catalog.=) '' AND path.place IS NOT NULL)
  OR n.nspname OPERATOR(pg_catalog.=) q.schema::pg_catalog.name
  OR (q.schema OPERATOR(pg_catalog.=) 'pg_temp' AND n.oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()))`;

/**
 * The relation that each name means, and all that is near it; a row for every name asked, empty columns where there is
 * none.
 */
export const RELATIONS_QUESTION = `SELECT q.schema, q.name, r.oid::pg_catalog.text, ${surroundings('r.oid', FUNCTION_COLUMNS)}
  FROM ${ASKED} LEFT JOIN LATERAL (SELECT c.oid
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
  LEFT JOIN ${PATH} ON path.nspname OPERATOR(pg_catalog.=) n.nspname
  WHERE c.relname OPERATOR(pg_catalog.=) q.name::pg_catalog.name AND ${VISIBLE}
  ORDER BY path.place LIMIT 1) r ON true`;

/** The user functions that each name may mean; a row with empty columns where there are none. */
export const FUNCTIONS_QUESTION = `SELECT q.schema, q.name, r.* FROM ${ASKED} LEFT JOIN LATERAL (
  SELECT ${FUNCTION_COLUMNS}
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
  LEFT JOIN ${PATH} ON path.nspname OPERATOR(pg_catalog.=) n.nspname
  WHERE p.proname OPERATOR(pg_catalog.=) q.name::pg_catalog.name AND ${VISIBLE}
  ORDER BY path.place, p.oid) r ON true`;

/** The parameter of `RELATIONS_QUESTION` and `FUNCTIONS_QUESTION`, in text format. */
export function encodeNames(names: readonly WrittenName[]): string {
  const elements = names.flatMap(({ schema, name }) => [schema ?? '', name]);
  return `{${elements.map((element) => `"${element.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;
}

/** What a session sees: relations by `nameKey`, null where there is none; all that is near them by OID. */
export interface RelationAnswers {
  readonly relations: Map<string, CatalogRelation | null>;
  readonly related: Map<number, CatalogRelation>;
  readonly relatedFunctions: Map<number, CatalogFunction>;
}

/** Reads the rows of `RELATIONS_QUESTION`. */
export function readRelations(rows: readonly TextRow[]): RelationAnswers {
  const relations = new Map<string, CatalogRelation | null>();
  const related = new Map<number, CatalogRelation>();
  const relatedFunctions = new Map<number, CatalogFunction>();
  for (const row of rows) {
    if (row[2] == null) {
      relations.set(askedKey(row), null);
      continue;
    }
    const near = readSurroundings(row[3] ?? '{}');
    for (const [oid, relation] of near.relations) related.set(oid, relation);
    for (const fn of near.functions) relatedFunctions.set(fn.oid, fn);
    relations.set(askedKey(row), near.relations.get(Number(row[2])) ?? null);
  }
  return { relations, related, relatedFunctions };
}

type Surroundings = { readonly [part in keyof RelationRows | 'definitions' | 'functions']: readonly TextRow[] | null };

function readSurroundings(json: string) {
  const near = JSON.parse(json) as Surroundings;
  const { relations, ruleCode } = gather({
    relations: near.relations ?? [],
    keys: near.keys ?? [],
    notNull: near.notNull ?? [],
    links: near.links ?? [],
  });
  const definitions = new Map((near.definitions ?? []).map((row) => readDefinitionRow(row, ruleCode)));
  for (const { links } of relations.values()) {
    links.rules.splice(
      0,
      links.rules.length,
      ...links.rules.map((rule) => {
        const definition = definitions.get(rule.oid);
        return definition === undefined ? rule : { ...rule, definition };
      }),
    );
  }
  return { relations, functions: (near.functions ?? []).map(readFunction) };
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
