import { join } from 'node:path';
import { type LogDirectory, openDirectory } from './directory.ts';
import { AuditError, reasonOf } from './errors.ts';
import type { Draft } from './line.ts';
import { authenticationEvent, type LogEvent, logEvent, type RevisionEvent, revisionEvent } from './log-events.ts';
import type { AuditLogOptions } from './options.ts';
import type {
  AuditLog,
  AuthenticationEvent,
  SessionContext,
  SessionEndReason,
  SessionRecorder,
  StatementRecord,
} from './record.ts';
import { type LogIdentity, SessionEvents } from './session-events.ts';
import { readCursor, Shipper } from './shipper.ts';
import { NODE_FS, Spool } from './spool.ts';
import { Writer } from './writer.ts';

const SEGMENT_BYTES = 64 << 20;
const CLOSE_PATIENCE_MS = 5_000;

class Recorder implements SessionRecorder {
  readonly #events: SessionEvents;
  readonly #writer: Writer;
  readonly #options: AuditLogOptions;
  readonly #since: number;
  #statements = 0;

  constructor(events: SessionEvents, writer: Writer, options: AuditLogOptions) {
    this.#events = events;
    this.#writer = writer;
    this.#options = options;
    this.#since = options.monotonic();
    this.#append(() => events.start(options.now()));
  }

  record(record: StatementRecord): void {
    this.#append(() => this.#render(record));
  }

  end(reason: SessionEndReason): void {
    const { now, monotonic } = this.#options;
    this.#append(() => this.#events.end(now(), reason, monotonic() - this.#since, this.#statements));
  }

  #append(render: () => Draft): void {
    try {
      this.#writer.append(render());
    } catch (error) {
      this.#writer.failed(error);
    }
  }

  #render(record: StatementRecord): Draft {
    switch (record.kind) {
      case 'prepare':
        return this.#events.prepare(record);
      case 'intent':
        this.#statements++;
        return this.#events.intent(record);
      case 'outcome':
        return this.#events.outcome(record);
    }
  }
}

class Log implements AuditLog {
  readonly #options: AuditLogOptions;
  readonly #identity: LogIdentity;
  readonly #directory: LogDirectory;
  readonly #spool: Spool;
  readonly #writer: Writer;
  readonly #shippers: readonly Shipper[];
  #closed: Promise<void> | null = null;

  constructor(options: AuditLogOptions, directory: LogDirectory, cursors: readonly (number | null)[]) {
    this.#options = options;
    this.#directory = directory;
    const { namespace, name } = options.gateway;
    this.#identity = { log: directory.id, gateway: `${namespace}/${name}`, pod: options.pod };
    this.#spool = new Spool({
      directory: directory.path,
      bytes: options.spoolBytes,
      segmentBytes: Math.min(options.segmentBytes ?? SEGMENT_BYTES, Math.ceil(options.spoolBytes / 8)),
      fs: options.fs ?? NODE_FS,
      unshipped: () => this.#unshipped(),
    });
    const end = this.#spool.end;
    // A cursor beyond the end: a crash of the node took records that a sink has. Their numbers are not given again.
    const next = Math.max(end, ...cursors.map((cursor) => cursor ?? 0));
    if (next > end) {
      this.#spool.seal();
    }
    this.#writer = this.#openWriter(next);
    this.#shippers = options.sinks.map((sink, i) => this.#openShipper(sink.name, i, cursors[i] ?? 0));
    for (const shipper of this.#shippers) {
      shipper.notify(end);
    }
    if (this.#spool.torn !== null || next > end) {
      const { bytes, file } = this.#spool.torn ?? { bytes: 0, file: '' };
      this.#tell({ code: 'log_repair', bytes, file, missing: next - end });
    }
    this.#tell({
      code: 'log_start',
      durability: options.durability,
      on_failure: options.onFailure,
      recording: options.recording,
      redaction: options.redaction,
    });
  }

  get state(): AuditLog['state'] {
    return this.#writer.state;
  }

  authentication(event: AuthenticationEvent): void {
    this.#append(() => authenticationEvent(this.#identity, event, this.#options.now()));
  }

  revision(event: RevisionEvent): void {
    this.#append(() => revisionEvent(this.#identity, event, this.#options.now()));
  }

  session(context: SessionContext): SessionRecorder {
    return new Recorder(new SessionEvents(this.#identity, context, this.#options), this.#writer, this.#options);
  }

  settle(done: (error: Error | null) => void): void {
    this.#writer.settle(done);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#tell({ code: 'log_stop' });
    await this.#writer.drain();
    this.#writer.stop();
    const end = this.#spool.end;
    const patience = this.#options.closePatience ?? CLOSE_PATIENCE_MS;
    const left = await Promise.all(this.#shippers.map((shipper) => shipper.close(patience, end)));
    for (const [i, records] of left.entries()) {
      if (records > 0) {
        this.#options.log.warn({ sink: this.#options.sinks[i]?.name, records }, 'audit sink has not taken everything');
      }
    }
    this.#spool.close();
    this.#directory.release();
  }

  #openWriter(next: number): Writer {
    const { durability, onFailure, monotonic, log, metrics } = this.#options;
    return new Writer({
      log: this.#identity.log,
      spool: this.#spool,
      next,
      synced: durability === 'Synced',
      allow: onFailure === 'Allow',
      monotonic,
      logger: log,
      metrics,
      gap: (gap) => logEvent(this.#identity, { code: 'log_gap', ...gap }, this.#options.now()),
      onSynced: (end) => {
        for (const shipper of this.#shippers) {
          shipper.notify(end);
        }
      },
    });
  }

  #openShipper(name: string, i: number, from: number): Shipper {
    const { sinks, monotonic, log, metrics } = this.#options;
    const shipper = new Shipper({
      sink: sinks[i] as AuditLogOptions['sinks'][number],
      cursor: cursorPath(this.#directory, name),
      from,
      segments: this.#spool.segments,
      monotonic,
      logger: log,
    });
    metrics.lag(name, () => shipper.lag());
    return shipper;
  }

  /** Without a sink the spool is the only copy: nothing of it is ever removed. */
  #unshipped(): number {
    return this.#shippers.length === 0 ? 0 : Math.min(...this.#shippers.map(({ index }) => index));
  }

  #tell(event: LogEvent): void {
    this.#append(() => logEvent(this.#identity, event, this.#options.now()));
  }

  #append(render: () => Draft): void {
    try {
      this.#writer.append(render());
    } catch (error) {
      this.#writer.failed(error);
    }
  }
}

function cursorPath(directory: LogDirectory, sink: string): string {
  return join(directory.path, `${encodeURIComponent(sink)}.cursor`);
}

/**
 * Opens the log of a gateway, continuing the one that the directory holds. Rejects with an AuditError where the
 * directory cannot be used; a disk that fails later makes the log unavailable until it works again.
 */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const { namespace, name } = options.gateway;
  const directory = openDirectory(options.directory, `${namespace}/${name}`);
  try {
    const cursors = await Promise.all(options.sinks.map((sink) => readCursor(cursorPath(directory, sink.name))));
    return new Log(options, directory, cursors);
  } catch (error) {
    directory.release();
    if (error instanceof AuditError) {
      throw error;
    }
    throw new AuditError('Directory', `audit log cannot be opened: ${reasonOf(error)}`, error);
  }
}
