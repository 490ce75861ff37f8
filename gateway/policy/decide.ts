import type { Policy, Rule } from '../config/document.ts';
import type { Facts } from '../sql/facts.ts';
import type { Deciding, Decision, EffectivePolicies, RowLimit, Shadow } from './decision.ts';
import { nameOf } from './effective.ts';
import { nearMiss } from './near-miss.ts';
import { describeUnit, isFree, kinship, ruleMatches, type Unit, unitsOf } from './units.ts';
import { inWindow } from './window.ts';

/** Decides a statement. Deny beats Allow; each unit needs a matching Allow; nothing matches: denied. */
export function decide(effective: EffectivePolicies, facts: Facts, now: number): Decision {
  const shadow = effective.shadowing.map((policy) => shadowOf(effective, policy, facts, now)).filter((s) => s !== null);
  const refusal =
    outsideWindow(effective.restricting, now) ??
    notUnderstood(effective, facts) ??
    readOnly(effective.restricting, facts) ??
    deniedByRule(effective.restricting, facts);
  if (refusal !== null) return { ...refusal, shadow };
  if (effective.granting.length === 0)
    return { ...nothingAllows(effective, { kind: 'Class', cls: facts.primary }), shadow };
  let by: Deciding | null = null;
  let maxRows: RowLimit | null = null;
  let alert = false;
  for (const unit of unitsOf(facts)) {
    const allowed = permission(effective.granting, unit);
    if (allowed === null && !isFree(unit) && !staysItself(unit, facts, effective.role))
      return { ...nothingAllows(effective, unit), shadow };
    if (allowed === null) continue;
    by ??= allowed.by;
    alert ||= allowed.alert;
    if (allowed.maxRows === null || !exceeds(unit, allowed.maxRows)) continue;
    if (isElsewhere(unit)) return { ...uncountable(allowed.maxRows, unit), shadow };
    if (allowed.maxRows.rows < (maxRows?.rows ?? Number.POSITIVE_INFINITY)) maxRows = allowed.maxRows;
  }
  return { verdict: 'Allow', by, shadow, ...(maxRows === null ? {} : { maxRows }), ...(alert ? { alert } : {}) };
}

/** SET ROLE to the session's own role, as migration tools send it when they are done (test: "its own role by name"). */
function staysItself(unit: Unit, { primary, settings }: Facts, role: string): boolean {
  if (unit.kind !== 'Class' || unit.cls !== 'Role' || primary !== 'Session' || settings.length === 0) return false;
  return settings.every((change) => change.kind === 'Set' && change.name === 'role' && change.value === role);
}

type Denial = Omit<Decision & { readonly verdict: 'Deny' }, 'shadow'>;

function deny(by: Deciding | null, message: string, hint: string, alert = false): Denial {
  return { verdict: 'Deny', by, message, hint, detail: null, alert };
}

function outsideWindow(restricting: readonly Policy[], now: number): Denial | null {
  const closed = restricting.find(({ window }) => window !== null && !inWindow(window, now));
  if (closed === undefined) return null;
  const { days, from, to, timeZone } = closed.window!;
  return deny(
    { policy: nameOf(closed), rule: 'window' },
    `denied by AccessPolicy ${nameOf(closed)}: outside its window`,
    `The window is ${days.join(', ')} ${from} to ${to}, ${timeZone}.`,
  );
}

function notUnderstood(effective: EffectivePolicies, facts: Facts): Denial | null {
  if (facts.unknown.length === 0 || effective.unrestricted) return null;
  return deny(
    null,
    `not understood, so not run: ${facts.unknown.join('; ')}`,
    'Only a rule with class Any and relations "*.*" lets it pass, and only while no other rule denies anything.',
  );
}

function readOnly(restricting: readonly Policy[], facts: Facts): Denial | null {
  const policy = restricting.find(({ session }) => session.readOnly);
  if (policy === undefined || facts.readOnly) return null;
  return deny(
    { policy: nameOf(policy), rule: 'session.readOnly' },
    `denied by AccessPolicy ${nameOf(policy)}: the session is read-only`,
    'Statements that write, or that may write, are not run in it.',
  );
}

