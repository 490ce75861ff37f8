import { expect, test } from 'vitest';
import type { Attachment } from '../../operator/plan/types.ts';
import { AttachmentBook } from '../../operator/reconcile/attachment-book.ts';
import type { Policy } from '../../operator/reconcile/caches.ts';
import { policy } from '../operator/manifests.ts';

const attachment = (name: string, generation = 1): Attachment => ({
  kind: 'AccessPolicy',
  namespace: 'shop',
  name,
  generation,
  conditions: [],
  findings: [],
});

test('tells of what has changed, come or gone', () => {
  const book = new AttachmentBook();
  expect(book.put('shop/orders', [attachment('a'), attachment('b')])).toEqual([
    'AccessPolicy/shop/a',
    'AccessPolicy/shop/b',
  ]);
  expect(book.put('shop/orders', [attachment('a'), attachment('b')])).toEqual([]);
  expect(book.put('shop/orders', [attachment('a', 2), attachment('c')])).toEqual([
    'AccessPolicy/shop/a',
    'AccessPolicy/shop/b',
    'AccessPolicy/shop/c',
  ]);
});

test('knows what each gateway made of an object', () => {
  const book = new AttachmentBook();
  const object = policy('a') as Policy;
  expect(book.of('shop/orders', object)).toBeUndefined();
  book.put('shop/orders', [attachment('a', 7)]);
  expect(book.of('shop/orders', object)?.generation).toBe(7);
  expect(book.of('shop/other', object)).toBeUndefined();
  book.forget('shop/orders');
  expect(book.of('shop/orders', object)).toBeUndefined();
});
