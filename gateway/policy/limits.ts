import type { IdentityLimits, Policy } from '../config/document.ts';
import type { Decision, EffectivePolicies } from './decision.ts';
import { nameOf } from './effective.ts';
import type { Exhausted } from './usage.ts';

const WHAT: Readonly<Record<keyof IdentityLimits, string>> = {
  sessions: 'sessions at a time',
  statementsPerMinute: 'statements a minute',
  rowsPerDay: 'rows of results a day',
  bytesPerDay: 'bytes of results a day',
};

/** What an identity is told whose limit is used up: which policy sets it, and when something is possible again. */
export function limitDenial(
  effective: EffectivePolicies,
  { limit, allowed, retryIn }: Exhausted,
  now: number,
): Decision & { readonly verdict: 'Deny' } {
  const policy = limiting(effective.restricting, limit, allowed);
  const at = new Date(Math.ceil((now + retryIn) / 1000) * 1000).toISOString().replace('.000Z', 'Z');
  return {
    verdict: 'Deny',
    by: { policy, rule: `limits.${limit}` },
    message: `denied by AccessPolicy ${policy}: the ${allowed} ${WHAT[limit]} are used up`,
    detail: null,
    hint: `Possible again in ${Math.max(1, Math.ceil(retryIn / 1000))} s, at ${at}.`,
    alert: false,
    shadow: [],
  };
}

/** The first policy that sets this limit, for people. */
export function limiting(policies: readonly Policy[], limit: keyof IdentityLimits, allowed: number): string {
  const policy = policies.find(({ limits }) => limits[limit] === allowed);
  return policy === undefined ? '' : nameOf(policy);
}
