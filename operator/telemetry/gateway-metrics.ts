import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { GatewayMetrics } from '../reconcile/attempt.ts';

/** Upper bounds in seconds: a document is in force in less than one, or waits for pods. */
const PROPAGATION = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800];

type Conditions = readonly { readonly type: string; readonly status: string; readonly reason: string }[];

interface Shown {
  readonly conditions: Conditions;
  readonly stalled: string | null;
}

/** What the gateways are like, as gauges per gateway. */
export function gatewayMetrics(registry: Registry, now: () => number = () => performance.now()): GatewayMetrics {
  const registers = [registry];
  const shown = new Map<string, Shown>();
  const pending = new Map<string, { readonly revision: string; readonly at: number }>();
  const published = new Counter({
    name: 'postern_config_published_total',
    help: 'Configurations published.',
    registers,
  });
  const propagation = new Histogram({
    name: 'postern_config_propagation_seconds',
    help: 'From the publication of a configuration to the confirmation of all pods of its gateway.',
    buckets: PROPAGATION,
    registers,
  });
  showGateways(registry, shown);
  const update = (key: string, change: Partial<Shown>): void => {
    shown.set(key, { ...(shown.get(key) ?? { conditions: [], stalled: null }), ...change });
  };
  return {
    published(gateway, revision) {
      published.inc();
      pending.set(gateway, { revision, at: now() });
    },
    conditions(gateway, status) {
      if (status === null) {
        shown.delete(gateway);
        pending.delete(gateway);
        return;
      }
      const conditions = (status.conditions ?? []) as Conditions;
      update(gateway, { conditions });
      const waiting = pending.get(gateway);
      const inForce = conditions.some(({ type, status: is }) => type === 'Programmed' && is === 'True');
      if (waiting === undefined || !inForce || status.revision !== waiting.revision) return;
      propagation.observe((now() - waiting.at) / 1000);
      pending.delete(gateway);
    },
    stalled: (gateway, stalled) => update(gateway, { stalled }),
  };
}

function showGateways(registry: Registry, shown: ReadonlyMap<string, Shown>): void {
  const place = (key: string): { namespace: string; gateway: string } => {
    const [namespace = '', gateway = ''] = key.split('/');
    return { namespace, gateway };
  };
  new Gauge({
    name: 'postern_gateway_condition',
    help: '1 for the status that a condition of a PostgresGateway has.',
    labelNames: ['namespace', 'gateway', 'condition', 'status', 'reason'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [key, { conditions }] of shown)
        for (const { type: condition, status, reason } of conditions)
          this.set({ ...place(key), condition, status, reason }, 1);
    },
  });
  new Gauge({
    name: 'postern_gateway_stalled',
    help: '1 while the operator cannot do anything for a PostgresGateway, by why.',
    labelNames: ['namespace', 'gateway', 'reason'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [key, { stalled }] of shown) if (stalled !== null) this.set({ ...place(key), reason: stalled }, 1);
    },
  });
}
