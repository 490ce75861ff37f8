import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ReportBook } from '../../operator/control/reports.ts';
import { report } from '../plan/kit.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const POD = { namespace: 'shop', gateway: 'orders', pod: 'orders-a', uid: 'a' };

function open() {
  const book = new ReportBook();
  const told: string[] = [];
  book.subscribe((namespace, gateway) => void told.push(`${namespace}/${gateway}`));
  return { book, told };
}

test('news is told at once, what is no news never', () => {
  const { book, told } = open();
  for (const revision of ['r1', 'r1', 'r2', 'r2']) book.put(POD, report(revision));
  for (let sessions = 0; sessions < 9; sessions++) book.put(POD, report('r2', { sessions }));
  expect(told).toHaveLength(2);
});

test('a pod that never says the same twice is heard every 2 s at last, with its last word; others are not held up', () => {
  const { book, told } = open();
  for (let i = 0; i < 480; i++) {
    book.put(POD, report(`r${i}`));
    vi.advanceTimersByTime(125);
  }
  expect(told.length).toBeGreaterThanOrEqual(40);
  expect(told.length).toBeLessThanOrEqual(55);
  book.put(POD, report('last'));
  book.put({ ...POD, uid: 'b', gateway: 'other' }, report('r'));
  expect(told.at(-1)).toBe('shop/other');
  vi.advanceTimersByTime(2_000);
  expect([told.at(-1), book.of('shop', 'orders').get('a')?.report.revision]).toEqual(['shop/orders', 'last']);
});

test('a pod that goes and comes back says no more than one that stays; that it is gone is told', () => {
  const { book, told } = open();
  for (let i = 0; i < 240; i++) {
    book.put(POD, report(`r${i}`));
    book.remove(POD);
    vi.advanceTimersByTime(250);
  }
  expect(told.length).toBeLessThanOrEqual(55);
  vi.advanceTimersByTime(60_000);
  const count = told.length;
  book.put(POD, report('r'));
  book.remove(POD);
  expect([told.length, book.of('shop', 'orders').size]).toEqual([count + 2, 0]);
});
