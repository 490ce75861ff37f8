import { beforeEach, expect, test } from 'vitest';
import { KubeError } from '../../operator/kube/errors.ts';
import { Elector, type ElectorOptions } from '../../operator/kube/leader.ts';
import type { KubeObject } from '../../operator/kube/types.ts';
import { createManualClock, type ManualClock } from './clocks.ts';
import { createMemoryApi, type MemoryApi } from './memory-api.ts';
import { createLog, LEASES, RULES, rule } from './objects.ts';

let clock: ManualClock;
let api: MemoryApi;

beforeEach(() => {
  clock = createManualClock();
  api = createMemoryApi(clock);
});

interface Candidate {
  readonly elector: Elector;
  readonly log: ReturnType<typeof createLog>;
  /** What happened when. */
  readonly story: { readonly what: string; readonly at: number }[];
  /** Moves this process's wall clock. */
  jump(milliseconds: number): void;
  /** Ends the process without a word. */
  kill(): void;
}

/** A process of its own: with its own client and wall clock. */
function start(identity: string, more: Partial<ElectorOptions> = {}): Candidate {
  const client = api.client();
  let jumped = 0;
  const story: { what: string; at: number }[] = [];
  const tell = (what: string): void => void story.push({ what, at: clock.now() });
  const log = createLog();
  const elector = new Elector({
    client,
    namespace: 'postern',
    name: 'operator',
    identity,
    home: async () => null,
    onElected: () => tell('elected'),
    onLost: () => tell('lost'),
    onMaster: (isLeader) => tell(`master ${isLeader}`),
    log,
    clock: { ...clock, wall: () => clock.wall() + jumped },
    ...more,
  });
  elector.start();
  const jump = (milliseconds: number): void => {
    jumped += milliseconds;
  };
  return { elector, log, story, jump, kill: client.kill };
}

/** Lets time pass until something holds; gives how many milliseconds that took. */
async function until(what: string, holds: () => boolean): Promise<number> {
  const from = clock.now();
  for (; !holds(); await clock.pass(100))
    if (clock.now() - from > 60_000) throw new Error(`waited in vain until ${what}`);
  return clock.now() - from;
}

const events = ({ story }: Candidate): string[] => story.map(({ what }) => what);
const when = ({ story }: Candidate, what: string): number => story.find((one) => one.what === what)!.at;
const lease = (): KubeObject => api.objects(LEASES)[0]!;
const spec = (): Record<string, unknown> => lease().spec as Record<string, unknown>;
const pass = (seconds: number): Promise<void> => clock.pass(seconds * 1000);

test('takes a lease that is not there, in the form that the API server wants', async () => {
  const one = start('one');
  await until('it leads', () => one.elector.isLeader);
  expect(spec()).toEqual({
    holderIdentity: 'one',
    leaseDurationSeconds: 15,
    leaseTransitions: 0,
    acquireTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
    renewTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
  });
  expect(events(one)).toEqual(['master false', 'master true', 'elected']);
  expect(one.elector.leader).toBe('one');
});

test('renews every two seconds, by one request each, and keeps what others wrote into the lease', async () => {
  const one = start('one');
  await until('it leads', () => one.elector.isLeader);
  api.put(LEASES, { ...lease(), metadata: { ...lease().metadata, labels: { kept: 'yes' } } });
  const { acquireTime, renewTime } = spec();
  await pass(7);
  const from = api.seen.length;
  await pass(20);
  const renewals = api.seen.slice(from);
  expect(renewals.length).toBeGreaterThanOrEqual(6);
  expect(renewals.length).toBeLessThanOrEqual(11);
  expect(new Set(renewals.map(({ verb }) => verb))).toEqual(new Set(['update']));
  expect(spec()).toMatchObject({ acquireTime, leaseTransitions: 0 });
  expect(spec().renewTime).not.toBe(renewTime);
  expect(lease().metadata.labels).toEqual({ kept: 'yes' });
});

test('goes with the installation: it belongs to the ServiceAccount, also where it was there before', async () => {
  const owner = (uid: string) => ({ apiVersion: 'v1', kind: 'ServiceAccount', name: 'postern-operator', uid });
  let present = owner('1');
  const one = start('one', { home: async () => present });
  await until('it leads', () => one.elector.isLeader);
  expect(lease().metadata.ownerReferences).toEqual([owner('1')]);
  present = owner('2');
  await pass(5);
  expect(lease().metadata.ownerReferences).toEqual([owner('2')]);
});

test('two: one leads, the other waits as long as the first renews', async () => {
  const [one, two] = [start('one'), start('two')];
  await until('one leads', () => one.elector.isLeader || two.elector.isLeader);
  await pass(40);
  expect([one.elector.isLeader, two.elector.isLeader].filter(Boolean)).toHaveLength(1);
  expect([...events(one), ...events(two)].filter((what) => what === 'elected')).toHaveLength(1);
  expect(one.elector.leader).toBe(two.elector.leader);
});

