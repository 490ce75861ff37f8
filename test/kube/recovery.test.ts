import { describe, expect, test } from 'vitest';
import { KubeError } from '../../operator/kube/errors.ts';
import { createRecovery, type End } from '../../operator/kube/recovery.ts';
import type { KubeErrorReason } from '../../operator/kube/types.ts';

const failed = (reason: KubeErrorReason, details: { status?: number; retryAfter?: number } = {}): KubeError =>
  new KubeError(reason, 'GET /', reason, details);
const watch = (error: unknown, open: number | null): End => ({ what: 'watch', error, open });
const refused = watch(failed('Server', { status: 503 }), null);

interface Case {
  readonly name: string;
  readonly why: string;
  readonly end: End;
  readonly relist: boolean;
  readonly incomplete: boolean;
}

const CASES: readonly Case[] = [
  {
    name: 'a list in order',
    why: 'the watch follows',
    end: { what: 'list', error: null, open: null },
    relist: false,
    incomplete: false,
  },
  {
    name: 'a list that failed',
    why: 'there is no position yet',
    end: { what: 'list', error: failed('Transport'), open: null },
    relist: true,
    incomplete: true,
  },
  {
    name: 'a watch ended by the server',
    why: 'it does that every five minutes',
    end: watch(null, 250_000),
    relist: false,
    incomplete: false,
  },
  {
    name: 'a lost connection',
    why: 'the next attempt will tell',
    end: watch(failed('Transport'), 3000),
    relist: false,
    incomplete: false,
  },
  {
    name: 'no connection',
    why: 'that was the attempt',
    end: watch(failed('Transport'), null),
    relist: false,
    incomplete: true,
  },
  {
    name: 'Gone at once',
    why: 'the server has forgotten the position',
    end: watch(failed('Gone', { status: 410 }), null),
    relist: true,
    incomplete: true,
  },
  {
    name: 'Gone in the stream',
    why: 'the same, told by an event',
    end: watch(failed('Gone', { status: 410 }), 60_000),
    relist: true,
    incomplete: true,
  },
  {
    name: 'NotFound',
    why: 'objects may have gone with the kind, untold',
    end: watch(failed('NotFound', { status: 404 }), null),
    relist: true,
    incomplete: true,
  },
  {
    name: 'Invalid',
    why: 'the position is not one of this server',
    end: watch(failed('Invalid', { status: 400 }), null),
    relist: true,
    incomplete: true,
  },
  {
    name: 'garbage',
    why: 'the same line would come again',
    end: watch(failed('Server'), 60_000),
    relist: true,
    incomplete: true,
  },
  {
    name: 'Forbidden',
    why: 'the position stays good',
    end: watch(failed('Forbidden', { status: 403 }), null),
    relist: false,
    incomplete: true,
  },
  { name: '503', why: 'the position stays good', end: refused, relist: false, incomplete: true },
  {
    name: 'an error of our own',
    why: 'the object must not be passed over',
    end: watch(new TypeError('index'), 60_000),
    relist: false,
    incomplete: true,
  },
];

test.each(CASES)('$name: $why', ({ end, relist, incomplete }) => {
  const next = createRecovery(() => 0)(end);
  expect(next).toMatchObject({ relist, incomplete });
  expect(next.delay).toBe(end.error === null ? 0 : 800);
});

describe('delays', () => {
  const delays = (ends: readonly End[], random = 0): number[] => {
    const recover = createRecovery(() => random);
    return ends.map((end) => recover(end).delay);
  };

  test('double up to 30 s, for as long as it takes', () => {
    const many = delays(Array.from({ length: 5000 }, () => refused));
    expect(many.slice(0, 8)).toEqual([800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
    expect(many.at(-1)).toBe(30_000);
  });

  test('are spread by chance, within the limit', () => {
    expect(delays([refused, refused, refused, refused, refused, refused], 1)).toEqual([
      1200, 2400, 4800, 9600, 19_200, 30_000,
    ]);
  });

  test('begin anew after two minutes in order, not before', () => {
    const lost = (open: number): End => watch(failed('Transport'), open);
    expect(delays([refused, refused, lost(119_999), lost(120_000)])).toEqual([800, 1600, 3200, 800]);
  });

  test('do not grow where a balancer cuts each watch after a minute', () => {
    const lost = watch(failed('Transport'), 60_000);
    expect(delays([lost, lost, lost])).toEqual([800, 800, 800]);
  });

  test('apply to watches that end in order within five seconds', () => {
    expect(delays([watch(null, 10), watch(null, 10), watch(null, 5000), watch(null, 10)])).toEqual([
      800, 1600, 0, 3200,
    ]);
  });

  test('do not keep a list waiting where a server is back and has forgotten the position, once', () => {
    const gone = watch(failed('Gone', { status: 410 }), null);
    const listed: End = { what: 'list', error: null, open: null };
    expect(delays([refused, refused, refused, refused, gone, listed, gone])).toEqual([
      800, 1600, 3200, 6400, 800, 0, 12_800,
    ]);
  });

  test('are as long as the server says, up to five minutes', () => {
    const wait = (retryAfter: number): End => watch(failed('TooManyRequests', { status: 429, retryAfter }), null);
    expect(delays([wait(100), wait(20_000), wait(86_400_000)])).toEqual([800, 20_000, 300_000]);
    expect(delays([wait(20_000)], 1)).toEqual([22_000]);
  });
});

test('after eight failures in a row the position is doubted, once', () => {
  const recover = createRecovery(() => 0);
  const listed: End = { what: 'list', error: null, open: null };
  const doubts = Array.from({ length: 8 }, () => recover(refused).relist);
  expect(doubts).toEqual([false, false, false, false, false, false, false, true]);
  recover(listed);
  expect(recover(refused).relist).toBe(false);
});
