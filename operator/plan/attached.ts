import type { Reason } from '../api/conditions.ts';
import type { AccessPolicy, MaskingRule } from '../api/types.generated.ts';
import { order } from './compile.ts';
import { type Draft, draft, listed, no, timed, unknown, type Verdict, yes } from './conditions.ts';
import { refOf } from './problems.ts';
import type { AttachedInput, Attachment } from './types.ts';

type Status = NonNullable<MaskingRule['status']>;
type Ancestor = NonNullable<Status['ancestors']>[number];

/** As many gateways as a status tells of; no more can be named either. */
const MAX_ANCESTORS = 16;

/** The status of an AccessPolicy or a MaskingRule: what each gateway made of it, and all of them together. */
export function planAttached(input: AttachedInput): Status | NonNullable<AccessPolicy['status']> {
  const { object, gateways, now } = input;
  const { generation } = refOf(object);
  const names = [...new Set(object.spec.targetRefs.map(({ name }) => name))].sort(order);
  const ancestors = names.slice(0, MAX_ANCESTORS).map((name) => ancestor(input, name));
  const summary = draft('Ready', rollUp(ancestors, names.length - ancestors.length), generation);
  return {
    observedGeneration: generation,
    conditions: timed([summary], object.status?.conditions, now),
    ancestors,
    ...(object.kind === 'MaskingRule' ? unmatched(object, gateways) : {}),
  };
}

function ancestor({ object, gateways, now }: AttachedInput, name: string): Ancestor {
  const { namespace, generation } = refOf(object);
  const ancestorRef = { group: 'postern.dev', kind: 'PostgresGateway', namespace, name };
  const live = object.status?.ancestors?.find((entry) => entry.ancestorRef.name === name);
  const known = gateways.get(name);
  // Not planned yet since the operator began: what was said last is still the best that is known.
  if (known === undefined && live?.conditions?.some(({ observedGeneration }) => observedGeneration === generation))
    return { ancestorRef, conditions: live.conditions };
  return { ancestorRef, conditions: timed(drafts(known, name, generation), live?.conditions, now) };
}

function drafts(known: Attachment | null | undefined, name: string, generation: number): readonly Draft[] {
  if (known !== null && known !== undefined) return known.conditions;
  const verdict =
    known === null
      ? no('TargetNotFound', `there is no PostgresGateway ${name} in this namespace`)
      : unknown(`gateway ${name} has not been looked at yet`);
  return ['Accepted', 'Programmed'].map((type) => draft(type, verdict, generation));
}

/** In force on every gateway, or why not. */
function rollUp(ancestors: readonly Ancestor[], untold: number): Verdict {
  const verdicts = ancestors.map(({ ancestorRef, conditions }) => ({ name: ancestorRef.name, ...worst(conditions) }));
  const bad = verdicts.filter(({ status }) => status !== 'True');
  if (bad.length === 0) return good(ancestors, untold);
  const told = listed(bad.map(({ name, message }) => `${name}: ${message}`));
  if (bad.every(({ status }) => status === 'Unknown')) return unknown(told);
  const reasons = new Set(bad.map(({ reason }) => reason));
  if (verdicts.length === bad.length && reasons.size === 1) return no(bad[0]!.reason, told);
  const count = verdicts.length - bad.length;
  return no('PartiallyProgrammed', `in force on ${count} of ${verdicts.length} gateways; ${told}`);
}

function good(ancestors: readonly Ancestor[], untold: number): Verdict {
  const accepted = ancestors.flatMap(({ conditions = [] }) => conditions.filter(({ type }) => type === 'Accepted'));
  const findings = ancestors.flatMap(({ ancestorRef, conditions = [] }) =>
    conditions
      .filter(({ type, status }) => type === 'ResolvedRefs' && status === 'False')
      .map(({ message }) => `${ancestorRef.name}: ${message}`),
  );
  const shadow = accepted.some(({ reason }) => reason === 'Shadow');
  const notes = [
    ...(findings.length > 0
      ? [listed(findings)]
      : accepted
          .map(({ message }) => message)
          .filter(Boolean)
          .slice(0, 1)),
    ...(untold > 0 ? [`${untold} more gateways are not told of`] : []),
  ];
  return yes(shadow ? 'Shadow' : 'Ready', notes.join('; '));
}

/** The first condition that does not hold; a finding about what is named does not keep an object from being in force. */
function worst(conditions: Ancestor['conditions'] = []): Verdict {
  const summary = conditions.filter(({ type }) => type !== 'ResolvedRefs');
  const found = summary.find(({ status }) => status === 'False') ?? summary.find(({ status }) => status === 'Unknown');
  return found === undefined ? yes('Ready') : { ...found, reason: found.reason as Reason };
}

/** Columns of a rule that a gateway's database does not have. */
function unmatched({ spec }: MaskingRule, gateways: AttachedInput['gateways']): Pick<Status, 'unmatched'> {
  const paths = new Set([...gateways.values()].flatMap((known) => known?.findings.map(({ path }) => path) ?? []));
  const columns = (spec.columns ?? [])
    .filter((_column, i) => paths.has(`spec.columns[${i}]`))
    .map(({ schema, table, column }) => `${schema}.${table}.${column}`);
  return columns.length === 0 ? {} : { unmatched: columns.sort(order) };
}
