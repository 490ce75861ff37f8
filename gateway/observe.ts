import type { SessionContext, SessionEndReason, StatementRecord } from './audit/record.ts';
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
  metrics.sessionsOpen.inc();
  return {
    record(record) {
      if (record.kind === 'intent') {
        const { statement, protocol, decision, facts } = record;
        const operation = facts?.primary ?? 'Unknown';
        metrics.statements(decision.verdict, operation, protocol).inc();
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
