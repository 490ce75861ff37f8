import type { SessionEndReason, StatementRecord } from '../audit/record.ts';
import type { Bytes, SessionPort } from '../session/environment.ts';
import { encodeRefusal, type Refusal, SQLSTATE } from '../session/refusal.ts';
import type { Reply } from '../session/replies.ts';
import { Session } from '../session/session.ts';
import type { StagedUnit } from '../session/staged.ts';
import { encodeParameterStatus } from '../wire/backend.ts';
import { ProtocolError } from '../wire/errors.ts';
import { encodeTerminate } from '../wire/frontend.ts';
import { MessageReader } from '../wire/reader.ts';
import { BACKEND, FRONTEND } from '../wire/types.ts';
import { Outbox } from './outbox.ts';
import type { PumpOptions } from './pump-options.ts';

/** Greatest Bind or FunctionCall that is held whole; a longer Bind is decided by its head. */
const HELD_MESSAGE = 1024 * 1024;
/** As the server has it: 1 GB less a byte. */
const MAX_MESSAGE = 0x3fffffff;
/** Greatest server message of the kinds that are looked into. */
const HELD_ANSWER = 1024 * 1024;
/** The client is not read while so many messages, or bytes, wait for their records. */
const MAX_STAGED = 4096;
const HELD_STAGED = 1024 * 1024;
/** A client that says nothing more but may still read is probed for life this often while a statement runs. */
const PROBE_INTERVAL = 500;
/** A client that said Terminate need not stay: what it sent before has so long to end by itself. */
const LEAVING_ALONE = 1000;
const TERMINATE = encodeTerminate();

/** Moves one session's bytes: sockets, readers, the order of records before bytes, backpressure, the end. */
export class Pump implements SessionPort {
  readonly #o: PumpOptions;
  readonly #session: Session;
  readonly #fromClient: MessageReader;
  readonly #fromServer: MessageReader;
  readonly #toClient: Outbox;
  readonly #toServer: Outbox;
  /** Messages whose records have not reached their durability. */
  #staged: StagedUnit[] = [];
  /** Bytes of those, and of the ones whose records are being written. */
  #stagedBytes = 0;
  /** Those whose records are being written. */
  #unsettled: readonly StagedUnit[] = [];
  #settling = false;
  readonly #onSettled = (error: Error | null) => this.#guard(this.#settled, error);
  #recorded = false;
  #ended = false;
  #clientHalfClosed = false;
  #clientLost = false;
  /** The server is in the middle of a message: nothing of ours may come between. */
  #serverWithin = false;
  /** Whether each side is being read. */
  #clientFlows = false;
  #serverFlows = false;
  #probe: NodeJS.Timeout | null = null;
  #lastActivity: number;
  /** When the bytes now looked at came in, and those of the oldest statement not sent on; milliseconds. */
  #arrivedAt = 0;
  #waitingSince: number | null = null;
  #cancelling: Promise<void> | null = null;
  /** A result is being cut: what the client sends next must not run before the cancel has hit what it is meant for. */
  #cutting = false;

