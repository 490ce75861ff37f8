import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { OwnedClient } from '../../operator/kube/client.ts';
import { Controller } from '../../operator/kube/controller.ts';
import { fence } from '../../operator/kube/fence.ts';
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
  | { readonly do: 'edit'; readonly name: string; readonly value: number }
  | { readonly do: 'fault'; readonly on: Verb; readonly act: Act }
  | { readonly do: 'break'; readonly how: Breakage }
  | { readonly do: 'stick' }
  | { readonly do: 'wait'; readonly milliseconds: number };

const act: fc.Arbitrary<Act> = fc.oneof(
  fc.constantFrom('reset' as const, 'half' as const, 'silence' as const),
  fc.constantFrom(403, 409, 429, 500).map((status) => ({ status })),
  fc.constant({ status: 429, headers: { 'retry-after': '1' } }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('edit'), name: fc.constantFrom('a', 'b', 'c'), value: fc.nat(3) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('fault'), on: fc.constantFrom<Verb>('apply', 'list', 'watch'), act }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('break'),
      how: fc.constantFrom<Breakage>('close', 'reset', 'gone', 'half'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stick') }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait'), milliseconds: fc.integer({ min: 1, max: 20 }) }) },
);

const wantedOf = ({ spec }: KubeObject): unknown => (spec as { value: number }).value;
const seenOf = ({ status }: KubeObject): unknown => (status as { seen?: number } | undefined)?.seen;

/** A controller that writes into the status of each rule what its spec says. */
function operate(api: FakeApi, client: OwnedClient): { stick(): void; stop(): Promise<void> } {
  const { clock } = api;
  const log = createLog();
  const reflector = new Reflector({ client, resource: RULES, selection: { namespace: null }, log, clock });
  let stuck = 0;
  const controller = new Controller({
    name: 'rule',
    log,
    clock,
    workers: 2,
    timeout: 10_000,
    reconcile: async (key, signal) => {
      const object = reflector.store.get('shop', key);
      if (object === undefined || seenOf(object) === wantedOf(object)) return { kind: 'Done' };
      if (stuck > 0) {
        stuck -= 1;
        await new Promise(() => {});
      }
      const status = { ...rule(key), status: { seen: wantedOf(object) } };
      await fence(client, signal).applyStatus(RULES, status, { fieldManager: 'postern', force: true });
      return { kind: 'Done' };
    },
  });
  reflector.subscribe(({ current, initial }) => {
    if (current !== null) controller.queue.add(current.metadata.name, initial ? 'low' : 'normal');
  });
  controller.start();
  reflector.start();
  return {
    stick: () => {
      stuck += 1;
    },
    stop: async () => {
      await Promise.all([controller.stop(), reflector.stop()]);
      await client.close();
    },
  };
}

function perform(api: FakeApi, stick: () => void, one: Step): Promise<void> | void {
  if (one.do === 'edit') api.put(RULES, rule(one.name, { value: one.value }));
  else if (one.do === 'fault') api.inject({ on: one.on, act: one.act });
  else if (one.do === 'break') api.breakWatches(RULES, one.how);
  else if (one.do === 'stick') stick();
  else return new Promise((resolve) => setTimeout(resolve, one.milliseconds));
}

async function converges(steps: readonly Step[]): Promise<void> {
  const api = await startFakeApi({ clock: createFastClock(100) });
  const operator = operate(api, api.client());
  try {
    for (const one of steps) await perform(api, operator.stick, one);
    api.clearFaults();
    const done = (): boolean => api.objects(RULES).every((object) => seenOf(object) === wantedOf(object));
    await until('every status says what the spec does', done, 20_000);
    await until('connections are few', () => api.connections() <= 6);
  } finally {
    await operator.stop();
    await api.close();
  }
}

test('whatever fails on the way, every edit is acted on', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), converges), {
    ...sameRuns(30),
    endOnFailure: true,
    interruptAfterTimeLimit: LONGEST,
  });
}, 1_800_000);

test('what is in order is left alone', async () => {
  const api = await startFakeApi({ clock: createFastClock(200) });
  for (const name of ['a', 'b', 'c']) api.put(RULES, rule(name, { value: 1 }));
  const operator = operate(api, api.client({ clock: createFastClock(10) }));
  await until('all are written', () => api.objects(RULES).every((object) => seenOf(object) === 1));
  api.breakWatches(RULES, 'gone');
  // Ten minutes and more.
  await new Promise((resolve) => setTimeout(resolve, 3500));
  expect(api.seen.filter(({ method }) => method !== 'GET')).toHaveLength(3);
  expect(api.seen.filter(({ query }) => query.get('watch') === 'true').length).toBeLessThanOrEqual(6);
  await operator.stop();
  await api.close();
});
