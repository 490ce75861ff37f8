import { printable, renderTable } from '../table.ts';
import type { AttachedStatus, Finding, GatewayStatus, PodStatus } from './status.ts';

/** One line per gateway. */
export function renderSummary(gateways: readonly GatewayStatus[]): string {
  const head = ['GATEWAY', 'READY', 'REVISION', 'PODS', 'SESSIONS', 'POLICIES', 'MASKS', 'ADDRESS'];
  return renderTable(head, gateways.map(summary));
}

function summary({ namespace, name, ready, revision, pods, attached, address }: GatewayStatus): string[] {
  const known = pods.flatMap(({ sessions }) => sessions ?? []);
  return [
    `${namespace}/${name}`,
    yesNo(ready),
    short(revision),
    of(pods.map((pod) => pod.ready)),
    known.length === 0 ? '-' : String(known.reduce((sum, one) => sum + one, 0)),
    inForce(attached, 'AccessPolicy'),
    inForce(attached, 'MaskingRule'),
    address ?? '-',
  ];
}

function inForce(attached: readonly AttachedStatus[], kind: string): string {
  return of(attached.filter((one) => one.kind === kind).map((one) => one.inForce));
}

function of(list: readonly boolean[]): string {
  return `${list.filter(Boolean).length}/${list.length}`;
}

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no';
}

function short(revision: string | null): string {
  return revision?.slice(0, 12) ?? '-';
}

/** Everything that is known of a gateway. */
export function renderDetails(gateway: GatewayStatus): string {
  const { namespace, name, conditions, pods, attached } = gateway;
  const parts = [
    renderTable(
      ['CONDITION', 'STATUS', 'REASON', 'MESSAGE'],
      conditions.map(({ type, status, reason, message }) => [type, status, reason, message]),
    ),
    pods.length === 0
      ? 'no pods'
      : renderTable(['POD', 'READY', 'RESTARTS', 'REVISION', 'SESSIONS', ''], pods.map(podRow)),
    attached.length === 0
      ? 'no AccessPolicy names it: nobody may do anything'
      : renderTable(['ATTACHED', 'IN FORCE', 'REASON', 'MESSAGE'], attached.map(attachedRow)),
  ];
  const todo = remedies(gateway);
  if (todo.length > 0) parts.push(['What to do', ...todo].join('\n'));
  const text = parts.join('\n\n').replaceAll(/^(?=.)/gm, '  ');
  return `PostgresGateway ${namespace}/${name}\n\n${text}`;
}

function podRow({ name, ready, restarts, revision, sessions, draining, problem }: PodStatus): string[] {
  const note = problem ?? (draining ? 'draining' : '');
  return [name, yesNo(ready), String(restarts), short(revision), sessions === null ? '-' : String(sessions), note];
}

function attachedRow({ kind, name, inForce: good, conditions }: AttachedStatus): string[] {
  const { reason, message } = worst(conditions);
  return [`${kind} ${name}`, yesNo(good), reason, message];
}

/** The first that does not hold; else the first that has something to say. */
function worst(conditions: readonly Finding[]): Finding {
  return (
    conditions.find(({ status }) => status === 'False') ??
    conditions.find(({ status }) => status !== 'True') ??
    conditions.find(({ message }) => message !== '') ??
    conditions[0]!
  );
}

/** Each remedy once, with what it is for. */
function remedies({ conditions, attached }: GatewayStatus): string[] {
  const all = [
    ...conditions.map((finding) => ({ what: finding.type, finding })),
    ...attached.map(({ kind, name, conditions: own }) => ({ what: `${kind} ${name}`, finding: worst(own) })),
  ];
  const by = new Map<string, string[]>();
  for (const { what, finding } of all)
    if (finding.remedy !== null) by.set(finding.remedy, [...(by.get(finding.remedy) ?? []), what]);
  return [...by].map(([remedy, whats]) => `  ${printable([...new Set(whats)].join(', '))}: ${printable(remedy)}`);
}
