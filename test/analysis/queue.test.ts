import { expect, test } from 'vitest';
import { FairQueue } from '../../gateway/analysis/queue.ts';

test('clients take turns, whoever came first with how many', () => {
  const queue = new FairQueue<string>(1);
  for (const job of ['a1', 'a2', 'a3']) queue.push('a', job);
  queue.push('b', 'b1');
  const taken: (string | undefined)[] = [];
  for (let i = 0; i < 4; i++) {
    const job = queue.take();
    taken.push(job);
    queue.done(job!.charAt(0));
  }
  expect(taken).toEqual(['a1', 'b1', 'a2', 'a3']);
  expect(queue.take()).toBe(undefined);
});

test('one client holds no more than its share', () => {
  const queue = new FairQueue<string>(2);
  for (const job of ['a1', 'a2', 'a3']) queue.push('a', job);
  expect([queue.take(), queue.take(), queue.take()]).toEqual(['a1', 'a2', undefined]);
  queue.push('b', 'b1');
  expect(queue.take()).toBe('b1');
  queue.done('a');
  expect(queue.take()).toBe('a3');
});

test('a closing queue gives everything back', () => {
  const queue = new FairQueue<string>(1);
  queue.push('a', 'a1');
  queue.push('b', 'b1');
  expect(queue.drain()).toEqual(['a1', 'b1']);
  expect(queue.take()).toBe(undefined);
});
