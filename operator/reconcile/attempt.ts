import { KubeError } from '../kube/errors.ts';
import type { KubeClient, Outcome } from '../kube/types.ts';
import { plan } from '../plan/plan.ts';
import type { Child, GatewayPlan } from '../plan/types.ts';
import { applyChildren, handOver, prune } from './apply.ts';
import type { AttachmentBook } from './attachment-book.ts';
import type { Gateway } from './caches.ts';
import { gapFor, gather, type World, workloadServes } from './gather.ts';
import { guardPublication } from './guard.ts';
import { findChildren, type LiveChildren } from './live.ts';
import { GATEWAYS } from './resources.ts';
import { type Stall, stalledStatus, waitsFor } from './stall.ts';
import { writeStatus } from './status.ts';

/** Whom the gateway controller tells what. */
export interface Listeners {
  /** What is worth an event on the gateway. */
  readonly event: (gateway: Gateway, event: GatewayPlan['events'][number]) => void;
  /** Objects (`Kind/namespace/name`) of which a gateway now makes something else. */
  readonly attachments: (keys: readonly string[]) => void;
  readonly metrics: GatewayMetrics;
}

export interface GatewayMetrics {
  /** A new document was published for a gateway (`namespace/name`). */
  published(gateway: string, revision: string): void;
  /** What a gateway's conditions are; null: it is gone. */
  conditions(gateway: string, status: GatewayPlan['status'] | null): void;
  stalled(gateway: string, reason: Stall['reason'] | null): void;
}

/** One attempt at one gateway. */
export interface Run {
  readonly client: KubeClient;
  readonly key: string;
  readonly world: World;
  readonly book: AttachmentBook;
  readonly listeners: Listeners;
  /** As the cache holds it, and with what we wrote since. */
  readonly cached: Gateway;
  readonly newest: Gateway;
}

const OWN = new Set(['Accepted', 'ResolvedRefs', 'Programmed', 'Ready', 'Stalled']);
/** Everything is looked at again after so long, whatever the watches say. */
const RESYNC = 600_000;
/** A stranger's object gives no sign when it goes. */
const LOOK_AGAIN = 20_000;
const SOONEST = 100;
const SECOND = 1_000;

/** Keeps what is there; says so where it lasts. */
export async function wait(run: Run, gap: string, waited: number): Promise<Outcome> {
  const left = waitsFor(waited);
  if (left > 0) return { kind: 'Done', requeueAfter: left };
  return await hold(run, gap);
}

/** gather → plan → apply → report. */
export async function attempt(run: Run): Promise<Outcome> {
  const { client, key, listeners, newest, world } = run;
  const live = await findChildren(client, world.caches, world.latest, newest);
  if (live.former.length > 0) {
    const message = `of a former gateway of this name, still to be removed: ${live.former.join(', ')}`;
    await stall(run, { reason: 'ApplyFailed', message });
    return { kind: 'Done', requeueAfter: LOOK_AGAIN };
  }
  // The caches may have lost something while the API server was asked.
  if (gapFor(world, newest) !== null) return { kind: 'Done', requeueAfter: SOONEST };
  const input = gather(world, newest, live);
  const planned = plan(input);
  const { published } = input;
  const ours = published !== null && world.history.isOurs(key, published.revision);
  const guarded = await guardPublication(client, world.caches, { planned, published, live, ours });
  if (guarded.kind === 'Hold') return await hold(run, guarded.reason);
  if (guarded.kind === 'Stale') {
    world.log.warn(
      { gateway: key, object: guarded.object },
      'The cache is behind the API server: nothing is published',
    );
    return { kind: 'Done', requeueAfter: SECOND };
  }
  if (published !== null) world.history.add(key, published);
  const failure = await carryOut(run, planned, guarded.children, live).catch(refusal);
  if (failure === undefined && planned.publish !== null && planned.publish !== published) {
    const { revision } = planned.publish;
    world.history.wrote(key, revision);
    if (revision !== published?.revision) listeners.metrics.published(key, revision);
  }
  await report(run, planned, failure);
  if (failure !== undefined) return { kind: 'Retry', error: failure };
  const again = live.foreign.length > 0 ? LOOK_AGAIN : RESYNC;
  return { kind: 'Done', requeueAfter: Math.min(again, Math.max(planned.requeueAfter ?? RESYNC, SOONEST)) };
}

async function carryOut(
  { client, newest, world }: Run,
  planned: GatewayPlan,
  children: readonly Child[],
  live: LiveChildren,
): Promise<undefined> {
  const applier = { client, caches: world.caches, latest: world.latest, log: world.log };
  await handOver(client, planned.handover);
  await applyChildren(applier, children, live);
  if (planned.prune) await prune(applier, newest, children, workloadServes(newest, live));
}

async function report(run: Run, planned: GatewayPlan, failure: KubeError | undefined): Promise<void> {
  const { book, key, listeners, newest } = run;
  const stalled: Stall | null =
    failure === undefined ? null : { reason: 'ApplyFailed', message: `${failure.request}: ${failure.message}` };
  const status = stalled === null ? planned.status : stalledStatus(planned.status, stalled, stamp(run));
  listeners.metrics.stalled(key, stalled?.reason ?? null);
  listeners.metrics.conditions(key, planned.status);
  if (await write(run, status)) for (const event of planned.events) listeners.event(newest, event);
  listeners.attachments(book.put(key, planned.attachments));
}

async function hold(run: Run, reason: string): Promise<Outcome> {
  await stall(run, { reason: 'IncompleteView', message: `what is in force stays as it is: ${reason}` });
  return { kind: 'Done', requeueAfter: RESYNC };
}

async function stall(run: Run, why: Stall): Promise<void> {
  const { key, listeners, newest } = run;
  listeners.metrics.stalled(key, why.reason);
  const written = await write(run, stalledStatus(newest.status ?? {}, why, stamp(run)));
  if (written) listeners.event(newest, { type: 'Warning', ...why });
}

function stamp({ newest, world }: Run) {
  return { generation: newest.metadata.generation ?? 1, live: newest.status?.conditions, now: world.now() };
}

async function write({ client, world, cached, newest }: Run, status: object): Promise<boolean> {
  return await writeStatus(client, world.latest, { resource: GATEWAYS, cached, newest, status, own: OWN });
}

/** What the API server refuses for good, until somebody changes something; all else is thrown on. */
function refusal(error: unknown): KubeError {
  if (error instanceof KubeError && (error.reason === 'Forbidden' || error.reason === 'Invalid')) return error;
  throw error;
}
