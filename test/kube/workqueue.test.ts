import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { createTokenBucket } from '../../operator/kube/token-bucket.ts';
import { WorkQueue } from '../../operator/kube/workqueue.ts';
import { createManualClock, type ManualClock, settle } from './clocks.ts';

let clock: ManualClock;
let queue: WorkQueue;
let counts: Record<string, number>;

beforeEach(() => {
  clock = createManualClock();
  counts = { added: 0, retried: 0, taken: 0, done: 0 };
  const count = (what: string) => () => {
    counts[what]! += 1;
  };
  const hooks = { added: count('added'), retried: count('retried'), taken: count('taken'), done: count('done') };
  queue = new WorkQueue({ clock, hooks });
});

/** All that is there to take, each done at once. */
async function drain(): Promise<string[]> {
  const taken: string[] = [];
  while (queue.depth > 0) {
    const key = (await queue.take())!;
    taken.push(key);
    queue.done(key);
  }
  return taken;
}

test('a key waits once, however often it is added, in the place it had', async () => {
  for (const key of ['a', 'b', 'a', 'c', 'b']) queue.add(key);
  expect(queue.depth).toBe(3);
  expect(await drain()).toEqual(['a', 'b', 'c']);
  expect(counts).toMatchObject({ added: 3, taken: 3, done: 3 });
});

test('a key that is worked on is given to nobody else, and comes once more when it was added meanwhile', async () => {
  queue.add('a');
  expect(await queue.take()).toBe('a');
  for (let i = 0; i < 5; i++) queue.add('a');
  expect(queue.depth).toBe(0);
  queue.done('a');
  expect(await drain()).toEqual(['a']);
  expect(queue.depth).toBe(0);
});

test('whoever waits longest is served first', async () => {
  const taken: [number, string | null][] = [];
  for (const worker of [1, 2]) void queue.take().then((key) => taken.push([worker, key]));
  queue.add('a');
  queue.add('b');
  await settle();
  expect(taken).toEqual([
    [1, 'a'],
    [2, 'b'],
  ]);
});

describe('priority', () => {
  test('edits overtake what a restart found', async () => {
    for (const key of ['a', 'b', 'c']) queue.add(key, 'low');
    queue.add('z');
    queue.add('c');
    expect(queue.depth).toBe(4);
    expect(await drain()).toEqual(['z', 'c', 'a', 'b']);
  });

  test('what is of normal priority stays so', async () => {
    queue.add('a');
    queue.add('a', 'low');
    queue.add('b', 'low');
    queue.add('c');
    expect(await drain()).toEqual(['a', 'c', 'b']);
  });

  test('a storm of edits does not starve what a restart found', async () => {
    queue.add('low', 'low');
    for (let i = 0; i < 100; i++) queue.add(`edit${i}`);
    expect((await drain()).indexOf('low')).toBeLessThan(8);
  });

  test('an edit of a key that is worked on at low priority comes at normal priority', async () => {
    queue.add('a', 'low');
    await queue.take();
    queue.add('a', 'low');
    queue.add('a');
    queue.add('b', 'low');
    queue.done('a');
    expect(await drain()).toEqual(['a', 'b']);
  });

  test('a retry keeps the priority of its run', async () => {
    queue.add('a', 'low');
    queue.retry((await queue.take())!);
    queue.done('a');
    await clock.pass(50);
    queue.add('b');
    expect(await drain()).toEqual(['b', 'a']);
  });
});

