import type { Policy, Rule } from '../config/document.ts';
import type { Facts, FunctionUse, QualifiedName, RelationUse } from '../sql/facts.ts';
import type { Deciding, Decision, EffectivePolicies, Shadow } from './decision.ts';
import { isEverything } from './effective.ts';
import { matches, parsePattern, type RelationPattern } from './patterns.ts';
import { inWindow } from './window.ts';

/** What needs a rule of its own: a class, a relation with its verb, or a function. */
type Unit =
  | { readonly kind: 'Class'; readonly cls: string }
  | { readonly kind: 'Relation'; readonly use: RelationUse }
  | { readonly kind: 'Function'; readonly use: FunctionUse };

interface Match extends Deciding {
  readonly rule: string;
  readonly found: Rule;
}

/** Decides a statement. Deny beats Allow; each unit needs a matching Allow; nothing matches: denied. */
export function decide(effective: EffectivePolicies, facts: Facts, now: number): Decision {
  const shadow = effective.shadowing.map((policy) => shadowOf(policy, facts)).filter((s) => s !== null);
  const refusal =
    outsideWindow(effective, now) ??
    notUnderstood(effective, facts) ??
    readOnly(effective, facts) ??
    deniedByRule(effective, facts);
  if (refusal !== null) return { ...refusal, shadow };
  if (effective.granting.length === 0)
    return { ...nothingAllows(effective, { kind: 'Class', cls: facts.primary }), shadow };
  let by: Deciding | null = null;
  for (const unit of unitsOf(facts)) {
    const allowed = findRule(effective.granting, 'Allow', unit);
    if (allowed === null && !isFree(unit, effective)) return { ...nothingAllows(effective, unit), shadow };
    by ??= allowed === null ? null : { policy: allowed.policy, rule: allowed.rule };
  }
  return { verdict: 'Allow', by, shadow };
}

type Denial = Omit<Decision & { readonly verdict: 'Deny' }, 'shadow'>;

function deny(
  by: Deciding | null,
  message: string,
  hint: string,
  more: { detail?: string | null; alert?: boolean } = {},
): Denial {
  return { verdict: 'Deny', by, message, hint, detail: more.detail ?? null, alert: more.alert ?? false };
}

function unitsOf(facts: Facts): Unit[] {
  return [
    ...facts.classes.map((cls) => ({ kind: 'Class', cls }) as const),
    ...facts.relations.map((use) => ({ kind: 'Relation', use }) as const),
    ...facts.functions.map((use) => ({ kind: 'Function', use }) as const),
  ];
}

/** Reading the catalogue is open to every session that may do anything: drivers and psql's `\d` must work. */
function isFree(unit: Unit, effective: EffectivePolicies): boolean {
  return unit.kind === 'Class' && (unit.cls === 'Catalog' || unit.cls === 'Select') && effective.granting.length > 0;
}

