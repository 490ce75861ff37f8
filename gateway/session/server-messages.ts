import {
  type CommandComplete,
  decodeCommandComplete,
  decodeErrorHead,
  decodeErrorResponse,
  decodeParameterDescription,
  decodeParameterStatus,
  decodeReadyForQuery,
  type TransactionStatus,
} from '../wire/backend.ts';
import { ProtocolError } from '../wire/errors.ts';
import type { Step } from '../wire/reader.ts';
import { BACKEND, messageName } from '../wire/types.ts';
import { answerInstead, cutCompleted, cutFailed, cutReady } from './cut.ts';
import { undoneBeyond } from './max-rows.ts';
import type { Portal, Undo } from './names.ts';
import { readRows } from './question.ts';
import { encodeRefusal, refusalOf, SQLSTATE, unasked } from './refusal.ts';
import type { Reply, ReplyKind } from './replies.ts';
import type { SessionState } from './state.ts';

/** A complete message of the server: relayed, swallowed, or answered with something of ours. */
export function onServerMessage(s: SessionState, step: Step): void {
  switch (step.type) {
    case BACKEND.ReadyForQuery:
      return onReady(s, step);
    case BACKEND.CommandComplete:
      return onComplete(s, step, decodeCommandComplete(step.chunk, step.bodyStart, step.end));
    case BACKEND.EmptyQueryResponse:
      return onComplete(s, step, null);
    case BACKEND.BindComplete:
      return onNamed(s, step, 'Bind');
    case BACKEND.CloseComplete:
      return onNamed(s, step, 'Close');
    case BACKEND.ParseComplete:
      return onNamed(s, step, 'Parse');
    case BACKEND.ErrorResponse:
      return onError(s, step);
    case BACKEND.RowDescription:
    case BACKEND.NoData:
      return onDescription(s, step);
    case BACKEND.ParameterDescription:
      return onParameters(s, step);
    case BACKEND.PortalSuspended:
      return onSuspended(s, step);
    case BACKEND.CopyInResponse:
      return onCopyIn(s, step);
    case BACKEND.CopyOutResponse:
    case BACKEND.CopyDone:
      return relay(s, step);
    case BACKEND.ParameterStatus:
      return onParameterStatus(s, step);
    case BACKEND.NoticeResponse:
    case BACKEND.NotificationResponse:
      return s.port.toClient(step);
    default:
      throw new ProtocolError(`unexpected ${messageName('backend', step.type)} from the server`);
  }
}

/** Bytes of FunctionCallResponse: streamed, as its value may be large. */
export function onFunctionResult(s: SessionState, step: Step): void {
  const [running] = expect(s, CALLS).running;
  if (running !== undefined) {
    running.bytes += step.length;
    if (step.count > 0) s.finish(running, 'Completed');
  }
  s.port.toClient(step);
}

/** What a message of the server may answer. */
const CALLS: readonly ReplyKind[] = ['FunctionCall'];
const DESCRIBED: readonly ReplyKind[] = ['Query', 'DescribeStatement', 'DescribePortal', 'Execute'];
const STATEMENT: readonly ReplyKind[] = ['DescribeStatement'];
const RUN: readonly ReplyKind[] = ['Query', 'Execute'];
const EXECUTED: readonly ReplyKind[] = ['Execute'];
const ENDED: readonly ReplyKind[] = ['Query', 'Sync', 'FunctionCall', 'Run'];
const NAMED = { Parse: ['Parse'], Bind: ['Bind'], Close: ['Close'] } as const;

function expect(s: SessionState, kinds: readonly ReplyKind[]): Reply {
  const head = s.replies.head();
  if (head === undefined || !kinds.includes(head.kind)) {
    // Never guess: a wrong attribution would show one statement's rows under another's verdict.
    throw new ProtocolError(
      `the server answered out of step: ${kinds.join(' or ')} expected, ${head?.kind ?? 'nothing'} outstanding`,
    );
  }
  return head;
}

function relay(s: SessionState, step: Step): void {
  const head = s.replies.head();
  if (head?.question === null && head.cut === null) s.port.toClient(step);
}

