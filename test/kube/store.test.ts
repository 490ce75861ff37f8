import { expect, test } from 'vitest';
import { createStore } from '../../operator/kube/store.ts';
import type { KubeObject } from '../../operator/kube/types.ts';
import { RULES } from './objects.ts';

const object = (name: string, uid: string, resourceVersion: string): KubeObject => ({
  apiVersion: 'example.com/v1',
  kind: 'Rule',
  metadata: { name, namespace: 'shop', uid, resourceVersion },
});

test('a resourceVersion means nothing without the uid', () => {
  const store = createStore(RULES);
  const [old, other] = [object('a', 'u1', '5'), object('a', 'u2', '5')];
  store.replace([old]);
  expect(store.replace([object('a', 'u1', '5')])).toEqual([]);
  expect(store.get('shop', 'a')).toBe(old);
  expect(store.replace([other])).toEqual([{ old, current: other, initial: false }]);
  expect(store.put(object('a', 'u2', '5'))).toBeNull();
  expect(store.put(object('a', 'u3', '5'))?.old).toBe(other);
});

test('a list gets in as a whole or not at all', () => {
  const index = ({ metadata }: KubeObject): readonly string[] => {
    if (metadata.name === 'bad') throw new Error('bad');
    return [metadata.name];
  };
  const store = createStore(RULES, { name: index });
  store.replace([object('a', 'u1', '1')]);
  expect(() => store.replace([object('b', 'u2', '2'), object('bad', 'u3', '3')])).toThrow('bad');
  expect(store.list().map(({ metadata }) => metadata.name)).toEqual(['a']);
  expect(store.byIndex('name', 'b')).toEqual([]);
});

test('namespaces tell objects apart, and cluster-scoped ones have none', () => {
  const store = createStore(RULES);
  const { namespace: _, ...bare } = object('a', 'u3', '3').metadata;
  const inOther = { ...object('a', 'u2', '2'), metadata: { ...object('a', 'u2', '2').metadata, namespace: 'other' } };
  store.replace([object('a', 'u1', '1'), inOther, { ...object('a', 'u3', '3'), metadata: bare }]);
  expect(['shop', 'other', null].map((namespace) => store.get(namespace, 'a')?.metadata.uid)).toEqual([
    'u1',
    'u2',
    'u3',
  ]);
});

test('the list stays the same object while nothing changes', () => {
  const store = createStore(RULES);
  store.replace([object('a', 'u1', '1')]);
  expect(store.list()).toBe(store.list());
  const before = store.list();
  store.remove(object('a', 'u1', '2'));
  expect(before).toHaveLength(1);
  expect(store.list()).toEqual([]);
  expect(store.remove(object('a', 'u1', '2'))).toBeNull();
});
