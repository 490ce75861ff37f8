import { decodeCommandComplete } from '../wire/backend.ts';
import { stands } from '../wire/cursor.ts';
import { decodeBind } from '../wire/frontend.ts';
import type { Step } from '../wire/reader.ts';
import { BACKEND } from '../wire/types.ts';
import { parametersOf, startEffects } from './client-extended.ts';
import { recordIntent } from './client-simple.ts';
import { isLimited } from './cut.ts';
import { exhausted } from './judge.ts';
import { doubtOf } from './named.ts';
import { type Portal, type PreparedStatement, protocolName } from './names.ts';
import { pinsNeeded } from './pins.ts';
import { type Reply, type ReplyKind, runReply } from './replies.ts';
import { abandonReplaced } from './server-messages.ts';
import type { SessionState } from './state.ts';
import { isFresh } from './verdicts.ts';

/*
 * A run is what nearly every driver sends to execute a prepared statement once: Bind of the unnamed portal, with Describe
 * of it or without, Execute to its end and Sync, in one piece. Where nothing hangs on the single messages it is decided,
 * recorded, forwarded and answered as one. As soon as anything but the plain answer comes it is unfolded into what is
 * still awaited of these messages, and goes on as if they had come one by one.
 */

const DESCRIBE = [0x44, 0, 0, 0, 6, 0x50, 0];
const EXECUTE = [0x45, 0, 0, 0, 9, 0, 0, 0, 0, 0];
const SYNC = [0x53, 0, 0, 0, 4];

interface Shape {
  /** What stands behind the Bind. */
  readonly behind: Buffer;
  readonly parts: readonly ReplyKind[];
}

const SHAPES: readonly Shape[] = [
  { behind: Buffer.from([...DESCRIBE, ...EXECUTE, ...SYNC]), parts: ['Bind', 'DescribePortal', 'Execute', 'Sync'] },
  { behind: Buffer.from([...EXECUTE, ...SYNC]), parts: ['Bind', 'Execute', 'Sync'] },
];

/** Takes a Bind and what makes a run of it; gives how many bytes behind the Bind that was, 0: it is none, or no plain one. */
export function startRun(s: SessionState, step: Step): number {
  const shape = step.kind === 'message' ? SHAPES.find(({ behind }) => stands(behind, step.chunk, step.end)) : undefined;
  if (shape === undefined || !isCalm(s)) return 0;
  const message = decodeBind(step.chunk, step.bodyStart, step.end);
  const key = protocolName(message.statement);
  const statement = s.names.statements.get(key);
  if (message.portal !== '' || statement === undefined || s.names.isUncertain(s.names.statements, key)) return 0;
  const judged = plainVerdict(s, statement);
  if (judged === null) return 0;
  const running = recordIntent(s, 'Extended', statement.text, judged, parametersOf(statement, message));
  const portal: Portal = { statement, held: false, running, mark: s.replies.sent };
  const undo = [s.names.setPortal('', portal)];
  // What the end of a transaction does to settings; there is nothing of it to undo.
  startEffects(s, portal);
  s.forward(step.extended(shape.behind.length), runReply(shape.parts, undo, [running]));
  return shape.behind.length;
}

/**
 * Nothing is under way that decides what becomes of the next messages. An error skips to the next Sync, past a Query, so
 * a run begins behind a Sync only. Test: "a conversation through the gateway is the one with a server that denies by itself".
 */
function isCalm(s: SessionState): boolean {
  const last = s.replies.last();
  if (last !== undefined && last.kind !== 'Sync' && last.kind !== 'Run') return false;
  const free =
    !s.pipelineOpen && !s.skipping && !s.copyIn && !s.counting && s.cancelled === null && s.askFailed === null;
  return free && s.env.auditUnavailable() === null && s.env.over(s.now) === null && pinsNeeded(s) === null;
}

/** The verdict that holds for a statement which does no more than read, write or end a transaction; null: it is not so plain. */
function plainVerdict(s: SessionState, statement: PreparedStatement) {
  const { raw, verdict } = statement;
  if (raw === null || !isFresh(s, verdict) || verdict.noting === 'More') return null;
  const { judged } = verdict;
  if (judged.refusal !== null || judged.bound !== undefined || doubtOf(s, statement) !== null) return null;
  return exhausted(s, raw, 0) === null && !isLimited(s) ? judged : null;
}

/**
 * A message of the server for a run; false: it is for others to deal with, and the run unfolded if that is about anything in
 * it but its end.
 */
export function answerRun(s: SessionState, head: Reply, step: Step): boolean {
  switch (step.type) {
    case BACKEND.ParameterStatus:
    case BACKEND.NoticeResponse:
    case BACKEND.NotificationResponse:
      return false;
    case BACKEND.BindComplete:
      if (!isAwaited(head, 'Bind')) break;
      abandonReplaced(s, head.undo);
      return relayPart(s, head, step);
    case BACKEND.RowDescription:
    case BACKEND.NoData:
      return isAwaited(head, 'DescribePortal') ? relayPart(s, head, step) : unfold(s);
    case BACKEND.CommandComplete:
      if (!isAwaited(head, 'Execute')) break;
      relayPart(s, head, step);
      s.finish(head.running[0]!, 'Completed', null, decodeCommandComplete(step.chunk, step.bodyStart, step.end));
      return true;
    case BACKEND.ReadyForQuery:
      // As a Sync ends: nothing else is left of it.
      if (isAwaited(head, 'Sync')) return false;
      break;
  }
  return unfold(s);
}

/** Whether rows belong to the run as it is: no limit has come to hold for them. */
export function takesRows(s: SessionState, head: Reply): boolean {
  return isAwaited(head, 'Execute') && (head.running[0]!.metered === false || !isLimited(s));
}

function isAwaited({ parts, awaited }: Reply, kind: ReplyKind): boolean {
  return parts[awaited] === kind;
}

function relayPart(s: SessionState, head: Reply, step: Step): true {
  head.awaited += 1;
  s.port.toClient(step);
  return true;
}

function unfold(s: SessionState): false {
  s.replies.unfold();
  return false;
}
