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
  encodeTerminate,
} from '../wire/frontend.ts';
import type { Step } from '../wire/reader.ts';
import { BACKEND, FRONTEND, messageName } from '../wire/types.ts';
import { satisfy } from './asking.ts';
import { onBind, onBindHead, onClose, onDescribe, onExecute, onParse, onParseHead, onSync } from './client-extended.ts';
import { onCopyData, onCopyEnd, onFunctionCall } from './client-other.ts';
import { onQuery, onQueryHead } from './client-simple.ts';
import { relayRows } from './cut.ts';
import type { SessionEnvironment, SessionPort } from './environment.ts';
import type { Need } from './judged.ts';
import { isHeld } from './max-rows.ts';
import { pinsNeeded } from './pins.ts';
import { encodeRefusal } from './refusal.ts';
import { onFunctionResult, onServerMessage } from './server-messages.ts';
import { refuseStaged, type StagedUnit } from './staged.ts';
import { SessionState } from './state.ts';

/** Messages before which identity and policies are looked at again: those that run or prepare something. */
const STATEMENTS: ReadonlySet<number> = new Set([
  FRONTEND.Query,
  FRONTEND.Parse,
  FRONTEND.Bind,
  FRONTEND.Execute,
  FRONTEND.FunctionCall,
]);

export class Session {
  readonly #state: SessionState;
  /** The client step that waits for an answer. */
  #waiting: Step | null = null;

  constructor(env: SessionEnvironment, port: SessionPort, reported: ReadonlyMap<string, string>) {
    this.#state = new SessionState(env, port);
    for (const [name, value] of reported) this.#state.settings.reported.set(name, value);
  }

