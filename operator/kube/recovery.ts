import { KubeError } from './errors.ts';

/** How a list or a watch came to its end. */
export interface End {
  readonly what: 'list' | 'watch';
  /** null: in order. Anything that is no KubeError was thrown by our own code over what came. */
  readonly error: unknown;
  /** Milliseconds that the watch was open; null: it never was, or it was a list. */
  readonly open: number | null;
}

/** What follows from it. */
export interface Consequence {
  /** Milliseconds before the next attempt. */
  readonly delay: number;
  /** The position is lost or in doubt: the next attempt is a list. */
  readonly relist: boolean;
  /** The store cannot be taken for the whole truth until the next success. */
  readonly incomplete: boolean;
}

/** A watch that was open for so long was in order: what fails after it is a first failure. */
const HEALTHY = 120_000;
/** A watch that ends earlier counts as an attempt that failed, also where it ended in order. */
const BRIEF = 5_000;
/** Failures in a row after which the position itself is doubted: a server restored from a backup knows nothing of it. */
const DOUBT = 8;
/** No server's wish to be left alone counts for longer. */
const LONGEST_WAIT = 300_000;
const FIRST_DELAY = 800;
const LONGEST_DELAY = 30_000;

/**
 * Decides how a reflector goes on: 0.8 s after a first failure, twice as long each time, 30 s at most, or as long as
 * the server says; a part is left to chance so that many do not come at once. A watch that ended in order is opened
 * anew at once.
 */
export function createRecovery(random: () => number): (end: End) => Consequence {
  let growth = 0;
  let failures = 0;
  let gone = false;

  const backoff = (grow: boolean): number => {
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** growth * (1 + random() / 2));
    // 2 ** 6 is past the limit already: no number runs away in an outage of days.
    if (grow) growth = Math.min(growth + 1, 6);
    return delay;
  };

  return ({ what, error, open }) => {
    const brief = (open ?? 0) < BRIEF;
    if ((open ?? 0) >= HEALTHY) growth = 0;
    if (error === null && (what === 'list' || !brief)) {
      failures = 0;
      if (what === 'watch') gone = false;
      return { delay: 0, relist: false, incomplete: false };
    }
    failures = brief ? failures + 1 : 1;
    const relist = what === 'list' || isPositionLost(error) || failures >= DOUBT;
    const wanted = Math.min(retryAfterOf(error), LONGEST_WAIT) * (1 + random() / 10);
    // A connection that was lost says nothing of the store; the attempt to open another will.
    const lost = error === null || (open !== null && reasonOf(error) === 'Transport');
    // A server that is back after an outage and has forgotten the position is well: the list need not wait as long as
    // the outage has taught to. Once: one that only ever forgets must not be asked all the time.
    const first = reasonOf(error) === 'Gone' && !gone;
    gone = reasonOf(error) === 'Gone';
    const delay = first ? FIRST_DELAY * (1 + random() / 2) : backoff(brief);
    return { delay: Math.max(delay, wanted), relist, incomplete: !lost };
  };
}

/** The class of an error, as in metrics. */
export function reasonOf(error: unknown): KubeError['reason'] {
  return error instanceof KubeError ? error.reason : 'Server';
}

/**
 * Gone: by the server's own word. NotFound: the kind is no longer served, and what comes back under its name begins
 * anew. Without a status: what came could not be read, and would only come again.
 */
function isPositionLost(error: unknown): boolean {
  if (!(error instanceof KubeError)) return false;
  const { reason, status } = error;
  return reason === 'Gone' || reason === 'NotFound' || reason === 'Invalid' || (reason === 'Server' && status === null);
}

function retryAfterOf(error: unknown): number {
  return error instanceof KubeError ? (error.retryAfter ?? 0) : 0;
}