function onNamed(s: SessionState, step: Step, kind: 'Parse' | 'Bind' | 'Close'): void {
  const head = expect(s, NAMED[kind]);
  s.replies.shift();
  if (head.question !== null) return;
  abandonReplaced(s, head.undo);
  s.port.toClient(step);
}

/** These changes of names stand: a portal that was replaced or closed by one will not go on. */
export function abandonReplaced(s: SessionState, changes: readonly Undo[]): void {
  for (const { names, before } of changes) {
    const running = names === s.names.portals ? (before as Portal | undefined)?.running : null;
    if (running != null) s.finish(running, 'Abandoned');
  }
  s.names.confirm(changes);
}

function onDescription(s: SessionState, step: Step): void {
  const head = expect(s, DESCRIBED);
  if (head.kind === 'DescribeStatement' || head.kind === 'DescribePortal') s.replies.shift();
  if (head.question === null && head.cut === null) s.port.toClient(step);
}

function onParameters(s: SessionState, step: Step): void {
  const { describes } = expect(s, STATEMENT);
  if (describes !== null) describes.parameterTypes = decodeParameterDescription(step.body).parameterTypes;
  s.port.toClient(step);
}

function onComplete(s: SessionState, step: Step, complete: CommandComplete | null): void {
  const head = expect(s, RUN);
  s.copyIn = false;
  if (head.question !== null) {
    head.question.done(readRows(head.question.chunks));
    s.replies.shift();
    return;
  }
  const running = head.running[head.at];
  if (running !== undefined) abandonReplaced(s, running.undo);
  abandonReplaced(s, head.undo);
  if (undoneBeyond(s, head, complete)) return;
  if (head.cut !== null) {
    if (!cutCompleted(s, head, step, complete?.tag ?? null)) return;
  } else s.port.toClient(step);
  if (running !== undefined) {
    running.suspended = false;
    s.finish(running, 'Completed', null, complete);
  }
  if (head.kind === 'Execute') s.replies.shift();
  else head.at += 1;
}

function onSuspended(s: SessionState, step: Step): void {
  const head = expect(s, EXECUTED);
  const [running] = head.running;
  if (undoneBeyond(s, head, null)) return;
  if (running !== undefined) running.suspended = true;
  s.names.confirm(head.undo);
  s.replies.shift();
  s.port.toClient(step);
}

function onCopyIn(s: SessionState, step: Step): void {
  expect(s, RUN);
  s.copyIn = true;
  s.copyEnded = s.replies.dropSyncsOfCopy().ended;
  s.port.toClient(step);
}

function onParameterStatus(s: SessionState, step: Step): void {
  const { name, value } = decodeParameterStatus(step.body);
  s.settings.reported.set(name, value);
  s.port.toClient(step);
}

/** ErrorResponse: ours if it carries the nonce of the reply it belongs to; else relayed as it is. */
function onError(s: SessionState, step: Step): void {
  onErrorFields(s, step, decodeErrorResponse(step.body).fields);
}

/** The first bytes of an ErrorResponse that is too long to hold: severity and code come first, ours are short. */
export function onErrorHead(s: SessionState, step: Step): void {
  onErrorFields(s, step, decodeErrorHead(step.raw).fields);
}

function onErrorFields(s: SessionState, step: Step, fields: ReadonlyMap<string, string>): void {
  const code = fields.get('C') ?? '';
  const head = s.replies.head();
  s.copyIn = false;
  s.fatal = fields.get('V') === 'FATAL' || fields.get('V') === 'PANIC';
  if (head === undefined || s.fatal) {
    s.port.toClient(step); // the connection ends; what ran has no outcome that we know of
    return;
  }
  const ours = isOurs(head, code, fields.get('M') ?? '');
  // Cancelled by us: the record says what the client is told.
  const outcome = code === SQLSTATE.queryCanceled ? (head.cut?.refusal.code ?? code) : code;
  if (head.question !== null) questionFailed(s, head, code, fields.get('M') ?? code);
  else if (ours) answerInstead(s, head.refusal!);
  else if (head.cut !== null) cutFailed(s, head, step, code);
  else s.port.toClient(step);
  failStatements(s, head, { code, outcome, ours });
  // What our refusal does to names stands, as the server's would.
  if (ours && head.kind === 'Refused') s.names.confirm(head.undo);
  if (head.kind === 'Query' || head.kind === 'FunctionCall') undoUnreached(s, head);
  else skipToSync(s);
}

