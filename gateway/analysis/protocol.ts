import type { Analysis } from '../sql/facts.ts';

/** What the analyzer asks of a worker. */
export interface Job {
  readonly id: number;
  /** UTF-8. */
  readonly text: Uint8Array;
}

/** One text is in a worker at a time, so a watchdog knows which one it hangs on. */
export type Answer =
  | { readonly kind: 'Ready' }
  | {
      readonly kind: 'Done';
      readonly id: number;
      readonly analysis: Analysis;
      /** Where constants stand whose values say nothing about the facts, in bytes. */
      readonly free: readonly number[];
      readonly restarted: boolean;
    };
