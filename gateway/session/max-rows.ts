import type { Decision, RowLimit } from '../policy/decision.ts';
import type { RawStatement, SessionEffect } from '../sql/facts.ts';
import type { CommandComplete } from '../wire/backend.ts';
import { FRONTEND } from '../wire/types.ts';
import type { Judged } from './judged.ts';
import { type Refusal, refusalOf, replacement, SQLSTATE } from './refusal.ts';
import { type Reply, replyWith } from './replies.ts';
import type { SessionState } from './state.ts';

/*
 * `maxRows` is kept by effect: the command tag tells how many rows a write has changed. Until it is known nothing is sent
 * that could commit them; beyond the bound something fails in the same transaction, so that the server itself undoes them.
 *
 * Extended protocol: Sync ends the implicit transaction, and waits here. Simple protocol: a string by itself commits at
 * its end, so the statement must stand in a transaction block that the string does not end.
 */

/** What has to be counted, or is refused because it cannot be; `raw`: the statement, and what it executes. */
export function bounded(judged: Judged, raw: readonly RawStatement[]): Judged {
  const { decision } = judged;
  if (decision.verdict === 'Deny' || decision.maxRows === undefined || raw.some(isPrepare)) return judged;
  const bound = decision.maxRows;
  if (raw.every(({ countsRows }) => countsRows)) return { ...judged, bound };
  return refused(
    judged,
    bound,
    'those of this statement cannot be counted',
    'Write it as an INSERT, UPDATE, DELETE or MERGE of its own: without such queries in WITH, EXPLAIN ANALYZE or a cursor.',
  );
}

function isPrepare({ effects }: RawStatement): boolean {
  return effects.some(({ kind }) => kind === 'Prepare');
}

function refused(judged: Judged, by: RowLimit, why: string, hint: string): Judged {
  const { policy, rule, rows } = by;
  const decision: Decision & { verdict: 'Deny' } = {
    verdict: 'Deny',
    by: { policy, rule },
    message: `denied by AccessPolicy ${policy}, rule ${rule}: a write may change ${rows} rows at most (maxRows), and ${why}`,
    detail: null,
    hint,
    alert: judged.decision.alert === true,
    shadow: judged.decision.shadow,
  };
  return { raw: judged.raw, facts: judged.facts, decision, refusal: refusalOf(decision) };
}

/** An Execute that asks for a part of the rows: the write has happened when they come, its tag is not there. */
export function inParts(judged: Judged): Judged {
  if (judged.bound === undefined || judged.raw?.returnsRows !== true) return judged;
  return refused(judged, judged.bound, 'they are counted when all its rows are fetched', 'Fetch them without a limit.');
}

/** Why the rows of a string cannot be counted in time; null: they can. All that was sent has been answered. */
export function uncountable(s: SessionState, statements: readonly Judged[]): Judged | null {
  const first = statements.find(({ bound }) => bound !== undefined)!;
  const hint =
    'Send BEGIN first, then the statement, then COMMIT, each as a string of its own; or use a parameterised query.';
  // Extended messages without Sync may have ended the transaction that ReadyForQuery told of.
  // Test: "a COMMIT in the pipeline before a Query".
  if (s.pipelineOpen)
    return refused(first, first.bound!, 'an open pipeline does not tell when they are committed', hint);
  let block = s.transaction !== 'I';
  for (const { raw, bound } of statements) {
    if (bound !== undefined && !block)
      return refused(first, bound, 'by itself this statement is committed before they are counted', hint);
    const effects = raw?.effects ?? [];
    if (bound === undefined && effects.some(mayEnd))
      return refused(first, first.bound!, 'this string may end the transaction before they are counted', hint);
    if (effects.some(begins)) block = true;
  }
  return null;
}

function begins(effect: SessionEffect): boolean {
  return effect.kind === 'Transaction' && effect.op === 'Begin';
}

/** COMMIT and its kin, also as a prepared statement. */
function mayEnd(effect: SessionEffect): boolean {
  if (effect.kind === 'Execute') return true;
  return effect.kind === 'Transaction' && !['Begin', 'Savepoint', 'Release'].includes(effect.op);
}

const COPY_MESSAGES: ReadonlySet<number> = new Set([FRONTEND.CopyData, FRONTEND.CopyDone, FRONTEND.CopyFail]);

/** Whether a client message has to wait for the rows to be known. */
export function isHeld(s: SessionState, type: number): boolean {
  if (s.replies.length === 0) {
    s.counting = false;
    return false;
  }
  const ofCopy = COPY_MESSAGES.has(type) || (s.copyIn && !s.copyEnded);
  return type !== FRONTEND.Terminate && !ofCopy;
}

/** CommandComplete or PortalSuspended of what may have changed too much. True: kept from the client, and to be undone. */
export function undoneBeyond(s: SessionState, head: Reply, complete: CommandComplete | null): boolean {
  const running = head.running[head.at];
  if (running === undefined) return false;
  if (head.kind === 'Query' && head.cut?.completed === true) {
    s.finish(running, 'Cancelled', head.cut.refusal.code, complete);
    head.at += 1;
    return true;
  }
  const { bound } = running;
  if (bound === null) return false;
  const rows = complete?.rows ?? null;
  if (rows !== null && rows <= bound.rows) return false;
  const refusal = tooMany(bound, rows);
  s.finish(running, 'Cancelled', refusal.code, complete);
  if (head.kind === 'Query') {
    head.cut = { refusal, completed: true };
    head.at += 1;
    return true;
  }
  s.replies.shift();
  const nonce = s.env.nonce();
  s.forward(replacement.extended(nonce), replyWith('Refused', { refusal, nonce }));
  s.skipping = true;
  return true;
}

function tooMany({ policy, rule, rows }: RowLimit, changed: number | null): Refusal {
  const found = changed === null ? 'could not be counted' : `were ${changed}`;
  return {
    code: SQLSTATE.denied,
    message: `denied by AccessPolicy ${policy}, rule ${rule}: a write may change ${rows} rows at most (maxRows), they ${found}; it is undone`,
    hint: 'Narrow its WHERE clause, or split it up.',
  };
}
