import { since } from './conditions.ts';
import type { GatewayInput, PodView } from './types.ts';

/** Milliseconds after its start in which an operator waits for gateways that have not called again yet. */
const SETTLE = 15_000;

/** Which pods run which revision, as far as they must: those that are ready, and those that have sessions. */
export interface Confirmation {
  /** Pods that count. */
  readonly counted: readonly PodView[];
  /** Those of them that have not said that they run the revision. */
  readonly behind: readonly PodView[];
  /** Milliseconds until silence counts; null: it does. */
  readonly settles: number | null;
}

/** Whether all pods that count run the revision. */
export function confirm(input: GatewayInput, revision: string): Confirmation {
  const known = hasConfirmed(input, revision);
  const settling = known ? input.listeningSince + SETTLE - input.now : 0;
  const counted = input.pods.filter((pod) => counts(pod, known));
  const behind = counted.filter(({ report }) => (report === null ? settling <= 0 : report.revision !== revision));
  const waits = settling > 0 && counted.some(({ report }) => report === null);
  return { counted, behind, settles: waits ? settling : null };
}

/**
 * A pod that is not heard and not ready may still have sessions, on the other side of a broken network; unless every pod
 * had confirmed this very revision before: a gateway does not go back.
 */
function counts({ ready, started, report }: PodView, known: boolean): boolean {
  if (ready) return true;
  return report === null ? started && !known : report.sessions > 0;
}

function hasConfirmed({ gateway: { status } }: GatewayInput, revision: string): boolean {
  return status?.revision === revision && since(status.conditions, 'Programmed', 'True') !== null;
}

/** The revision that all pods that count run; null: they run several, or there is none. */
export function commonRevision(input: GatewayInput, revision: string): string | null {
  const { counted, behind } = confirm(input, revision);
  if (counted.length === 0) return null;
  if (behind.length === 0) return revision;
  const [first, ...others] = new Set(counted.map(({ report }) => report?.revision ?? null));
  return first !== undefined && others.length === 0 ? first : null;
}
