import {
  decodeCommandComplete,
  decodeErrorResponse,
  decodeParameterDescription,
  decodeParameterStatus,
  decodeReadyForQuery,
} from '../wire/backend.ts';
import { ProtocolError } from '../wire/errors.ts';
import { BACKEND, messageName } from '../wire/types.ts';
import { cutCompleted, cutFailed, cutReady } from './cut.ts';
import { undoneBeyond } from './max-rows.ts';
import type { Portal, Running } from './names.ts';
import { readRows } from './question.ts';
import { encodeRefusal, SQLSTATE } from './refusal.ts';
import type { Reply } from './replies.ts';
import type { SessionState } from './state.ts';

/** A complete message of the server: relayed, swallowed, or answered with something of ours. */
export function onServerMessage(s: SessionState, type: number, raw: Buffer, body: Buffer): void {
  switch (type) {
    case BACKEND.ReadyForQuery:
      return onReady(s, raw, body);
    case BACKEND.CommandComplete:
      return onComplete(s, raw, decodeCommandComplete(body).tag);
    case BACKEND.EmptyQueryResponse:
      return onComplete(s, raw, null);
    case BACKEND.BindComplete:
      return onNamed(s, raw, 'Bind');
    case BACKEND.CloseComplete:
      return onNamed(s, raw, 'Close');
    case BACKEND.ParseComplete:
      return onNamed(s, raw, 'Parse');
    case BACKEND.ErrorResponse:
      return onError(s, raw, body);
    case BACKEND.RowDescription:
    case BACKEND.NoData:
      return onDescription(s, raw);
    case BACKEND.ParameterDescription:
      return onParameters(s, raw, body);
    case BACKEND.PortalSuspended:
      return onSuspended(s, raw);
    case BACKEND.CopyInResponse:
      return onCopyIn(s, raw);
    case BACKEND.CopyOutResponse:
    case BACKEND.CopyDone:
      return relay(s, raw);
    case BACKEND.ParameterStatus:
      return onParameterStatus(s, raw, body);
    case BACKEND.NoticeResponse:
    case BACKEND.NotificationResponse:
      return s.port.toClient(raw);
    default:
      throw new ProtocolError(`unexpected ${messageName('backend', type)} from the server`);
  }
}

/** Bytes of FunctionCallResponse, of which `count` end here: streamed, as its value may be large. */
export function onFunctionResult(s: SessionState, raw: Buffer, count: number): void {
  const [running] = expect(s, 'FunctionCall').running;
  if (running !== undefined) {
    running.bytes += raw.length;
    if (count > 0) s.finish(running, 'Completed');
  }
  s.port.toClient(raw);
}

function expect(s: SessionState, ...kinds: readonly Reply['kind'][]): Reply {
  const head = s.replies.head();
  if (head === undefined || !kinds.includes(head.kind)) {
    // Never guess: a wrong attribution would show one statement's rows under another's verdict.
    throw new ProtocolError(
      `the server answered out of step: ${kinds.join(' or ')} expected, ${head?.kind ?? 'nothing'} outstanding`,
    );
  }
  return head;
}

function relay(s: SessionState, raw: Buffer): void {
  const head = s.replies.head();
  if (head?.question === null && head.cut === null) s.port.toClient(raw);
}

function onNamed(s: SessionState, raw: Buffer, kind: 'Parse' | 'Bind' | 'Close'): void {
  const head = expect(s, kind);
  s.replies.shift();
  if (head.question !== null) return;
  abandonReplaced(s, head);
  s.port.toClient(raw);
}

/** The portal that this Bind replaced, or this Close closed, will not go on. */
function abandonReplaced(s: SessionState, head: Reply): void {
  for (const { names, previous } of head.undo) {
    if (names === s.names.portals && previous !== undefined) abandon(s, (previous as Portal).running);
  }
}

function abandon(s: SessionState, running: Running | null): void {
  if (running !== null) s.finish(running, 'Abandoned');
}

function onDescription(s: SessionState, raw: Buffer): void {
  const head = expect(s, 'Query', 'DescribeStatement', 'DescribePortal', 'Execute');
  if (head.kind === 'DescribeStatement' || head.kind === 'DescribePortal') s.replies.shift();
  if (head.question === null && head.cut === null) s.port.toClient(raw);
}

function onParameters(s: SessionState, raw: Buffer, body: Buffer): void {
  const { describes } = expect(s, 'DescribeStatement');
  if (describes !== null) describes.parameterTypes = decodeParameterDescription(body).parameterTypes;
  s.port.toClient(raw);
}

