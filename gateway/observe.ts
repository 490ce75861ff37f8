import type { SessionContext, SessionEndReason, StatementRecord } from './audit/record.ts';
import type { Metrics } from './telemetry/metrics.ts';
import type { StatementSpan, Tracing } from './telemetry/traces.ts';

/** Statements followed at once in one session; a longer pipeline is counted and not timed. */
const MAX_FOLLOWED = 10_000;

/** Counts, times and traces the statements of one session by what is recorded of them. */
export interface SessionObserver {
  record(record: StatementRecord): void;
  end(reason: SessionEndReason): void;
}

interface Running {
  readonly startedAt: number;
  readonly span: StatementSpan;
}

export function observeSession(metrics: Metrics, tracing: Tracing, context: SessionContext): SessionObserver {
  const running = new Map<number, Running>();
  const session = tracing.session(context);
  metrics.sessionsOpen.inc();
  return {
    record(record) {
      if (record.kind === 'intent') {
        const { statement, protocol, decision, facts } = record;
        const { verdict } = decision;
        const operation = facts?.primary ?? 'Unknown';
        metrics.statements(verdict, operation, protocol).inc();
        if (running.size >= MAX_FOLLOWED) return;
        const span = session.statement({ statement, protocol, operation, verdict });
        running.set(statement, { startedAt: performance.now(), span });
      } else if (record.kind === 'outcome') {
        const began = running.get(record.statement);
        if (began === undefined) return;
        running.delete(record.statement);
        if (record.status !== 'Denied') metrics.statementDuration.observe((performance.now() - began.startedAt) / 1000);
        began.span.end(record);
      }
    },
    end(reason) {
      metrics.sessionsOpen.dec();
      for (const { span } of running.values()) span.end({ status: 'Unknown', sqlstate: null, rows: 0 });
      session.end(reason);
    },
  };
}
