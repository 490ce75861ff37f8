import { type Attributes, type Link, type Span, SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import type { SessionContext } from '../audit/record.ts';
import type { SessionSpan, StatementSpan, Tracing } from './traces.ts';

const SHUTDOWN_MS = 5_000;

function statementSpan(span: Span): StatementSpan {
  return {
    end(outcome) {
      span.setAttribute('postern.outcome', outcome.status);
      span.setAttribute('db.response.returned_rows', outcome.rows);
      if (outcome.sqlstate !== null) {
        span.setAttribute('db.response.status_code', outcome.sqlstate);
        span.setAttribute('error.type', outcome.sqlstate);
      }
      if (outcome.status === 'Failed' || outcome.status === 'Unknown') {
        span.setStatus({ code: SpanStatusCode.ERROR });
      }
      span.end();
    },
  };
}

function sessionSpan(tracer: Tracer, context: SessionContext): SessionSpan {
  const common: Attributes = {
    'db.system.name': 'postgresql',
    'db.namespace': context.database,
    'server.address': context.server.address,
    'server.port': context.server.port,
    'postern.session.id': context.id,
  };
  const span = tracer.startSpan(`session ${context.database}`, {
    root: true,
    kind: SpanKind.SERVER,
    attributes: { ...common, 'postern.listener': context.listener, 'postern.role': context.role },
  });
  // Sessions live for days: a statement is a trace of its own that links to the session, not a child of a span that
  // reaches the collector only when the session has ended.
  const links: Link[] = [{ context: span.spanContext() }];
  return {
    statement: ({ statement, protocol, operation, verdict }) =>
      statementSpan(
        tracer.startSpan(`${operation} ${context.database}`, {
          root: true,
          kind: SpanKind.CLIENT,
          links,
          attributes: {
            ...common,
            'db.operation.name': operation,
            'postern.statement': statement,
            'postern.protocol': protocol,
            'postern.verdict': verdict,
          },
        }),
      ),
    end(reason) {
      span.setAttribute('postern.session.end', reason);
      span.end();
    },
  };
}

/** A collector's base URL names its traces path as OTLP/HTTP says; a URL with a path is taken as it is. */
function tracesUrl(endpoint: string): string {
  const url = new URL(endpoint);
  return url.pathname === '/' ? new URL('/v1/traces', url).href : url.href;
}

/**
 * Spans for sessions and statements over OTLP/HTTP. Spans beyond a bounded queue are dropped: traces are no evidence, the audit log is.
 */
export function createOtlpTracing(
  endpoint: string,
  gateway: { readonly namespace: string; readonly name: string },
): Tracing {
  const exporter = new OTLPTraceExporter({ url: tracesUrl(endpoint), timeoutMillis: 4_000 });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'postern-gateway',
      'service.namespace': gateway.namespace,
      'postern.gateway': gateway.name,
    }),
    spanProcessors: [
      new BatchSpanProcessor({ exporter, maxQueueSize: 4096, maxExportBatchSize: 512, scheduledDelayMillis: 1_000 }),
    ],
  });
  const tracer = provider.getTracer('postern');
  return {
    session: (context) => sessionSpan(tracer, context),
    async shutdown() {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, SHUTDOWN_MS);
      });
      await Promise.race([provider.shutdown().catch(() => undefined), late]);
      clearTimeout(timer);
    },
  };
}
