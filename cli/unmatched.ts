import type pg from 'pg';
import type { ConfigDocument, Policy, SecretSource } from '../gateway/config/document.ts';
import { makeRevision } from '../gateway/config/revision.ts';
import { canonicalFunction, matches, parsePattern } from '../gateway/policy/patterns.ts';
import { UpstreamAccess } from '../gateway/upstream-access.ts';
import { CommandError } from './usage.ts';

/** Something that a policy names and no database has. */
export interface Unmatched {
  readonly policy: Policy;
  readonly path: string;
  readonly message: string;
}

/** What one database has, as policies name it. */
interface Contents {
  readonly relations: readonly { readonly schema: string; readonly name: string }[];
  readonly functions: ReadonlySet<string>;
}

const DATABASES =
  'SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname';
const ROLES = 'SELECT rolname FROM pg_catalog.pg_roles WHERE rolcanlogin';
const RELATIONS = `SELECT n.nspname AS schema, c.relname AS name FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'v', 'm', 'S', 'f', 'p')`;
// Types are written with their schema unless they are the server's own, as in refusals.
const FUNCTIONS = `SELECT n.nspname AS schema, p.proname AS name,
    ARRAY(SELECT pg_catalog.format_type(t, NULL) FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY a (t, i) ORDER BY i) AS args
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname <> 'pg_catalog'`;

/** Asks the gateway's server for everything that policies name: databases, roles, relations, functions. */
export async function findUnmatched(document: ConfigDocument, secrets: SecretSource): Promise<Unmatched[]> {
  const revision = makeRevision(document);
  const upstream = new UpstreamAccess(() => revision, secrets);
  const first = document.policies.flatMap(({ databases }) => databases)[0] ?? 'postgres';
  const databases = await ask(upstream, first, async (client) => column(await client.query(DATABASES)));
  const roles = await ask(upstream, first, async (client) => new Set(column(await client.query(ROLES))));
  const contents = new Map<string, Contents>();
  const named = new Set(document.policies.flatMap((policy) => policy.databases));
  const all = document.policies.some((policy) => policy.databases.length === 0);
  for (const name of databases.filter((one) => all || named.has(one))) {
    // A policy for every database means those that the gateway can read; one that it names has to be among them.
    const read = ask(upstream, name, readContents);
    const found = named.has(name) ? await read : await read.catch(() => null);
    if (found !== null) contents.set(name, found);
  }
  const found = document.policies.flatMap((policy) => [
    ...missingDatabases(policy, databases),
    ...deadRules(policy, policy.databases.length === 0 ? databases : policy.databases, contents),
  ]);
  const names = new Map(document.upstream.roles.map(({ name }) => [name, upstream.credentials(name).username]));
  for (const policy of document.policies) {
    const login = policy.role === null ? undefined : names.get(policy.role);
    if (login !== undefined && !roles.has(login))
      found.push({ policy, path: 'spec.role', message: `the server has no role ${login} that can log in` });
  }
  return found;
}

async function ask<T>(upstream: UpstreamAccess, database: string, read: (client: pg.Client) => Promise<T>): Promise<T> {
  let client: pg.Client | null = null;
  try {
    client = await upstream.connectCatalog(database);
    // What is written without a schema is the server's own, whatever the role's search_path is.
    await client.query("SET search_path = ''");
    return await read(client);
  } catch (error) {
    throw new CommandError(`database ${database} cannot be read: ${(error as Error).message}`);
  } finally {
    await client?.end().catch(() => {});
  }
}

function column({ rows }: pg.QueryResult): string[] {
  return rows.map((row) => String(Object.values(row)[0]));
}

async function readContents(client: pg.Client): Promise<Contents> {
  const { rows } = await client.query(FUNCTIONS);
  return {
    relations: (await client.query(RELATIONS)).rows,
    functions: new Set(rows.map(({ schema, name, args }) => `${schema}.${name}(${args.join(', ')})`)),
  };
}

function missingDatabases(policy: Policy, databases: readonly string[]): Unmatched[] {
  return policy.databases.flatMap((name, i) =>
    databases.includes(name)
      ? []
      : [{ policy, path: `spec.databases[${i}]`, message: `the server has no database ${name}` }],
  );
}

function deadRules(policy: Policy, names: readonly string[], contents: ReadonlyMap<string, Contents>): Unmatched[] {
  const all = names.flatMap((name) => contents.get(name) ?? []);
  const where = policy.databases.length === 0 ? 'any database' : `database ${policy.databases.join(' or ')}`;
  return policy.rules.flatMap((rule, i) => [
    ...(rule.relations ?? []).flatMap((source, j) => {
      const pattern = parsePattern(source);
      const alive = all.some(({ relations }) =>
        relations.some(({ schema, name }) => pattern !== undefined && matches(pattern, schema, name)),
      );
      const path = `spec.rules[${i}].relations[${j}]`;
      return alive ? [] : [{ policy, path, message: `"${source}" matches no relation of ${where}` }];
    }),
    ...rule.functions.flatMap((source, j) => {
      const path = `spec.rules[${i}].functions[${j}]`;
      const alive = all.some(({ functions }) => functions.has(canonicalFunction(source)));
      return alive ? [] : [{ policy, path, message: `"${source}" is no function of ${where}` }];
    }),
  ]);
}
