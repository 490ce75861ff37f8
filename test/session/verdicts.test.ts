import { expect, test } from 'vitest';
import type { Judged, Verdict } from '../../gateway/session/judged.ts';
import type { SessionState } from '../../gateway/session/state.ts';
import { isFresh, verdictOf } from '../../gateway/session/verdicts.ts';
import type { RawStatement, SessionEffect } from '../../gateway/sql/facts.ts';
import { inForce } from '../policy/kit.ts';

const EFFECTIVE = inForce([]);
const CATALOG = {};
const RAW = { effects: [], settings: [], classes: ['Select'], unknown: [], asks: false } as unknown as RawStatement;
const ALLOWED: Judged = { raw: RAW, facts: null, decision: { verdict: 'Allow', by: null, shadow: [] }, refusal: null };

interface Now {
  readonly effective?: unknown;
  readonly timed?: boolean;
  readonly catalog?: unknown;
  readonly epoch?: number;
}

function state(now: Now = {}): SessionState {
  const { effective, timed, catalog, epoch } = {
    effective: EFFECTIVE,
    timed: false,
    catalog: CATALOG,
    epoch: 7,
    ...now,
  };
  const policies = () => ({ effective, timed, revision: 'r1' });
  return { env: { policies, catalog: () => catalog }, settings: { epoch }, now: 0 } as unknown as SessionState;
}

const doing = (...kinds: readonly SessionEffect['kind'][]): RawStatement =>
  ({ ...RAW, effects: kinds.map((kind) => ({ kind })) }) as unknown as RawStatement;

test('a verdict holds while all is as it was, ends of transactions included', () => {
  expect(isFresh(state(), verdictOf(state(), RAW, ALLOWED))).toBe(true);
  expect(isFresh(state(), verdictOf(state(), doing('Transaction'), ALLOWED))).toBe(true);
});

test.each<[string, Now]>([
  ['other policies', { effective: inForce([]) }],
  ['a policy that goes by the time of day', { timed: true }],
  ['another catalogue', { catalog: {} }],
  ['a catalogue that is read anew', { catalog: null }],
  ['a catalogue that cannot be read', { catalog: undefined }],
  ['other settings or names', { epoch: 8 }],
])('it does not hold under %s', (_what, now) => {
  expect(isFresh(state(now), verdictOf(state(), RAW, ALLOWED))).toBe(false);
});

test.each<SessionEffect['kind']>(['Prepare', 'Execute', 'Deallocate', 'Declare', 'Fetch', 'Discard'])(
  'what does %s hangs on names that come and go',
  (kind) => {
    expect(isFresh(state(), verdictOf(state(), doing('Transaction', kind), ALLOWED))).toBe(false);
  },
);

test.each(['Set', 'Reset', 'ResetAll'])('what does %s hangs on what the setting is', (kind) => {
  const changing = { ...RAW, settings: [{ kind, name: 'default_transaction_read_only' }] } as unknown as RawStatement;
  expect(isFresh(state(), verdictOf(state(), changing, ALLOWED))).toBe(false);
});

test('a refusal is judged again each time', () => {
  const refused: Judged = { ...ALLOWED, refusal: { code: '42501', message: 'denied' } };
  const verdict: Verdict = verdictOf(state(), RAW, refused);
  expect(isFresh(state(), verdict)).toBe(false);
});
