import { randomBytes } from 'node:crypto';
import type { Analyzer } from './analysis/analyzer.ts';
import type { AuditLog } from './audit/record.ts';
import type { Catalog } from './catalog/catalog.ts';
import type { ConfigDocument, MaskRule, Revision } from './config/document.ts';
import { isExpired } from './identity/expiry.ts';
import type { Identity } from './identity/identity.ts';
import { decide } from './policy/decide.ts';
import { effectivePolicies, selectPolicies } from './policy/effective.ts';
import { limitDenial } from './policy/limits.ts';
import { maskFor, maskRefusal } from './policy/masks.ts';
import { checkSetting } from './policy/settings.ts';
import type { UsageLedger } from './policy/usage.ts';
import type { Pins, PoliciesInForce, SessionEnvironment, SessionOver, Usage } from './session/environment.ts';
import { SQLSTATE } from './session/refusal.ts';
import type { Analysis, RawStatement } from './sql/facts.ts';
import { analyzeFunctionCall } from './sql/function-call.ts';
import { resolve } from './sql/resolve.ts';

/** What all sessions of a gateway share. */
export interface Shared {
  readonly revision: () => Revision;
  readonly analyzer: Analyzer;
  readonly catalog: Catalog;
  readonly audit: AuditLog;
  readonly usage: UsageLedger;
  readonly now: () => number;
}

