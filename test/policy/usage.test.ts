import { beforeEach, describe, expect, test } from 'vitest';
import type { IdentityLimits } from '../../gateway/config/document.ts';
import { limitDenial } from '../../gateway/policy/limits.ts';
import { UsageLedger } from '../../gateway/policy/usage.ts';
import { inForce, NOON, policy } from './kit.ts';

const NONE: IdentityLimits = { sessions: null, statementsPerMinute: null, rowsPerDay: null, bytesPerDay: null };
const DAY = 86_400_000;
let uptime: number;
let now: number;
let ledger: UsageLedger;
beforeEach(() => {
  uptime = 500;
  now = NOON;
  ledger = new UsageLedger({ monotonic: () => uptime, now: () => now });
});

const statements = (count: number, who = 'ann') => {
  for (let i = 0; i < count; i++) ledger.addStatement(who);
};

describe('statements a minute', () => {
  const limits = { ...NONE, statementsPerMinute: 3 };

  test('the next one may begin as soon as the oldest is a minute old, and not before', () => {
    statements(1);
    uptime += 30_000;
    statements(2);
    expect(ledger.exhausted('ann', limits)).toEqual({ limit: 'statementsPerMinute', allowed: 3, retryIn: 29_500 });
    uptime += 29_499;
    expect(ledger.exhausted('ann', limits)).toMatchObject({ retryIn: 1 });
    uptime += 1;
    expect(ledger.exhausted('ann', limits)).toBeNull();
    statements(1);
    expect(ledger.exhausted('ann', limits)).not.toBeNull();
  });

  test('no minute of any beginning holds more than allowed', () => {
    const begun: number[] = [];
    for (let i = 0; i < 5000; i++) {
      uptime += (i * 7919) % 900;
      if (ledger.exhausted('ann', limits) !== null) continue;
      statements(1);
      begun.push(uptime);
    }
    expect(begun.length).toBeGreaterThan(30);
    for (const [i, at] of begun.entries()) expect((begun[i + 3] ?? Infinity) - at).toBeGreaterThan(59_000);
  });

  test('count those of one identity, whatever session they come from, and of no other', () => {
    statements(3, 'ann');
    expect(ledger.exhausted('ann', limits)).not.toBeNull();
    expect(ledger.exhausted('bob', limits)).toBeNull();
  });

  test('a string counts as a whole before any of it runs', () => {
    expect(ledger.exhausted('ann', limits, 2)).toBeNull();
    expect(ledger.exhausted('ann', limits, 3)).toMatchObject({ retryIn: 60_000 });
  });

  test('a long silence forgets all', () => {
    statements(3);
    uptime += 1_000_000;
    expect(ledger.exhausted('ann', limits)).toBeNull();
  });

  test('a clock that is set back, or forward, changes nothing', () => {
    statements(3);
    now -= DAY;
    expect(ledger.exhausted('ann', limits)).not.toBeNull();
    now += 5 * DAY;
    expect(ledger.exhausted('ann', limits)).not.toBeNull();
  });
});

describe('rows and bytes a day', () => {
  const limits = { ...NONE, rowsPerDay: 10, bytesPerDay: 1000 };

  test('are used up until midnight UTC', () => {
    ledger.addResult('ann', 4, 100);
    expect(ledger.allowance('ann', limits)).toEqual({ rows: 6, bytes: 900 });
    ledger.addResult('ann', 6, 100);
    expect(ledger.exhausted('ann', limits)).toEqual({ limit: 'rowsPerDay', allowed: 10, retryIn: DAY / 2 });
    now += DAY / 2 - 1;
    expect(ledger.exhausted('ann', limits)).toMatchObject({ retryIn: 1 });
    now += 1;
    expect(ledger.exhausted('ann', limits)).toBeNull();
    expect(ledger.allowance('ann', limits)).toEqual({ rows: 10, bytes: 1000 });
  });

  test('bytes count as rows do', () => {
    ledger.addResult('ann', 1, 1000);
    expect(ledger.exhausted('ann', limits)).toMatchObject({ limit: 'bytesPerDay' });
  });

  test('a clock that is set back forgets nothing, and gives no second day', () => {
    ledger.addResult('ann', 10, 0);
    now -= DAY;
    expect(ledger.exhausted('ann', limits)).toMatchObject({ limit: 'rowsPerDay' });
    now -= 30 * DAY;
    expect(ledger.allowance('ann', limits)).toMatchObject({ rows: 0 });
  });
});

test('memory is bounded over many identities', () => {
  const small = new UsageLedger({ monotonic: () => uptime, now: () => now }, 100);
  for (let i = 0; i < 10_000; i++) small.addStatement(`user-${i}`);
  expect(small.size).toBe(100);
});

test('without limits nothing is remembered', () => {
  expect(ledger.exhausted('ann', NONE)).toBeNull();
  expect(ledger.size).toBe(0);
});

test('of several policies the strictest counts, those of another role included and those on trial not', () => {
  const effective = inForce([
    policy('a', [], { limits: { statementsPerMinute: 5, rowsPerDay: 7 } }),
    policy('b', [], { role: 'other', limits: { statementsPerMinute: 2 } }),
    policy('c', [], { mode: 'Audit', limits: { statementsPerMinute: 1 } }),
  ]);
  expect(effective.limits).toEqual({ ...NONE, statementsPerMinute: 2, rowsPerDay: 7 });
  expect(limitDenial(effective, { limit: 'statementsPerMinute', allowed: 2, retryIn: 12_300 }, NOON)).toMatchObject({
    by: { policy: 'shop/b', rule: 'limits.statementsPerMinute' },
    message: 'denied by AccessPolicy shop/b: the 2 statements a minute are used up',
    hint: 'Possible again in 13 s, at 2026-11-24T12:00:13Z.',
  });
});
