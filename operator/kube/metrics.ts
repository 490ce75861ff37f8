import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { ControllerHooks } from './controller.ts';
import type { ReflectorHooks } from './reflector.ts';
import type { WorkQueue } from './workqueue.ts';

/** The metrics of the kube layer under the names of controller-runtime and client-go, so that their dashboards fit. */
export interface KubeMetrics {
  readonly counted: (code: string, method: string, host: string) => void;
  readonly reflector: ReflectorHooks;
  controller(name: string): ControllerHooks;
  leader(name: string): (isLeader: boolean) => void;
}

/** Upper bounds in seconds, as controller-runtime has them. */
const RECONCILE_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120];
const QUEUE_SECONDS = [0.001, 0.01, 0.1, 1, 10, 60, 300];

export function createKubeMetrics(registry: Registry): KubeMetrics {
  const registers = [registry];
  const requests = new Counter({
    name: 'rest_client_requests_total',
    help: 'Number of HTTP requests, partitioned by status code, method, and host.',
    labelNames: ['code', 'method', 'host'],
    registers,
  });
  const master = new Gauge({
    name: 'leader_election_master_status',
    help: '1 where this process is the leader, 0 where it stands by.',
    labelNames: ['name'],
    registers,
  });
  return {
    counted: (code, method, host) => requests.inc({ code, method, host }),
    reflector: reflectorMetrics(registers),
    controller: controllerMetrics(registers),
    leader: (name) => (isLeader) => master.set({ name }, isLeader ? 1 : 0),
  };
}

function reflectorMetrics(registers: Registry[]): ReflectorHooks {
  const labelNames = ['resource'];
  const lists = new Counter({
    name: 'postern_reflector_lists_total',
    help: 'Full lists.',
    labelNames,
    registers,
  });
  const missed = new Counter({
    name: 'postern_reflector_missed_changes_total',
    help: 'Changes that a list found after a watch that had ended in order: should stay at zero, or nearly so.',
    labelNames,
    registers,
  });
  const failures = new Counter({
    name: 'postern_reflector_failures_total',
    help: 'Lists and watches that failed, by class of error.',
    labelNames: [...labelNames, 'reason'],
    registers,
  });
  return {
    listed: ({ plural: resource }, changes) => {
      lists.inc({ resource });
      missed.inc({ resource }, changes ?? 0);
    },
    failed: ({ plural: resource }, reason) => failures.inc({ resource, reason }),
  };
}

function controllerMetrics(registers: Registry[]): (name: string) => ControllerHooks {
  const queue = queueMetrics(registers);
  const counter = (name: string, help: string, ...more: string[]): Counter =>
    new Counter({ name, help, labelNames: ['controller', ...more], registers });
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, labelNames: ['controller'], registers });
  const runs = counter('controller_runtime_reconcile_total', 'Reconciliations.', 'result');
  const errors = counter('controller_runtime_reconcile_errors_total', 'Reconciliations that failed.');
  const terminal = counter('controller_runtime_terminal_reconcile_errors_total', 'Failures that are not retried.');
  const timeouts = counter('controller_runtime_reconcile_timeouts_total', 'Reconciliations not done in time.');
  const most = gauge('controller_runtime_max_concurrent_reconciles', 'Workers.');
  const active: [string, () => number][] = [];
  new Gauge({
    name: 'controller_runtime_active_workers',
    help: 'Workers that are at work.',
    labelNames: ['controller'],
    registers,
    collect() {
      for (const [controller, count] of active) this.set({ controller }, count());
    },
  });
  const time = new Histogram({
    name: 'controller_runtime_reconcile_time_seconds',
    help: 'Length of a reconciliation.',
    labelNames: ['controller'],
    buckets: RECONCILE_SECONDS,
    registers,
  });
  return (controller) => {
    for (const result of ['success', 'requeue_after', 'error']) runs.inc({ controller, result }, 0);
    for (const each of [errors, terminal, timeouts]) each.inc({ controller }, 0);
    const { hooks, show } = queue(controller);
    return {
      queue: hooks,
      started: (shown, workers, count) => {
        show(shown);
        most.set({ controller }, workers);
        active.push([controller, count]);
      },
      reconciled: (result, seconds) => {
        runs.inc({ controller, result });
        if (result === 'error') errors.inc({ controller });
        time.observe({ controller }, seconds);
      },
      terminal: () => terminal.inc({ controller }),
      timedOut: () => timeouts.inc({ controller }),
    };
  };
}

interface ShownQueue {
  readonly hooks: ControllerHooks['queue'];
  show(queue: WorkQueue): void;
}

function queueMetrics(registers: Registry[]): (name: string) => ShownQueue {
  const labelNames = ['name', 'controller'];
  const shown = new Map<string, WorkQueue>();
  const gauge = (name: string, help: string, of: (queue: WorkQueue) => number): Gauge =>
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        for (const [queue, live] of shown) this.set({ name: queue, controller: queue }, of(live));
      },
    });
  const histogram = (name: string, help: string): Histogram =>
    new Histogram({ name, help, labelNames, buckets: QUEUE_SECONDS, registers });
  const adds = new Counter({ name: 'workqueue_adds_total', help: 'Keys added.', labelNames, registers });
  const retries = new Counter({ name: 'workqueue_retries_total', help: 'Keys tried again.', labelNames, registers });
  const waited = histogram('workqueue_queue_duration_seconds', 'How long keys wait in the queue.');
  const worked = histogram('workqueue_work_duration_seconds', 'How long keys are worked on.');
  gauge('workqueue_depth', 'Keys that wait.', ({ depth }) => depth);
  gauge('workqueue_unfinished_work_seconds', 'Time spent so far on keys that are worked on.', ({ running }) =>
    running.reduce((sum, each) => sum + each, 0),
  );
  gauge('workqueue_longest_running_processor_seconds', 'Time spent so far on the slowest key.', ({ running }) =>
    Math.max(0, ...running),
  );
  return (name) => {
    const labels = { name, controller: name };
    adds.inc(labels, 0);
    retries.inc(labels, 0);
    return {
      hooks: {
        added: () => adds.inc(labels),
        retried: () => retries.inc(labels),
        taken: (seconds) => waited.observe(labels, seconds),
        done: (seconds) => worked.observe(labels, seconds),
      },
      show: (queue) => void shown.set(name, queue),
    };
  };
}
