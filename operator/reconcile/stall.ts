import type { Condition, Reason } from '../api/conditions.ts';
import type { PostgresGateway } from '../api/types.generated.ts';

type Status = NonNullable<PostgresGateway['status']>;

/** Why a gateway does not get on. */
export interface Stall {
  readonly reason: Reason & ('IncompleteView' | 'ApplyFailed');
  readonly message: string;
}

/** Longer than an API server takes to restart, and watches to be back: that is nobody's business. */
const PATIENCE = 45_000;

/** Milliseconds until a gap is worth a word. */
export function waitsFor(waited: number): number {
  return Math.max(0, PATIENCE - waited);
}

/** A status with the condition `Stalled`, as kstatus has it: present only while it is true. */
export function stalledStatus(
  status: Status,
  { reason, message }: Stall,
  { generation, live, now }: { readonly generation: number; readonly live: Status['conditions']; readonly now: number },
): Status {
  const before = live?.find(({ type, status: is }) => type === 'Stalled' && is === 'True');
  const stalled: Condition = {
    type: 'Stalled',
    status: 'True',
    observedGeneration: generation,
    lastTransitionTime: before?.lastTransitionTime ?? new Date(now).toISOString().replace(/\.\d+Z$/, 'Z'),
    reason,
    message: message.slice(0, 1024),
  };
  const others = (status.conditions ?? []).filter(({ type }) => type !== 'Stalled');
  return { ...status, conditions: [...others, stalled] };
}
