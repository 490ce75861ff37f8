import { Registry } from 'prom-client';
import { beforeEach, expect, test } from 'vitest';
import { Controller, type ControllerOptions } from '../../operator/kube/controller.ts';
import { KubeError } from '../../operator/kube/errors.ts';
import { createKubeMetrics, type KubeMetrics } from '../../operator/kube/metrics.ts';
import type { Outcome } from '../../operator/kube/types.ts';
import { createManualClock, type ManualClock, settle } from './clocks.ts';
import { createLog } from './objects.ts';

let clock: ManualClock;
let registry: Registry;
let metrics: KubeMetrics;
let log: ReturnType<typeof createLog>;

beforeEach(() => {
  clock = createManualClock();
  registry = new Registry();
  metrics = createKubeMetrics(registry);
  log = createLog();
});

const DONE: Outcome = { kind: 'Done' };

function create(
  reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>,
  more: Partial<ControllerOptions> = {},
): Controller {
  return new Controller({ name: 'rule', reconcile, log, clock, hooks: metrics.controller('rule'), ...more });
}

/** The value of a metric with exactly these labels. */
async function metric(name: string, labels: Record<string, string>): Promise<number | undefined> {
  const values = (await registry.getSingleMetric(name)!.get()).values;
  const wanted = JSON.stringify(Object.entries(labels).sort());
  return values.find((value) => JSON.stringify(Object.entries(value.labels).sort()) === wanted)?.value;
}

const results = async (): Promise<(number | undefined)[]> =>
  Promise.all(
    ['success', 'requeue_after', 'error'].map((result) =>
      metric('controller_runtime_reconcile_total', { controller: 'rule', result }),
    ),
  );

test('works on keys with eight workers, each key by one', async () => {
  const running = new Map<string, number>();
  let most = 0;
  const gates: (() => void)[] = [];
  const controller = create(async (key) => {
    running.set(key, (running.get(key) ?? 0) + 1);
    expect(running.get(key)).toBe(1);
    most = Math.max(most, running.size);
    await new Promise<void>((resolve) => gates.push(resolve));
    running.delete(key);
    return DONE;
  });
  for (let i = 0; i < 20; i++) controller.queue.add(`k${i}`);
  expect(controller.queue.depth).toBe(20);
  controller.start();
  await settle();
  for (let i = 0; i < 20; i++) controller.queue.add(`k${i}`);
  expect(await metric('controller_runtime_active_workers', { controller: 'rule' })).toBe(8);
  expect(await metric('workqueue_depth', { name: 'rule', controller: 'rule' })).toBe(12);
  while (gates.length > 0) {
    gates.shift()!();
    await settle();
  }
  expect(most).toBe(8);
  expect(await results()).toEqual([28, 0, 0]);
  expect(await metric('controller_runtime_max_concurrent_reconciles', { controller: 'rule' })).toBe(8);
});

test('nothing is worked on before the start: a standby fills its queue', async () => {
  const seen: string[] = [];
  const controller = create(async (key) => {
    seen.push(key);
    return DONE;
  });
  for (const key of ['a', 'b', 'a']) controller.queue.add(key, 'low');
  controller.queue.add('b');
  await clock.pass(60_000);
  expect(seen).toEqual([]);
  controller.start();
  await settle();
  expect(seen).toEqual(['b', 'a']);
});

test('Done with a time comes again then', async () => {
  const at: number[] = [];
  const controller = create(async () => {
    at.push(clock.now());
    return at.length < 3 ? { kind: 'Done', requeueAfter: 5000 } : DONE;
  });
  controller.start();
  controller.queue.add('a');
  await clock.pass(60_000);
  expect(at).toEqual([0, 5000, 10_000]);
  expect(await results()).toEqual([1, 2, 0]);
});

test('Retry comes again, later each time, not before the server wants; success begins anew', async () => {
  const at: number[] = [];
  const outcomes: Outcome[] = [
    { kind: 'Retry', error: new Error('one') },
    { kind: 'Retry', error: new Error('two'), after: 3000 },
    { kind: 'Retry', error: new Error('three') },
    DONE,
    { kind: 'Retry', error: new Error('four') },
    DONE,
  ];
  const controller = create(async () => {
    at.push(clock.now());
    return outcomes[at.length - 1]!;
  });
  controller.start();
  controller.queue.add('a');
  await clock.pass(10_000);
  controller.queue.add('a');
  await clock.pass(10_000);
  expect(at).toEqual([0, 50, 3050, 3250, 10_000, 10_050]);
  expect(await results()).toEqual([2, 0, 4]);
  expect(await metric('controller_runtime_reconcile_errors_total', { controller: 'rule' })).toBe(4);
  expect(await metric('workqueue_retries_total', { name: 'rule', controller: 'rule' })).toBe(4);
});

