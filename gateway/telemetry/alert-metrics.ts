import { Counter, Gauge, type Registry } from 'prom-client';
import type { AlertMetrics } from '../alerts/alerts.ts';

/** Alerts are rare beside statements: prom-client's own counters are fast enough. */
export function alertMetrics(registry: Registry): AlertMetrics {
  const registers = [registry];
  const raised = new Counter({
    name: 'postern_alerts_total',
    help: 'Denials (Denied), matches of rules with alert (Rule) and limits reached in mid-result (Cut).',
    labelNames: ['reason'],
    registers,
  });
  const deliveries = new Counter({
    name: 'postern_alert_deliveries_total',
    help: 'Alerts by what became of them: Delivered, Failed (one attempt of several), Dropped.',
    labelNames: ['outcome'],
    registers,
  });
  for (const reason of ['Denied', 'Rule', 'Cut']) raised.inc({ reason }, 0);
  for (const outcome of ['Delivered', 'Failed', 'Dropped']) deliveries.inc({ outcome }, 0);
  return {
    raised: (reason) => raised.inc({ reason }),
    delivered: () => deliveries.inc({ outcome: 'Delivered' }),
    failed: () => deliveries.inc({ outcome: 'Failed' }),
    dropped: (by) => deliveries.inc({ outcome: 'Dropped' }, by),
    waiting(read) {
      new Gauge({
        name: 'postern_alerts_waiting',
        help: 'Alerts that have not been delivered.',
        registers,
        collect() {
          this.set(read());
        },
      });
    },
  };
}
