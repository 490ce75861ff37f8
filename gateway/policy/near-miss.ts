import type { Policy, Rule } from '../config/document.ts';
import { ruleMatches, type Unit } from './units.ts';

const USER_SCHEMAS = ['*.*'];

/** For people whom no rule allows something: what the rule lacks that comes nearest to it; null: none is near. */
export function nearMiss(granting: readonly Policy[], unit: Unit): string | null {
  if (unit.kind === 'Class') return null;
  const rules = granting.flatMap((policy) => policy.rules.map((rule) => ({ policy, rule })));
  const allowing = rules.filter(({ rule }) => rule.action === 'Allow');
  for (const lack of unit.kind === 'Relation' ? [otherReach, otherRelations, noRelations] : [anyWithoutRelations]) {
    for (const { policy, rule } of allowing) {
      const said = lack(rule, unit);
      if (said !== null) return `Rule ${rule.name} of AccessPolicy ${policy.namespace}/${policy.name} ${said}.`;
    }
  }
  if (unit.kind === 'Relation' || unit.use.candidates.length !== 1) return null;
  return `To allow it, name it in a rule: functions: ["${unit.use.candidates[0]}"].`;
}

function otherReach(rule: Rule, unit: Unit): string | null {
  if (rule.reach === null || !ruleMatches({ ...rule, reach: null }, unit)) return null;
  return `allows ${verbOf(unit)} there, but only with reach ${rule.reach.join(' or ')}`;
}

function otherRelations(rule: Rule, unit: Unit): string | null {
  if (rule.relations === null || !ruleMatches({ ...rule, relations: USER_SCHEMAS }, unit)) return null;
  return `allows ${verbOf(unit)} on other relations`;
}

function noRelations(rule: Rule, unit: Unit): string | null {
  if (rule.relations !== null || !ruleMatches({ ...rule, relations: USER_SCHEMAS }, unit)) return null;
  return `would allow it if it had relations: without them it is about statements that use none ("*.*": all schemas of users)`;
}

function anyWithoutRelations(rule: Rule, unit: Unit): string | null {
  if (ruleMatches(rule, unit) || !ruleMatches({ ...rule, relations: USER_SCHEMAS }, unit)) return null;
  return 'with class Any allows all functions only together with relations "*.*"';
}

function verbOf(unit: Unit): string {
  return unit.kind === 'Relation' ? unit.use.verb : '';
}
