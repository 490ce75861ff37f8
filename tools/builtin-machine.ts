import { startPostgres } from '../test/kit/postgres.ts';
import type { PostgresMajor } from '../test/kit/postgres-install.ts';

/** What servers themselves say of what they bring: the machine's part of the table of built-in objects. */
export const MAJORS: readonly PostgresMajor[] = [14, 15, 16, 17, 18];

export interface ServerFunction {
  readonly schema: string;
  readonly name: string;
  readonly args: readonly string[];
  readonly kind: 'f' | 'p' | 'a' | 'w';
  /** For an aggregate: the weakest of its own, its transition and its final function. */
  readonly volatility: 'i' | 's' | 'v';
  readonly leakproof: boolean;
  readonly defaults: number;
  readonly variadic: boolean;
  readonly source: string;
}

export interface ServerOperator {
  readonly name: string;
  readonly left: string;
  readonly right: string;
  /** `name(types)` of the function that it is. */
  readonly calls: string;
}

export interface ServerType {
  readonly name: string;
  /** As the server prints it. */
  readonly shown: string;
  readonly kind: string;
  /** `name(types)` of its input and typmod input functions. */
  readonly calls: readonly string[];
}

export interface ServerCast {
  readonly source: string;
  readonly target: string;
  readonly context: string;
  /** `name(types)`, or b: same bytes, i: by way of text. */
  readonly calls: string;
}

export interface ServerObjects {
  readonly functions: readonly ServerFunction[];
  readonly operators: readonly ServerOperator[];
  readonly types: readonly ServerType[];
  readonly casts: readonly ServerCast[];
}

/** First OID that is not the server's own. */
const OWN = 16_384;
const SIGNATURE = (oid: string) => `(SELECT concat(f.proname, '(', (SELECT string_agg(t.typname::text, ',' ORDER BY u.n)
  FROM unnest(f.proargtypes) WITH ORDINALITY u(o, n) JOIN pg_type t ON t.oid = u.o), ')') FROM pg_proc f WHERE f.oid = ${oid})`;

const QUERIES = {
  functions: `SELECT n.nspname AS schema, p.proname AS name, p.prokind AS kind, p.proleakproof AS leakproof,
      p.pronargdefaults AS defaults, p.provariadic <> 0 AS variadic,
      CASE WHEN p.prosqlbody IS NULL THEN p.prosrc ELSE 'SQL' END AS source,
      (SELECT coalesce(json_agg(t.typname ORDER BY u.n), '[]') FROM unnest(p.proargtypes) WITH ORDINALITY u(o, n)
        JOIN pg_type t ON t.oid = u.o) AS args,
      (SELECT max(array_position('{i,s,v}', w.provolatile::text)) FROM pg_proc w LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid
        WHERE w.oid IN (p.oid, a.aggtransfn, a.aggfinalfn)) AS weakest
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.oid < ${OWN}`,
  operators: `SELECT o.oprname AS name, coalesce(l.typname, '') AS left, r.typname AS right, ${SIGNATURE('o.oprcode')} AS calls
    FROM pg_operator o LEFT JOIN pg_type l ON l.oid = o.oprleft JOIN pg_type r ON r.oid = o.oprright WHERE o.oid < ${OWN}`,
  types: `SELECT t.typname AS name, format_type(t.oid, NULL) AS shown, t.typtype AS kind,
      array_remove(ARRAY[${SIGNATURE('t.typinput')}, ${SIGNATURE('t.typmodin')}], NULL) AS calls
    FROM pg_type t WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype <> 'c' AND t.oid < ${OWN}
      AND NOT EXISTS (SELECT 1 FROM pg_type e WHERE e.typarray = t.oid AND e.typtype = 'c')`,
  casts: `SELECT s.typname AS source, t.typname AS target, c.castcontext AS context,
      coalesce(${SIGNATURE('c.castfunc')}, c.castmethod::text) AS calls
    FROM pg_cast c JOIN pg_type s ON s.oid = c.castsource JOIN pg_type t ON t.oid = c.casttarget WHERE c.oid < ${OWN}`,
} as const;

/** Reads a server's own functions, operators, types and casts. */
export async function readServerObjects(
  query: (sql: string) => Promise<readonly Record<string, unknown>[]>,
): Promise<ServerObjects> {
  const rows = async <T>(sql: string) => (await query(sql)) as unknown as readonly T[];
  const functions = await rows<Omit<ServerFunction, 'volatility'> & { readonly weakest: 1 | 2 | 3 }>(QUERIES.functions);
  return {
    functions: functions.map(({ weakest, ...fn }) => ({ ...fn, volatility: (['i', 's', 'v'] as const)[weakest - 1]! })),
    operators: await rows<ServerOperator>(QUERIES.operators),
    types: await rows<ServerType>(QUERIES.types),
    casts: await rows<ServerCast>(QUERIES.casts),
  };
}

/** What the servers of all supported versions say. */
export async function readAllServers(): Promise<ReadonlyMap<PostgresMajor, ServerObjects>> {
  const all = new Map<PostgresMajor, ServerObjects>();
  for (const version of MAJORS) {
    const server = await startPostgres({ version });
    try {
      all.set(version, await readServerObjects((sql) => server.query(sql)));
    } finally {
      await server.stop();
    }
  }
  return all;
}
