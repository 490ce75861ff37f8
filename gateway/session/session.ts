/**
 * One client session, as a state machine without I/O: client steps, server steps and wake-ups in, effects out through
 * `SessionPort`. See docs/architecture.md for the way of a statement.
 *
 *   client step ── busy? ──▶ decide ──▶ record ──▶ forward ──▶ reply queue
 *                    ▲           │ needs an answer first: the step waits, the client is not read
 *                    └── retry ◀─┘
 *   server step ──▶ head of the reply queue ──▶ relay | swallow | replace ──▶ outcome
 */

import type { SessionEndReason } from '../audit/record.ts';
import { ProtocolError } from '../wire/errors.ts';
import {
  decodeCopyDone,
  decodeCopyFail,
  decodeFlush,
  decodeSync,
  decodeTerminate,
  encodeFlush,
} from '../wire/frontend.ts';
import type { MessageReader, Step } from '../wire/reader.ts';
import { BACKEND, FRONTEND, messageName } from '../wire/types.ts';
import { satisfy } from './asking.ts';
import { onBind, onBindHead, onClose, onDescribe, onExecute, onParse, onParseHead, onSync } from './client-extended.ts';
import { noteCopied, onCopyData, onCopyEnd, onFunctionCall, onFunctionCallHead } from './client-other.ts';
import { onQuery, onQueryHead } from './client-simple.ts';
import { relayRows } from './cut.ts';
import type { SessionEnvironment, SessionPort } from './environment.ts';
import type { Need } from './judged.ts';
import { isHeld } from './max-rows.ts';
import { pinsNeeded } from './pins.ts';
import { encodeRefusal } from './refusal.ts';
import { answerRun, startRun, takesRows } from './run.ts';
import { abandonReplaced, onErrorHead, onFunctionResult, onServerMessage } from './server-messages.ts';
import { refuseStaged, type StagedUnit } from './staged.ts';
import { SessionState } from './state.ts';
import { answerWhole } from './whole.ts';

/** Messages before which identity and policies are looked at again: those that run or prepare something. */
const STATEMENTS: ReadonlySet<number> = new Set([
  FRONTEND.Query,
  FRONTEND.Parse,
  FRONTEND.Bind,
  FRONTEND.Execute,
  FRONTEND.FunctionCall,
]);

/** What a server in copy-in mode reads; all else ends the connection (as in copyfromparse.c). */
const COPYING: ReadonlySet<number> = new Set([
  FRONTEND.CopyData,
  FRONTEND.CopyDone,
  FRONTEND.CopyFail,
  FRONTEND.Flush,
  FRONTEND.Sync,
  FRONTEND.Terminate,
]);

/** A message that would wait for ever behind a COPY that waits for it. */
function checkCopying(s: SessionState, type: number): void {
  if (!s.copyIn || s.copyEnded || s.skipping || COPYING.has(type)) return;
  throw new ProtocolError(`unexpected ${messageName('frontend', type)} during COPY FROM STDIN`);
}

/** Answered at once, but the server may keep the answers back until a Sync. */
const PREPARES: ReadonlySet<string> = new Set(['Parse', 'Bind', 'DescribeStatement', 'DescribePortal', 'Close']);

/** What rows may belong to. */
const HAS_ROWS: ReadonlySet<string> = new Set(['Query', 'Execute', 'Run']);

/** The server may owe so many answers: what is remembered for each of them must not fill the memory. */
const MAX_OUTSTANDING = 32_768;

export class Session {
  readonly #state: SessionState;
  /** So many answers were owed that the client is not read until half of them have come. */
  #full = false;
  /** The client step that waits for an answer. */
  #waiting: Step | null = null;
  /** The client says nothing more: how the session ends when all that came before has had its answer. */
  #leaving: SessionEndReason | null = null;

  constructor(env: SessionEnvironment, port: SessionPort, reported: ReadonlyMap<string, string>) {
    this.#state = new SessionState(env, port);
    for (const [name, value] of reported) this.#state.settings.reported.set(name, value);
  }

