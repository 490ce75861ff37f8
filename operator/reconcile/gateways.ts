import { KubeError } from '../kube/errors.ts';
import { fence } from '../kube/fence.ts';
import type { KubeClient, Outcome } from '../kube/types.ts';
import { plan } from '../plan/plan.ts';
import type { Child, GatewayInput, GatewayPlan } from '../plan/types.ts';
import { type Applier, applyChildren, handOver, prune } from './apply.ts';
import type { AttachmentBook } from './attachment-book.ts';
import type { Gateway } from './caches.ts';
import { gapFor, gather, type World, workloadServes } from './gather.ts';
import { formatRecord, KINDS_ANNOTATION, missingObjects, readDefinitions, whyLost } from './kinds.ts';
import { keyOf } from './latest.ts';
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

export interface GatewayController {
  reconcile(key: string, signal: AbortSignal): Promise<Outcome>;
}

const OWN = new Set(['Accepted', 'ResolvedRefs', 'Programmed', 'Ready', 'Stalled']);
/** Everything is looked at again after so long, whatever the watches say. */
const RESYNC = 600_000;
/** A stranger's object gives no sign when it goes. */
const LOOK_AGAIN = 20_000;

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
      const run = new Run({ client: fence(client, signal), key, world, book, listeners, ...found });
      const gap = gapFor(world, found.newest);
      if (gap !== null) {
        const since = gaps.get(key) ?? world.now();
        gaps.set(key, since);
        return await run.wait(gap, world.now() - since);
      }
      gaps.delete(key);
      return await run.work();
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

interface RunOptions {
  readonly client: KubeClient;
  readonly key: string;
  readonly world: World;
  readonly book: AttachmentBook;
  readonly listeners: Listeners;
  readonly cached: Gateway;
  readonly newest: Gateway;
}

/** One attempt at one gateway. */
class Run {
  readonly #options: RunOptions;
  readonly #applier: Applier;

  constructor(options: RunOptions) {
    this.#options = options;
    const { client, world } = options;
    this.#applier = { client, caches: world.caches, latest: world.latest, log: world.log };
  }

  /** Keeps what is there; says so where it lasts. */
  async wait(gap: string, waited: number): Promise<Outcome> {
    const left = waitsFor(waited);
    if (left > 0) return { kind: 'Done', requeueAfter: left };
    await this.#stall({ reason: 'IncompleteView', message: `what is in force stays as it is: ${gap}` });
    return { kind: 'Done', requeueAfter: RESYNC };
  }

  async work(): Promise<Outcome> {
    const { client, world, newest, key } = this.#options;
    const live = await findChildren(client, world.caches, world.latest, newest);
    if (live.former.length > 0) {
      const message = `of a former gateway of this name, still to be removed: ${live.former.join(', ')}`;
      await this.#stall({ reason: 'ApplyFailed', message });
      return { kind: 'Done', requeueAfter: LOOK_AGAIN };
    }
    const input = gather(world, newest, live);
    const planned = plan(input);
    const children = await this.#withRecord(planned, input, live);
    if (typeof children === 'string') {
      await this.#stall({ reason: 'IncompleteView', message: `what is in force stays as it is: ${children}` });
      return { kind: 'Done', requeueAfter: RESYNC };
    }
    if (input.published !== null) world.history.add(key, input.published);
    const failure = await this.#apply(planned, children, live).catch(refusal);
    if (failure === undefined && planned.publish !== null && planned.publish.revision !== input.published?.revision)
      this.#options.listeners.metrics.published(key, planned.publish.revision);
    await this.#report(planned, failure);
    if (failure !== undefined) return { kind: 'Retry', error: failure };
    const again = live.foreign.length > 0 ? LOOK_AGAIN : RESYNC;
    return { kind: 'Done', requeueAfter: Math.min(again, Math.max(planned.requeueAfter ?? RESYNC, 100)) };
  }

  /** The children, the ConfigMap among them with what its document was made under; or why it must not be published. */
  async #withRecord(
    planned: GatewayPlan,
    { published }: GatewayInput,
    live: LiveChildren,
  ): Promise<readonly Child[] | string> {
    const { client, world } = this.#options;
    const config = planned.children.find(({ kind }) => kind === 'ConfigMap');
    if (planned.publish === null || config === undefined) return planned.children;
    const configMap = live.ours.get(`ConfigMap/${config.metadata.name}`);
    let record = configMap?.metadata.annotations?.[KINDS_ANNOTATION];
    if (record === undefined || planned.publish.revision !== published?.revision) {
      const definitions = await readDefinitions(client);
      const missing = published === null ? new Map() : missingObjects(published, planned.publish, world.caches);
      const lost = whyLost(missing, definitions, configMap);
      if (lost !== null) return lost;
      record = formatRecord(definitions);
    }
    const annotations = { ...config.metadata.annotations, [KINDS_ANNOTATION]: record };
    const recorded = { ...config, metadata: { ...config.metadata, annotations } };
    return planned.children.map((child) => (child === config ? recorded : child));
  }

  async #apply(planned: GatewayPlan, children: readonly Child[], live: LiveChildren): Promise<undefined> {
    await handOver(this.#applier.client, planned.handover);
    await applyChildren(this.#applier, children, live);
    const { newest } = this.#options;
    if (planned.prune) await prune(this.#applier, newest, children, workloadServes(newest, live));
  }

  async #report(planned: GatewayPlan, failure: KubeError | undefined): Promise<void> {
    const { book, key, listeners, newest } = this.#options;
    const stall: Stall | null =
      failure === undefined ? null : { reason: 'ApplyFailed', message: `${failure.request}: ${failure.message}` };
    const status = stall === null ? planned.status : stalledStatus(planned.status, stall, this.#stamp());
    listeners.metrics.stalled(key, stall?.reason ?? null);
    listeners.metrics.conditions(key, planned.status);
    if (await this.#write(status)) for (const event of planned.events) listeners.event(newest, event);
    listeners.attachments(book.put(key, planned.attachments));
  }

  async #stall(stall: Stall): Promise<void> {
    const { key, listeners, newest } = this.#options;
    listeners.metrics.stalled(key, stall.reason);
    const written = await this.#write(stalledStatus(newest.status ?? {}, stall, this.#stamp()));
    if (written) listeners.event(newest, { type: 'Warning', ...stall });
  }

  #stamp() {
    const { newest, world } = this.#options;
    return { generation: newest.metadata.generation ?? 1, live: newest.status?.conditions, now: world.now() };
  }

  async #write(status: object): Promise<boolean> {
    const { client, world, cached, newest } = this.#options;
    return await writeStatus(client, world.latest, { resource: GATEWAYS, cached, newest, status, own: OWN });
  }
}

/** What the API server refuses for good, until somebody changes something; all else is thrown on. */
function refusal(error: unknown): KubeError {
  if (error instanceof KubeError && (error.reason === 'Forbidden' || error.reason === 'Invalid')) return error;
  throw error;
}
