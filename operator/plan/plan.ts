import { canonicalJson } from '../../gateway/config/canonical.ts';
import { attachments } from './attachments.ts';
import { children } from './children/children.ts';
import { handover } from './children/scaling.ts';
import { type Draft, draft, type Live, timed, type Verdict } from './conditions.ts';
import { type Configuration, configure } from './configuration.ts';
import { commonRevision, confirm } from './confirmation.ts';
import { accepted, patience, programmed, ready, resolvedRefs } from './gateway-conditions.ts';
import { childNames, selectorLabels } from './names.ts';
import { refOf } from './problems.ts';
import type { GatewayInput, GatewayPlan, Published } from './types.ts';

/** Everything that is to be done about one gateway and said about it. Pure: the same input gives the same plan. */
export function plan(input: GatewayInput): GatewayPlan {
  const configuration = configure(input);
  const { touch, ...acceptance } = accepted(input, configuration);
  const publish = touch ? choose(input, configuration) : null;
  const program = programmed(input, configuration, acceptance);
  const refs = resolvedRefs(input);
  const verdicts: readonly (readonly [string, Verdict])[] = [
    ['Accepted', acceptance],
    ['ResolvedRefs', refs],
    ['Programmed', program],
    ['Ready', ready(input, [acceptance, refs, program])],
  ];
  const { generation } = refOf(input.gateway);
  const drafts = verdicts.map(([type, verdict]): Draft => draft(type, verdict, generation));
  const attached = attachments(input, configuration, acceptance);
  const waits = [
    confirm(input, targetOf(input, configuration)).settles,
    expiry(input),
    isUnderWay([program, ...attached.flatMap(({ conditions }) => conditions)])
      ? patience(input, targetOf(input, configuration))
      : null,
  ].filter((wait): wait is number => wait !== null && wait > 0);
  return {
    children: publish === null ? [] : children(input, publish),
    handover: publish === null ? null : handover(input),
    prune: publish !== null,
    publish,
    status: status(input, configuration, publish, drafts),
    attachments: attached,
    requeueAfter: waits.length === 0 ? null : Math.min(...waits),
    events: events(drafts, input.gateway.status?.conditions),
  };
}

/** The new document where it is good, else the last good one; null: there is none. */
function choose(input: GatewayInput, configuration: Configuration): Published | null {
  const { published } = input;
  if (configuration.kind === 'Bad') return published;
  const { document, revision } = configuration;
  // A sequence that cannot be read is 0: the document is published anew with one that can.
  if (published?.revision === revision && published.sequence > 0) return published;
  return { document, revision, sequence: nextSequence(input) };
}

/** What a pod says beyond this is not believed: one that lies must not use up the numbers that there are. */
const MAX_HEARD = 2 ** 52;

/** Greater than that of the published document, and of any that a pod has: the ConfigMap may have been made anew. */
function nextSequence({ published, pods, now }: GatewayInput): number {
  const heard = pods.map(({ report }) => report?.sequence ?? 0).filter((sequence) => sequence <= MAX_HEARD);
  return Math.max(now, 1 + Math.max(published?.sequence ?? 0, ...heard));
}

function status(
  input: GatewayInput,
  configuration: Configuration,
  publish: Published | null,
  drafts: readonly Draft[],
): GatewayPlan['status'] {
  const { gateway, workload, now } = input;
  const { name, namespace } = gateway.metadata;
  const inForce = publish ?? input.published;
  const revision = commonRevision(input, targetOf(input, configuration));
  const selector = Object.entries(selectorLabels(name)).map(([key, value]) => `${key}=${value}`);
  return {
    observedGeneration: refOf(gateway).generation,
    conditions: timed(drafts, gateway.status?.conditions, now),
    address: `${childNames(gateway).service}.${namespace}.svc`,
    ...(revision === null ? {} : { revision }),
    attached: {
      accessPolicies: inForce?.document.policies.length ?? 0,
      maskingRules: inForce?.document.masks.length ?? 0,
    },
    replicas: workload?.replicas ?? 0,
    selector: selector.join(','),
  };
}

/** The revision that pods are to run. */
function targetOf({ published }: GatewayInput, configuration: Configuration): string {
  return configuration.kind === 'Good' ? configuration.revision : (published?.revision ?? '');
}

/** Whether something is on its way, which is late after a while. */
function isUnderWay(verdicts: readonly Pick<Verdict, 'reason'>[]): boolean {
  return verdicts.some(({ reason }) => reason === 'Progressing');
}

/** Timers do not go further than some weeks. */
const DAY = 24 * 60 * 60_000;

/** Milliseconds until the next policy expires, at most a day; null: none does. */
function expiry({ policies, now }: GatewayInput): number | null {
  const times = policies.map(({ spec }) => Date.parse(spec.expiresAt ?? '') - now).filter((left) => left > 0);
  return times.length === 0 ? null : Math.min(DAY, ...times);
}

/** Told where a condition has changed, unless it only says that something is on its way. */
function events(drafts: readonly Draft[], live: Live): GatewayPlan['events'] {
  return drafts
    .filter(({ type, status: now, reason }) => type !== 'Ready' && now !== 'Unknown' && reason !== 'Progressing')
    .filter((condition) => !live?.some((before) => isSame(before, condition)))
    .map(({ type, status: now, reason, message }) => ({
      type: now === 'True' ? 'Normal' : 'Warning',
      reason,
      message: message === '' ? type : message,
    }));
}

function isSame(before: NonNullable<Live>[number], { type, status: now, reason, message }: Draft): boolean {
  const { type: was, status: then, ...rest } = before;
  const more = rest as { reason?: string; message?: string };
  return (
    canonicalJson([was, then, more.reason ?? '', more.message ?? '']) === canonicalJson([type, now, reason, message])
  );
}
