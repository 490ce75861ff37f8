import type { Step } from '../wire/reader.ts';
import type { Running } from './names.ts';
import { encodeRefusal, encodeWarning, type Refusal, refusalOf, replacement, SQLSTATE } from './refusal.ts';
import { type Reply, replyWith } from './replies.ts';
import type { SessionState } from './state.ts';

/*
 * Cutting a result that has begun: rows stop, the server is cancelled, and its answer decides what the client is told.
 * If the cancel came too late the statement has succeeded; the client gets our error only where that leaves the
 * server's state true: an open transaction is made to fail first, and what has been committed is never called failed.
 */

/** How many more rows a result may have. */
interface Room {
  readonly rows: number;
  /** The limit of the session that leaves no more; null: that of the day does. */
  readonly limit: number | null;
}

/** Relays rows of the result at the head; starts a cut where a limit is reached. */
export function relayRows(s: SessionState, head: Reply, step: Step): void {
  const running = head.running[head.at];
  const room = running === undefined || running.metered === false ? null : roomFor(s, running.rows);
  // Never from the middle of a result, and so perhaps of a row, on: limits that come then count for the next one.
  // Test: "limits that come in the middle of a result".
  if (running !== undefined) running.metered ??= room !== null;
  if (running?.metered !== true) {
    if (head.cut !== null) return;
    if (running !== undefined) noteRelayed(s, running, step.count, step.length);
    s.port.toClient(step);
    return;
  }
  const { raw } = step;
  const allowed = head.cut === null ? (room?.rows ?? Number.POSITIVE_INFINITY) : 0;
  const { started, pass } = s.rows.feed(raw, allowed);
  if (pass > 0) s.port.toClient(raw.subarray(0, pass));
  noteRelayed(s, running, Math.min(started, allowed), pass);
  if (started > allowed && head.cut === null && room !== null) {
    startCut(s, head, room.limit === null ? usedUp(s) : tooManyRows(room.limit));
  }
}

export function noteRelayed(s: SessionState, running: Running, rows: number, bytes: number): void {
  running.rows += rows;
  running.bytes += bytes;
  s.env.usage.addResult(s.now, rows, bytes);
}

/** The least room that a limit leaves for a result of which so many rows were relayed; null: there is none. */
function roomFor(s: SessionState, relayed: number): Room | null {
  const limit = s.env.policies(s.now).effective.session.rows;
  const perResult = limit === null ? null : Math.max(0, limit - relayed);
  const today = s.env.usage.allowance(s.now);
  const left = today === null ? null : today.bytes === 0 ? 0 : (today.rows ?? Number.POSITIVE_INFINITY);
  if (left !== null && (perResult === null || left < perResult)) return { rows: left, limit: null };
  return perResult === null ? null : { rows: perResult, limit };
}

/** Whether a limit holds for rows of results. */
export function isLimited(s: SessionState): boolean {
  return roomFor(s, 0) !== null;
}

function tooManyRows(limit: number): Refusal {
  return {
    code: SQLSTATE.denied,
    message: `result cut after ${limit} rows: more are not allowed to this session by AccessPolicy spec.session.rows`,
    hint: 'Add a LIMIT or a narrower WHERE clause.',
  };
}

function usedUp(s: SessionState): Refusal {
  const decision = s.env.usage.exhausted(s.now, 0);
  const refusal = decision === null ? { message: 'the limit of the day is used up' } : refusalOf(decision);
  return { ...refusal, code: SQLSTATE.limitExceeded, message: `result cut: ${refusal.message}` };
}

function startCut(s: SessionState, head: Reply, refusal: Refusal): void {
  head.cut = { refusal, completed: false };
  s.counting = true;
  s.port.cancelUpstream();
}

/** The server failed a statement whose result is being cut: by our cancel, or for a reason of its own. */
export function cutFailed(s: SessionState, head: Reply, step: Step, code: string): void {
  const cut = head.cut!;
  if (code === SQLSTATE.queryCanceled || cut.completed) answerInstead(s, cut.refusal);
  else s.port.toClient(step);
  head.cut = null;
}

/** What the client is told in place of an error of the server's, whose rest, if it is a long one, it does not see. */
export function answerInstead(s: SessionState, refusal: Refusal): void {
  s.spillRelayed = false;
  s.port.toClient(encodeRefusal(refusal));
}

/** The statement succeeded in spite of the cancel. True: the client has been told so, with a warning. */
export function cutCompleted(s: SessionState, head: Reply, step: Step, tag: string | null): boolean {
  const cut = head.cut!;
  const readsOnly = tag !== null && /^(?:SELECT|FETCH|COPY) /.test(tag);
  if (!isAlone(s, head) || (!readsOnly && s.transaction !== 'T')) {
    s.port.toClient(encodeWarning(cut.refusal));
    s.port.toClient(step);
    head.cut = null;
    return true;
  }
  const running = head.running[head.at];
  if (running !== undefined) s.finish(running, 'Cancelled', cut.refusal.code);
  cut.completed = true;
  if (head.kind === 'Execute') handOn(s, head);
  else head.at += 1;
  return false;
}

/** Nothing else runs in the same string or pipeline. */
function isAlone(s: SessionState, head: Reply): boolean {
  const next = s.replies.second();
  if (head.kind === 'Query') return head.running.length === 1 && next === undefined;
  return next === undefined || next.kind === 'Sync';
}

/** Execute: the error is given at the Sync that has been sent, or by a failing message now. */
function handOn(s: SessionState, head: Reply): void {
  s.replies.shift();
  const sync = s.replies.head();
  if (sync !== undefined) {
    sync.cut = head.cut;
    return;
  }
  const nonce = s.env.nonce();
  s.forward(replacement.extended(nonce), replyWith('Refused', { refusal: head.cut!.refusal, nonce }));
  s.skipping = true;
}

/** ReadyForQuery after a cut statement that succeeded. True: it is kept from the client for now. */
export function cutReady(s: SessionState, head: Reply, status: 'I' | 'T' | 'E'): boolean {
  if (head.cut === null || !head.cut.completed) return false;
  if (status !== 'T') {
    s.port.toClient(encodeRefusal(head.cut.refusal));
    return false;
  }
  const nonce = s.env.nonce();
  const failing = replacement.query(Buffer.alloc(0), nonce);
  s.forward(failing, replyWith('Query', { refusal: head.cut.refusal, nonce }));
  return true;
}
