import { fence } from '../kube/fence.ts';
import type { KubeClient, Outcome, Source } from '../kube/types.ts';
import { planAttached } from '../plan/attached.ts';
import { planRequest } from '../plan/request.ts';
import type { Attachment } from '../plan/types.ts';
import type { AttachmentBook } from './attachment-book.ts';
import { type Mask, type Policy, type Request, targets } from './caches.ts';
import type { World } from './gather.ts';
import { keyOf } from './latest.ts';
import { REQUESTS } from './resources.ts';
import { writeStatus } from './status.ts';

export type Reconcile = (key: string, signal: AbortSignal) => Promise<Outcome>;

const DONE: Outcome = { kind: 'Done' };
const OWN = new Set(['Ready']);
const OWN_OF_REQUEST = new Set(['Pending', 'Approved', 'Denied', 'Expired', 'Withdrawn']);
/** A gateway that is not in an incomplete cache may be there all the same. */
const LOOK_AGAIN = 2_000;

/** Writes the status of AccessPolicies or MaskingRules (`namespace/name`): what their gateways made of them. */
export function createAttachedController<T extends Policy | Mask>(
  client: KubeClient,
  source: Source<T>,
  world: World,
  book: AttachmentBook,
): Reconcile {
  return async (key, signal) => {
    const found = find(source, world, key);
    if (found === null) return DONE;
    if (world.caches.gateways.store.incomplete !== null) return { kind: 'Done', requeueAfter: LOOK_AGAIN };
    const { cached, newest } = found;
    const gateways = new Map<string, Attachment | null>();
    for (const target of targets(newest)) {
      const [namespace, name] = target.split('/') as [string, string];
      const exists = world.caches.gateways.store.get(namespace, name) !== undefined;
      const attachment = exists ? book.of(target, newest) : null;
      if (attachment !== undefined) gateways.set(name, attachment);
    }
    const status = planAttached({ object: newest, gateways, now: world.now() });
    const { resource } = source.store;
    await writeStatus(fence(client, signal), world.latest, { resource, cached, newest, status, own: OWN });
    return DONE;
  };
}

/** Writes the status of AccessRequests. */
export function createRequestController(client: KubeClient, world: World): Reconcile {
  return async (key, signal) => {
    const found = find<Request>(world.caches.requests, world, key);
    if (found === null) return DONE;
    const { cached, newest } = found;
    const { status, requeueAfter } = planRequest({ request: newest, now: world.now() });
    const write = { resource: REQUESTS, cached, newest, status, own: OWN_OF_REQUEST };
    await writeStatus(fence(client, signal), world.latest, write);
    return { kind: 'Done', ...(requeueAfter !== null && { requeueAfter }) };
  };
}

function find<T extends Policy | Mask | Request>(source: Source<T>, { latest }: World, key: string) {
  const [namespace, name] = key.split('/') as [string, string];
  const cached = source.store.get(namespace, name);
  if (cached === undefined || cached.metadata.deletionTimestamp !== undefined) return null;
  return { cached, newest: latest.of(keyOf(cached), cached)! };
}
