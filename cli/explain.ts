import { createAnalyzer } from '../gateway/analysis/analyzer.ts';
import { Catalog } from '../gateway/catalog/catalog.ts';
import type { ConfigDocument, SecretSource } from '../gateway/config/document.ts';
import { makeRevision } from '../gateway/config/revision.ts';
import type { Identity } from '../gateway/identity/identity.ts';
import { decide } from '../gateway/policy/decide.ts';
import type { Decision, EffectivePolicies } from '../gateway/policy/decision.ts';
import { effectivePolicies, pickRole, selectPolicies } from '../gateway/policy/effective.ts';
import { checkSetting } from '../gateway/policy/settings.ts';
import type { Facts, Place, RawStatement, SettingChange } from '../gateway/sql/facts.ts';
import { UpstreamAccess } from '../gateway/upstream-access.ts';
import { type Names, namesFor } from './assume.ts';
import { CommandError } from './usage.ts';

export interface ExplainOptions {
  readonly user: string;
  readonly groups: readonly string[];
  /** The `user` start-up parameter; null: the user's own name. */
  readonly role: string | null;
  readonly database: string | null;
  /** Ask the gateway's database what names mean. */
  readonly live: boolean;
}

/** What became of one statement of the text. */
export interface Explained {
  readonly text: string;
  readonly decision: Decision;
  /** null: the gateway itself refuses before names mean anything. */
  readonly facts: Facts | null;
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

/** Decides a text as the gateway would at the beginning of a session; needs no database unless `live`. */
export async function explain(
  document: ConfigDocument,
  secrets: SecretSource,
  sql: string,
  options: ExplainOptions,
): Promise<Explanation> {
  const now = Date.now();
  const identity = identityOf(options);
  const asked = { user: options.role ?? options.user, database: options.database };
  const picked = pickRole(document.policies, identity, asked, now);
  if (!picked.ok) return { kind: 'Refused', message: noRole(options, picked.offered) };
  const { role, database } = picked;
  const effective = effectivePolicies(selectPolicies(document.policies, identity, database, now), role);
  const catalog = options.live ? await readCatalog(document, secrets, database) : null;
  const names = namesFor(document, catalog);
  const text = Buffer.from(sql);
  const analysis = await analyze(text, document.limits.statementBytes);
  if (analysis.kind === 'SyntaxError') return { kind: 'Refused', message: `42601: ${analysis.message}` };
  const statements =
    analysis.kind === 'NotUnderstood'
      ? [explainUnread(effective, sql, analysis.reason, now)]
      : analysis.statements.map((raw, i) => ({
          text: textOf(analysis.places[i]!, text),
          ...judge(effective, names, raw, now),
        }));
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

function identityOf({ user, groups }: ExplainOptions): Identity {
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

async function readCatalog(document: ConfigDocument, secrets: SecretSource, database: string) {
  const revision = makeRevision(document);
  const upstream = new UpstreamAccess(() => revision, secrets);
  const silent = { info() {}, warn() {} };
  const catalog = new Catalog({ connect: (name) => upstream.connectCatalog(name), log: silent });
  try {
    return await catalog.ensure(database);
  } catch (error) {
    throw new CommandError(`the catalogue of database ${database} cannot be read: ${(error as Error).message}`);
  } finally {
    await catalog.close();
  }
}

function textOf({ offset, length }: Place, text: Buffer): string {
  return text
    .subarray(offset, length === 0 ? undefined : offset + length)
    .toString('utf8')
    .trim();
}

function judge(effective: EffectivePolicies, names: Names, raw: RawStatement, now: number): Omit<Explained, 'text'> {
  const { facts } = names.resolve(raw);
  const refused = raw.settings.map((change) => checkSetting(effective, change, undefined)).find((why) => why !== null);
  if (refused !== undefined && !effective.unrestricted) return { facts, decision: byGateway(refused) };
  return { facts, decision: decide(effective, facts, now) };
}

function explainUnread(effective: EffectivePolicies, text: string, reason: string, now: number): Explained {
  const facts: Facts = {
    primary: 'Unknown',
    classes: ['Unknown'],
    relations: [],
    functions: [],
    settings: [],
    readOnly: false,
    unknown: [reason],
  };
  return { text, facts, decision: decide(effective, facts, now) };
}

function byGateway(message: string): Decision {
  return { verdict: 'Deny', by: null, message, detail: null, hint: '', alert: false, shadow: [] };
}

/** For people. */
export function render(explanation: Explanation, { user, groups, live }: ExplainOptions): string {
  if (explanation.kind === 'Refused') return explanation.message;
  const { gateway, role, database, statements, assumptions } = explanation;
  const whose = groups.length === 0 ? user : `${user} (${groups.join(', ')})`;
  const lines = [`${whose} as role ${role} on database ${database} of gateway ${gateway}`];
  for (const statement of statements) lines.push('', ...renderStatement(statement));
  if (assumptions.length > 0) {
    lines.push('', 'Assumed, as no database was asked (--live does):', ...assumptions.map((one) => `  ${one}`));
  }
  if (live) lines.push('', 'Names as a session with the default search_path finds them.');
  return lines.join('\n');
}

function renderStatement({ text, decision, facts }: Explained): string[] {
  const field = (name: string, values: readonly string[]): string[] =>
    values.length === 0 ? [] : [`  ${name.padEnd(10)} ${values.join('; ')}`];
  const by = decision.by === null ? 'the gateway' : `AccessPolicy ${decision.by.policy}, rule ${decision.by.rule}`;
  const verdict = decision.verdict === 'Allow' ? `allowed by ${by}` : `denied by ${by}`;
  return [
    text,
    `  ${verdict}`,
    ...(decision.verdict === 'Deny' ? field('message', [decision.message]) : []),
    ...(decision.verdict === 'Deny' && decision.hint !== '' ? field('hint', [decision.hint]) : []),
    ...field('classes', facts?.classes ?? []),
    ...field(
      'relations',
      (facts?.relations ?? []).map(
        ({ schema, name, verb, reach }) => `${schema}.${name} ${verb}${reach === null ? '' : ` ${reach}`}`,
      ),
    ),
    ...field(
      'functions',
      (facts?.functions ?? []).map(({ schema, name, candidates }) =>
        candidates.length === 0 ? `${schema}.${name}` : candidates.join(' or '),
      ),
    ),
    ...field('settings', (facts?.settings ?? []).map(renderSetting)),
    ...field('unknown', facts?.unknown ?? []),
    ...field(
      'shadow',
      decision.shadow.map(({ policy, rule, verdict: would }) => `${policy}, rule ${rule} would ${would}`),
    ),
  ];
}

function renderSetting(change: SettingChange): string {
  if (change.kind === 'ResetAll') return 'RESET ALL';
  if (change.kind === 'Set') return `${change.name} = ${change.value ?? '(not a plain literal)'}`;
  return `${change.kind.toUpperCase()} ${change.name}`;
}
