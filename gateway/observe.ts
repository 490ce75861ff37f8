import type { Count } from './audit/options.ts';
import type { SessionContext, SessionEndReason, StatementProtocol, StatementRecord } from './audit/record.ts';
import type { Decision } from './policy/decision.ts';
import type { StatementClass } from './sql/classes.ts';
import type { Metrics } from './telemetry/metrics.ts';
import type { StatementSpan, Tracing } from './telemetry/traces.ts';

/** Statements traced at once in one session; of a longer pipeline the rest is counted and timed, not traced. */
const MAX_TRACED = 10_000;

/** Counts, times and traces the statements of one session by what is recorded of them. */
export interface SessionObserver {
  record(record: StatementRecord): void;
  end(reason: SessionEndReason): void;
}

export function observeSession(metrics: Metrics, tracing: Tracing, context: SessionContext): SessionObserver {
  const traced = new Map<number, StatementSpan>();
  const session = tracing.session(context);
  const count = countStatements(metrics);
  metrics.sessionsOpen.inc();
  return {
    record(record) {
      if (record.kind === 'intent') {
        const { statement, protocol, decision, facts } = record;
        const operation = facts?.primary ?? 'Unknown';
        count(decision, operation, protocol);
        if (session.statement === null || traced.size >= MAX_TRACED) return;
        traced.set(statement, session.statement({ statement, protocol, operation, verdict: decision.verdict }));
      } else if (record.kind === 'outcome') {
        if (record.status !== 'Denied') metrics.statementDuration.observe(record.duration / 1000);
        if (traced.size === 0) return;
        traced.get(record.statement)?.end(record);
        traced.delete(record.statement);
      }
    },
    end(reason) {
      metrics.sessionsOpen.dec();
      for (const span of traced.values()) span.end({ status: 'Unknown', sqlstate: null, rows: 0 });
      session.end(reason);
    },
  };
}

/** What runs again is counted again: to look its counter up would cost more than all the rest. */
function countStatements(
  metrics: Metrics,
): (decision: Decision, operation: StatementClass, protocol: StatementProtocol) => void {
  let last: { readonly decision: Decision; readonly operation: string; readonly protocol: string } | null = null;
  let counter: Count | null = null;
  return (decision, operation, protocol) => {
    if (last?.decision !== decision || last.operation !== operation || last.protocol !== protocol) {
      last = { decision, operation, protocol };
      counter = metrics.statements(decision.verdict, operation, protocol);
    }
    counter?.inc();
  };
}