  /** A client step waits, or too many answers are owed: no other may be given before `resume` was called. */
  get busy(): boolean {
    return this.#waiting !== null || this.#full || this.leaving || this.#state.ended;
  }

  /** Whatever the client may still send is not looked at. */
  get leaving(): boolean {
    return this.#leaving !== null;
  }

  /** Nothing is outstanding and no transaction is open: the session may end without loss. */
  get idle(): boolean {
    return (
      this.#state.replies.length === 0 && !this.#state.pipelineOpen && this.#state.transaction === 'I' && !this.busy
    );
  }

  /** The server owes an answer. */
  get running(): boolean {
    return this.#state.replies.length > 0;
  }

  /** Nothing moves until the client says something: between statements, in copy-in, before a Sync. */
  get waitsForClient(): boolean {
    const { replies, copyIn, copyEnded } = this.#state;
    if (this.busy) return false;
    return copyIn ? !copyEnded : !replies.some(({ kind }) => !PREPARES.has(kind));
  }

  /** The server has ended the session itself, in words that were relayed. */
  get fatal(): boolean {
    return this.#state.fatal;
  }

  /**
   * A step of the client, and the reader that gave it, which passes over what was taken together with it. `now` in
   * milliseconds since the epoch, `at` in those of a clock that never goes back. Throws ProtocolError for what the
   * protocol does not allow.
   */
  client(step: Step, now: number, at = now, reader: Pick<MessageReader, 'skip'> | null = null): void {
    const s = this.#state;
    this.#time(now, at);
    if (step.type === FRONTEND.Bind && reader !== null) {
      const behind = startRun(s, step);
      if (behind > 0) {
        reader.skip(behind);
        if (s.replies.length >= MAX_OUTSTANDING) this.#fill();
        return;
      }
    }
    const need = this.#dispatch(step);
    if (need === null) {
      s.within = step.open;
      s.askFailed = null;
      s.cancelled = null;
      if (s.replies.length >= MAX_OUTSTANDING) this.#fill();
      return;
    }
    this.#waiting = step;
    satisfy(s, need);
    if (s.askFailed !== null) this.#retry();
  }

