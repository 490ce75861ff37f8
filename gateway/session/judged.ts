import type { Decision, EffectivePolicies, RowLimit } from '../policy/decision.ts';
import type { Facts, RawStatement } from '../sql/facts.ts';
import type { Wanted } from '../sql/resolve-environment.ts';
import type { Refusal } from './refusal.ts';

/** A statement with what was decided about it. */
export interface Judged {
  readonly raw: RawStatement | null;
  readonly facts: Facts | null;
  readonly decision: Decision;
  /** What the client is told in place of running it; null: it runs. */
  readonly refusal: Refusal | null;
  /** The rows that it changes are counted before they can be committed; absent: they are not. */
  readonly bound?: RowLimit;
}

/** A verdict with all that it hung on: good as long as these are the same objects. */
export interface Verdict {
  readonly judged: Judged;
  readonly effective: EffectivePolicies;
  readonly catalog: unknown;
  /** `Settings.epoch`; NaN: the verdict is good for once. */
  readonly epoch: number;
  readonly noting: Noting;
}

/**
 * What has to be noted when a statement runs: `Nothing` where it changes no name, no setting and nothing that later
 * statements mean, `Transaction` where it does no more than end a transaction or a part of it.
 */
export type Noting = 'Nothing' | 'Transaction' | 'More';

/** What must be known before a statement can be judged. */
export type Need =
  /** The parser works on it; the environment wakes the session. */
  | { readonly kind: 'Analysis' }
  | { readonly kind: 'Catalog' }
  /** Everything sent must have been answered. */
  | { readonly kind: 'Answers' }
  | { readonly kind: 'Settings' }
  /** A policy has come to hold the session closer: the server has to be told. */
  | { readonly kind: 'Pins' }
  | ({ readonly kind: 'Names' } & Wanted);