  /** A client step waits: no other may be given before `resume` was called. */
  get busy(): boolean {
    return this.#waiting !== null || this.#state.ended;
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

  /** The server has ended the session itself, in words that were relayed. */
  get fatal(): boolean {
    return this.#state.fatal;
  }

  /** A step of the client. Throws ProtocolError for what the protocol does not allow. */
  client(step: Step, now: number): void {
    const s = this.#state;
    s.now = now;
    const need = this.#dispatch(step);
    if (need === null) {
      s.askFailed = null;
      return;
    }
    this.#waiting = step;
    satisfy(s, need);
    if (s.askFailed !== null) this.#retry();
  }

  /** A step of the server. Throws ProtocolError where its answers cannot be understood. */
  server(step: Step, now: number): void {
    const s = this.#state;
    if (s.ended) return;
    s.now = now;
    if (step.kind === 'message') onServerMessage(s, step.type, step.raw, step.body);
    else if (step.kind === 'run') this.#serverRun(step.type, step.raw, step.count);
    else this.#serverHead(step.type, step.raw);
    // A statement in copy-in mode is answered only when the client has sent its data.
    if (this.#waiting !== null && (s.replies.length === 0 || s.copyIn)) this.#retry();
  }

  /** Something that the environment was asked for is there. */
  wake(now: number): void {
    this.#state.now = now;
    if (this.#waiting !== null) this.#retry();
  }

  /** The shared catalogue has been read after our definitions were committed. */
  catalogRefreshed(now: number): void {
    this.#state.settings.caughtUp();
    this.wake(now);
  }

  /** What was to be forwarded cannot be recorded: none of it has been sent; the server fails in its stead. */
  refuseStaged(units: readonly StagedUnit[], reason: string): void {
    refuseStaged(this.#state, units, reason);
  }

  /** The connection is over: what is still open gets its outcome. */
  close(): void {
    const s = this.#state;
    s.ended = true;
    for (const item of s.replies.drain()) for (const running of item.running) s.finish(running, 'Unknown');
    for (const { running } of s.names.portals.values()) if (running !== null) s.finish(running, 'Abandoned');
  }

  #retry(): void {
    const step = this.#waiting!;
    this.#waiting = null;
    this.client(step, this.#state.now);
    if (this.#waiting === null && !this.#state.ended) this.#state.port.resume();
  }

  #dispatch(step: Step): Need | null {
    const s = this.#state;
    if (step.kind === 'run') return this.#clientRun(step.type, step.raw);
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
    return step.kind === 'head'
      ? this.#clientHead(step.type, step.raw)
      : this.#clientMessage(step.type, step.raw, step.body);
  }

  #clientMessage(type: number, raw: Buffer, body: Buffer): Need | null {
    const s = this.#state;
    switch (type) {
      case FRONTEND.Query:
        return onQuery(s, raw, body);
      case FRONTEND.Parse:
        return onParse(s, raw, body);
      case FRONTEND.Bind:
        return onBind(s, raw, body);
      case FRONTEND.Execute:
        return onExecute(s, raw, body);
      case FRONTEND.Describe:
        return onDescribe(s, raw, body);
      case FRONTEND.Close:
        return onClose(s, raw, body);
      case FRONTEND.FunctionCall:
        return onFunctionCall(s, raw, body);
      case FRONTEND.Sync:
        decodeSync(body);
        return onSync(s, raw);
      case FRONTEND.Flush:
        decodeFlush(body);
        s.port.toServer(raw, null);
        return null;
      case FRONTEND.CopyDone:
        decodeCopyDone(body);
        return onCopyEnd(s, raw);
      case FRONTEND.CopyFail:
        decodeCopyFail(body);
        return onCopyEnd(s, raw);
      case FRONTEND.Terminate:
        decodeTerminate(body);
        s.port.toServer(encodeTerminate(), null);
        this.#finish('ClientTerminate', null);
        return null;
      default:
        throw new ProtocolError(`unexpected ${messageName('frontend', type)} from the client`);
    }
  }

  /** The first bytes of a message longer than its bound; its rest goes where they went. */
  #clientHead(type: number, raw: Buffer): Need | null {
    const s = this.#state;
    if (type === FRONTEND.Query) s.spillForwarded = onQueryHead(s, raw);
    else if (type === FRONTEND.Parse) s.spillForwarded = onParseHead(s, raw);
    else if (type === FRONTEND.Bind) {
      const need = onBindHead(s, raw);
      s.spillForwarded = need === null && !s.skipping;
      return need;
    } else throw new ProtocolError(`${messageName('frontend', type)} is too long`);
    return null;
  }

  #clientRun(type: number, raw: Buffer): null {
    const s = this.#state;
    if (type === FRONTEND.CopyData) return onCopyData(s, raw);
    if (s.spillForwarded) s.port.toServer(raw, null);
    return null;
  }

  #serverRun(type: number, raw: Buffer, count: number): void {
    const s = this.#state;
    if (type === BACKEND.FunctionCallResponse) return onFunctionResult(s, raw, count);
    if (type !== BACKEND.DataRow && type !== BACKEND.CopyData) {
      if (s.spillRelayed) s.port.toClient(raw);
      return;
    }
    const head = s.replies.head();
    if (head === undefined || (head.kind !== 'Query' && head.kind !== 'Execute')) {
      throw new ProtocolError(`unexpected ${messageName('backend', type)} from the server`);
    }
    if (head.question === null) relayRows(s, head, raw, count);
    else head.question.chunks.push(Buffer.from(raw));
  }

  /** A message too long to hold: relayed as it comes. Only notices and descriptions grow like that without need. */
  #serverHead(type: number, raw: Buffer): void {
    const s = this.#state;
    const head = s.replies.head();
    s.spillRelayed = head?.question === null || head === undefined;
    if (type !== BACKEND.NoticeResponse && type !== BACKEND.RowDescription) {
      throw new ProtocolError(`${messageName('backend', type)} from the server is too long`);
    }
    if (type === BACKEND.RowDescription && head?.kind.startsWith('Describe')) s.replies.shift();
    if (s.spillRelayed) s.port.toClient(raw);
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