describe('delays', () => {
  test('the earliest time counts', async () => {
    queue.addAfter('a', 1000);
    queue.addAfter('a', 500);
    queue.addAfter('a', 800);
    await clock.pass(499);
    expect(queue.depth).toBe(0);
    await clock.pass(1);
    expect(await drain()).toEqual(['a']);
    await clock.pass(5000);
    expect(queue.depth).toBe(0);
  });

  test('a failure after another waits twice as long, up to five minutes, and forget begins anew', async () => {
    const fail = async (): Promise<number> => {
      queue.add('a');
      const delay = queue.retry((await queue.take())!);
      queue.done('a');
      await clock.pass(delay);
      await drain();
      return delay;
    };
    const delays: number[] = [];
    for (let i = 0; i < 15; i++) delays.push(await fail());
    expect(delays.slice(0, 5)).toEqual([50, 100, 200, 400, 800]);
    expect(delays.slice(12)).toEqual([204_800, 300_000, 300_000]);
    queue.forget('a');
    expect(await fail()).toBe(50);
    expect(counts.retried).toBe(16);
  });

  test('keys fail apart from each other', () => {
    queue.retry('a');
    queue.retry('a');
    expect(queue.retry('b')).toBe(50);
  });

  test('what the server asked for is kept', () => {
    expect(queue.retry('a', 7000)).toBe(7000);
  });

  test('all keys together are retried ten times a second after the first hundred', () => {
    const delays = Array.from({ length: 150 }, (_, i) => queue.retry(`k${i}`));
    expect(delays.slice(0, 100).every((delay) => delay === 50)).toBe(true);
    expect(delays[149]).toBeCloseTo(5000);
  });
});

test('stopped, it gives nothing out and keeps no timer', async () => {
  queue.addAfter('a', 1000);
  const waiting = queue.take();
  queue.stop();
  expect(await waiting).toBeNull();
  expect(await queue.take()).toBeNull();
  queue.add('b');
  queue.addAfter('b', 5);
  expect([queue.depth, clock.pending]).toEqual([0, 0]);
});

test('says how long keys have been worked on', async () => {
  queue.add('a');
  await queue.take();
  await clock.pass(2000);
  queue.add('b');
  await queue.take();
  expect(queue.running).toEqual([2, 0]);
});

interface Step {
  readonly do: 'add' | 'low' | 'later' | 'retry' | 'done' | 'take' | 'pass';
  readonly key: string;
}

const ADDITIONS: Readonly<Partial<Record<Step['do'], (tried: WorkQueue, key: string) => unknown>>> = {
  add: (tried, key) => tried.add(key),
  low: (tried, key) => tried.add(key, 'low'),
  later: (tried, key) => tried.addAfter(key, 100),
  retry: (tried, key) => tried.retry(key),
};

async function keepsItsWord(steps: readonly Step[]): Promise<void> {
  const time = createManualClock();
  const tried = new WorkQueue({ clock: time });
  const running = new Set<string>();
  // Keys whose last addition has not been followed by a run yet.
  const owed = new Set<string>();
  const take = async (): Promise<void> => {
    if (tried.depth === 0) return;
    const key = (await tried.take())!;
    expect(running.has(key)).toBe(false);
    running.add(key);
    owed.delete(key);
  };
  for (const step of steps) {
    const addition = ADDITIONS[step.do];
    addition?.(tried, step.key);
    if (addition !== undefined) owed.add(step.key);
    else if (step.do === 'take') await take();
    else if (step.do === 'pass') await time.pass(60);
    else if (running.delete(step.key)) tried.done(step.key);
  }
  for (const key of running) tried.done(key);
  running.clear();
  await time.pass(400_000);
  while (tried.depth > 0) await take();
  expect([...owed]).toEqual([]);
  expect(time.pending).toBe(0);
}

test('whatever is done: never two runs of a key, no added key forgotten', async () => {
  const what = fc.constantFrom<Step['do']>('add', 'low', 'later', 'retry', 'done', 'take', 'take', 'pass');
  const step = fc.record({ do: what, key: fc.constantFrom('a', 'b', 'c') });
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60 }), keepsItsWord));
});

test('a bucket lets so many through at once and the others in their order', async () => {
  const bucket = createTokenBucket({ rate: 10, burst: 2, clock });
  expect([1, 2, 3, 4].map(() => bucket.reserve())).toEqual([0, 0, 100, 200]);
  expect(bucket.take()).toBe(false);
  await clock.pass(350);
  expect([bucket.take(), bucket.take()]).toEqual([true, false]);
  await clock.pass(3_600_000);
  expect([1, 2, 3].map(() => bucket.take())).toEqual([true, true, false]);
});