/** Whose session it is. */
export interface Principal {
  readonly identity: Identity;
  readonly database: string;
  readonly role: string;
  readonly serverMajor: number;
  /** What the start-up packet held the session to. */
  readonly pinned: Pins;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

/** The policies in force for a principal, computed anew only when a revision or an expiry changes them. */
export function followPolicies(
  shared: Shared,
  principal: Pick<Principal, 'identity' | 'database' | 'role'>,
): (now: number) => PoliciesInForce {
  let seen: Revision | null = null;
  let until = 0;
  let inForce!: PoliciesInForce;
  const follow = (revision: Revision, now: number): void => {
    const { policies } = revision.document;
    const selected = selectPolicies(policies, principal.identity, principal.database, now);
    const effective = effectivePolicies(selected, principal.role);
    seen = revision;
    until = Math.min(
      ...policies.map(({ expiresAt }) =>
        expiresAt !== null && expiresAt > now ? expiresAt : Number.POSITIVE_INFINITY,
      ),
    );
    inForce = { effective, revision: revision.revision, timed: selected.some(({ window }) => window !== null) };
  };
  // Asked several times for each statement: it captures nothing that would have to be allocated each time.
  return (now) => {
    const revision = shared.revision();
    if (revision !== seen || now >= until) follow(revision, now);
    return inForce;
  };
}

/** The rule in force that hides something from an identity, looked for anew only in another revision. */
function followMasks({ revision }: Shared, identity: Identity): () => MaskRule | null {
  let seen: Revision | null = null;
  let rule: MaskRule | null = null;
  return () => {
    const present = revision();
    if (present !== seen) {
      seen = present;
      rule = maskFor(present.document.masks, identity);
    }
    return rule;
  };
}

export function createEnvironment(shared: Shared, principal: Principal, wake: () => void): SessionEnvironment {
  const { identity, database, serverMajor, pinned } = principal;
  const policies = followPolicies(shared, principal);
  const masked = followMasks(shared, identity);
  /** The last answer that came late: it may be one that no cache keeps. */
  let late: { readonly text: Buffer; readonly analysis: Analysis } | null = null;
  let catalogFailed = false;
  let definitionsFailed = false;
  return {
    identity,
    serverMajor,
    database,
    pinned,
    statementBytes: shared.revision().document.limits.statementBytes,
    policies,
    analyze(text) {
      if (late?.text.equals(text) === true) return late.analysis;
      const answer = shared.analyzer.analyze(text, identity.username);
      if (!(answer instanceof Promise)) return answer;
      const copy = Buffer.from(text);
      void answer.then((analysis) => {
        late = { text: copy, analysis };
        wake();
      });
      return null;
    },
    catalog() {
      const snapshot = shared.catalog.snapshot(database);
      if (snapshot !== undefined) return snapshot;
      if (catalogFailed) {
        catalogFailed = false; // this statement is refused; the next one tries again
        return undefined;
      }
      shared.catalog.ensure(database).then(wake, () => {
        catalogFailed = true;
        wake();
      });
      return null;
    },
    catalogFailure: () => shared.catalog.failure(database),
    lastCatalog() {
      const last = shared.catalog.last(database);
      if (last === undefined) shared.catalog.ensure(database).catch(() => {}); // said in the log
      return last;
    },
    resolve(raw, environment) {
      const resolution = resolve(raw, environment);
      if (resolution.kind === 'Facts' && resolution.missing.length > 0)
        shared.catalog.define(database, resolution.missing).catch(() => {}); // said in the log
      if (resolution.kind !== 'Load') return resolution;
      if (definitionsFailed) {
        definitionsFailed = false;
        return undefined;
      }
      shared.catalog.define(database, resolution.rules).then(wake, () => {
        definitionsFailed = true;
        wake();
      });
      return resolution;
    },
    decide,
    checkSetting,
    functionFacts: (oid, parameters) => functionFacts(shared.catalog, database, { oid, parameters }),
    usage: usageOf(shared, identity.username, policies),
    auditUnavailable() {
      const { state } = shared.audit;
      return state.available || shared.revision().document.audit.onFailure === 'Allow' ? null : state.reason;
    },
    over: (now) => hidden(masked(), identity) ?? isOver(shared.revision().document, principal, policies(now), now),
    nonce: () => `postern_${randomBytes(16).toString('hex')}`,
  };
}

/** Counts only for identities that a policy limits. */
function usageOf({ usage }: Shared, username: string, policies: SessionEnvironment['policies']): Usage {
  const limits = (now: number) => policies(now).effective.limits;
  const daily = (now: number) => limits(now).rowsPerDay !== null || limits(now).bytesPerDay !== null;
  return {
    exhausted(now, ahead) {
      const { effective } = policies(now);
      const found = usage.exhausted(username, effective.limits, ahead);
      return found === null ? null : limitDenial(effective, found, now);
    },
    addStatement(now) {
      if (limits(now).statementsPerMinute !== null) usage.addStatement(username);
    },
    allowance: (now) => (daily(now) ? usage.allowance(username, limits(now)) : null),
    addResult(now, rows, bytes) {
      if (daily(now)) usage.addResult(username, rows, bytes);
    },
  };
}

function functionFacts(
  catalog: Catalog,
  database: string,
  call: { oid: number; parameters: number },
): RawStatement | undefined {
  const known = catalog.snapshot(database)?.functionByOid(call.oid);
  return known === undefined ? undefined : analyzeFunctionCall(known, call.parameters);
}

/** What is to be hidden is not shown because it cannot be hidden (test: "an open session of somebody under a rule ends"). */
function hidden(rule: MaskRule | null, identity: Identity): SessionOver | null {
  if (rule === null) return null;
  return { reason: 'PolicyEnded', refusal: { code: SQLSTATE.invalidAuthorization, ...maskRefusal(rule, identity) } };
}

function isOver(
  document: ConfigDocument,
  principal: Principal,
  policies: PoliciesInForce,
  now: number,
): SessionOver | null {
  if (isExpired(principal.identity, now, document.identity.clockSkew)) {
    return {
      reason: 'IdentityExpired',
      refusal: {
        code: SQLSTATE.invalidAuthorization,
        message: `the credential of ${principal.identity.username} has expired`,
        hint: 'Sign in again and connect with a fresh token.',
      },
    };
  }
  const age = Math.min(document.limits.sessionAge, policies.effective.session.maxAge ?? Number.POSITIVE_INFINITY);
  if (now - principal.startedAt < age) return null;
  return {
    reason: 'MaxAge',
    refusal: {
      code: SQLSTATE.adminShutdown,
      message: 'the session has reached its greatest age',
      hint: 'Connect again.',
    },
  };
}
