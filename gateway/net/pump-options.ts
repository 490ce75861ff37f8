import type { Socket } from 'node:net';
import type { AuditLog, SessionEndReason, SessionRecorder, StatementRecord } from '../audit/record.ts';
import type { SessionEnvironment } from '../session/environment.ts';

/** What a session stands on, and whom it tells what happens. */
export interface PumpOptions {
  readonly client: Socket;
  readonly server: Socket;
  /** Bytes that came with the start-up packet or the server's last start-up answer. */
  readonly clientRest: Buffer;
  readonly serverRest: Buffer;
  readonly environment: (wake: () => void) => SessionEnvironment;
  readonly reported: ReadonlyMap<string, string>;
  readonly audit: AuditLog;
  readonly recorder: SessionRecorder;
  readonly statementBytes: number;
  readonly now: () => number;
  /** Resolves when the server has dealt with it; never rejects. */
  readonly cancelUpstream: () => Promise<void>;
  /** Reads the shared catalogue again, then calls back. */
  readonly refreshCatalog: (done: () => void) => void;
  readonly onRecord: (record: StatementRecord) => void;
  /** A statement was sent on, so many seconds after the bytes that completed it came in. */
  readonly onForwarded: (seconds: number) => void;
  /** An error that nothing foresees; the session ends. */
  readonly onFault: (error: unknown) => void;
  readonly onEnd: (reason: SessionEndReason, bytes: { readonly toClient: number; readonly toServer: number }) => void;
}
