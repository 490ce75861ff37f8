import { type Clock, sleep, systemClock } from './clock.ts';
import { KubeError, messageOf } from './errors.ts';
import { createOwning, type Home, type Owning } from './home.ts';
import type { Log } from './log.ts';
import { microTime } from './micro-time.ts';
import type { KubeClient, KubeObject, ObjectKey, Resource } from './types.ts';

export interface ElectorOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  /** Unlike that of any other process; a process that starts under the identity of the holder takes over at once. */
  readonly identity: string;
  readonly home: Home;
  readonly onElected: () => void;
  /** Called at most once: the process is to exit, for work under way cannot be taken back. */
  readonly onLost: (reason: string) => void;
  /** Called whenever that is news: for metrics. */
  readonly onMaster?: (isLeader: boolean) => void;
  readonly log: Log;
  readonly clock?: Clock;
  readonly random?: () => number;
}

const LEASES: Resource = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
};

/** How long the others wait for a leader that is not heard of. */
const LEASE_SECONDS = 15;
/** How long a leader goes on that cannot renew: less than the others wait. */
const RENEW_DEADLINE = 10_000;
const RETRY_PERIOD = 2_000;
/** Leaves room for two attempts before the deadline, also where answers fail to come. */
const ATTEMPT = 4_000;

interface LeaseSpec {
  readonly holderIdentity?: string | undefined;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

/** A lease as it was seen, and when we first saw it so. */
interface Observed {
  readonly lease: KubeObject;
  readonly spec: LeaseSpec;
  readonly at: number;
}

/**
 * Takes a Lease, renews it, gives it back. Whether another's lease has run out is judged by our own monotonic clock
 * from the moment we saw it change: what the wall clocks on either side say, or where they jump, does not matter.
 */
export class Elector {
  readonly #options: ElectorOptions;
  readonly #clock: Clock;
  readonly #key: ObjectKey;
  readonly #ended = new AbortController();
  readonly #owning: Owning;
  #observed: Observed | null = null;
  /** When the request that last renewed our lease was sent; null: we do not lead. */
  #renewedAt: number | null = null;
  #lost = false;
  /** The renewTimes we wrote, or may have written, since the last success: another under our name is not ours. */
  #written: string[] = [];
  #writes = 0;
  #cancelDeadline = (): void => {};
  #complaint = '';
  #running: Promise<void> | null = null;

  constructor(options: ElectorOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#key = { resource: LEASES, namespace: options.namespace, name: options.name };
    this.#owning = createOwning(options.home);
  }

  /** Not past the deadline either, should the timer that notices it be late. */
  get isLeader(): boolean {
    return this.#renewedAt !== null && this.#clock.now() - this.#renewedAt < RENEW_DEADLINE;
  }

  /** Who holds the lease as far as we have seen; null: nobody. */
  get leader(): string | null {
    return this.#observed?.spec.holderIdentity || null;
  }

  start(): void {
    this.#options.onMaster?.(false);
    this.#running ??= this.#run();
  }

  /** Gives the lease back where it is ours, so that another need not wait; call it when all work has ended. */
  async stop(): Promise<void> {
    this.#ended.abort();
    await this.#running;
    const held = this.isLeader ? this.#observed : null;
    this.#resign();
    if (held === null) return;
    const spec = { holderIdentity: undefined, leaseDurationSeconds: 1, renewTime: this.#time() };
    await this.#put(held, { ...held.spec, ...spec }).catch((error: unknown) => {
      this.#options.log.warn({ error: messageOf(error) }, 'The lease was not given back');
    });
  }

