import { expect, test } from 'vitest';
import { Cache } from '../../gateway/analysis/cache.ts';

const cost = 4 * 2 + 92;

test('what is asked for stays, what is not goes, and memory is bounded', () => {
  const cache = new Cache<number>(10 * cost, 92);
  cache.set('aa', 1);
  for (let i = 10; i < 40; i++) {
    cache.set(String(i), i);
    expect(cache.get('aa')).toBe(1);
  }
  const kept = Array.from({ length: 30 }, (_, i) => cache.get(String(i + 10))).filter((found) => found !== undefined);
  expect(kept.length).toBeLessThanOrEqual(10);
  expect(cache.get('39')).toBe(39);
  expect(cache.get('10')).toBe(undefined);
});

test('one long text does not push the others out', () => {
  const cache = new Cache<number>(10 * cost, 92);
  cache.set('aa', 1);
  cache.set('x'.repeat(1000), 2);
  expect(cache.get('x'.repeat(1000))).toBe(undefined);
  expect(cache.get('aa')).toBe(1);
});