  constructor(options: PumpOptions) {
    this.#o = options;
    this.#lastActivity = options.now();
    this.#toClient = new Outbox(options.client);
    this.#toServer = new Outbox(options.server);
    const spillText = (type: number) =>
      type === FRONTEND.Query || type === FRONTEND.Parse ? options.statementBytes + 1024 : HELD_MESSAGE;
    this.#fromClient = new MessageReader({
      direction: 'frontend',
      streamed: new Set([FRONTEND.CopyData]),
      spill: spillText,
      maxLength: () => MAX_MESSAGE,
    });
    this.#fromServer = new MessageReader({
      direction: 'backend',
      streamed: new Set([BACKEND.DataRow, BACKEND.CopyData, BACKEND.FunctionCallResponse]),
      spill: () => HELD_ANSWER,
      maxLength: () => MAX_MESSAGE,
    });
    this.#session = new Session(
      options.environment(() => this.#guard(this.#wake, undefined)),
      this,
      options.reported,
    );
  }

  /** Begins to relay. */
  start(): void {
    const { client, server } = this.#o;
    client.pause();
    server.pause();
    client.on('data', (chunk: Buffer) => this.#guard(this.#onClientData, chunk));
    client.on('end', () => this.#guard(this.#onClientEnd, undefined));
    client.on('error', () => this.#onClientGone());
    client.on('close', () => this.#onClientGone());
    client.on('drain', () => this.#flow());
    server.on('data', (chunk: Buffer) => this.#guard(this.#onServerData, chunk));
    server.on('error', () => this.#onServerGone());
    server.on('close', () => this.#onServerGone());
    server.on('end', () => this.#onServerGone());
    server.on('drain', () => this.#flow());
    if (this.#o.serverRest.length > 0) this.#guard(this.#onServerData, this.#o.serverRest);
    if (this.#o.clientRest.length > 0) this.#guard(this.#onClientData, this.#o.clientRest);
    this.#flow();
  }

  /** Milliseconds for which nothing has moved that waits for the client, in a transaction or not. */
  silence(): number {
    if (!this.#session.waitsForClient || this.#staged.length > 0) return 0;
    return this.#o.now() - this.#lastActivity;
  }

  /** Nothing outstanding, no open transaction. */
  get idle(): boolean {
    return this.#session.idle && this.#staged.length === 0;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** A CancelRequest with this session's key came in. */
  async cancel(): Promise<void> {
    if (this.#ended || this.#cancelWaiting()) return;
    // Requests that come meanwhile join: one connection to the server at a time, however many are sent.
    this.#cancelling ??= this.#cancelSent().finally(() => {
      this.#cancelling = null;
    });
    await this.#cancelling;
  }

  /** What is being recorded is not on the server yet, where a cancel would find nothing to do. */
  async #cancelSent(): Promise<void> {
    if (this.#settling) await new Promise<void>((settled) => this.#o.audit.settle(() => settled()));
    if (!this.#ended) await this.#o.cancelUpstream();
  }

  // SessionPort

  toServer(bytes: Bytes, reply: Reply | null): void {
    if (!this.#recorded && !this.#settling) return this.#toServer.push(bytes);
    // A list that begins with its first is no larger than it needs to be: there is hardly ever a second.
    if (this.#staged.length === 0) this.#staged = [{ bytes, reply }];
    else this.#staged.push({ bytes, reply });
    this.#stagedBytes += bytes.length;
  }

  toClient(bytes: Bytes): void {
    this.#toClient.push(bytes);
  }

  record(record: StatementRecord): void {
    this.#o.recorder.record(record);
    this.#o.onRecord(record);
    // An outcome need not be on disk before what the client sends next.
    if (record.kind !== 'outcome') this.#recorded = true;
    if (record.kind === 'intent' && record.decision.verdict !== 'Deny') this.#waitingSince ??= this.#arrivedAt;
  }

  /** A statement that waits here is not on the server yet, where a cancel would find nothing to do. */
  #cancelWaiting(): boolean {
    let cancelled = false;
    this.#guard(() => {
      cancelled = this.#session.cancelWaiting(this.#o.now(), performance.now());
      if (cancelled) this.#afterTurn();
    }, undefined);
    return cancelled;
  }

  cancelUpstream(): void {
    this.#cutting = true;
    void this.cancel().then(() => {
      this.#cutting = false;
      this.#guard(() => {
        this.#readClient(performance.now());
        this.#afterTurn();
      }, undefined);
    });
  }

  resume(): void {
    this.#readClient(performance.now());
    this.#flow();
  }

  refreshCatalog(): void {
    this.#o.refreshCatalog(() =>
      this.#guard(() => {
        this.#session.catalogRefreshed(this.#o.now(), performance.now());
        this.#afterTurn();
      }, undefined),
    );
  }

  end(reason: SessionEndReason, last: Buffer | null): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#probe !== null) clearInterval(this.#probe);
    const { client, server } = this.#o;
    if (this.#session.running) void this.#o.cancelUpstream();
    this.#session.close(this.#o.now(), performance.now());
    this.#o.recorder.end(reason);
    // In the middle of a message it would be taken for the rest of that one.
    // Test: "what stops short is not completed by the end of its session".
    if (!this.#toServer.open) this.#toServer.push(TERMINATE);
    this.#toServer.flush();
    server.end();
    // What it still sends is dropped, so that a backend that waits in a write gets to see the cancel and the end.
    server.resume();
    if (last !== null && !this.#serverWithin && !this.#toClient.open) this.#toClient.push(last);
    this.#toClient.flush();
    client.end();
    // Unread input would turn the close into a reset, and the client would lose the last message.
    client.resume();
    // A peer that does not take its last bytes does not keep the session alive.
    const timer = setTimeout(() => {
      client.destroy();
      server.destroy();
    }, 2000);
    timer.unref();
    this.#o.onEnd(reason, { toClient: this.#toClient.written, toServer: this.#toServer.written });
  }

  /** Ends the session from outside (drain, idle, age) with a FATAL. */
  terminate(reason: SessionEndReason, refusal: Refusal): void {
    this.end(reason, encodeRefusal(refusal, true));
  }

  // Client side

  #onClientData(chunk: Buffer): void {
    if (this.#session.leaving) return;
    const at = performance.now();
    if (!this.#session.busy) this.#arrivedAt = at;
    this.#fromClient.push(chunk);
    this.#readClient(at);
    this.#afterTurn();
  }

  #readClient(at: number): void {
    const now = this.#o.now();
    this.#lastActivity = now;
    while (!this.#ended && !this.#session.busy && !this.#cutting) {
      const step = this.#fromClient.next();
      if (step !== null) this.#session.client(step, now, at, this.#fromClient);
      else if (this.#clientHalfClosed) this.#session.leave('ClientGone', now, at);
      else break;
    }
  }

  /**
   * The client sends nothing more. A tool that half-closes still wants its answer; a killed one is found out by
   * writing to it: ParameterStatus may come at any time and says nothing new here.
   */
  #onClientEnd(): void {
    this.#clientHalfClosed = true;
    this.#readClient(performance.now());
    this.#afterTurn();
    if (this.#ended) return;
    const { reported } = this.#o;
    const probe = encodeParameterStatus('server_version', reported.get('server_version') ?? '');
    const send = () => {
      if (this.#o.client.writableLength === 0 && !this.#serverWithin) this.#o.client.write(probe);
    };
    this.#probe = setInterval(send, PROBE_INTERVAL);
    this.#probe.unref();
  }

  /** One that has said Terminate may be gone before its statements are done. */
  #onClientGone(): void {
    if (this.#ended || this.#clientLost) return;
    if (!this.#session.leaving && !this.#terminates()) return this.end('ClientGone', null);
    this.#clientLost = true;
    if (this.#probe !== null) clearInterval(this.#probe);
    setTimeout(() => this.end('ClientGone', null), LEAVING_ALONE).unref();
  }

  /** Whether what waits to be looked at ends with a Terminate. */
  #terminates(): boolean {
    const rest = this.#fromClient.rest();
    this.#fromClient.push(rest);
    return rest.subarray(-TERMINATE.length).equals(TERMINATE);
  }

  // Server side

  #onServerData(chunk: Buffer): void {
    const now = this.#o.now();
    const at = performance.now();
    this.#lastActivity = now;
    if (this.#fromServer.atBoundary && this.#session.serverWhole(chunk, now, at)) return this.#afterTurn();
    this.#fromServer.push(chunk);
    for (let step = this.#fromServer.next(); step !== null && !this.#ended; step = this.#fromServer.next()) {
      this.#serverWithin = step.open;
      this.#session.server(step, now, at);
    }
    this.#afterTurn();
  }

  #onServerGone(): void {
    const refusal: Refusal = { code: SQLSTATE.connectionFailure, message: 'the database server closed the connection' };
    this.end('ServerGone', this.#session.fatal ? null : encodeRefusal(refusal, true));
  }

  // Both

  #wake(): void {
    this.#session.wake(this.#o.now(), performance.now());
    this.#afterTurn();
  }

  /** End of one turn: records first, then bytes. */
  #afterTurn(): void {
    if (this.#ended) return;
    if (this.#recorded && !this.#settling) this.#settle();
    this.#toServer.flush();
    this.#toClient.flush();
    this.#flow();
  }

  #settle(): void {
    this.#recorded = false;
    this.#settling = true;
    this.#unsettled = this.#staged;
    this.#staged = [];
    this.#o.audit.settle(this.#onSettled);
  }

  #settled(error: Error | null): void {
    const units = this.#unsettled;
    this.#unsettled = [];
    this.#settling = false;
    if (this.#ended) return;
    if (error === null) {
      this.#release(units);
      this.#forwarded();
    } else {
      // What was staged after these hangs on them: all of it is refused together.
      const all = [...units, ...this.#staged];
      this.#staged = [];
      this.#stagedBytes = 0;
      this.#recorded = false;
      this.#waitingSince = null;
      this.#session.refuseStaged(all, error.message);
    }
    if (!this.#recorded) {
      // Staged only because of the order: no record of theirs is outstanding.
      this.#release(this.#staged);
      this.#staged = [];
    }
    this.#afterTurn();
  }

  #forwarded(): void {
    if (this.#waitingSince === null) return;
    this.#o.onForwarded((performance.now() - this.#waitingSince) / 1000);
    this.#waitingSince = null;
  }

  #release(units: readonly StagedUnit[]): void {
    for (const { bytes } of units) {
      this.#toServer.push(bytes);
      this.#stagedBytes -= bytes.length;
    }
  }

  /** Backpressure both ways: a slow reader stops the other side. */
  #flow(): void {
    if (this.#ended) return;
    const { client, server } = this.#o;
    const staging = this.#staged.length < MAX_STAGED && this.#stagedBytes < HELD_STAGED;
    const reads = !this.#session.busy && !this.#cutting && !server.writableNeedDrain && staging;
    // Of one that leaves only its going is awaited.
    const clientMay = reads || this.#session.leaving;
    if (clientMay !== this.#clientFlows) clientMay ? client.resume() : client.pause();
    this.#clientFlows = clientMay;
    const serverMay = !client.writableNeedDrain;
    if (serverMay !== this.#serverFlows) serverMay ? server.resume() : server.pause();
    this.#serverFlows = serverMay;
  }

  /** A method and its argument: each closure would be allocated anew, twice for each statement. */
  #guard<T>(turn: (this: Pump, value: T) => void, value: T): void {
    if (this.#ended) return;
    try {
      turn.call(this, value);
    } catch (error) {
      if (error instanceof ProtocolError)
        return this.terminate('ProtocolViolation', { code: error.sqlstate, message: error.message });
      // A defect ends the session that met it and no other; nothing that was not decided has been sent on.
      this.#o.onFault(error);
      this.terminate('InternalError', { code: SQLSTATE.internalError, message: 'internal error of the gateway' });
    }
  }
}
