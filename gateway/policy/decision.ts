import type { IdentityLimits, Policy, SessionLimits } from '../config/document.ts';

/** What a policy decision names: shown to the client, written into the record. */
export interface Deciding {
  readonly policy: string;
  readonly rule: string;
}

/** The most rows that a write may change, and the rule that says so. */
export interface RowLimit extends Deciding {
  readonly rows: number;
}

export type Decision =
  | {
      readonly verdict: 'Allow';
      readonly by: Deciding | null;
      readonly shadow: readonly Shadow[];
      /** Absent: no rule that allows it bounds it. */
      readonly maxRows?: RowLimit;
      /** A rule that matches asks for an alert; absent: none does. */
      readonly alert?: true;
    }
  | {
      readonly verdict: 'Deny';
      /** null: no rule matched, or the gateway itself refuses. */
      readonly by: Deciding | null;
      readonly message: string;
      readonly detail: string | null;
      readonly hint: string;
      readonly alert: boolean;
      /** PostgreSQL itself would refuse it (a syntax error, an unknown name): nothing that somebody tried to get past. */
      readonly asServer?: true;
      readonly shadow: readonly Shadow[];
    };

/** What a policy in mode Audit would have done. */
export interface Shadow extends Deciding {
  readonly verdict: 'Allow' | 'Deny';
}

/** The policies that concern one identity on one database as one role, made ready for deciding. */
export interface EffectivePolicies {
  readonly role: string;
  /** Policies whose Allow rules count (mode Enforce, role is the session's). */
  readonly granting: readonly Policy[];
  /** Policies whose Deny rules, session limits and windows count (mode Enforce). */
  readonly restricting: readonly Policy[];
  readonly shadowing: readonly Policy[];
  readonly session: SessionLimits;
  readonly limits: IdentityLimits;
  /** An Allow rule with Any and "*.*" grants, and nothing restricts: behaves as a direct connection. */
  readonly unrestricted: boolean;
}
