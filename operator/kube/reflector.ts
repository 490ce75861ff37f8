import { type Clock, sleep, systemClock } from './clock.ts';
import { messageOf, statusError } from './errors.ts';
import type { Log } from './log.ts';
import { createObservers, type Observers } from './observers.ts';
import { type Consequence, createRecovery, type End, reasonOf } from './recovery.ts';
import { createStore, type IndexFunction, type WritableStore } from './store.ts';
import type {
  KubeClient,
  KubeErrorReason,
  KubeMeta,
  KubeObject,
  ReflectorState,
  Resource,
  Selection,
  Source,
  Store,
  StoreChange,
  WatchEvent,
} from './types.ts';

export interface ReflectorOptions<T extends KubeObject> {
  readonly client: KubeClient;
  readonly resource: Resource;
  readonly selection: Selection;
  readonly indexes?: Readonly<Record<string, IndexFunction<T>>>;
  /** What is kept of an object (managedFields never are); must leave metadata whole. */
  readonly transform?: (object: KubeObject) => T;
  /** Objects a page: fewer where they are large. */
  readonly pageSize?: number;
  readonly log: Log;
  readonly clock?: Clock;
  /** Between 0 and 1. */
  readonly random?: () => number;
  readonly hooks?: ReflectorHooks;
}

/** For metrics. */
export interface ReflectorHooks {
  /** `missed`: differences from what the watch before it had told; null: that had not ended in order. */
  listed(resource: Resource, missed: number | null): void;
  /** A list or a watch failed. */
  failed(resource: Resource, reason: KubeErrorReason): void;
}

/** A store that was incomplete counts as whole again when the new watch has stood for so long. */
const SETTLED = 1_000;
/** So often a watch that ended in order is followed by a list, which should find nothing new. */
const RELIST = 30 * 60_000;

/**
 * Keeps a store current: lists, then watches from there on. Whatever fails is tried again for ever, from the same
 * position or, where the server has forgotten that, by a new list.
 */
export class Reflector<T extends KubeObject = KubeObject> implements Source<T> {
  readonly #options: ReflectorOptions<T>;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #store: WritableStore<T>;
  readonly #recover: (end: End) => Consequence;
  readonly #stopped = new AbortController();
  readonly #changes: Observers<[StoreChange<T>]>;
  readonly #health: Observers<[]>;
  #state: ReflectorState = 'Empty';
  /** The resourceVersion up to which the store is current; null: it must be listed. */
  #position: string | null = null;
  #listedAt = 0;
  /** When the watch was opened; null: it is not. */
  #openedAt: number | null = null;
  /** The watch before ended in order. */
  #intact = false;
  #running: Promise<void> | null = null;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#store = createStore(options.resource, options.indexes);
    this.#recover = createRecovery(this.#random);
    this.#changes = createObservers(options.log, { resource: options.resource.plural });
    this.#health = createObservers(options.log, { resource: options.resource.plural });
  }

  get store(): Store<T> {
    return this.#store;
  }

  get state(): ReflectorState {
    return this.#state;
  }

  subscribe(handler: (change: StoreChange<T>) => void): void {
    this.#changes.add(handler);
  }

  onHealth(handler: () => void): void {
    this.#health.add(handler);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const delay = await this.#step();
      this.#state = this.#position === null ? 'Empty' : 'Listed';
      if (delay > 0) await sleep(this.#clock, delay, signal);
    }
  }

  /** One list or one watch; gives the delay before the next. */
  async #step(): Promise<number> {
    const what = this.#position === null ? 'list' : 'watch';
    this.#openedAt = null;
    const error = await (this.#position === null ? this.#list() : this.#watch(this.#position)).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    if (this.#stopped.signal.aborted) return 0;
    const open = this.#openedAt === null ? null : this.#clock.now() - this.#openedAt;
    const next = this.#recover({ what, error, open });
    if (error !== null) this.#report(what, error, next);
    if (next.relist) this.#position = null;
    if (what === 'watch' || error !== null) this.#intact = error === null;
    if (this.#intact && this.#clock.now() - this.#listedAt >= RELIST) this.#position = null;
    return next.delay;
  }

  async #list(): Promise<void> {
    const { client, resource, selection, pageSize, hooks } = this.#options;
    const { signal } = this.#stopped;
    this.#state = 'Listing';
    const objects: T[] = [];
    let position: string | null = null;
    let token: string | null = null;
    do {
      const page = await client.listPage(resource, selection, { limit: pageSize ?? 500, continue: token, signal });
      if (signal.aborted) return;
      for (const item of page.items) objects.push(this.#keep(item));
      // All pages show the state of the first.
      position ??= page.resourceVersion;
      if (page.continue !== null && page.continue === token) throw new Error('the list has no end');
      token = page.continue;
    } while (token !== null);

    const changes = this.#store.replace(objects);
    const recovered = this.#store.setIncomplete(null);
    this.#position = position;
    this.#listedAt = this.#clock.now();
    hooks?.listed(resource, this.#intact ? changes.length : null);
    for (const change of changes) this.#changes.tell(change);
    if (recovered) this.#health.tell();
  }

  async #watch(resourceVersion: string): Promise<void> {
    const { client, resource, selection } = this.#options;
    const timeoutSeconds = 240 + Math.floor(this.#random() * 51);
    let settle = (): void => {};
    const opened = (): void => {
      this.#state = 'Watching';
      this.#openedAt = this.#clock.now();
      if (this.#store.incomplete !== null) settle = this.#clock.after(SETTLED, () => this.#setIncomplete(null));
    };
    const { signal } = this.#stopped;
    const idle = timeoutSeconds * 1000 + 5_000;
    const options = { resourceVersion, timeoutSeconds, idle, signal, opened };
    try {
      for await (const event of client.watch(resource, selection, options)) this.#take(event);
    } finally {
      settle();
    }
  }

  #take(event: WatchEvent): void {
    if (event.type === 'ERROR') {
      throw statusError(`watch ${this.#options.resource.plural}`, event.object.code ?? 500, event.object);
    }
    if (event.type !== 'BOOKMARK') {
      const object = this.#keep(event.object);
      const change = event.type === 'DELETED' ? this.#store.remove(object) : this.#store.put(object);
      if (change !== null) this.#changes.tell(change);
    }
    this.#position = event.object.metadata.resourceVersion ?? this.#position;
  }

  #keep(object: KubeObject): T {
    const { managedFields: _, ...metadata } = object.metadata as KubeMeta & { readonly managedFields?: unknown };
    const kept: KubeObject = { ...object, metadata };
    return this.#options.transform?.(kept) ?? (kept as T);
  }

  #report(what: End['what'], error: unknown, next: Consequence): void {
    const { resource, hooks, log } = this.#options;
    const reason = reasonOf(error);
    const text = messageOf(error);
    hooks?.failed(resource, reason);
    const fields = { resource: resource.plural, what, reason, error: text, delay: Math.round(next.delay) };
    if (next.incomplete) log.warn(fields, 'Following a resource failed');
    else log.info(fields, 'Following a resource was interrupted');
    if (next.incomplete) this.#setIncomplete(`${what} ${resource.plural}: ${reason}: ${text}`);
  }

  #setIncomplete(reason: string | null): void {
    if (this.#store.setIncomplete(reason)) this.#health.tell();
  }
}