  /** A step of the server. Throws ProtocolError where its answers cannot be understood. */
  server(step: Step, now: number, at = now): void {
    const s = this.#state;
    if (s.ended) return;
    this.#time(now, at);
    if (step.kind === 'message') {
      const head = s.replies.head();
      if (head?.kind !== 'Run' || !answerRun(s, head, step)) onServerMessage(s, step);
    } else if (step.kind === 'run') this.#serverRun(step);
    else this.#serverHead(step);
    if (this.#waiting !== null) {
      checkCopying(s, this.#waiting.type);
      // A statement in copy-in mode is answered only when the client has sent its data.
      if (s.replies.length === 0 || s.copyIn) this.#retry();
    }
    if (this.#full && s.replies.length <= MAX_OUTSTANDING / 2) {
      this.#full = false;
      if (!this.busy) s.port.resume();
    }
    this.#endIfLeft();
  }

  /** A chunk of the server that begins with a message; true: it was all that the oldest statement waits for, and is dealt with. */
  serverWhole(chunk: Buffer, now: number, at = now): boolean {
    // Nothing waits for an answer but the client.
    if (this.#state.ended || this.#waiting !== null || this.#full || this.#leaving !== null) return false;
    this.#time(now, at);
    return answerWhole(this.#state, chunk);
  }

  /**
   * Terminate, or the end of what the client sends. The server reads it when what came before has run, so it waits here
   * as well. Test: "what came before a Terminate in the same packet runs".
   */
  leave(reason: SessionEndReason, now: number, at = now): void {
    this.#time(now, at);
    this.#leaving = reason;
    // Without Sync the server would keep its answers back for ever.
    if (this.#state.pipelineOpen && !this.#state.within) this.#state.port.toServer(encodeFlush(), null);
    this.#endIfLeft();
  }

  /** Something that the environment was asked for is there. */
  wake(now: number, at = now): void {
    this.#time(now, at);
    if (this.#waiting !== null) this.#retry();
  }

  /** A CancelRequest came while a statement waits here and the server has nothing to do; false: it is the server's. */
  cancelWaiting(now: number, at = now): boolean {
    const s = this.#state;
    if (this.#waiting === null || s.replies.length > 0 || !STATEMENTS.has(this.#waiting.type)) return false;
    this.#time(now, at);
    s.cancelled = 'canceling statement due to user request';
    this.#retry();
    return true;
  }

  /** The shared catalogue has been read after our definitions were committed. */
  catalogRefreshed(now: number, at = now): void {
    this.#state.settings.caughtUp();
    this.wake(now, at);
  }

  /** What was to be forwarded cannot be recorded: none of it has been sent; the server fails in its stead. */
  refuseStaged(units: readonly StagedUnit[], reason: string): void {
    refuseStaged(this.#state, units, reason);
  }

  /** The connection is over: what is still open gets its outcome. */
  close(now = this.#state.now, at = this.#state.at): void {
    const s = this.#state;
    this.#time(now, at);
    s.ended = true;
    for (const { running, undo } of s.replies.drain()) {
      for (const one of running) s.finish(one, 'Unknown');
      for (const changes of [undo, ...running.map((one) => one.undo)]) abandonReplaced(s, changes);
    }
    for (const portal of s.names.portals.values()) if (portal?.running != null) s.finish(portal.running, 'Abandoned');
  }

  #time(now: number, at: number): void {
    this.#state.now = now;
    this.#state.at = at;
  }

  #endIfLeft(): void {
    const { replies, copyIn, copyEnded, within, spillForwarded, ended } = this.#state;
    if (this.#leaving === null || ended) return;
    // A message that stops short is never answered, nor is a COPY that waits for its end; what stands behind that fails it.
    const unanswered = (within && spillForwarded ? 1 : 0) + (copyIn && !copyEnded ? 1 : 0);
    if (replies.length <= unanswered) this.#finish(this.#leaving, null);
  }

  #fill(): void {
    this.#full = true;
    // Without it the answers of a pipeline without Sync would be waited for in vain. In the middle of a message it would
    // belong to that one, whose end would be a message of the client's that nobody has judged; one stands in front of it.
    // Test: "nothing of ours comes into the middle of a message, however much is outstanding".
    if (this.#state.pipelineOpen && !this.#state.within) this.#state.port.toServer(encodeFlush(), null);
  }

  #retry(): void {
    const step = this.#waiting!;
    this.#waiting = null;
    this.client(step, this.#state.now, this.#state.at);
    if (this.#waiting === null && !this.#state.ended) this.#state.port.resume();
  }

  #dispatch(step: Step): Need | null {
    const s = this.#state;
    checkCopying(s, step.type);
    if (step.kind === 'run') return this.#clientRun(step);
    if (s.skipping && step.type !== FRONTEND.Sync && step.type !== FRONTEND.Terminate) {
      s.spillForwarded = false;
      return null;
    }
    if (s.counting && isHeld(s, step.type)) return { kind: 'Answers' };
    if (STATEMENTS.has(step.type)) {
      const over = s.env.over(s.now);
      if (over !== null) return this.#end(over.reason, encodeRefusal(over.refusal, true));
      const pins = pinsNeeded(s);
      if (pins !== null) return pins;
    }
    return step.kind === 'head' ? this.#clientHead(step) : this.#clientMessage(step);
  }

  #clientMessage(step: Step): Need | null {
    const s = this.#state;
    switch (step.type) {
      case FRONTEND.Query:
        return onQuery(s, step);
      case FRONTEND.Parse:
        return onParse(s, step);
      case FRONTEND.Bind:
        return onBind(s, step);
      case FRONTEND.Execute:
        return onExecute(s, step);
      case FRONTEND.Describe:
        return onDescribe(s, step);
      case FRONTEND.Close:
        return onClose(s, step);
      case FRONTEND.FunctionCall:
        return onFunctionCall(s, step);
      case FRONTEND.Sync:
        decodeSync(step.body);
        return onSync(s, step);
      case FRONTEND.Flush:
        decodeFlush(step.body);
        s.port.toServer(step, null);
        return null;
      case FRONTEND.CopyDone:
        decodeCopyDone(step.body);
        return onCopyEnd(s, step);
      case FRONTEND.CopyFail:
        decodeCopyFail(step.body);
        return onCopyEnd(s, step);
      case FRONTEND.Terminate:
        decodeTerminate(step.body);
        this.leave('ClientTerminate', s.now, s.at);
        return null;
      default:
        throw new ProtocolError(`unexpected ${messageName('frontend', step.type)} from the client`);
    }
  }

  /** The first bytes of a message longer than its bound; its rest goes where they went. */
  #clientHead(step: Step): Need | null {
    const s = this.#state;
    // Should its end never come, what stands before it in its pipeline is answered all the same.
    // Test: "a query before a pipeline whose last message lacks its end".
    if (s.pipelineOpen && s.replies.length > 0) s.port.toServer(encodeFlush(), null);
    if (step.type === FRONTEND.Query) s.spillForwarded = onQueryHead(s, step);
    else if (step.type === FRONTEND.Parse) s.spillForwarded = onParseHead(s, step);
    else if (step.type === FRONTEND.Bind) {
      const need = onBindHead(s, step);
      s.spillForwarded = need === null && !s.skipping;
      return need;
    } else if (step.type === FRONTEND.FunctionCall) return onFunctionCallHead(s, step);
    else throw new ProtocolError(`${messageName('frontend', step.type)} is too long`);
    return null;
  }

  #clientRun(step: Step): Need | null {
    const s = this.#state;
    const need = s.within ? null : onCopyData(s);
    if (need !== null) return need;
    if (step.type === FRONTEND.CopyData) noteCopied(s, step);
    if (s.spillForwarded) s.port.toServer(step, null);
    return null;
  }

  #serverRun(step: Step): void {
    const s = this.#state;
    const { type } = step;
    if (type === BACKEND.FunctionCallResponse) return onFunctionResult(s, step);
    if (type !== BACKEND.DataRow && type !== BACKEND.CopyData) {
      if (s.spillRelayed) s.port.toClient(step);
      return;
    }
    const first = s.replies.head();
    if (first?.kind === 'Run' && !takesRows(s, first)) s.replies.unfold();
    const head = s.replies.head();
    if (head === undefined || !HAS_ROWS.has(head.kind)) {
      throw new ProtocolError(`unexpected ${messageName('backend', type)} from the server`);
    }
    if (head.question === null) relayRows(s, head, step);
    else head.question.chunks.push(Buffer.from(step.raw));
  }

  /** A message too long to hold: relayed as it comes. Errors, notices and descriptions may quote what is long. */
  #serverHead(step: Step): void {
    const s = this.#state;
    const { type } = step;
    // A notice is about nothing that is awaited; the run at the head may not even be sent.
    if (type !== BACKEND.NoticeResponse && s.replies.head()?.kind === 'Run') s.replies.unfold();
    const head = s.replies.head();
    s.spillRelayed = head?.question === null || head === undefined;
    if (type === BACKEND.ErrorResponse) return onErrorHead(s, step);
    if (type !== BACKEND.NoticeResponse && type !== BACKEND.RowDescription) {
      throw new ProtocolError(`${messageName('backend', type)} from the server is too long`);
    }
    if (type === BACKEND.RowDescription && head?.kind.startsWith('Describe')) s.replies.shift();
    if (s.spillRelayed) s.port.toClient(step);
  }

  /** Ends at a statement boundary: answers that are on their way come first. */
  #end(reason: SessionEndReason, last: Buffer): Need | null {
    if (this.#state.replies.length > 0) return { kind: 'Answers' };
    this.#finish(reason, last);
    return null;
  }

  #finish(reason: SessionEndReason, last: Buffer | null): void {
    this.#state.ended = true;
    this.#state.port.end(reason, last);
  }
}
