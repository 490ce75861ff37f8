import type { Log } from './log.ts';

/** Those who want to be told; none of them can harm another, nor who tells. */
export interface Observers<A extends readonly unknown[]> {
  add(observer: (...what: A) => void): void;
  tell(...what: A): void;
}

export function createObservers<A extends readonly unknown[]>(log: Log, fields: object): Observers<A> {
  const observers: ((...what: A) => unknown)[] = [];
  const failed = (error: unknown): void => log.error({ ...fields, err: error }, 'A handler failed');
  return {
    add: (observer) => {
      observers.push(observer);
    },
    tell: (...what) => {
      for (const observer of observers) {
        try {
          const result = observer(...what);
          // A handler that is async after all would end the process by its rejection.
          if (result instanceof Promise) result.catch(failed);
        } catch (error) {
          failed(error);
        }
      }
    },
  };
}
