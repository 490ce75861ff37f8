import { createAnalyzer } from '../gateway/analysis/analyzer.ts';
import type { ConfigDocument, SecretSource } from '../gateway/config/document.ts';
import type { Identity } from '../gateway/identity/identity.ts';
import type { Decision, EffectivePolicies } from '../gateway/policy/decision.ts';
import { effectivePolicies, pickRole, selectPolicies } from '../gateway/policy/effective.ts';
import { maskFor, maskRefusal } from '../gateway/policy/masks.ts';
import { type MatchingRule, matchingRules } from '../gateway/policy/matching.ts';
import { unreadFacts } from '../gateway/session/judge.ts';
import type { Facts, Place, RawStatement } from '../gateway/sql/facts.ts';
import { type Names, namesFor } from './assume.ts';
import { decideAs } from './judge.ts';
import { readCatalog } from './live.ts';

export interface ExplainOptions {
  readonly user: string;
  readonly groups: readonly string[];
  /** The `user` start-up parameter; null: the user's own name. */
  readonly role: string | null;
  readonly database: string | null;
  /** Ask the gateway's database what names mean. */
  readonly server: boolean;
}

/** What became of one statement of the text. */
export interface Explained {
  readonly text: string;
  readonly decision: Decision;
  readonly facts: Facts;
  /** Every rule that matches something of it, in the order in which they are looked at. */
  readonly rules: readonly MatchingRule[];
  /** Its rows are counted before they can be committed, as `decision.maxRows` says. */
  readonly bounded: boolean;
}

export type Explanation =
  | {
      readonly kind: 'Statements';
      readonly gateway: string;
      readonly role: string;
      readonly database: string;
      readonly statements: readonly Explained[];
      readonly assumptions: readonly string[];
    }
  /** Signing in would fail already, or PostgreSQL would refuse the text. */
  | { readonly kind: 'Refused'; readonly message: string };

/** Decides a text as the gateway would at the beginning of a session; needs no database unless `server`. */
export async function explain(
  document: ConfigDocument,
  secrets: SecretSource,
  sql: string,
  options: ExplainOptions,
): Promise<Explanation> {
  const now = Date.now();
  const identity = identityOf(options.user, options.groups);
  const asked = { user: options.role ?? options.user, database: options.database };
  const picked = pickRole(document.policies, identity, asked, now);
  if (!picked.ok) return { kind: 'Refused', message: noRole(options, picked.offered) };
  const rule = maskFor(document.masks, identity);
  if (rule !== null) return { kind: 'Refused', message: `28000: ${maskRefusal(rule, identity).message}` };
  const { role, database } = picked;
  const effective = effectivePolicies(selectPolicies(document.policies, identity, database, now), role);
  const catalog = options.server ? await readCatalog(document, secrets, database) : null;
  const names = namesFor(document, catalog);
  const text = Buffer.from(sql);
  const analysis = await analyze(text, document.limits.statementBytes);
  if (analysis.kind === 'SyntaxError') return { kind: 'Refused', message: `42601: ${analysis.message}` };
  const statements =
    analysis.kind === 'NotUnderstood'
      ? [explainFacts(effective, sql, unreadFacts(analysis.reason), null, now)]
      : analysis.statements.map((raw, i) =>
          explainStatement(effective, names, raw, textOf(analysis.places[i]!, text), now),
        );
  const { namespace, name } = document.gateway;
  return {
    kind: 'Statements',
    gateway: `${namespace}/${name}`,
    role,
    database,
    statements,
    assumptions: [...names.assumptions],
  };
}

/** Somebody as a token would name them. */
export function identityOf(user: string, groups: readonly string[]): Identity {
  const issuer = { issuer: 'explain', method: 'Token', subject: user, credentialId: null } as const;
  return { username: user, groups, expiresAt: Number.POSITIVE_INFINITY, ...issuer };
}

function noRole({ user, role }: ExplainOptions, offered: readonly string[]): string {
  if (offered.length === 0) return `28000: no AccessPolicy grants ${user} anything here`;
  return `28000: no AccessPolicy offers ${user} the role "${role ?? user}"; offered are: ${offered.join(', ')}`;
}

async function analyze(text: Buffer, statementBytes: number) {
  const analyzer = await createAnalyzer({ workers: 1, statementBytes, watchdog: 5000, cacheBytes: 0 });
  try {
    return await analyzer.analyze(text, 'explain');
  } finally {
    await analyzer.close();
  }
}

function textOf({ offset, length }: Place, text: Buffer): string {
  return text
    .subarray(offset, length === 0 ? undefined : offset + length)
    .toString('utf8')
    .trim();
}

function explainStatement(
  effective: EffectivePolicies,
  names: Names,
  ...[raw, text, now]: [RawStatement, string, number]
): Explained {
  return explainFacts(effective, text, names.resolve(raw).facts, raw, now);
}

function explainFacts(
  effective: EffectivePolicies,
  text: string,
  ...[facts, raw, now]: [Facts, RawStatement | null, number]
): Explained {
  return { text, facts, rules: matchingRules(effective, facts), ...decideAs(effective, facts, raw, now) };
}
