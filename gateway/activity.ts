import type { SessionContext, StatementRecord } from './audit/record.ts';

/** What the records of a session say of its present. */
export interface Activity {
  record(record: StatementRecord): void;
  /** Statements so far. */
  readonly statements: number;
  /** Milliseconds since the epoch; null: the latest statement has its outcome. */
  readonly runningSince: number | null;
  /** As of the latest statement. */
  readonly applicationName: string;
}

export function followActivity({ applicationName }: SessionContext): Activity {
  const activity = { statements: 0, runningSince: null as number | null, applicationName };
  let latest = 0;
  return Object.assign(activity, {
    record(record: StatementRecord) {
      if (record.kind === 'intent') {
        latest = record.statement;
        activity.statements += 1;
        activity.runningSince = record.time;
        activity.applicationName = record.applicationName;
      } else if (record.kind === 'outcome' && record.statement === latest) activity.runningSince = null;
    },
  });
}
