import type { OutcomeRecord, SessionContext, SessionEndReason, StatementProtocol } from '../audit/record.ts';
import type { Decision } from '../policy/decision.ts';
import type { StatementClass } from '../sql/classes.ts';

/** What a statement's span says when it begins: never its text, its parameters or who runs it. */
export interface TracedStatement {
  readonly statement: number;
  readonly protocol: StatementProtocol;
  readonly operation: StatementClass;
  readonly verdict: Decision['verdict'];
}

export interface StatementSpan {
  end(outcome: Pick<OutcomeRecord, 'status' | 'sqlstate' | 'rows'>): void;
}

export interface SessionSpan {
  /** null: nobody traces. */
  readonly statement: ((statement: TracedStatement) => StatementSpan) | null;
  end(reason: SessionEndReason): void;
}

export interface Tracing {
  session(context: SessionContext): SessionSpan;
  /** Sends what is queued, waiting at most five seconds; never rejects. */
  shutdown(): Promise<void>;
}

const NO_SESSION: SessionSpan = { statement: null, end() {} };
const NO_TRACING: Tracing = { session: () => NO_SESSION, shutdown: () => Promise.resolve() };

/** Spans over OTLP/HTTP; without an endpoint an object that does nothing, and no memory for the SDK (20 MiB). */
export async function createTracing(
  endpoint: string | null,
  gateway: { readonly namespace: string; readonly name: string },
): Promise<Tracing> {
  if (endpoint === null) return NO_TRACING;
  const { createOtlpTracing } = await import('./otlp-traces.ts');
  return createOtlpTracing(endpoint, gateway);
}
