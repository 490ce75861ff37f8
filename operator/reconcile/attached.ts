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
/** The gateways are looked at because of the same change, and are soon done: what is on its way is not told before. */
const PATIENCE = 2_000;

/** Writes the status of AccessPolicies or MaskingRules (`namespace/name`): what their gateways made of them. */
export function createAttachedController<T extends Policy | Mask>(
  client: KubeClient,
  source: Source<T>,
  world: World,
  book: AttachmentBook,
): Reconcile {
  /** Since when a generation waits for its gateways and their pods. */
  const waiting = new Map<string, { readonly generation: number | undefined; readonly since: number }>();
  const waited = (key: string, generation: number | undefined): number => {
    const before = waiting.get(key);
    if (before?.generation === generation) return world.now() - (before?.since ?? 0);
    waiting.set(key, { generation, since: world.now() });
    return 0;
  };
  return async (key, signal) => {
    const found = find(source, world, key);
    if (found === null) {
      waiting.delete(key);
      return DONE;
    }
    const { cached, newest } = found;
    if (world.caches.incompleteIn(newest.metadata.namespace) !== null)
      return { kind: 'Done', requeueAfter: LOOK_AGAIN };
    const { gateways, complete } = attachmentsOf(newest, world, book);
    const status = planAttached({ object: newest, gateways, now: world.now() });
    const settled = complete && !isOnItsWay(status);
    const left = settled ? 0 : PATIENCE - waited(key, newest.metadata.generation);
    if (left > 0) return { kind: 'Done', requeueAfter: left };
    if (settled) waiting.delete(key);
    const { resource } = source.store;
    await writeStatus(fence(client, signal), world.latest, { resource, cached, newest, status, own: OWN });
    return DONE;
  };
}

function isOnItsWay({ conditions }: ReturnType<typeof planAttached>): boolean {
  return conditions?.some(({ type, reason }) => type === 'Ready' && reason === 'Progressing') === true;
}

/** What each gateway that an object names made of its present generation; `complete`: all have made something of it. */
function attachmentsOf(object: Policy | Mask, { caches }: World, book: AttachmentBook) {
  const gateways = new Map<string, Attachment | null>();
  for (const target of targets(object)) {
    const [namespace, name] = target.split('/') as [string, string];
    const exists = caches.gateways.store.get(namespace, name) !== undefined;
    const attachment = exists ? book.of(target, object) : null;
    // What was made of an older generation says nothing of this one (test: "only then said to be").
    if (attachment === undefined || (attachment !== null && attachment.generation !== object.metadata.generation))
      continue;
    gateways.set(name, attachment);
  }
  return { gateways, complete: gateways.size === targets(object).length };
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
