import type { Audit } from '../config/document.ts';

/** A number that only grows. */
export interface Count {
  inc(by?: number): void;
}

/** A number that goes up and down. */
export interface Level {
  inc(by?: number): void;
  dec(by?: number): void;
  set(value: number): void;
}

/** What the audit log tells about itself. */
export interface AuditMetrics {
  readonly written: Count;
  /** Statements refused because no record could be had. */
  readonly refused: Count;
  /** Statements let pass although no record could be had. */
  readonly unrecorded: Count;
  /** Records that were never written: the memory that keeps them while the disk fails was full. */
  readonly lost: Count;
  readonly unavailable: Pick<Level, 'set'>;
  /** Registers the age in seconds of the oldest record that a sink has not taken. */
  lag(sink: string, seconds: () => number): void;
}

/** The lines that the audit log writes to the operational log; pino's order of arguments. */
export interface AuditLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Where records go besides the spool. */
export interface Sink {
  readonly name: string;
  /**
   * Takes whole lines, each with its newline, in order; `firstIndex` is the index of the first one. Resolves when the
   * sink has them: only then does the cursor move. A rejection is retried with the same first line.
   */
  send(lines: Buffer, firstIndex: number, count: number): Promise<void>;
}

/** The file operations of the writer, so that a test can let each of them fail. */
export interface SpoolFs {
  openSync(path: string, flags: string | number, mode?: number): number;
  closeSync(fd: number): void;
  writeSync(fd: number, buffer: Buffer, offset: number, length: number): number;
  ftruncateSync(fd: number, length: number): void;
  fsyncSync(fd: number): void;
  fstatSync(fd: number): { readonly size: number };
  fdatasync(fd: number, done: (error: Error | null) => void): void;
  unlinkSync(path: string): void;
}

export interface AuditLogOptions {
  /** Must belong to this process alone; created if absent. */
  readonly directory: string;
  readonly gateway: { readonly namespace: string; readonly name: string };
  readonly pod: string;
  readonly durability: Audit['durability'];
  readonly onFailure: Audit['onFailure'];
  readonly spoolBytes: number;
  readonly redaction: Audit['redaction'];
  readonly recording: Audit['recording'];
  /** Milliseconds since the epoch; may jump. */
  readonly now: () => number;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
  readonly sinks: readonly Sink[];
  readonly log: AuditLogger;
  readonly metrics: AuditMetrics;
  /** Replaces node:fs in tests. */
  readonly fs?: SpoolFs;
  /** Size at which a segment is closed, in bytes; 64 MiB unless given, and never above an eighth of the spool. */
  readonly segmentBytes?: number;
  /** How long closing waits for the sinks to take the rest, in milliseconds; 5,000 unless given. */
  readonly closePatience?: number;
}
