import type { IdentityLimits, Policy, Rule, SessionLimits, Subject } from '../config/document.ts';
import type { Identity } from '../identity/identity.ts';
import type { EffectivePolicies } from './decision.ts';

/** The policies in force for an identity on a database; expired ones are in force for nobody. */
export function selectPolicies(
  policies: readonly Policy[],
  identity: Identity,
  database: string,
  now: number,
): Policy[] {
  return policies.filter(
    (policy) =>
      (policy.expiresAt === null || now < policy.expiresAt) &&
      (policy.databases.length === 0 || policy.databases.includes(database)) &&
      policy.subjects.some((subject) => isMeant(subject, identity)),
  );
}

export function isMeant(subject: Subject, identity: Identity): boolean {
  return 'user' in subject ? subject.user === identity.username : identity.groups.includes(subject.group);
}

/** Roles that the identity's policies offer, in the order of the policies (namespace, then name). */
function offeredRoles(
  policies: readonly Policy[],
  identity: Identity,
  now: number,
): { role: string; databases: readonly string[] }[] {
  return policies
    .filter((policy) => policy.mode === 'Enforce' && policy.role !== null && policy.rules.some(grants))
    .filter((policy) => policy.expiresAt === null || now < policy.expiresAt)
    .filter((policy) => policy.subjects.some((subject) => isMeant(subject, identity)))
    .map((policy) => ({ role: policy.role!, databases: policy.databases }));
}

const grants = (rule: Rule): boolean => rule.action === 'Allow';

export type PickedRole =
  | { readonly ok: true; readonly role: string; readonly database: string }
  | { readonly ok: false; readonly offered: readonly string[] };

/**
 * The role of a session: the one that `user` names among those offered, or for the identity's own name the first one.
 * An empty database is PostgreSQL's default for the *picked* role, resolved here, before anything is judged (test:
 * "an empty database is judged by the name that PostgreSQL would take").
 */
export function pickRole(
  policies: readonly Policy[],
  identity: Identity,
  asked: { readonly user: string; readonly database: string | null },
  now: number,
): PickedRole {
  const offers = offeredRoles(policies, identity, now).filter(
    ({ role, databases }) => databases.length === 0 || databases.includes(asked.database ?? role),
  );
  const offered = [...new Set(offers.map(({ role }) => role))];
  const role = offered.includes(asked.user) ? asked.user : asked.user === identity.username ? offered[0] : undefined;
  return role === undefined ? { ok: false, offered } : { ok: true, role, database: asked.database ?? role };
}

/** What counts for a session of that role; Deny rules, limits and windows count from every matching policy. */
export function effectivePolicies(policies: readonly Policy[], role: string): EffectivePolicies {
  const enforced = policies.filter((policy) => policy.mode === 'Enforce');
  const granting = enforced.filter((policy) => policy.role === role);
  const session = strictest(enforced, granting);
  const denies = enforced.some(
    (policy) => policy.rules.some((rule) => rule.action === 'Deny') || policy.window !== null,
  );
  const any = granting.some((policy) => policy.rules.some(isEverything));
  return {
    role,
    granting,
    restricting: enforced,
    shadowing: policies.filter((policy) => policy.mode === 'Audit'),
    session,
    limits: strictestLimits(enforced),
    unrestricted: any && !denies && !session.readOnly,
  };
}

/** Allows all there is, understood or not. */
export function isEverything(rule: Rule): boolean {
  return rule.action === 'Allow' && rule.statements.includes('Any') && (rule.relations ?? []).includes('*.*');
}

/** Of several policies the least that one of them allows. */
function strictestLimits(enforced: readonly Policy[]): IdentityLimits {
  return {
    sessions: least(enforced, ({ limits }) => limits.sessions),
    statementsPerMinute: least(enforced, ({ limits }) => limits.statementsPerMinute),
    rowsPerDay: least(enforced, ({ limits }) => limits.rowsPerDay),
    bytesPerDay: least(enforced, ({ limits }) => limits.bytesPerDay),
  };
}

function least(policies: readonly Policy[], pick: (policy: Policy) => number | null): number | null {
  const given = policies.map(pick).filter((value) => value !== null);
  return given.length === 0 ? null : Math.min(...given);
}

function strictest(enforced: readonly Policy[], granting: readonly Policy[]): SessionLimits {
  return {
    maxAge: least(enforced, ({ session }) => session.maxAge),
    idle: least(enforced, ({ session }) => session.idle),
    statementTimeout: least(enforced, ({ session }) => session.statementTimeout),
    rows: least(enforced, ({ session }) => session.rows),
    readOnly: enforced.some(({ session }) => session.readOnly),
    settings: [...new Set(granting.flatMap(({ session }) => session.settings))],
  };
}

/** `namespace/name`. */
export function nameOf(policy: Policy): string {
  return `${policy.namespace}/${policy.name}`;
}