test('Terminal is counted and comes again only when something changes', async () => {
  let runs = 0;
  const controller = create(async () => {
    runs += 1;
    return { kind: 'Terminal', error: new Error('never') };
  });
  controller.start();
  controller.queue.add('a');
  await clock.pass(3_600_000);
  expect(runs).toBe(1);
  controller.queue.add('a');
  await settle();
  expect(runs).toBe(2);
  expect(await metric('controller_runtime_terminal_reconcile_errors_total', { controller: 'rule' })).toBe(2);
});

const THROWN: readonly [string, () => Promise<Outcome>][] = [
  ['rejects', async () => Promise.reject(new Error('bug'))],
  [
    'throws at once',
    () => {
      throw new TypeError('bug');
    },
  ],
  ['rejects with no Error', async () => Promise.reject('bug')],
  ['forgets its outcome', async () => undefined as unknown as Outcome],
];

test.each(THROWN)('a reconciler that %s has failed: tried again, no worker lost', async (_, broken) => {
  let runs = 0;
  const controller = create(() => (++runs <= 10 ? broken() : Promise.resolve(DONE)), { workers: 1 });
  controller.start();
  controller.queue.add('a');
  await clock.pass(120_000);
  expect(runs).toBe(11);
  expect(await results()).toEqual([1, 0, 10]);
});

test('an error of the API server says itself when to come again; a conflict is nothing to warn of', async () => {
  const at: number[] = [];
  const errors = [
    new KubeError('TooManyRequests', 'PATCH /', 'slow down', { status: 429, retryAfter: 9000 }),
    new KubeError('Conflict', 'PATCH /', 'modified', { status: 409 }),
  ];
  const controller = create(async () => {
    at.push(clock.now());
    const error = errors.shift();
    if (error !== undefined) throw error;
    return DONE;
  });
  controller.start();
  controller.queue.add('a');
  await clock.pass(20_000);
  expect(at).toEqual([0, 9000, 9100]);
  expect(log.lines.map(({ level }) => level)).toEqual(['warn', 'debug']);
});

test('an item that never resolves holds neither its worker nor its key', async () => {
  const runs: [string, number][] = [];
  const signals: AbortSignal[] = [];
  const controller = create(
    async (key, signal) => {
      runs.push([key, clock.now()]);
      signals.push(signal);
      if (key === 'stuck' && runs.filter(([other]) => other === 'stuck').length === 1) await new Promise(() => {});
      return DONE;
    },
    { workers: 1, timeout: 60_000 },
  );
  controller.start();
  controller.queue.add('stuck');
  controller.queue.add('other');
  await clock.pass(59_999);
  expect(runs).toEqual([['stuck', 0]]);
  expect(signals[0]!.aborted).toBe(false);
  await clock.pass(1);
  // The worker goes on at once; the key is kept from others as long as a call to the API server may still be under way.
  expect(signals[0]!.aborted).toBe(true);
  expect(runs[1]).toEqual(['other', 60_000]);
  controller.queue.add('stuck');
  await clock.pass(29_000);
  expect(runs).toHaveLength(2);
  await clock.pass(1_000);
  expect(runs).toEqual([
    ['stuck', 0],
    ['other', 60_000],
    ['stuck', 90_000],
  ]);
  expect(await metric('controller_runtime_reconcile_timeouts_total', { controller: 'rule' })).toBe(1);
  expect(await results()).toEqual([2, 0, 1]);
  await clock.pass(600_000);
  expect([runs.length, clock.pending]).toEqual([3, 0]);
});

test('an item that ends late frees its key then, and is tried again', async () => {
  const runs: number[] = [];
  const controller = create(
    async (_, signal) => {
      runs.push(clock.now());
      if (runs.length === 1) await new Promise((resolve) => signal.addEventListener('abort', resolve));
      return DONE;
    },
    { timeout: 60_000 },
  );
  controller.start();
  controller.queue.add('a');
  await clock.pass(61_000);
  expect(runs).toEqual([0, 60_050]);
  expect(clock.pending).toBe(0);
});

test('stuck items in every worker: the controller goes on', async () => {
  let stuck = 0;
  const seen: string[] = [];
  const controller = create(
    async (key) => {
      if (key.startsWith('stuck') && ++stuck <= 24) await new Promise(() => {});
      seen.push(key);
      return DONE;
    },
    { timeout: 10_000 },
  );
  controller.start();
  for (let i = 0; i < 8; i++) controller.queue.add(`stuck${i}`);
  controller.queue.add('edit');
  await clock.pass(10_000);
  expect(seen).toEqual(['edit']);
  await clock.pass(200_000);
  expect(seen).toHaveLength(9);
});

test('stops when work under way has ended, and soon where that does not end', async () => {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const controller = create((key) => (key === 'slow' ? promise : new Promise(() => {})));
  controller.start();
  controller.queue.add('slow');
  controller.queue.add('never');
  await settle();
  let stopped = false;
  const stopping = controller.stop().then(() => {
    stopped = true;
  });
  resolve(DONE);
  await clock.pass(4999);
  expect(stopped).toBe(false);
  await clock.pass(1);
  await stopping;
  expect(stopped).toBe(true);
  controller.queue.add('late');
  expect(controller.queue.depth).toBe(0);
});
