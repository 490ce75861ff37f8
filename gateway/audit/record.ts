import type { AuthenticationFailure, Identity } from '../identity/identity.ts';
import type { Decision } from '../policy/decision.ts';
import type { StatementClass } from '../sql/classes.ts';
import type { Facts } from '../sql/facts.ts';

/** What is known of a session when its upstream connection is ready; constant but for `applicationName`. */
export interface SessionContext {
  /** Unique over all gateways: UUIDv7. */
  readonly id: string;
  readonly identity: Identity;
  readonly database: string;
  readonly role: string;
  readonly listener: string;
  readonly client: { readonly address: string; readonly port: number };
  readonly tls: { readonly version: string; readonly cipher: string } | null;
  readonly server: { readonly address: string; readonly port: number; readonly version: string; readonly pid: number };
  readonly applicationName: string;
}

export type StatementProtocol = 'Simple' | 'Extended' | 'FunctionCall';

/** A bound parameter as it came: a view on the frame, rendered before `record` returns. */
export interface BoundParameter {
  /** Type OID of the Parse message or the server's ParameterDescription; 0: not known. */
  readonly type: number;
  readonly format: 'text' | 'binary';
  readonly value: Buffer | null;
}

/** Before a Parse is forwarded: text and decision. */
export interface PrepareRecord {
  readonly kind: 'prepare';
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly statement: number;
  readonly name: string;
  readonly text: string;
  readonly facts: Facts | null;
  readonly decision: Decision;
  readonly revision: string;
}

/** Before the first message that can run a statement is forwarded. */
export interface IntentRecord {
  readonly kind: 'intent';
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** Counts statements within the session from 1; the outcome carries the same number. */
  readonly statement: number;
  readonly protocol: StatementProtocol;
  readonly text: string;
  readonly parameters: readonly BoundParameter[];
  readonly facts: Facts | null;
  readonly decision: Decision;
  readonly revision: string;
  readonly applicationName: string;
}

export type OutcomeStatus =
  /** CommandComplete, EmptyQueryResponse, FunctionCallResponse. */
  | 'Completed'
  /** ErrorResponse of the server. */
  | 'Failed'
  /** Refused by the gateway. */
  | 'Denied'
  /** 57014, or cut by the gateway. */
  | 'Cancelled'
  /** Bound and never executed to an end: portal closed, suspended for ever. */
  | 'Abandoned'
  /** Skipped by the server after an earlier error. */
  | 'Skipped'
  /** The connection ended before an answer. */
  | 'Unknown';

export interface OutcomeRecord {
  readonly kind: 'outcome';
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** Milliseconds from the intent. */
  readonly duration: number;
  /** The statement's first class, as in its intent. */
  readonly primary: StatementClass;
  readonly statement: number;
  readonly status: OutcomeStatus;
  /** Rows returned or copied, else the count of the command tag. */
  readonly rows: number;
  /** Bytes of DataRow and CopyData messages relayed. */
  readonly bytes: number;
  readonly sqlstate: string | null;
  /** CommandComplete's tag; null: none. */
  readonly tag: string | null;
}

export type StatementRecord = PrepareRecord | IntentRecord | OutcomeRecord;

export type SessionEndReason =
  | 'ClientTerminate'
  | 'ClientGone'
  | 'ServerGone'
  | 'IdentityExpired'
  | 'PolicyEnded'
  | 'IdleTimeout'
  | 'MaxAge'
  | 'Drain'
  /** By an administrator. */
  | 'Terminated'
  | 'ProtocolViolation'
  | 'AuditUnavailable'
  | 'InternalError';

export interface SessionRecorder {
  /** Renders and queues one record; never throws, never blocks. */
  record(record: StatementRecord): void;
  end(reason: SessionEndReason): void;
}

export interface AuthenticationEvent {
  readonly listener: string;
  readonly client: { readonly address: string; readonly port: number };
  readonly outcome: 'Success' | AuthenticationFailure;
  readonly message: string | null;
  readonly identity: Identity | null;
  /** The client's `user` and `database` start-up parameters, as far as known. */
  readonly user: string | null;
  readonly database: string | null;
}

/** The gateway's book: append-only segments of canonical JSON lines. */
export interface AuditLog {
  authentication(event: AuthenticationEvent): void;
  revision(event: { readonly revision: string; readonly previous: string | null; readonly error: string | null }): void;
  /** Writes the session's start and returns what records the rest of it. */
  session(context: SessionContext): SessionRecorder;
  /**
   * Calls back, never synchronously, when everything recorded so far has reached the configured durability,
   * or with the reason why it cannot. Callbacks run in order.
   */
  settle(done: (error: Error | null) => void): void;
  /** Whether records can be had at the configured level at present. */
  readonly state: { readonly available: true } | { readonly available: false; readonly reason: string };
  /** Waits for the last records, syncs and closes. */
  close(): Promise<void>;
}
