import { describe, expect, test } from 'vitest';
import { decide } from '../../gateway/policy/decide.ts';
import type { RelationUse } from '../../gateway/sql/facts.ts';
import { facts, inForce, NOON, policy, rule, use } from './kit.ts';

const name = (relation: string) => {
  const [schema, table] = relation.split('.') as [string, string];
  return { schema, name: table };
};
const verdict = (action: 'Allow' | 'Deny', relation: string, one: RelationUse) => {
  const rules = [rule('it', { action, statements: ['Select'], relations: [relation] })];
  const all = rule('all', { statements: ['Select'], relations: ['*.*'] });
  const policies = [policy('p', action === 'Deny' ? [...rules, all] : rules)];
  return decide(inForce(policies), facts('Select', { classes: ['Select'], relations: [one] }), NOON);
};

const part = { ...use('Select', 'app.part'), ancestors: [name('app.whole')], partition: true } as const;
const child = { ...use('Select', 'app.child'), ancestors: [name('app.parent')] };
const whole = { ...use('Select', 'app.whole'), descendants: [name('app.part'), name('secret.part')] };

describe('a table and its kin', () => {
  test.each([
    ['a partition is allowed with what it is part of', 'Allow', 'app.whole', part, 'Allow'],
    ['a child is not allowed with its parent', 'Allow', 'app.parent', child, 'Deny'],
    ['a table is allowed with its partitions', 'Allow', 'app.whole', whole, 'Allow'],
    ['a partition allows nothing of the rest', 'Allow', 'app.part', whole, 'Deny'],
    ['a partition is denied with what it is part of', 'Deny', 'app.whole', part, 'Deny'],
    ['a child is denied with its parent', 'Deny', 'app.parent', child, 'Deny'],
    ['a table is denied with a partition', 'Deny', 'secret.*', whole, 'Deny'],
    ['what is no kin is not denied', 'Deny', 'app.other', whole, 'Allow'],
  ] as const)('%s', (_, action, relation, one, expected) => {
    expect(verdict(action, relation, one).verdict).toBe(expected);
  });

  test('a refusal names the kin', () => {
    expect(verdict('Deny', 'secret.*', whole)).toMatchObject({
      message: expect.stringContaining('Select on app.whole, which includes secret.part'),
    });
    expect(verdict('Deny', 'app.whole', part)).toMatchObject({
      message: expect.stringContaining('Select on app.part, which is a part of app.whole'),
    });
  });

  test('rows that the server does not count are not within maxRows', () => {
    const policies = [
      policy('p', [
        rule('few', { statements: ['Delete'], relations: ['app.*'], reach: ['Keyed', 'Filtered'], maxRows: 5 }),
      ]),
    ];
    const parent = { ...use('Delete', 'app.parent', 'Keyed'), most: 1 };
    const owned = { ...use('Delete', 'app.owned', 'Filtered'), of: name('app.parent') };
    const decided = (...relations: RelationUse[]) =>
      decide(inForce(policies), facts('Delete', { classes: [], relations }), NOON);
    expect(decided(parent)).toMatchObject({ verdict: 'Allow' });
    expect(decided(parent, { ...owned, door: 'ForeignKey' })).toMatchObject({
      verdict: 'Deny',
      message: expect.stringContaining('does not count Filtered Delete on app.owned (by a foreign key to app.parent)'),
    });
    expect(decided({ ...owned, door: 'View' })).toMatchObject({ verdict: 'Allow', maxRows: { rows: 5 } });
  });

  test('a refusal says by which door', () => {
    const seen = { ...use('Select', 'secret.pay'), door: 'View', of: name('app.report') } as const;
    expect(verdict('Allow', 'app.*', seen)).toMatchObject({
      message: expect.stringContaining('Select on secret.pay (through the view app.report)'),
    });
  });
});