function deniedByRule(restricting: readonly Policy[], facts: Facts): Denial | null {
  for (const unit of unitsOf(facts)) {
    for (const policy of restricting) {
      const rule = policy.rules.find((one) => one.action === 'Deny' && ruleMatches(one, unit));
      if (rule !== undefined) return denied(policy, rule, unit);
    }
  }
  return null;
}

function denied(policy: Policy, rule: Rule, unit: Unit): Denial {
  return deny(
    { policy: nameOf(policy), rule: rule.name },
    `denied by AccessPolicy ${nameOf(policy)}, rule ${rule.name}: ${describeUnit(unit)}${kinship(rule, unit)}`,
    rule.message ?? 'Ask the people who keep this policy if you need it.',
    rule.alert,
  );
}

function nothingAllows(effective: EffectivePolicies, unit: Unit): Denial {
  const policies = effective.granting.map(nameOf).join(', ');
  const others =
    policies === ''
      ? 'No AccessPolicy grants anything to you here.'
      : `The policies that grant you something here: ${policies}.`;
  const hint = nearMiss(effective.granting, unit) ?? others;
  return deny(null, `no rule allows ${describeUnit(unit)} for role ${effective.role}`, hint);
}

/** Whether a write may reach more rows than that; so many keys or VALUES are known before it runs. */
function exceeds(unit: Unit, { rows }: RowLimit): boolean {
  return unit.kind !== 'Relation' || unit.use.most === undefined || unit.use.most > rows;
}

/** A write that the server's count of the statement does not count; through a view it does. */
function isElsewhere(unit: Unit): boolean {
  return unit.kind === 'Relation' && unit.use.of !== undefined && unit.use.door !== 'View';
}

function uncountable({ policy, rule, rows }: RowLimit, unit: Unit): Denial {
  return deny(
    { policy, rule },
    `denied by AccessPolicy ${policy}, rule ${rule}: a write may change ${rows} rows at most (maxRows), and the server does not count ${describeUnit(unit)}`,
    'A rule without maxRows can allow what is changed there.',
  );
}

interface Permission {
  /** The first rule that matches. */
  readonly by: Deciding;
  /** null: one of the rules that match sets no bound. */
  readonly maxRows: RowLimit | null;
  readonly alert: boolean;
}

/**
 * What the Allow rules make of a unit; null: none matches. They are alternatives: another one never takes away, so the
 * widest `maxRows` of those that match counts (test: "maxRows of several rules").
 */
function permission(granting: readonly Policy[], unit: Unit): Permission | null {
  let by: Deciding | null = null;
  let maxRows: RowLimit | null = null;
  let unbounded = unit.kind !== 'Relation';
  let alert = false;
  for (const policy of granting) {
    for (const rule of policy.rules) {
      if (rule.action !== 'Allow' || !ruleMatches(rule, unit)) continue;
      const here = { policy: nameOf(policy), rule: rule.name };
      by ??= here;
      // A rule about relations asks to be told of those, not of every statement of its classes.
      alert ||= rule.alert && (unit.kind !== 'Class' || rule.relations === null);
      if (rule.maxRows === null) unbounded = true;
      else if (maxRows === null || rule.maxRows > maxRows.rows) maxRows = { ...here, rows: rule.maxRows };
    }
  }
  return by === null ? null : { by, maxRows: unbounded ? null : maxRows, alert };
}

/**
 * What a policy in mode Audit would have done: denied the statement, or granted it together with those that grant already;
 * null: nothing.
 */
function shadowOf(effective: EffectivePolicies, policy: Policy, facts: Facts, now: number): Shadow | null {
  const alone = [policy];
  const denial = outsideWindow(alone, now) ?? readOnly(alone, facts) ?? deniedByRule(alone, facts);
  if (denial !== null) return { verdict: 'Deny', ...denial.by! };
  if (policy.role !== effective.role || facts.unknown.length > 0) return null;
  let by: Deciding | null = null;
  for (const unit of unitsOf(facts)) {
    const own = permission(alone, unit);
    by ??= own?.by ?? null;
    if (own === null && !isFree(unit) && permission(effective.granting, unit) === null) return null;
  }
  return by === null ? null : { verdict: 'Allow', ...by };
}
