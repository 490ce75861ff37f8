import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { ControlMetrics } from '../control/inputs.ts';

/** Upper bounds in seconds. */
const PROPAGATION = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

export function controlMetrics(registry: Registry): ControlMetrics {
  const registers = [registry];
  const open = new Gauge({ name: 'postern_control_streams', help: 'Gateways that are connected.', registers });
  const ends = new Counter({
    name: 'postern_control_stream_ends_total',
    help: 'Control streams that ended, by why.',
    labelNames: ['why'],
    registers,
  });
  const reviews = new Counter({
    name: 'postern_control_reviews_total',
    help: 'Tokens of callers, by what became of them.',
    labelNames: ['outcome'],
    registers,
  });
  const pushes = new Counter({
    name: 'postern_control_pushes_total',
    help: 'Configurations sent to gateways.',
    registers,
  });
  const dropped = new Counter({
    name: 'postern_control_dropped_total',
    help: 'Connections closed before they had become a control stream.',
    registers,
  });
  const propagation = new Histogram({
    name: 'postern_control_propagation_seconds',
    help: 'From the push of a configuration to the report of one gateway pod that it is in force.',
    buckets: PROPAGATION,
    registers,
  });
  return {
    streamOpened: () => open.inc(),
    streamEnded(why) {
      open.dec();
      ends.inc({ why });
    },
    review: (outcome) => reviews.inc({ outcome }),
    pushed: () => pushes.inc(),
    propagated: (seconds) => propagation.observe(seconds),
    dropped: () => dropped.inc(),
  };
}
