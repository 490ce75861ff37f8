import type { Condition, Reason } from '../api/conditions.ts';

/** A condition before it is known since when it holds. */
export type Draft = Omit<Condition, 'lastTransitionTime'>;

/** What one condition says. */
export interface Verdict {
  readonly status: Condition['status'];
  readonly reason: Reason;
  readonly message: string;
}

/** Conditions of a live status, as the API server returns them. */
export type Live =
  | readonly { readonly type: string; readonly status: string; readonly lastTransitionTime: string }[]
  | undefined;

/** Messages are for one line of a terminal. */
const MAX_MESSAGE = 200;
const MAX_LISTED = 4;

export function yes(reason: Reason, message = ''): Verdict {
  return { status: 'True', reason, message: clip(message) };
}

export function no(reason: Reason, message: string): Verdict {
  return { status: 'False', reason, message: clip(message) };
}

export function unknown(message: string): Verdict {
  return { status: 'Unknown', reason: 'Progressing', message: clip(message) };
}

export function draft(type: string, { status, reason, message }: Verdict, observedGeneration: number): Draft {
  return { type, status, observedGeneration, reason, message };
}

/** Since when a condition has had its status; null: it has another one, or is not there. */
export function since(live: Live, type: string, status: string): number | null {
  const found = live?.find((condition) => condition.type === type && condition.status === status);
  return found === undefined ? null : Date.parse(found.lastTransitionTime);
}

/** Gives conditions their times: the live one's where the status is the same. Times alone make no new status. */
export function timed(drafts: readonly Draft[], live: Live, now: number): Condition[] {
  return drafts.map((condition) => ({
    ...condition,
    lastTransitionTime: iso(since(live, condition.type, condition.status) ?? now),
  }));
}

/** RFC 3339 in seconds, as Kubernetes writes times. */
function iso(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}

/** Sorted, each once, the first few by name. */
export function listed(names: Iterable<string>): string {
  const all = [...new Set(names)].sort();
  const shown = all.slice(0, MAX_LISTED);
  const rest = all.length - shown.length;
  return rest === 0 ? shown.join(', ') : `${shown.join(', ')} and ${rest} more`;
}

function clip(message: string): string {
  return message.length <= MAX_MESSAGE ? message : `${message.slice(0, MAX_MESSAGE - 1)}…`;
}
