import { expect, test } from 'vitest';
import { whyLost } from '../../operator/reconcile/kinds.ts';
import { object } from './objects.ts';

const config = (record?: string) =>
  object('ConfigMap', 'orders-config', record === undefined ? {} : { annotations: { 'postern.dev/kinds': record } });
const missing = new Map([['AccessPolicy', ['read', 'write']]]);
const definitions = (uid: string | null) =>
  new Map([
    ['AccessPolicy', uid],
    ['MaskingRule', 'm'],
  ]);

test.each([
  ['the definition that was there stands: withdrawn', definitions('a'), 'AccessPolicy=a,MaskingRule=m', null],
  ['no definition: lost', definitions(null), 'AccessPolicy=a', /^AccessPolicy read and 1 more: gone with the Custom/],
  ['another definition: lost', definitions('b'), 'AccessPolicy=a', /former.*delete ConfigMap orders-config/],
  ['nothing was recorded: the definition that stands counts', definitions('b'), undefined, null],
  ['a record of other kinds', definitions('b'), 'MaskingRule=m', null],
  ['a record that is none', definitions('b'), 'nonsense', null],
])('%s', (_name, found, record, why) => {
  const said = whyLost(missing, found, config(record));
  if (why === null) expect(said).toBeNull();
  else expect(said).toMatch(why);
});

test('nothing is missing, nothing is lost', () => {
  expect(whyLost(new Map(), definitions(null), undefined)).toBeNull();
});
