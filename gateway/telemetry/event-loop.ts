import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Gauge, type Registry } from 'prom-client';

/** How late this process is, by quantile, since the last scrape. */
export function measureEventLoop(registry: Registry): { readonly stop: () => void } {
  const monitor = monitorEventLoopDelay({ resolution: 10 });
  monitor.enable();
  new Gauge({
    name: 'postern_event_loop_delay_seconds',
    help: 'Delay of the event loop since the last scrape, by quantile.',
    labelNames: ['quantile'],
    registers: [registry],
    collect() {
      for (const quantile of [0.5, 0.9, 0.99, 1]) {
        const nanoseconds = quantile === 1 ? monitor.max : monitor.percentile(quantile * 100);
        // An empty histogram has no maximum worth showing.
        this.set({ quantile: String(quantile) }, monitor.count === 0 ? 0 : nanoseconds / 1e9);
      }
      monitor.reset();
    },
  });
  return { stop: () => monitor.disable() };
}
