import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Reflector } from '../../operator/kube/reflector.ts';
import type { KubeObject } from '../../operator/kube/types.ts';
import { sameRuns } from '../kit/fuzz.ts';
import type { Act, Verb } from './api-faults.ts';
import { type FakeApi, startFakeApi } from './api-server.ts';
import type { Breakage } from './api-watches.ts';
import { createFastClock, until } from './clocks.ts';
import { createLog, RULES, rule } from './objects.ts';

/** `make fuzz` asks for more runs than sockets can do. */
const LONGEST = 1_200_000;

type Step =
  | { readonly do: 'put' | 'remove'; readonly name: string; readonly value: number }
  | { readonly do: 'break'; readonly how: Breakage }
  | { readonly do: 'fault'; readonly on: Verb; readonly act: Act; readonly times: number }
  | { readonly do: 'compact' | 'bookmark' | 'replace' }
  | { readonly do: 'wait'; readonly milliseconds: number };

const name = fc.constantFrom('a', 'b', 'c', 'd', 'ä€𝄞');
const act: fc.Arbitrary<Act> = fc.oneof(
  fc.constantFrom('reset' as const, 'half' as const, 'silence' as const),
  fc.constantFrom(403, 404, 410, 429, 500, 503).map((status) => ({ status })),
  fc.constant({ status: 429, headers: { 'retry-after': '2' } }),
  fc.constantFrom('<html>', '{"items":[', '', '{"type":"ADDED","object":{}}\n').map((body) => ({ status: 200, body })),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom('put', 'remove'), name, value: fc.nat(3) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('break'),
      how: fc.oneof(
        { weight: 5, arbitrary: fc.constantFrom<Breakage>('close', 'reset', 'half', 'truncate') },
        { weight: 1, arbitrary: fc.constantFrom<Breakage>('gone', 'error', 'garbage', 'silence') },
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('fault'),
      on: fc.constantFrom<Verb>('list', 'watch'),
      act,
      times: fc.integer({ min: 1, max: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('compact', 'bookmark', 'replace') }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('wait'), milliseconds: fc.integer({ min: 1, max: 30 }) }) },
);

async function perform(api: FakeApi, one: Step): Promise<void> {
  switch (one.do) {
    case 'put':
      return void api.put(RULES, rule(one.name, { value: one.value }));
    case 'remove':
      return api.remove(RULES, 'shop', one.name);
    case 'break':
      return api.breakWatches(RULES, one.how);
    case 'fault':
      return api.inject({ on: one.on, act: one.act, times: one.times });
    case 'compact':
      return api.compact(RULES);
    case 'bookmark':
      return api.bookmark(RULES);
    case 'replace':
      // Another object under the same name, in one go.
      api.remove(RULES, 'shop', 'a');
      return void api.put(RULES, rule('a', { value: 9 }));
    case 'wait':
      return new Promise((resolve) => setTimeout(resolve, one.milliseconds));
  }
}

const versions = (objects: Iterable<KubeObject>): string[] =>
  [...objects].map(({ metadata: m, spec }) => `${m.name} ${m.uid} ${m.resourceVersion} ${JSON.stringify(spec)}`).sort();

async function survives(steps: readonly Step[]): Promise<void> {
  const api = await startFakeApi({ clock: createFastClock(200) });
  const client = api.client({ clock: createFastClock(100) });
  const indexes = { value: ({ spec }: KubeObject) => [String((spec as { value: number }).value)] };
  const log = createLog();
  const options = { client, resource: RULES, selection: { namespace: null }, pageSize: 2, indexes, log };
  const reflector = new Reflector({ ...options, clock: api.clock });
  // What somebody knows who only hears of changes.
  const heard = new Map<string, KubeObject>();
  reflector.subscribe(({ old, current }) => {
    const key = (current ?? old)!.metadata.name;
    expect(heard.get(key) ?? null).toBe(old);
    if (current === null) heard.delete(key);
    else heard.set(key, current);
    expect(current === null || current.metadata.resourceVersion !== old?.metadata.resourceVersion).toBe(true);
  });
  reflector.subscribe(() => {
    throw new Error('a bug');
  });
  reflector.start();
  try {
    for (const one of steps) await perform(api, one);
    api.clearFaults();
    // A silent peer is left within five minutes: no need to wait for that here.
    api.breakWatches(RULES, 'reset');
    const same = (): boolean =>
      reflector.store.incomplete === null &&
      versions(reflector.store.list()).join() === versions(api.objects(RULES)).join();
    await until('the store equals the server', same, 20_000);
    expect(versions(heard.values())).toEqual(versions(api.objects(RULES)));
    for (const value of ['0', '1', '2', '3', '9']) {
      const there = api.objects(RULES).filter((object) => indexes.value(object)[0] === value);
      expect(versions(reflector.store.byIndex('value', value))).toEqual(versions(there));
    }
    await until('connections are few', () => api.connections() <= 3);
    const bugs = log.lines.filter(
      ({ level, fields }) => level === 'error' && !String(Object(fields).err).includes('a bug'),
    );
    expect(bugs).toEqual([]);
  } finally {
    await reflector.stop();
    await client.close();
    await api.close();
  }
}

test('after any faults the store is what the server has, and nobody missed a change', async () => {
  const timers = process.getActiveResourcesInfo().length;
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), survives), {
    ...sameRuns(80),
    endOnFailure: true,
    interruptAfterTimeLimit: LONGEST,
  });
  await until('no timer or socket is left', () => process.getActiveResourcesInfo().length <= timers + 2);
}, 1_800_000);
