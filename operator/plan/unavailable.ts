import type { AccessPolicy, PostgresGateway } from '../api/types.generated.ts';
import type { Report } from './problems.ts';

/** What the resources can say and this version cannot do: refused by name, never ignored. */
export function refuseUnavailable({ audit }: PostgresGateway['spec'], report: Report): void {
  const refuse = (path: string, what: string, instead: string): void =>
    report(`spec.audit.${path}`, `${what} is not available in this version: ${instead}`);
  if (audit.durability === 'Acknowledged') refuse('durability', 'Acknowledged', 'use Written or Synced');
  for (const [i, sink] of audit.sinks.entries()) {
    for (const kind of ['otlp', 's3'] as const)
      if (sink[kind] !== undefined) refuse(`sinks[${i}].${kind}`, `the sink ${kind}`, 'use stdout');
  }
  if (audit.recording.mode === 'Full') refuse('recording.mode', 'Full', 'use Statements or None');
  for (const name of ['parameters', 'literals'] as const)
    if (audit.redaction[name] === 'Hash') refuse(`redaction.${name}`, 'Hash', 'use Keep or Omit');
}

export function refuseUnavailableRule(rule: AccessPolicy['spec']['rules'][number], report: Report): void {
  if (rule.action === 'RequireApproval')
    report('action', 'RequireApproval is not available in this version: nobody can approve yet; use Allow or Deny');
}