function isOurs(head: Reply, code: string, message: string): boolean {
  if (head.refusal === null) return false;
  if (code === SQLSTATE.failedTransaction) return head.refusal.beforeTransactionState === true;
  if (head.kind === 'FunctionCall') return code === SQLSTATE.undefinedFunction;
  return message.includes(head.nonce);
}

/** What statements of a string did to names before one failed stays done; the failed one's and later ones' goes. */
function undoUnreached(s: SessionState, head: Reply): void {
  for (let i = head.running.length - 1; i >= head.at; i--) s.names.undo(head.running[i]!.undo);
}

/** A cancel, or a timeout, that hits a question means the statement which the question is for. */
function questionFailed(s: SessionState, head: Reply, code: string, message: string): void {
  const { question } = head;
  const isCancel = code === SQLSTATE.queryCanceled;
  const isAborted = code === SQLSTATE.failedTransaction;
  if (isCancel) s.cancelled = message;
  else question!.failed(message);
  if (isAborted) {
    // What was to end the transaction has not: the statement is told what the question was.
    s.transaction = 'E';
    s.transactionLeft = false;
  }
  if (question!.alone) return;
  // The question stood in the client's pipeline, which the server has given up now.
  s.port.toClient(encodeRefusal(isCancel || isAborted ? { code, message } : refusalOf(unasked(message))));
}

interface Failure {
  /** SQLSTATE of the server, and the one that the record has. */
  readonly code: string;
  readonly outcome: string;
  readonly ours: boolean;
}

function failStatements(s: SessionState, head: Reply, { code, outcome, ours }: Failure): void {
  for (const [i, running] of head.running.entries()) {
    if (i < head.at) continue;
    if (i > head.at) s.finish(running, 'Skipped');
    else if (head.refusal?.code === SQLSTATE.queryCanceled) s.finish(running, 'Cancelled', code);
    else if (ours || head.kind === 'Refused') s.finish(running, 'Denied', head.refusal?.code ?? code);
    else s.finish(running, code === SQLSTATE.queryCanceled ? 'Cancelled' : 'Failed', outcome);
  }
}

/** Extended protocol: the server drops everything up to the next Sync (54.2.3). */
function skipToSync(s: SessionState): void {
  const { skipped, sync } = s.replies.takeToSync();
  for (const item of skipped.toReversed()) {
    for (const running of item.running.toReversed()) s.names.undo(running.undo);
    s.names.undo(item.undo);
  }
  for (const item of skipped) for (const running of item.running) s.finish(running, 'Skipped');
  if (!sync) s.skipping = true;
}

function onReady(s: SessionState, step: Step): void {
  const head = expect(s, ENDED);
  const { status } = decodeReadyForQuery(step.chunk, step.bodyStart, step.end);
  if (endReply(s, head, status)) s.port.toClient(step);
}

/** Everything that a ReadyForQuery ends; true: the client gets it. */
export function endReply(s: SessionState, head: Reply, status: TransactionStatus): boolean {
  s.transaction = status;
  s.copyIn = false;
  s.replies.shift();
  if (s.replies.length === 0) {
    s.transactionLeft = false;
    s.names.settled();
    s.settings.reportedAll();
  }
  for (const running of head.running) s.finish(running, 'Skipped');
  if (status === 'I') endTransaction(s);
  if (head.question !== null) return false;
  s.settings.boundAnswers();
  return !cutReady(s, head, status);
}

function endTransaction(s: SessionState): void {
  for (const running of s.names.endTransaction()) s.finish(running, 'Abandoned');
  // What is already on its way belongs to the next transaction: its changes stay noted.
  // Test: "a SET LOCAL sent before the answer to an earlier query is forgotten at its own COMMIT".
  if (s.replies.length > 0) return s.settings.rolledBack();
  if (s.settings.endTransaction()) s.port.refreshCatalog();
}
