import { Counter, collectDefaultMetrics, Gauge, type Histogram, Registry } from 'prom-client';
import type { AlertMetrics } from '../alerts/alerts.ts';
import type { AuditMetrics, Count, Level } from '../audit/options.ts';
import type { StatementProtocol } from '../audit/record.ts';
import type { AuthenticationFailure } from '../identity/identity.ts';
import type { Decision } from '../policy/decision.ts';
import type { StatementClass } from '../sql/classes.ts';
import { alertMetrics } from './alert-metrics.ts';
import { measureEventLoop } from './event-loop.ts';

/** A distribution; values in seconds. */
export interface Timing {
  observe(seconds: number): void;
}

/**
 * Every metric of a gateway. Members that take label values return a child to keep or to use at once: looking one up
 * is a map access, counting is an addition. No label ever carries a statement, an identity or an address.
 */
export interface Metrics {
  connectionsOpened(listener: string): Count;
  connectionsRefused(reason: string): Count;
  readonly connectionsOpen: Level;
  readonly sessionsOpen: Level;
  authentication(outcome: 'Success' | AuthenticationFailure): Count;
  statements(verdict: Decision['verdict'], primary: StatementClass, protocol: StatementProtocol): Count;
  /** From the intent to the outcome. */
  readonly statementDuration: Timing;
  /** What the gateway itself adds to a statement before it is forwarded. */
  readonly gatewayLatency: Timing;
  /** Shows what the parser has done so far, asked for at each scrape. */
  parser(stats: () => ParserStats): void;
  cancelRequests(outcome: string): Count;
  /** Bytes relayed: `Upstream` to the database, `Downstream` to the client. */
  bytes(direction: 'Upstream' | 'Downstream'): Count;
  /** Sets the configuration revision in force: the only one shown. */
  revision(revision: string): void;
  readonly revisionsRefused: Count;
  /** Shows the open control streams, asked for at each scrape. */
  controlStreams(open: () => number): void;
  readonly audit: AuditMetrics;
  readonly alerts: AlertMetrics;
  /** The exposition in the format of `contentType`. */
  expose(): Promise<string>;
  readonly contentType: string;
  /** Stops the event-loop monitor. */
  close(): void;
}

/** Totals since the start: answers from the cache and others, instances replaced, statements not parsed in time. */
export interface ParserStats {
  readonly hits: number;
  readonly misses: number;
  readonly restarts: number;
  readonly timeouts: number;
}

/** Upper bounds in seconds; a statement's own work is between 10 µs and minutes. */
const STATEMENT_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300];
const LATENCY_SECONDS = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1];

interface Named {
  readonly name: string;
  readonly help: string;
}

/**
 * A counter whose children are plain numbers, copied into the exposition when it is scraped: prom-client hashes the
 * labels at every increment, which the path of a statement cannot afford.
 */
class Counters<L extends string> {
  readonly #children = new Map<string, { readonly labels: Record<L, string>; value: number; count: Count }>();
  readonly #names: readonly L[];

  constructor(registry: Registry, named: Named, names: readonly L[]) {
    this.#names = names;
    const children = this.#children;
    new Counter({
      ...named,
      labelNames: names as L[],
      registers: [registry],
      collect() {
        this.reset();
        for (const child of children.values()) {
          this.inc(child.labels, child.value);
        }
      },
    });
  }

