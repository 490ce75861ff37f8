import { Controller, type ControllerHooks } from '../kube/controller.ts';
import type { Log } from '../kube/log.ts';
import type { KubeClient, Outcome } from '../kube/types.ts';
import { createAttachedController, createRequestController } from './attached.ts';
import { AttachmentBook } from './attachment-book.ts';
import type { Listeners } from './attempt.ts';
import { createGatewayController } from './gateways.ts';
import type { World } from './gather.ts';
import { MASKS, POLICIES } from './resources.ts';
import { wireTriggers } from './triggers.ts';

export interface ControllersOptions {
  readonly client: KubeClient;
  readonly world: World;
  readonly log: Log;
  readonly hooks: (name: string) => ControllerHooks;
  readonly listeners: Omit<Listeners, 'attachments'>;
}

export interface Controllers {
  /** Begins to work: queues fill from the start. */
  start(): void;
  stop(): Promise<void>;
  /** All gateways again: something that all plans are made from has changed. */
  replan(): void;
}

/** Most of the time they wait for the API server, which bounds by itself what it takes at once. */
const WORKERS = 16;

/** One controller per kind, each the only writer of what it writes. */
export function createControllers(options: ControllersOptions): Controllers {
  const { client, world, log, hooks, listeners } = options;
  const { caches } = world;
  const book = new AttachmentBook();
  const controller = (name: string, reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>): Controller =>
    new Controller({ name, reconcile, log, hooks: hooks(name), workers: WORKERS });
  const policies = controller('accesspolicy', createAttachedController(client, caches.policies, world, book));
  const masks = controller('maskingrule', createAttachedController(client, caches.masks, world, book));
  const requests = controller('accessrequest', createRequestController(client, world));
  const attachments = (keys: readonly string[]): void => {
    for (const key of keys) {
      const [kind, namespace, name] = key.split('/');
      if (kind === POLICIES.kind) policies.queue.add(`${namespace}/${name}`);
      if (kind === MASKS.kind) masks.queue.add(`${namespace}/${name}`);
    }
  };
  const gateway = createGatewayController(client, world, book, { ...listeners, attachments });
  const gateways = controller('postgresgateway', (key, signal) => gateway.reconcile(key, signal));
  wireTriggers(caches, world.reports, world.latest, {
    gateways: gateways.queue,
    policies: policies.queue,
    masks: masks.queue,
    requests: requests.queue,
  });
  const all = [gateways, policies, masks, requests];
  return {
    start: () => {
      for (const each of all) each.start();
    },
    stop: async () => {
      await Promise.all(all.map((each) => each.stop()));
    },
    replan: () => {
      for (const { metadata } of caches.gateways.store.list())
        gateways.queue.add(`${metadata.namespace}/${metadata.name}`, 'low');
    },
  };
}
