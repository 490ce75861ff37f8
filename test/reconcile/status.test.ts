import { expect, test } from 'vitest';
import { saysTheSame } from '../../operator/reconcile/status.ts';

const condition = (type: string, parts: object = {}) => ({
  type,
  status: 'True',
  lastTransitionTime: 'then',
  ...parts,
});
const own = new Set(['Ready', 'Accepted']);
const live = { replicas: 2, conditions: [condition('Ready'), condition('Accepted')] };

test.each([
  [
    'other times',
    { ...live, conditions: [condition('Ready', { lastTransitionTime: 'now' }), condition('Accepted')] },
    true,
  ],
  ['another order', { ...live, conditions: [condition('Accepted'), condition('Ready')] }, true],
  ['another status', { ...live, conditions: [condition('Ready', { status: 'False' }), condition('Accepted')] }, false],
  ['one condition less', { ...live, conditions: [condition('Ready')] }, false],
  ['one field less', { conditions: live.conditions }, false],
  ['a field that is not set', { ...live, revision: undefined }, true],
])('%s', (_name, wanted, same) => {
  expect(saysTheSame(live, wanted, own)).toBe(same);
});

test('conditions of others do not count', () => {
  expect(saysTheSame({ ...live, conditions: [...live.conditions, condition('Theirs')] }, live, own)).toBe(true);
});

test('times below lists do not count either', () => {
  const ancestors = (time: string) => ({
    ancestors: [{ conditions: [condition('Ready', { lastTransitionTime: time })] }],
  });
  expect(saysTheSame(ancestors('a'), ancestors('b'), own)).toBe(true);
  expect(saysTheSame(undefined, ancestors('b'), own)).toBe(false);
});