  child(key: string, ...values: readonly string[]): Count {
    const known = this.#children.get(key);
    if (known !== undefined) {
      return known.count;
    }
    const labels = Object.fromEntries(this.#names.map((name, i) => [name, values[i] ?? ''])) as Record<L, string>;
    const child = {
      labels,
      value: 0,
      count: {
        inc(by = 1): void {
          child.value += by;
        },
      },
    };
    this.#children.set(key, child);
    return child.count;
  }
}

/** A histogram whose observation is a search and three additions; prom-client's costs as much as judging a statement. */
class Buckets implements Timing {
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(registry: Registry, { name, help }: Named, bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
    const aggregator = 'sum';
    const get = async () => ({ name, help, type: 'histogram', aggregator, values: this.#values(name) });
    // What a registry asks of a metric when it is scraped.
    registry.registerMetric({ name, help, get, reset: () => this.#counts.fill(0) } as unknown as Histogram);
  }

  observe(seconds: number): void {
    let i = 0;
    while (i < this.#bounds.length && seconds > this.#bounds[i]!) i++;
    this.#counts[i]! += 1;
    this.#sum += seconds;
  }

  #values(name: string): { metricName: string; labels: Record<string, string>; value: number }[] {
    let total = 0;
    const buckets = [...this.#bounds, '+Inf'].map((le, i) => {
      total += this.#counts[i]!;
      return { metricName: `${name}_bucket`, labels: { le: String(le) }, value: total };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels: {}, value: this.#sum },
      { metricName: `${name}_count`, labels: {}, value: total },
    ];
  }
}

function parserMetrics(registry: Registry, stats: () => ParserStats): void {
  const total = (name: string, help: string, read: (stats: ParserStats) => [Record<string, string>, number][]) =>
    new Counter({
      name: `postern_${name}`,
      help,
      labelNames: Object.keys(read(stats())[0]![0]),
      registers: [registry],
      collect() {
        this.reset();
        for (const [labels, value] of read(stats())) this.inc(labels, value);
      },
    });
  total('parser_cache_total', 'Statements whose facts were known already (Hit) or not (Miss).', ({ hits, misses }) => [
    [{ result: 'Hit' }, hits],
    [{ result: 'Miss' }, misses],
  ]);
  total('parser_restarts_total', 'Parser instances replaced.', ({ restarts }) => [[{}, restarts]]);
  total('parser_timeouts_total', 'Statements that the parser did not finish in time.', ({ timeouts }) => [
    [{}, timeouts],
  ]);
}

function auditMetrics(registry: Registry): AuditMetrics {
  const registers = [registry];
  const counters = (name: string, help: string) => new Counters(registry, { name, help }, []).child('');
  const unavailable = new Gauge({
    name: 'postern_audit_unavailable',
    help: '1 while records cannot be had at the configured durability.',
    registers,
  });
  const sinks = new Map<string, () => number>();
  new Gauge({
    name: 'postern_audit_lag_seconds',
    help: 'Age of the oldest record that a sink has not taken.',
    labelNames: ['sink'],
    registers,
    collect() {
      for (const [sink, seconds] of sinks) {
        this.set({ sink }, seconds());
      }
    },
  });
  return {
    written: counters('postern_audit_records_total', 'Records written.'),
    refused: counters('postern_audit_refused_total', 'Statements refused because no record could be had.'),
    unrecorded: counters('postern_audit_unrecorded_total', 'Statements let pass although no record could be had.'),
    lost: counters('postern_audit_lost_total', 'Records that were never written.'),
    unavailable: { set: (value) => unavailable.set(value) },
    lag: (sink, seconds) => sinks.set(sink, seconds),
  };
}

/** The metrics of one gateway process, in a registry of their own. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const counters = <L extends string>(name: string, help: string, names: readonly L[] = []) =>
    new Counters(registry, { name: `postern_${name}`, help }, names);
  const gauge = (name: string, help: string) => new Gauge({ name: `postern_${name}`, help, registers });
  const histogram = (name: string, help: string, bounds: readonly number[]) =>
    new Buckets(registry, { name: `postern_${name}`, help }, bounds);
  const opened = counters('connections_opened_total', 'Client connections accepted.', ['listener']);
  const refused = counters('connections_refused_total', 'Client connections refused, by reason.', ['reason']);
  const authentication = counters('authentication_total', 'Sign-ins by outcome.', ['outcome']);
  const statements = counters('statements_total', 'Statements by verdict, class and protocol.', [
    'verdict',
    'class',
    'protocol',
  ]);
  const cancel = counters('cancel_requests_total', 'Cancel requests by outcome.', ['outcome']);
  const bytes = counters('relayed_bytes_total', 'Bytes relayed, by direction.', ['direction']);
  const revision = new Gauge({
    name: 'postern_config_revision_info',
    help: 'The configuration revision in force.',
    labelNames: ['revision'],
    registers,
  });
  const delay = measureEventLoop(registry);
  const byVerdict = () => ({ Allow: new Map<StatementClass, Count>(), Deny: new Map<StatementClass, Count>() });
  const counted = { Simple: byVerdict(), Extended: byVerdict(), FunctionCall: byVerdict() };
  return {
    connectionsOpened: (listener) => opened.child(listener, listener),
    connectionsRefused: (reason) => refused.child(reason, reason),
    connectionsOpen: gauge('connections_open', 'Client connections open, those that still sign in included.'),
    sessionsOpen: gauge('sessions_open', 'Sessions with an upstream connection.'),
    authentication: (outcome) => authentication.child(outcome, outcome),
    statements(verdict, primary, protocol) {
      // A key put together for each statement would cost more than all the counting.
      const known = counted[protocol][verdict].get(primary);
      if (known !== undefined) return known;
      const count = statements.child(`${verdict} ${primary} ${protocol}`, verdict, primary, protocol);
      counted[protocol][verdict].set(primary, count);
      return count;
    },
    statementDuration: histogram(
      'statement_duration_seconds',
      'From the record that a statement is about to run to its outcome.',
      STATEMENT_SECONDS,
    ),
    gatewayLatency: histogram(
      'gateway_latency_seconds',
      'What the gateway adds to a statement before it is forwarded.',
      LATENCY_SECONDS,
    ),
    parser: (stats) => parserMetrics(registry, stats),
    cancelRequests: (outcome) => cancel.child(outcome, outcome),
    bytes: (direction) => bytes.child(direction, direction),
    revision(current) {
      revision.reset();
      revision.set({ revision: current }, 1);
    },
    revisionsRefused: counters('config_refused_total', 'Configurations that were not good and not put in force.').child(
      '',
    ),
    controlStreams(open) {
      new Gauge({
        name: 'postern_control_streams',
        help: 'Control streams open, one to each replica of the operator.',
        registers,
        collect() {
          this.set(open());
        },
      });
    },
    audit: auditMetrics(registry),
    alerts: alertMetrics(registry),
    expose: () => registry.metrics(),
    contentType: registry.contentType,
    close: delay.stop,
  };
}
