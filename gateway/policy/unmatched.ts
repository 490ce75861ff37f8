import type { GatewayReport } from '../config/control.ts';
import type { ConfigDocument, MaskRule, Policy } from '../config/document.ts';
import { columnPattern, parseFunction, parsePattern, type RelationPattern } from './patterns.ts';

/** Something that a policy or a mask names and no database has. */
export type Unmatched = GatewayReport['findings'][number];

/** What one database has, as policies name it. */
export interface Contents {
  hasRelation(pattern: RelationPattern): boolean;
  hasColumn(pattern: ReturnType<typeof columnPattern>): boolean;
  hasFunction(name: NonNullable<ReturnType<typeof parseFunction>>): boolean;
}

export interface KnownServer {
  /** Databases that one can connect to, those first whose contents are at hand. */
  readonly databases: readonly string[];
  /** Names of roles that may log in. */
  readonly logins: ReadonlySet<string>;
  /** The user name by which the gateway logs in as one of its roles. */
  login(role: string): string;
  /** null: what it has is not known, so that nothing is said to be missing there. */
  contents(database: string): Promise<Contents | null>;
}

type Names = Pick<ConfigDocument, 'policies' | 'masks'>;

/** Looks for all that policies and masks name: databases, roles, relations, functions, columns. */
export async function findUnmatched({ policies, masks }: Names, server: KnownServer): Promise<Unmatched[]> {
  const found: Unmatched[] = [];
  for (const policy of policies) {
    found.push(...missingDatabases(policy, server), ...missingRole(policy, server));
    found.push(...(await deadRules(policy, server)));
  }
  // A mask speaks of the databases that policies let anybody into.
  const everywhere = policies.some(({ databases }) => databases.length === 0);
  const place = placeOf(everywhere ? [] : [...new Set(policies.flatMap(({ databases }) => databases))], server);
  for (const mask of masks) found.push(...(await deadColumns(mask, place)));
  return found;
}

async function deadColumns({ namespace, name, columns }: MaskRule, place: Place): Promise<Unmatched[]> {
  const found: Unmatched[] = [];
  for (const [i, masked] of columns.entries()) {
    const pattern = columnPattern(masked);
    if (await place.has((contents) => contents.hasColumn(pattern))) continue;
    const { schema, table, column } = masked;
    const message = `"${schema}.${table}.${column}" matches no column of ${place.name}`;
    found.push({ kind: 'MaskingRule', namespace, name, path: `spec.columns[${i}]`, message });
  }
  return found;
}

/** The databases that a policy speaks of. */
interface Place {
  readonly name: string;
  /** Whether one of them has something, or may have. */
  has(look: (contents: Contents) => boolean): Promise<boolean>;
}

function placeOf(named: readonly string[], { databases, contents }: KnownServer): Place {
  const names = named.length === 0 ? databases : databases.filter((name) => named.includes(name));
  return {
    name: named.length === 0 ? 'any database' : `database ${named.join(' or ')}`,
    async has(look) {
      for (const name of names) {
        const found = await contents(name);
        if (found === null || look(found)) return true;
      }
      return false;
    },
  };
}

function missingDatabases(policy: Policy, { databases }: KnownServer): Unmatched[] {
  return policy.databases.flatMap((name, i) =>
    databases.includes(name) ? [] : [of(policy, `spec.databases[${i}]`, `the server has no database ${name}`)],
  );
}

function missingRole(policy: Policy, { logins, login }: KnownServer): Unmatched[] {
  if (policy.role === null || logins.has(login(policy.role))) return [];
  // What a Secret holds, be it a user name, is shown to nobody (test: "a role that cannot log in").
  const whose = `by the user name in the Secret of role ${policy.role}`;
  return [of(policy, 'spec.role', `nobody can log in ${whose}: the server has no such role, or not WITH LOGIN`)];
}

async function deadRules(policy: Policy, server: KnownServer): Promise<Unmatched[]> {
  const place = placeOf(policy.databases, server);
  const found: Unmatched[] = [];
  for (const [i, rule] of policy.rules.entries()) {
    for (const [j, source] of (rule.relations ?? []).entries()) {
      const pattern = parsePattern(source);
      if (pattern !== undefined && (await place.has((contents) => contents.hasRelation(pattern)))) continue;
      const message = `"${source}" matches no relation of ${place.name}`;
      found.push(of(policy, `spec.rules[${i}].relations[${j}]`, message));
    }
    for (const [j, source] of rule.functions.entries()) {
      const name = parseFunction(source);
      if (name !== null && (await place.has((contents) => contents.hasFunction(name)))) continue;
      const message = `"${source}" is no function of ${place.name}`;
      found.push(of(policy, `spec.rules[${i}].functions[${j}]`, message));
    }
  }
  return found;
}

function of({ namespace, name }: Policy, path: string, message: string): Unmatched {
  return { kind: 'AccessPolicy', namespace, name, path, message };
}