function outsideWindow(effective: EffectivePolicies, now: number): Denial | null {
  const closed = effective.restricting.find(({ window }) => window !== null && !inWindow(window, now));
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

function readOnly(effective: EffectivePolicies, facts: Facts): Denial | null {
  const policy = effective.restricting.find(({ session }) => session.readOnly);
  if (policy === undefined || facts.readOnly) return null;
  return deny(
    { policy: nameOf(policy), rule: 'session.readOnly' },
    `denied by AccessPolicy ${nameOf(policy)}: the session is read-only`,
    'Statements that write, or that may write, are not run in it.',
  );
}

function deniedByRule(effective: EffectivePolicies, facts: Facts): Denial | null {
  for (const unit of unitsOf(facts)) {
    const found = findRule(effective.restricting, 'Deny', unit);
    if (found === null) continue;
    const own = found.found.message;
    return deny(
      { policy: found.policy, rule: found.rule },
      `denied by AccessPolicy ${found.policy}, rule ${found.rule}: ${describe(unit)}${kinship(found.found, unit)}`,
      own ?? 'Ask the people who keep this policy if you need it.',
      { detail: own, alert: found.found.alert },
    );
  }
  return null;
}

function nothingAllows(effective: EffectivePolicies, unit: Unit): Denial {
  const policies = effective.granting.map(nameOf).join(', ');
  return deny(
    null,
    `no rule allows ${describe(unit)} for role ${effective.role}`,
    policies === ''
      ? 'No AccessPolicy grants anything to you here.'
      : `The policies that grant you something here: ${policies}.`,
  );
}

function describe(unit: Unit): string {
  if (unit.kind === 'Class') return unit.cls;
  if (unit.kind === 'Function')
    return `the function ${unit.use.candidates.join(' or ') || `${unit.use.schema}.${unit.use.name}`}${doorOf(unit.use)}`;
  const { verb, reach, schema, name } = unit.use;
  return `${reach === null ? '' : `${reach} `}${verb} on ${schema}.${name}${doorOf(unit.use)}`;
}

const DOORS: Readonly<Record<string, string>> = {
  View: 'through the view',
  Rule: 'by a rule on',
  ForeignKey: 'by a foreign key to',
  Trigger: 'by a trigger on',
  Default: 'by a default of',
  Check: 'by a constraint of',
  Index: 'by an index of',
  Policy: 'by a row security policy of',
};

/** How the statement comes to what it does not name itself. */
function doorOf({ door, of }: RelationUse | FunctionUse): string {
  return of === undefined ? '' : ` (${DOORS[door ?? ''] ?? 'through'} ${of.schema}.${of.name})`;
}

function nameOf(policy: Policy): string {
  return `${policy.namespace}/${policy.name}`;
}

function shadowOf(policy: Policy, facts: Facts): Shadow | null {
  for (const action of ['Deny', 'Allow'] as const) {
    for (const unit of unitsOf(facts)) {
      const found = findRule([policy], action, unit);
      if (found !== null) return { verdict: action, policy: found.policy, rule: found.rule };
    }
  }
  return null;
}

function findRule(policies: readonly Policy[], action: Rule['action'], unit: Unit): Match | null {
  for (const policy of policies) {
    for (const rule of policy.rules) {
      if (rule.action === action && ruleMatches(rule, unit))
        return { policy: nameOf(policy), rule: rule.name, found: rule };
    }
  }
  return null;
}

interface Compiled {
  readonly statements: ReadonlySet<string>;
  readonly any: boolean;
  readonly relations: readonly RelationPattern[] | null;
}

const compiled = new WeakMap<Rule, Compiled>();

function compile(rule: Rule): Compiled {
  let known = compiled.get(rule);
  if (known === undefined) {
    known = {
      statements: new Set(rule.statements),
      any: rule.statements.includes('Any'),
      relations: rule.relations?.map(parsePattern).filter((pattern) => pattern !== undefined) ?? null,
    };
    compiled.set(rule, known);
  }
  return known;
}

function ruleMatches(rule: Rule, unit: Unit): boolean {
  switch (unit.kind) {
    case 'Class':
      return matchesClass(rule, unit.cls);
    case 'Relation':
      return matchesRelation(rule, unit.use);
    case 'Function':
      return matchesFunction(rule, unit.use);
  }
}

/** A rule about reach speaks of writes alone; a Deny rule about relations or functions, of those alone. */
function matchesClass(rule: Rule, cls: string): boolean {
  if (rule.reach !== null || (rule.action === 'Deny' && (rule.relations !== null || rule.functions.length > 0)))
    return false;
  const { statements, any } = compile(rule);
  return any ? isEverything(rule) || cls !== 'Unknown' : statements.has(cls);
}

function matchesRelation(rule: Rule, use: RelationUse): boolean {
  const { verb, reach } = use;
  const { statements, any, relations } = compile(rule);
  if (!any && !statements.has(verb)) return false;
  if (rule.reach !== null && (reach === null || !rule.reach.includes(reach))) return false;
  if (relations === null) return rule.action === 'Deny' && rule.functions.length === 0;
  return speaksOf(rule, use) || kinOf(rule, use).some((one) => speaksOf(rule, one));
}

function speaksOf(rule: Rule, { schema, name }: QualifiedName): boolean {
  const { any, relations } = compile(rule);
  return relations?.some((pattern) => (any && pattern.everything) || matches(pattern, schema, name)) === true;
}

/** Which of its kin a rule speaks of that does not speak of the relation itself. */
function kinship(rule: Rule, unit: Unit): string {
  if (unit.kind !== 'Relation' || speaksOf(rule, unit.use)) return '';
  const kin = kinOf(rule, unit.use).find((one) => speaksOf(rule, one));
  if (kin === undefined) return '';
  const above = unit.use.ancestors?.includes(kin) === true;
  return `, which ${above ? 'is a part of' : 'includes'} ${kin.schema}.${kin.name}`;
}

const NO_KIN: readonly QualifiedName[] = [];

/**
 * What is denied on a table is denied on its parents, whose rows they are too, and on its children; what is allowed on a
 * partitioned table is allowed on its partitions, and what is reached through a table is allowed with it.
 */
function kinOf(
  rule: Rule,
  { ancestors = NO_KIN, descendants = NO_KIN, partition }: RelationUse,
): readonly QualifiedName[] {
  if (rule.action !== 'Deny') return partition === true ? ancestors : NO_KIN;
  return descendants.length === 0 ? ancestors : [...ancestors, ...descendants];
}

/** A call that may mean several functions is allowed where all of them are, and denied where one of them is. */
function matchesFunction(rule: Rule, { candidates }: FunctionUse): boolean {
  const listed = (candidate: string) => rule.functions.includes(candidate);
  if (rule.action === 'Deny') return candidates.some(listed);
  return isEverything(rule) || candidates.every(listed);
}
