import { describe, expect, test } from 'vitest';
import { KubeError } from '../../operator/kube/errors.ts';
import { createStore } from '../../operator/kube/store.ts';
import type { KubeObject, ObjectKey } from '../../operator/kube/types.ts';
import type { Published } from '../../operator/plan/types.ts';
import type { Caches } from '../../operator/reconcile/caches.ts';
import { History } from '../../operator/reconcile/history.ts';
import { GATEWAYS, MASKS, POLICIES } from '../../operator/reconcile/resources.ts';
import { findStale, turnedBack } from '../../operator/reconcile/stale.ts';
import { object } from './objects.ts';

const ref = (name: string, generation = 1) => ({ kind: 'AccessPolicy', namespace: 'shop', name, generation });
const published = (...objects: readonly ReturnType<typeof ref>[]) =>
  ({ document: { objects } }) as unknown as Published;

describe('what a document turns back', () => {
  test.each([
    ['an edit: nothing', [ref('a', 1)], [ref('a', 2)], []],
    ['what is as it was: nothing', [ref('a', 2)], [ref('a', 2)], []],
    ['an older generation', [ref('a', 3)], [ref('a', 2)], ['a']],
    ['what is gone', [ref('a'), ref('b')], [ref('a')], ['b']],
    ['what is there again', [ref('a')], [ref('a'), ref('b', 4)], ['b']],
  ])('%s', (_what, before, after, names) => {
    expect(turnedBack(published(...before), published(...after)).map(({ name }) => name)).toEqual(names);
  });
});

describe('the cache is behind', () => {
  const policy = (uid: string, generation: number) => object('AccessPolicy', 'a', { uid, generation });
  const look = (live: KubeObject | null, cached: KubeObject | null): Promise<string | null> => {
    const store = createStore(POLICIES);
    if (cached !== null) store.put(cached);
    const empty = (resource: typeof MASKS) => ({ store: createStore(resource) });
    const caches = { gateways: empty(GATEWAYS), masks: empty(MASKS), policies: { store } } as unknown as Caches;
    const get = async ({ name }: ObjectKey): Promise<KubeObject> => {
      if (live === null) throw new KubeError('NotFound', `GET ${name}`, 'not there');
      return live;
    };
    return findStale({ get }, caches, [ref('a')]);
  };

  test.each<[string, KubeObject | null, KubeObject | null, boolean]>([
    ['where both have the same', policy('u', 2), policy('u', 2), false],
    ['where neither has it', null, null, false],
    ['where it has an older generation', policy('u', 3), policy('u', 2), true],
    ['where it has one that was made anew since', policy('v', 1), policy('u', 1), true],
    ['where it has one that is gone', null, policy('u', 1), true],
    ['where it lacks one', policy('u', 1), null, true],
  ])('%s', async (_what, live, cached, behind) => {
    expect(await look(live, cached)).toBe(behind ? 'AccessPolicy shop/a' : null);
  });

  test('not known while the API server does not say', async () => {
    const caches = { gateways: {}, masks: {}, policies: { store: createStore(POLICIES) } } as unknown as Caches;
    const get = async () => {
      throw new KubeError('Server', 'GET', 'no');
    };
    await expect(findStale({ get }, caches, [ref('a')])).rejects.toThrow('no');
  });
});

test('a history knows what this process has published, until the gateway is gone', () => {
  const history = new History();
  expect(history.isOurs('shop/orders', 'r1')).toBe(false);
  history.wrote('shop/orders', 'r1');
  expect([history.isOurs('shop/orders', 'r1'), history.isOurs('shop/orders', 'r0')]).toEqual([true, false]);
  history.forget('shop/orders');
  expect(history.isOurs('shop/orders', 'r1')).toBe(false);
});
