import type { Policy, Rule } from '../config/document.ts';
import { nameOf } from './effective.ts';
import { ruleMatches, type Unit } from './units.ts';

/** What an Allow rule lacks to allow something that no rule allows; null: too much. */
type Lack = (rule: Rule, unit: Unit, verb: string) => string | null;

/** For people whom no rule allows something: what the rule lacks that comes nearest to it; null: none is near. */
export function nearMiss(granting: readonly Policy[], unit: Unit): string | null {
  switch (unit.kind) {
    case 'Class':
      return null;
    case 'Relation':
      return firstOf([otherReach, otherRelations, noRelations], granting, unit, unit.use.verb);
    case 'Function': {
      const { candidates } = unit.use;
      const named = candidates.length === 1 ? `To allow it, name it in a rule: functions: ["${candidates[0]}"].` : null;
      return firstOf([anyWithoutRelations], granting, unit, '') ?? named;
    }
  }
}

function firstOf(lacks: readonly Lack[], granting: readonly Policy[], unit: Unit, verb: string): string | null {
  for (const lack of lacks) {
    for (const policy of granting) {
      for (const rule of policy.rules) {
        const said = rule.action === 'Allow' ? lack(rule, unit, verb) : null;
        if (said !== null) return `Rule ${rule.name} of AccessPolicy ${nameOf(policy)} ${said}.`;
      }
    }
  }
  return null;
}

const otherReach: Lack = (rule, unit, verb) =>
  rule.reach !== null && ruleMatches({ ...rule, reach: null }, unit)
    ? `allows ${verb} there, but only with reach ${rule.reach.join(' or ')}`
    : null;

const otherRelations: Lack = (rule, unit, verb) =>
  rule.relations !== null && matchesEverywhere(rule, unit) ? `allows ${verb} on other relations` : null;

const noRelations: Lack = (rule, unit) =>
  rule.relations === null && matchesEverywhere(rule, unit)
    ? 'would allow it if it had relations: without them it is about statements that use none ("*.*": all schemas of users)'
    : null;

const anyWithoutRelations: Lack = (rule, unit) =>
  matchesEverywhere(rule, unit) ? 'with class Any allows all functions only together with relations "*.*"' : null;

function matchesEverywhere(rule: Rule, unit: Unit): boolean {
  return ruleMatches({ ...rule, relations: ['*.*'] }, unit);
}
