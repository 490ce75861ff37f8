import { fence } from '../kube/fence.ts';
import type { KubeClient, Outcome } from '../kube/types.ts';
import type { AttachmentBook } from './attachment-book.ts';
import { attempt, type Listeners, wait } from './attempt.ts';
import { gapFor, type World } from './gather.ts';
import { keyOf } from './latest.ts';

export interface GatewayController {
  reconcile(key: string, signal: AbortSignal): Promise<Outcome>;
}

/** gather → plan → apply → report, for one gateway. */
export function createGatewayController(
  client: KubeClient,
  world: World,
  book: AttachmentBook,
  listeners: Listeners,
): GatewayController {
  /** Since when a gateway cannot be planned. */
  const gaps = new Map<string, number>();
  return {
    async reconcile(key, signal) {
      const found = findGateway(world, key);
      if (found === null) {
        gaps.delete(key);
        forget(key, world, book, listeners);
        return { kind: 'Done' };
      }
      if (found.newest.metadata.deletionTimestamp !== undefined) return { kind: 'Done' };
      const run = { client: fence(client, signal), key, world, book, listeners, ...found };
      const gap = gapFor(world, found.newest);
      if (gap !== null) {
        const since = gaps.get(key) ?? world.now();
        gaps.set(key, since);
        return await wait(run, gap, world.now() - since);
      }
      gaps.delete(key);
      return await attempt(run);
    },
  };
}

function findGateway({ caches, latest }: World, key: string) {
  const [namespace, name] = key.split('/') as [string, string];
  const cached = caches.gateways.store.get(namespace, name);
  if (cached === undefined) return null;
  return { cached, newest: latest.of(keyOf(cached), cached)! };
}

function forget(key: string, { history }: World, book: AttachmentBook, { metrics, attachments }: Listeners): void {
  history.forget(key);
  const orphans = book.put(key, []);
  book.forget(key);
  metrics.conditions(key, null);
  attachments(orphans);
}
