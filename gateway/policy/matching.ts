import type { Policy, RuleAction } from '../config/document.ts';
import type { Facts } from '../sql/facts.ts';
import type { Deciding, EffectivePolicies } from './decision.ts';
import { nameOf } from './effective.ts';
import { describeUnit, ruleMatches, unitsOf } from './units.ts';

/** A rule that matches something of a statement. */
export interface MatchingRule extends Deciding {
  readonly action: RuleAction;
  /** What of the statement it matches, in words. */
  readonly what: readonly string[];
  /** Why the match decides nothing; null: it counts. */
  readonly idle: string | null;
}

/** Every rule that matches, in the order in which they are looked at: Deny first, then Allow, then what does not count. */
export function matchingRules(effective: EffectivePolicies, facts: Facts): MatchingRule[] {
  const { role, restricting, granting, shadowing } = effective;
  const others = restricting.filter((policy) => !granting.includes(policy));
  return [
    ...found(restricting, 'Deny', facts, () => null),
    ...found(granting, 'Allow', facts, () => null),
    ...found(others, 'Allow', facts, (policy) => `for role ${policy.role}, not ${role}`),
    ...(['Deny', 'Allow'] as const).flatMap((action) => found(shadowing, action, facts, () => 'mode Audit')),
  ];
}

function found(
  policies: readonly Policy[],
  action: RuleAction,
  facts: Facts,
  idle: (policy: Policy) => string | null,
): MatchingRule[] {
  return policies.flatMap((policy) =>
    policy.rules
      .filter((rule) => rule.action === action)
      .map((rule) => ({ rule, units: unitsOf(facts).filter((unit) => ruleMatches(rule, unit)) }))
      .filter(({ units }) => units.length > 0)
      .map(({ rule, units }) => ({
        policy: nameOf(policy),
        rule: rule.name,
        action,
        what: units.map(describeUnit),
        idle: idle(policy),
      })),
  );
}
