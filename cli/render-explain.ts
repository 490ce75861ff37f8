import type { MatchingRule } from '../gateway/policy/matching.ts';
import type { Facts, FunctionUse, RelationUse, SettingChange } from '../gateway/sql/facts.ts';
import type { Explained, ExplainOptions, Explanation } from './explain.ts';

export function allowed(explanation: Explanation): boolean {
  if (explanation.kind === 'Refused') return false;
  return explanation.statements.every(({ decision }) => decision.verdict === 'Allow');
}

/** For people; `why` something had to be assumed. */
export function renderExplanation(
  explanation: Explanation,
  { user, groups, server }: ExplainOptions,
  why = 'as no database was asked (--server does)',
): string {
  if (explanation.kind === 'Refused') return explanation.message;
  const { gateway, role, database, statements, assumptions } = explanation;
  const whose = groups.length === 0 ? user : `${user} (${groups.join(', ')})`;
  const lines = [`${whose} as role ${role} on database ${database} of gateway ${gateway}`];
  for (const statement of statements) lines.push('', ...renderStatement(statement));
  if (assumptions.length > 0) {
    lines.push('', `Assumed, ${why}:`, ...assumptions.map((one) => `  ${one}`));
  }
  if (server) lines.push('', 'Names as a session with the default search_path finds them.');
  return lines.join('\n');
}

function renderStatement({ text, decision, facts, rules, bounded }: Explained): string[] {
  const by = decision.by === null ? 'the gateway' : `AccessPolicy ${decision.by.policy}, rule ${decision.by.rule}`;
  const denied = decision.verdict === 'Deny';
  const bound = denied || !bounded ? undefined : decision.maxRows;
  return [
    text,
    `  ${denied ? 'denied' : 'allowed'} by ${by}`,
    ...field('message', denied ? [decision.message] : []),
    ...field('hint', denied && decision.hint !== '' ? [decision.hint] : []),
    ...field(
      'bound',
      bound === undefined
        ? []
        : [`${bound.rows} rows at most (rule ${bound.rule}): counted before they can be committed, undone beyond`],
    ),
    ...field('alert', decision.alert === true ? ['told to the receivers of alerts'] : []),
    ...renderFacts(facts),
    ...rules.map((rule, i) => `  ${(i === 0 ? 'rules' : '').padEnd(10)} ${renderRule(rule)}`),
    ...field(
      'shadow',
      decision.shadow.map(({ policy, rule, verdict: would }) => `${policy}, rule ${rule} would ${would}`),
    ),
  ];
}

function field(name: string, values: readonly string[]): string[] {
  return values.length === 0 ? [] : [`  ${name.padEnd(10)} ${values.join('; ')}`];
}

function renderFacts(facts: Facts): string[] {
  return [
    ...field('classes', facts.classes),
    ...field('relations', facts.relations.map(renderRelation)),
    ...field('functions', facts.functions.map(renderFunction)),
    ...field('settings', facts.settings.map(renderSetting)),
    ...field('unknown', facts.unknown),
    ...field('writes', facts.readOnly ? [] : ['it writes, or may write']),
  ];
}

function renderRelation({ schema, name, kind, verb, reach }: RelationUse): string {
  const what = kind === 'table' ? '' : ` (${kind})`;
  return `${schema}.${name} ${verb}${reach === null ? '' : ` ${reach}`}${what}`;
}

function renderFunction({ schema, name, candidates }: FunctionUse): string {
  return candidates.length === 0 ? `${schema}.${name}` : candidates.join(' or ');
}

function renderSetting(change: SettingChange): string {
  if (change.kind === 'ResetAll') return 'RESET ALL';
  if (change.kind === 'Set') return `${change.name} = ${change.value ?? '(not a plain literal)'}`;
  return `${change.kind.toUpperCase()} ${change.name}`;
}

function renderRule({ action, policy, rule, what, idle }: MatchingRule): string {
  return `${action.padEnd(5)} ${policy}, rule ${rule}: ${what.join('; ')}${idle === null ? '' : ` (does not count: ${idle})`}`;
}