function onComplete(s: SessionState, raw: Buffer, tag: string | null): void {
  const head = expect(s, 'Query', 'Execute');
  s.copyIn = false;
  if (head.question !== null) {
    head.question.done(readRows(head.question.chunks));
    s.replies.shift();
    return;
  }
  const running = head.running[head.at];
  if (undoneBeyond(s, head, raw, tag)) return;
  if (head.cut !== null) {
    if (!cutCompleted(s, head, raw, tag)) return;
  } else s.port.toClient(raw);
  if (running !== undefined) {
    running.suspended = false;
    s.finish(running, 'Completed', null, tag);
  }
  if (head.kind === 'Execute') s.replies.shift();
  else head.at += 1;
}

function onSuspended(s: SessionState, raw: Buffer): void {
  const head = expect(s, 'Execute');
  const [running] = head.running;
  if (undoneBeyond(s, head, raw, null)) return;
  if (running !== undefined) running.suspended = true;
  s.replies.shift();
  s.port.toClient(raw);
}

function onCopyIn(s: SessionState, raw: Buffer): void {
  expect(s, 'Query', 'Execute');
  s.copyIn = true;
  s.copyEnded = s.replies.dropSyncsOfCopy().ended;
  s.port.toClient(raw);
}

function onParameterStatus(s: SessionState, raw: Buffer, body: Buffer): void {
  const { name, value } = decodeParameterStatus(body);
  s.settings.reported.set(name, value);
  s.port.toClient(raw);
}

/** ErrorResponse: ours if it carries the nonce of the reply it belongs to; else relayed as it is. */
function onError(s: SessionState, raw: Buffer, body: Buffer): void {
  const fields = decodeErrorResponse(body).fields;
  const code = fields.get('C') ?? '';
  const head = s.replies.head();
  s.copyIn = false;
  s.fatal = fields.get('V') === 'FATAL' || fields.get('V') === 'PANIC';
  if (head === undefined || s.fatal) {
    s.port.toClient(raw); // the connection ends; what ran has no outcome that we know of
    return;
  }
  const ours = isOurs(head, code, fields.get('M') ?? '');
  // Cancelled by us: the record says what the client is told.
  const outcome = code === SQLSTATE.queryCanceled ? (head.cut?.refusal.code ?? code) : code;
  if (head.question !== null) questionFailed(s, head, fields.get('M') ?? code);
  else if (ours) s.port.toClient(encodeRefusal(head.refusal!));
  else if (head.cut !== null) cutFailed(s, head, raw, code);
  else s.port.toClient(raw);
  failStatements(s, head, { code, outcome, ours });
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

function questionFailed(s: SessionState, head: Reply, message: string): void {
  const { question } = head;
  question!.failed(message);
  if (question!.alone) return;
  // The question stood in the client's pipeline, which the server has given up now.
  s.port.toClient(
    encodeRefusal({
      code: SQLSTATE.denied,
      message: 'what the names in the statement mean could not be asked of the server, so it is not run',
      detail: message,
    }),
  );
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
    else if (ours || head.kind === 'Refused') s.finish(running, 'Denied', head.refusal?.code ?? code);
    else s.finish(running, code === SQLSTATE.queryCanceled ? 'Cancelled' : 'Failed', outcome);
  }
}

/** Extended protocol: the server drops everything up to the next Sync (54.2.3). */
function skipToSync(s: SessionState): void {
  const { skipped, sync } = s.replies.takeToSync();
  for (let i = skipped.length - 1; i >= 0; i--) s.names.undo(skipped[i]!.undo);
  for (const item of skipped) for (const running of item.running) s.finish(running, 'Skipped');
  if (!sync) s.skipping = true;
}

function onReady(s: SessionState, raw: Buffer, body: Buffer): void {
  const head = expect(s, 'Query', 'Sync', 'FunctionCall');
  const { status } = decodeReadyForQuery(body);
  s.transaction = status;
  s.copyIn = false;
  s.replies.shift();
  for (const running of head.running) s.finish(running, 'Skipped');
  if (status === 'I') endTransaction(s);
  if (s.replies.length === 0) s.settings.reportsDue = false;
  if (head.question !== null) return;
  if (cutReady(s, head, status)) return;
  s.port.toClient(raw);
}

function endTransaction(s: SessionState): void {
  // What is already on its way belongs to the next transaction: its portals stay, its changes stay noted.
  // Test: "a SET LOCAL sent before the answer to an earlier query is forgotten at its own COMMIT".
  if (s.replies.length > 0) return s.settings.rolledBack();
  for (const running of s.names.endTransaction()) s.finish(running, 'Abandoned');
  if (s.settings.endTransaction()) s.port.refreshCatalog();
}
