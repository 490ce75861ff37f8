import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { measureEventLoop } from '../../gateway/telemetry/event-loop.ts';
import type { ControlMetrics } from '../control/inputs.ts';
import { createKubeMetrics, type KubeMetrics } from '../kube/metrics.ts';
import type { Source } from '../kube/types.ts';
import type { GatewayMetrics } from '../reconcile/attempt.ts';
import { controlMetrics } from './control-metrics.ts';
import { gatewayMetrics } from './gateway-metrics.ts';

/** Everything that the operator counts, under controller-runtime's names where it has them. */
export interface OperatorMetrics {
  readonly kube: KubeMetrics;
  readonly control: ControlMetrics;
  readonly gateways: GatewayMetrics;
  /** Shows which caches are not the whole truth. */
  watch(sources: readonly Source[]): void;
  expose(): Promise<string>;
  readonly contentType: string;
  close(): void;
}

export function createOperatorMetrics(): OperatorMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const loop = measureEventLoop(registry);
  return {
    kube: createKubeMetrics(registry),
    control: controlMetrics(registry),
    gateways: gatewayMetrics(registry),
    watch: (sources) => cacheMetrics(registry, sources),
    expose: () => registry.metrics(),
    contentType: registry.contentType,
    close: loop.stop,
  };
}

function cacheMetrics(registry: Registry, sources: readonly Source[]): void {
  new Gauge({
    name: 'postern_cache_incomplete',
    help: '1 while a cache is not the whole truth: nothing is published meanwhile.',
    labelNames: ['resource'],
    registers: [registry],
    collect() {
      for (const { store } of sources) {
        const { plural: resource } = store.resource;
        this.set({ resource }, store.incomplete === null ? 0 : 1);
      }
    },
  });
  new Gauge({
    name: 'postern_cache_objects',
    help: 'Objects in a cache.',
    labelNames: ['resource'],
    registers: [registry],
    collect() {
      for (const { store } of sources) this.set({ resource: store.resource.plural }, store.list().length);
    },
  });
}
