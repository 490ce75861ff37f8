import { expect, test } from 'vitest';
import { Latest } from '../../operator/reconcile/latest.ts';
import { object } from './objects.ts';

const at = (resourceVersion: string) => object('ConfigMap', 'c', { resourceVersion });

test('what was written counts until the cache moves on', () => {
  const latest = new Latest(() => 0);
  const cached = at('1');
  latest.put('k', cached, at('3'));
  expect(latest.of('k', cached)?.metadata.resourceVersion).toBe('3');
  expect(latest.wrote('k', at('2'))).toBe(false);
  // Somebody wrote in between: the cache is right, and soon knows ours too.
  expect(latest.of('k', at('2'))?.metadata.resourceVersion).toBe('2');
  expect(latest.of('k', cached)?.metadata.resourceVersion).toBe('1');
});

test('what was made counts until the cache has it', () => {
  const latest = new Latest(() => 0);
  latest.put('k', undefined, at('3'));
  expect(latest.of('k', undefined)?.metadata.resourceVersion).toBe('3');
  expect(latest.of('k', at('3'))?.metadata.resourceVersion).toBe('3');
  expect(latest.of('k', undefined)).toBeUndefined();
});

test('a cache that never hears of it is believed in the end', () => {
  let now = 0;
  const latest = new Latest(() => now);
  latest.put('k', undefined, at('3'));
  now = 60_000;
  expect(latest.of('k', undefined)).toBeUndefined();
});

test('a write that changed nothing is no news', () => {
  const latest = new Latest(() => 0);
  latest.put('k', at('1'), { ...at('1'), data: {} });
  expect(latest.of('k', at('1'))).toEqual(at('1'));
});

test('what the cache has is kept no longer, nor what it never gets', () => {
  let now = 0;
  const latest = new Latest(() => now);
  latest.put('k', at('1'), at('3'));
  expect(latest.wrote('k', at('3'))).toBe(true);
  expect(latest.wrote('k', at('3'))).toBe(false);
  latest.put('old', at('1'), at('3'));
  now = 60_000;
  latest.put('new', at('1'), at('4'));
  now = 0;
  expect(latest.of('old', at('1'))).toEqual(at('1'));
  expect(latest.of('new', at('1'))).toEqual(at('4'));
});
