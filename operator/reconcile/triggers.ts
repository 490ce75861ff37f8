import type { Reports } from '../control/reports.ts';
import type { KubeObject, Source, StoreChange } from '../kube/types.ts';
import type { Priority } from '../kube/workqueue.ts';
import { type Caches, gatewayLabel, type Mask, type Policy, targets } from './caches.ts';
import { keyOf, type Latest } from './latest.ts';

/** The queues of the controllers; keys are `namespace/name`. */
export interface Queues {
  readonly gateways: Queue;
  readonly policies: Queue;
  readonly masks: Queue;
  readonly requests: Queue;
}

interface Queue {
  add(key: string, priority?: Priority): void;
  addAfter(key: string, milliseconds: number): void;
}

/** The pods of a gateway confirm a document at nearly the same time: one look at all of them is enough. */
const TOGETHER = 50;

/** Puts into the queues whom a change concerns, before and after it. */
export function wireTriggers(caches: Caches, reports: Reports, latest: Latest, queues: Queues): void {
  const { gateways, policies, masks, requests } = queues;
  const everyGateway = (): void => {
    for (const { metadata } of caches.gateways.store.list())
      gateways.add(`${metadata.namespace}/${metadata.name}`, 'low');
  };
  caches.gateways.subscribe((change) => {
    const key = nameOf(change);
    if (matters(change, latest)) gateways.add(key, priorityOf(change));
    // Whether their target exists is for the attached objects to say.
    if (change.old === null || change.current === null) wakeAttached(caches, queues, key);
  });
  const attached = <T extends Policy | Mask>(source: Source<T>, queue: Queue): void =>
    source.subscribe((change) => {
      if (!matters(change, latest)) return;
      queue.add(nameOf(change), priorityOf(change));
      if (!isNew(change)) return;
      for (const key of both(change, targets)) gateways.add(key, priorityOf(change));
    });
  attached(caches.policies, policies);
  attached(caches.masks, masks);
  caches.requests.subscribe((change) => {
    if (matters(change, latest)) requests.add(nameOf(change), priorityOf(change));
  });
  for (const source of [caches.pods as unknown as Source, ...caches.children.values()])
    source.subscribe((change) => {
      if (change.current !== null && isOurWrite(change.current, latest)) return;
      for (const key of both(change, gatewayLabel)) gateways.add(key, priorityOf(change));
    });
  for (const source of caches.all) source.onHealth(everyGateway);
  reports.subscribe((namespace, gateway) => gateways.addAfter(`${namespace}/${gateway}`, TOGETHER));
}

function wakeAttached({ policies, masks }: Caches, queues: Queues, gateway: string): void {
  for (const { metadata } of policies.store.byIndex('gateway', gateway))
    queues.policies.add(`${metadata.namespace}/${metadata.name}`, 'low');
  for (const { metadata } of masks.store.byIndex('gateway', gateway))
    queues.masks.add(`${metadata.namespace}/${metadata.name}`, 'low');
}

function nameOf<T extends KubeObject>({ old, current }: StoreChange<T>): string {
  const { namespace, name } = (current ?? old!).metadata;
  return `${namespace}/${name}`;
}

/** What `of` says of the object as it was and as it is. */
function both<T extends KubeObject>(
  { old, current }: StoreChange<T>,
  of: (object: T) => readonly string[],
): Set<string> {
  return new Set([...(old === null ? [] : of(old)), ...(current === null ? [] : of(current))]);
}

function priorityOf({ initial }: StoreChange): Priority {
  return initial ? 'low' : 'normal';
}

/** Whether there is something to be done: all but what we wrote ourselves. */
function matters<T extends KubeObject>(change: StoreChange<T>, latest: Latest): boolean {
  return isNew(change) || !isOurWrite(change.current!, latest);
}

/** Whether more than a status has changed. */
function isNew<T extends KubeObject>({ old, current }: StoreChange<T>): boolean {
  if (old === null || current === null) return true;
  const [a, b] = [old.metadata, current.metadata];
  return (
    a.uid !== b.uid ||
    a.generation !== b.generation ||
    a.deletionTimestamp !== b.deletionTimestamp ||
    JSON.stringify(a.annotations) !== JSON.stringify(b.annotations)
  );
}

function isOurWrite(object: KubeObject, latest: Latest): boolean {
  return latest.wrote(keyOf(object), object);
}