  async #run(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      const renewed = await this.#attempt().catch((error: unknown) => this.#complain(messageOf(error)));
      await sleep(this.#clock, this.#pause(renewed === true), this.#ended.signal);
    }
  }

  /** A leader that could not renew tries again sooner; candidates come at different times, and soon after it has gone. */
  #pause(renewed: boolean): number {
    const soon = RETRY_PERIOD / 2;
    if (this.#renewedAt !== null) return renewed ? RETRY_PERIOD : soon;
    return soon * (1 + (this.#options.random ?? Math.random)() / 5);
  }

  /** Whether the lease is ours for another while. */
  async #attempt(): Promise<boolean> {
    if (this.#renewedAt !== null && this.#observed !== null) {
      const known = await this.#take(this.#observed).catch(unlessChanged);
      if (known === true) return true;
    }
    const seen = await this.#look();
    if (this.#lost) return false;
    if (this.#renewedAt !== null && seen !== null && !this.#isOurs(seen.spec)) {
      this.#lose(`the lease is held by ${seen.spec.holderIdentity || 'nobody'}, or by another of this name`);
      return false;
    }
    if (seen !== null && !this.#isFree(seen)) return false;
    return (await this.#take(seen).catch(unlessChanged)) === true;
  }

  /** Reads the lease; null: there is none. Only a change of what it says begins a new term. */
  async #look(): Promise<Observed | null> {
    const lease = await this.#options.client.get(this.#key, { timeout: ATTEMPT }).catch(unlessAbsent);
    this.#observed = lease === null ? null : this.#observe(lease);
    return this.#observed;
  }

  #observe(lease: KubeObject): Observed {
    const spec = (lease.spec ?? {}) as LeaseSpec;
    const same = this.#observed !== null && JSON.stringify(this.#observed.spec) === JSON.stringify(spec);
    return { lease, spec, at: same ? this.#observed!.at : this.#clock.now() };
  }

  #isFree({ spec, at }: Observed): boolean {
    const { holderIdentity: holder, leaseDurationSeconds: seconds } = spec;
    if (!holder || holder === this.#options.identity) return true;
    const term = typeof seconds === 'number' && seconds > 0 ? seconds : LEASE_SECONDS;
    return this.#clock.now() - at >= term * 1000;
  }

  #isOurs(spec: LeaseSpec): boolean {
    return spec.holderIdentity === this.#options.identity && this.#written.includes(spec.renewTime ?? '');
  }

  /** Writes us into the lease as it was seen. */
  async #take(seen: Observed | null): Promise<true> {
    const { identity } = this.#options;
    const sentAt = this.#clock.now();
    const time = this.#time();
    const old = seen?.spec ?? {};
    const ours = old.holderIdentity === identity;
    this.#written.push(time);
    const lease = await this.#put(seen, {
      ...old,
      holderIdentity: identity,
      leaseDurationSeconds: LEASE_SECONDS,
      acquireTime: (ours ? old.acquireTime : undefined) ?? time,
      renewTime: time,
      leaseTransitions: (old.leaseTransitions ?? 0) + (ours || seen === null ? 0 : 1),
    });
    this.#observed = this.#observe(lease);
    if (!this.#lost) this.#lead(sentAt, time);
    return true;
  }

  async #put(seen: Observed | null, spec: LeaseSpec): Promise<KubeObject> {
    const { client, namespace, name } = this.#options;
    const how = { timeout: ATTEMPT, urgent: true };
    if (seen !== null)
      return this.#owning.write(seen.lease.metadata, (metadata) =>
        client.update(LEASES, { ...seen.lease, metadata, spec }, how),
      );
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', spec };
    return this.#owning.write({ name, namespace }, (metadata) => client.create(LEASES, { ...lease, metadata }, how));
  }

  /** The last digits differ each time, so that a renewal is a change even where the wall clock stands still. */
  #time(): string {
    this.#writes += 1;
    return microTime(this.#clock.wall(), this.#writes);
  }

  #lead(renewedAt: number, time: string): void {
    const { log, identity, onElected, onMaster } = this.#options;
    const elected = this.#renewedAt === null;
    this.#renewedAt = renewedAt;
    this.#written = [time];
    this.#complaint = '';
    this.#cancelDeadline();
    const left = RENEW_DEADLINE - (this.#clock.now() - renewedAt);
    this.#cancelDeadline = this.#clock.after(left, () => this.#lose('the lease could not be renewed in time'));
    if (!elected) return;
    log.info({ identity }, 'Leading');
    onMaster?.(true);
    try {
      onElected();
    } catch (error) {
      this.#lose(`the leader could not start: ${messageOf(error)}`);
    }
  }

  #lose(reason: string): void {
    if (this.#renewedAt === null) return;
    this.#lost = true;
    this.#ended.abort();
    this.#resign();
    this.#options.log.error({ reason }, 'The lease is lost');
    this.#options.onLost(reason);
  }

  #resign(): void {
    this.#cancelDeadline();
    if (this.#renewedAt !== null) this.#options.onMaster?.(false);
    this.#renewedAt = null;
  }

  /** Once for each new reason: an operator that never gets to lead must say why. */
  #complain(reason: string): void {
    if (reason !== this.#complaint) this.#options.log.warn({ reason }, 'The lease could not be taken or renewed');
    this.#complaint = reason;
  }
}

function unlessAbsent(error: unknown): null {
  if (error instanceof KubeError && error.reason === 'NotFound') return null;
  throw error;
}

/** Somebody else was there first, or the lease is gone: it must be looked at. */
function unlessChanged(error: unknown): null {
  const changed = ['Conflict', 'AlreadyExists', 'NotFound'];
  if (error instanceof KubeError && changed.includes(error.reason)) return null;
  throw error;
}
