import type { EffectivePolicies } from '../policy/decision.ts';
import type { CommandComplete } from '../wire/backend.ts';
import type { Bytes, Pins, SessionEnvironment, SessionPort } from './environment.ts';
import type { Surroundings } from './judge.ts';
import { KnownVerdicts } from './known-verdicts.ts';
import { Names, type Running } from './names.ts';
import { type Reply, ReplyQueue } from './replies.ts';
import { RowMeter } from './row-meter.ts';
import { Settings } from './settings.ts';

/** Everything a session remembers; the handlers of client and server messages share it. */
export class SessionState {
  readonly env: SessionEnvironment;
  readonly port: SessionPort;
  readonly replies = new ReplyQueue();
  readonly names = new Names(this.replies);
  readonly settings = new Settings();
  readonly rows = new RowMeter();
  readonly verdicts = new KnownVerdicts();
  /** Milliseconds since the epoch, of the event at hand. */
  now = 0;
  /** The same on a clock that never goes back: for durations. */
  at = 0;
  /** ReadyForQuery's last word. */
  transaction: 'I' | 'T' | 'E' = 'I';
  /** What ends the transaction, or goes back in it, has been sent since then. */
  transactionLeft = false;
  /** The server drops (or will drop) everything up to the next Sync; so does the gateway. */
  skipping = false;
  /** Extended messages have been sent since the last Sync. */
  pipelineOpen = false;
  /** The server reads CopyData. */
  copyIn = false;
  /** CopyDone or CopyFail has been sent in this copy. */
  copyEnded = false;
  /** The rows of what was sent last decide whether it may stay, or go on: nothing else is sent before they are known. */
  counting = false;
  /** What the server has been told since the start-up packet to hold the session to; null: nothing else. */
  pins: Pins | null = null;
  /** The policies for which that was looked at. */
  pinnedFor: EffectivePolicies | null = null;
  /** The client is in the middle of a message: it gets there whole or not at all, and nothing of ours comes between. */
  within = false;
  /** What remains of that message goes to the server, or nowhere. */
  spillForwarded = false;
  /** What remains of a spilled server message goes to the client. */
  spillRelayed = true;
  askFailed: string | null = null;
  /** The statement at hand was cancelled before it was sent: what the client is told; null: it was not. */
  cancelled: string | null = null;
  ended = false;
  /** The server has said FATAL: nothing of ours need follow. */
  fatal = false;
  #statements = 0;

  constructor(env: SessionEnvironment, port: SessionPort) {
    this.env = env;
    this.port = port;
  }

  nextStatement(): number {
    this.#statements += 1;
    return this.#statements;
  }

  /** Forwards a message and notes what the server owes for it. */
  forward(bytes: Bytes, reply: Reply): void {
    this.replies.push(reply);
    this.port.toServer(bytes, reply);
  }

  surroundings(): Surroundings {
    const { env, names, settings, now, askFailed } = this;
    const aborted = this.transaction === 'E' && !this.transactionLeft && this.replies.length === 0;
    return { env, names, settings, known: settings.known, clouded: 'Nothing', aborted, askFailed, now };
  }

  /** Writes the outcome of a statement, once. */
  finish(
    running: Running,
    status: FinishStatus,
    sqlstate: string | null = null,
    complete: CommandComplete | null = null,
  ): void {
    if (running.ended) return;
    running.ended = true;
    this.port.record({
      kind: 'outcome',
      time: this.now,
      duration: this.at - running.startedAt,
      primary: running.judged.facts?.primary ?? 'Unknown',
      statement: running.statement,
      status,
      rows: running.rows > 0 ? running.rows : (complete?.rows ?? 0),
      bytes: running.bytes,
      sqlstate,
      tag: complete?.tag ?? null,
    });
  }
}

type FinishStatus = 'Completed' | 'Failed' | 'Denied' | 'Cancelled' | 'Abandoned' | 'Skipped' | 'Unknown';