test('given back, the lease goes over within three seconds', async () => {
  const one = start('one');
  await until('one leads', () => one.elector.isLeader);
  const two = start('two');
  await pass(3);
  const stopped = clock.now();
  await one.elector.stop();
  await until('two leads', () => two.elector.isLeader);
  expect(when(two, 'elected') - stopped).toBeLessThan(3_500);
  expect(spec()).toMatchObject({ holderIdentity: 'two', leaseTransitions: 1, leaseDurationSeconds: 15 });
  expect(events(one)).toEqual(['master false', 'master true', 'elected', 'master false']);
  expect(one.elector.isLeader).toBe(false);
});

test('a released lease names nobody', async () => {
  const one = start('one');
  await until('one leads', () => one.elector.isLeader);
  await one.elector.stop();
  expect(spec()).not.toHaveProperty('holderIdentity');
  expect(spec()).toMatchObject({ leaseDurationSeconds: 1 });
});

test('a leader that dies is replaced within twenty seconds, not before the lease has run out', async () => {
  const one = start('one');
  await until('one leads', () => one.elector.isLeader);
  const two = start('two');
  await pass(3);
  one.kill();
  const last = api.seen.findLast(({ verb }) => verb === 'update')?.at ?? when(one, 'elected');
  await until('two leads', () => two.elector.isLeader);
  expect(when(two, 'elected') - last).toBeGreaterThanOrEqual(15_000);
  expect(when(two, 'elected') - last).toBeLessThan(20_000);
  expect(events(one).at(-1)).toBe('lost');
  expect(when(one, 'lost')).toBeLessThan(when(two, 'elected'));
});

const BROKEN = ['reset', 'silence', { status: 500 }, { status: 403 }, { status: 429 }] as const;

test.each(BROKEN)('a leader that cannot renew (%o) steps down in time, once', async (act) => {
  const one = start('one');
  await until('one leads', () => one.elector.isLeader);
  const two = start('two');
  await pass(2.5);
  const renewed = api.seen.findLast(({ verb }) => verb === 'update')?.at ?? when(one, 'elected');
  api.inject('update', act, 50);
  await until('one has lost', () => events(one).includes('lost'));
  expect(one.elector.isLeader).toBe(false);
  expect(when(one, 'lost') - renewed).toBe(10_000);
  api.clearFaults();
  await until('two leads', () => two.elector.isLeader);
  await pass(10);
  expect(events(one).filter((what) => what === 'lost')).toHaveLength(1);
  expect(one.elector.isLeader).toBe(false);
});

test('what comes after the loss changes nothing: not a late answer, not a free lease', async () => {
  const one = start('one');
  await until('one leads', () => one.elector.isLeader);
  const { promise, resolve } = Promise.withResolvers<void>();
  api.inject('update', 'reset', 6);
  api.inject('update', { until: promise });
  await until('one has lost', () => events(one).includes('lost'));
  await pass(0.5);
  const calls = api.seen.length;
  resolve();
  await pass(5);
  api.remove(LEASES, 'postern', 'operator');
  await pass(60);
  expect(api.seen).toHaveLength(calls);
  expect(events(one)).toEqual(['master false', 'master true', 'elected', 'master false', 'lost']);
});

test('a few failures do not matter', async () => {
  const one = start('one');
  await until('one leads', () => one.elector.isLeader);
  api.inject('update', { status: 500 }, 3);
  await pass(30);
  api.inject('update', 'silence');
  await pass(30);
  expect(one.elector.isLeader).toBe(true);
  expect(events(one)).toEqual(['master false', 'master true', 'elected']);
});

test('an answer that is lost on the way does not matter either: what was written is ours', async () => {
  const one = start('one');
  await until('one leads', () => one.elector.isLeader);
  const { promise, resolve } = Promise.withResolvers<void>();
  api.inject('update', { until: promise });
  // Longer than the attempt waits: it takes place when nobody listens any more.
  await pass(7);
  resolve();
  await pass(20);
  expect(one.elector.isLeader).toBe(true);
});

test('a lease that another has taken is lost at once', async () => {
  const one = start('one');
  await until('one leads', () => one.elector.isLeader);
  api.put(LEASES, { ...lease(), spec: { ...spec(), holderIdentity: 'thief' } });
  const stolen = clock.now();
  await until('one has lost', () => events(one).includes('lost'));
  expect(when(one, 'lost') - stolen).toBeLessThan(3_500);
  expect(spec().holderIdentity).toBe('thief');
  await one.elector.stop();
  expect(spec().holderIdentity).toBe('thief');
});

test('a lease that is deleted under its holder is taken anew', async () => {
  const one = start('one');
  await until('one leads', () => one.elector.isLeader);
  api.remove(LEASES, 'postern', 'operator');
  await pass(20);
  expect(api.objects(LEASES)).toHaveLength(1);
  expect(events(one)).toEqual(['master false', 'master true', 'elected']);
});

test('a process that starts under the name of the holder takes over, and the other one ends', async () => {
  const old = start('same');
  await until('the old one leads', () => old.elector.isLeader);
  const fresh = start('same');
  await until('the fresh one leads', () => fresh.elector.isLeader);
  await until('the old one has lost', () => events(old).includes('lost'));
  await pass(20);
  expect(fresh.elector.isLeader).toBe(true);
  expect(events(fresh)).not.toContain('lost');
});

