import { hostname } from 'node:os';
import type { Logger } from 'pino';
import type { Call } from './call.ts';
import { type ControlServer, startControlServer } from './control/server.ts';
import { createClient, type OwnedClient } from './kube/client.ts';
import { systemClock } from './kube/clock.ts';
import { loadCredentials } from './kube/credentials.ts';
import { EventRecorder } from './kube/events.ts';
import { type Home, homeOf } from './kube/home.ts';
import { type Caches, openCaches } from './reconcile/caches.ts';
import { viewDocuments, viewPods } from './reconcile/documents.ts';
import { createOperatorMetrics, type OperatorMetrics } from './telemetry/metrics.ts';

/** What a replica has whether it leads or not. */
export interface Foundation {
  readonly call: Call;
  readonly log: Logger;
  /** Unlike that of any other replica. */
  readonly identity: string;
  readonly home: Home;
  readonly metrics: OperatorMetrics;
  readonly client: OwnedClient;
  readonly caches: Caches;
  readonly control: ControlServer;
  readonly recorder: EventRecorder;
  /** Begins to fill the caches. */
  start(): void;
  /** Stops serving and closes all connections. */
  close(): Promise<void>;
}

/** Writes a second: hundreds of gateways that begin at once should not take minutes. */
const WRITES = { rate: 300, burst: 600 };

/** Opens the control port, and the caches from which it serves; rejects where the port or the access cannot be had. */
export async function layFoundation(call: Call, log: Logger): Promise<Foundation> {
  const identity = process.env.POD_NAME || hostname();
  const metrics = createOperatorMetrics();
  const credentials = await loadCredentials(systemClock);
  const { counted, reflector: hooks } = metrics.kube;
  const client = createClient({ credentials, userAgent: 'postern-operator', writes: WRITES, counted });
  const { caches, start, stop } = openCaches({ client, namespaces: call.watched, log, hooks });
  metrics.watch(caches.all);
  const control = await startControlServer({
    port: call.controlPort,
    kube: client,
    documents: viewDocuments(caches),
    pods: viewPods(caches),
    metrics: metrics.control,
    log,
  });
  const recorder = new EventRecorder({ client, controller: 'postern.dev/operator', instance: identity, log });
  return {
    call,
    log,
    identity,
    home: homeOf(credentials, call.namespace),
    metrics,
    client,
    caches,
    control,
    recorder,
    start,
    async close() {
      await recorder.stop();
      await stop();
      await control.close();
      await client.close();
      metrics.close();
    },
  };
}
