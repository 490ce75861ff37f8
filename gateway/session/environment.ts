import type { SessionEndReason, StatementRecord } from '../audit/record.ts';
import type { CatalogSnapshot } from '../catalog/snapshot.ts';
import type { Identity } from '../identity/identity.ts';
import type { Decision, EffectivePolicies } from '../policy/decision.ts';
import type { Allowance } from '../policy/usage.ts';
import type { Analysis, Facts, RawStatement, SettingChange } from '../sql/facts.ts';
import type { Resolution, ResolveEnvironment } from '../sql/resolve-environment.ts';
import type { Step } from '../wire/reader.ts';
import type { Refusal } from './refusal.ts';
import type { Reply } from './replies.ts';

/** What is sent: a step relayed as it came, or bytes of the gateway's own. */
export type Bytes = Buffer | Step;

/** The effects of a session: all that it does to the world. Called synchronously; none of them calls back at once. */
export interface SessionPort {
  /**
   * Sends to the server, after what was recorded before has reached its durability. `reply` is the entry that was made
   * for it.
   */
  toServer(bytes: Bytes, reply: Reply | null): void;
  toClient(bytes: Bytes): void;
  record(record: StatementRecord): void;
  /** Cancels what the server is running for this session. */
  cancelUpstream(): void;
  /** The session takes client messages again. */
  resume(): void;
  /** Sends `last` to the client, then closes both sides. */
  end(reason: SessionEndReason, last: Buffer | null): void;
  /** Definitions of ours were committed: the shared catalogue should be read again; wakes the session when done. */
  refreshCatalog(): void;
}

/** The policies in force for the session's identity, database and role. */
export interface PoliciesInForce {
  readonly effective: EffectivePolicies;
  readonly revision: string;
  /** A window or expiry can change a verdict without a new revision. */
  readonly timed: boolean;
}

/** Why no further statement may run in this session. */
export interface SessionOver {
  readonly reason: SessionEndReason;
  readonly refusal: Refusal;
}

/** What the session's identity uses, in all its sessions together. */
export interface Usage {
  /** Why no further statement may begin, with `ahead` others before it that are not counted yet; null: it may. */
  exhausted(now: number, ahead: number): (Decision & { readonly verdict: 'Deny' }) | null;
  addStatement(now: number): void;
  /** What results may still have today; null: as much as they like. */
  allowance(now: number): Allowance | null;
  addResult(now: number, rows: number, bytes: number): void;
}

/** Settings that policies hold a session to. */
export interface Pins {
  readonly readOnly: boolean;
  /** Milliseconds; null: none. */
  readonly statementTimeout: number | null;
}

/** What a session may ask of the world without waiting. Where the answer is not there yet, the session is woken. */
export interface SessionEnvironment {
  readonly identity: Identity;
  readonly serverMajor: number;
  readonly database: string;
  /** Longest text that is analysed, in bytes. */
  readonly statementBytes: number;
  /** What the start-up packet held the session to. */
  readonly pinned: Pins;
  policies(now: number): PoliciesInForce;
  /** null: the answer comes later, and the session is woken; then the same call returns it. */
  analyze(text: Buffer): Analysis | null;
  /** null: being loaded, and the session is woken; undefined: cannot be had at present. */
  catalog(): CatalogSnapshot | null | undefined;
  /** Why it cannot be had, where that is known. */
  catalogFailure(): string | null;
  /** The last one, even if it is out of date: for the record. */
  lastCatalog(): CatalogSnapshot | undefined;
  /** Load: being loaded, and the session is woken; undefined: what is wanted cannot be had at present. */
  resolve(raw: RawStatement, environment: ResolveEnvironment): Resolution | undefined;
  decide(effective: EffectivePolicies, facts: Facts, now: number): Decision;
  /** null: the change is allowed; else why not. `current`: the value that holds, where known. */
  checkSetting(effective: EffectivePolicies, change: SettingChange, current: string | undefined): string | null;
  /** Class of an unsafe built-in function for FunctionCall; see `gateway/sql/builtin.ts`. */
  functionFacts(oid: number, parameters: number): RawStatement | undefined;
  readonly usage: Usage;
  /** Why records cannot be had at present; null: they can. */
  auditUnavailable(): string | null;
  /** The session's time is up (identity expired, greatest age reached): checked before every statement. */
  over(now: number): SessionOver | null;
  /** A name that no client can guess: `postern_` and 32 hex digits. */
  nonce(): string;
}