test('wall clocks that jump, or stand still, change nothing', async () => {
  const still = { ...clock, wall: () => 1_900_000_000_000 };
  const one = start('one', { clock: still });
  await until('one leads', () => one.elector.isLeader);
  const two = start('two');
  await pass(5);
  two.jump(365 * 86_400_000);
  await pass(20);
  two.jump(-3 * 365 * 86_400_000);
  await pass(20);
  expect([one.elector.isLeader, two.elector.isLeader]).toEqual([true, false]);
  expect(events(one)).toEqual(['master false', 'master true', 'elected']);
});

test('a leader whose wall clock jumps goes on to renew, and is followed as before', async () => {
  const one = start('one');
  await until('one leads', () => one.elector.isLeader);
  const two = start('two');
  await pass(5);
  one.jump(-86_400_000);
  await pass(20);
  one.jump(2 * 86_400_000);
  await pass(20);
  expect([one.elector.isLeader, two.elector.isLeader]).toEqual([true, false]);
});

test('a lease from long ago is still waited for: nobody knows how its holder is', async () => {
  const old = { holderIdentity: 'old', leaseDurationSeconds: 15, renewTime: '2020-01-01T00:00:00.000000Z' };
  const metadata = { name: 'operator', namespace: 'postern' };
  api.put(LEASES, { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec: old });
  const started = clock.now();
  const one = start('one');
  await until('one leads', () => one.elector.isLeader);
  expect(when(one, 'elected') - started).toBeGreaterThanOrEqual(15_000);
  expect(spec().leaseTransitions).toBe(1);
});

test('a stall past the deadline is noticed before any timer is', async () => {
  let stalled = 0;
  const one = start('one', { clock: { ...clock, now: () => clock.now() + stalled } });
  await until('one leads', () => one.elector.isLeader);
  stalled = 9_800;
  expect(one.elector.isLeader).toBe(true);
  stalled = 10_000;
  expect(one.elector.isLeader).toBe(false);
});

test('who may not have the lease says so, once', async () => {
  api.inject('get', { status: 403 }, 100);
  const one = start('one');
  await pass(20);
  const warnings = one.log.lines.filter(({ level }) => level === 'warn');
  expect(warnings).toEqual([{ level: 'warn', phrase: expect.any(String), fields: { reason: 'told to 403' } }]);
  expect(one.elector.isLeader).toBe(false);
});

test('a leader that cannot start does not stay leader', async () => {
  const onElected = (): never => {
    throw new Error('a bug');
  };
  const one = start('one', { onElected });
  await until('it has lost', () => events(one).includes('lost'));
  expect(one.elector.isLeader).toBe(false);
  await pass(30);
  expect(api.seen.filter(({ verb }) => verb !== 'get')).toHaveLength(1);
});

test('lost while an apply is under way: that call still ends, nothing waits for it', async () => {
  const one = start('one');
  await until('one leads', () => one.elector.isLeader);
  const worker = api.client();
  const { promise, resolve } = Promise.withResolvers<void>();
  api.inject('apply', { until: promise });
  const applied = worker.apply(RULES, rule('a'), { fieldManager: 'postern', force: true });
  api.put(LEASES, { ...lease(), spec: { ...spec(), holderIdentity: 'thief' } });
  await until('one has lost', () => events(one).includes('lost'));
  resolve();
  expect((await applied).metadata.name).toBe('a');
});

test('a lease of an earlier version whose owner may not be set is taken all the same', async () => {
  const first = start('first');
  await until('it leads', () => first.elector.isLeader);
  await first.elector.stop();
  const client = api.client();
  const guarded: typeof client = {
    ...client,
    update: async (resource, object, how) => {
      if (object.metadata.ownerReferences !== undefined)
        throw new KubeError('Forbidden', 'PUT', 'you cannot delete it');
      return client.update(resource, object, how);
    },
  };
  const owner = { apiVersion: 'v1', kind: 'ServiceAccount', name: 'postern-operator', uid: '1' };
  const one = start('one', { client: guarded, home: async () => owner });
  await until('it leads', () => one.elector.isLeader);
  await pass(60);
  expect(one.elector.isLeader).toBe(true);
});

test('ten candidates: never two leaders, whoever dies', async () => {
  let leaders = 0;
  let most = 0;
  const all = Array.from({ length: 10 }, (_, i) => {
    let leads = false;
    return start(`p${i}`, {
      onMaster: (isLeader) => {
        leaders += Number(isLeader) - Number(leads);
        leads = isLeader;
        most = Math.max(most, leaders);
      },
    });
  });
  for (let round = 0; round < 3; round++) {
    await until('somebody leads', () => all.some(({ elector }) => elector.isLeader));
    const leader = all.find(({ elector }) => elector.isLeader)!;
    await (round === 1 ? leader.elector.stop() : leader.kill());
    await until('it has ended', () => !leader.elector.isLeader);
  }
  await until('somebody leads', () => all.some(({ elector }) => elector.isLeader));
  expect(most).toBe(1);
});
