import { describe, expect, test } from 'vitest';
import type { Policy, Rule } from '../../gateway/config/document.ts';
import { decide } from '../../gateway/policy/decide.ts';
import type { Facts } from '../../gateway/sql/facts.ts';
import { facts, inForce, NOON, policy, rule, select, use } from './kit.ts';

const READ = rule('read', { statements: ['Select'], relations: ['public.*'] });
const DELETE = facts('Delete', { relations: [use('Delete', 'public.orders', 'Unbounded')] });

function verdict(policies: readonly Policy[], of: Facts, role = 'reader', now = NOON): string {
  const decision = decide(inForce(policies, role, now), of, now);
  const by = decision.by === null ? '-' : `${decision.by.policy}/${decision.by.rule}`;
  return `${decision.verdict} ${by}`;
}

describe('what matches nothing is denied', () => {
  test.each<[string, Facts]>([
    ['another class', DELETE],
    ['another schema', select('secret.salaries')],
    [
      'one relation among several',
      facts('Select', { relations: [use('Select', 'public.a'), use('Select', 'secret.b')] }),
    ],
    [
      'another verb beside an allowed one',
      facts('Select', { relations: [use('Select', 'public.a'), use('Delete', 'public.a', 'Keyed')] }),
    ],
    [
      'a class beside an allowed relation',
      facts('Select', { classes: ['Select', 'Lock'], relations: [use('Select', 'public.a')] }),
    ],
    [
      'a function that no rule lists',
      facts('Select', {
        classes: ['Select'],
        functions: [{ schema: 'app', name: 'f', candidates: ['app.f(integer)'], called: [] }],
      }),
    ],
    ['a relation of the server', select('pg_catalog.pg_authid')],
    ['what is not understood', { ...select('public.a'), unknown: ['something'] }],
  ])('%s', (_name, of) => {
    expect(verdict([policy('p', [READ])], of)).toBe('Deny -');
  });

  const keyed = rule('own', { statements: ['Delete'], relations: ['public.*'], reach: ['Keyed', 'Filtered'] });
  const call = (candidates: readonly string[]) =>
    facts('Select', { classes: ['Select'], functions: [{ schema: 'app', name: 'f', candidates, called: [] }] });
  test.each<[string, readonly Rule[], Facts, string]>([
    [
      'another reach',
      [READ, keyed],
      DELETE,
      'Rule own of AccessPolicy shop/p allows Delete there, but only with reach Keyed or Filtered.',
    ],
    [
      'other relations',
      [READ],
      select('secret.salaries'),
      'Rule read of AccessPolicy shop/p allows Select on other relations.',
    ],
    [
      'no relations',
      [rule('all', { statements: ['Any'] })],
      DELETE,
      'Rule all of AccessPolicy shop/p would allow it if it had relations: without them it is about statements that use none ("*.*": all schemas of users).',
    ],
    [
      'no relations, where another has some',
      [rule('all', { statements: ['Select'] }), READ],
      select('secret.b'),
      'Rule read of AccessPolicy shop/p allows Select on other relations.',
    ],
    [
      'Any without relations, and a function',
      [rule('all', { statements: ['Any'] })],
      call(['app.f(integer)']),
      'Rule all of AccessPolicy shop/p with class Any allows all functions only together with relations "*.*".',
    ],
    ['a function', [READ], call(['app.f(integer)']), 'To allow it, name it in a rule: functions: ["app.f(integer)"].'],
    [
      'one of several functions',
      [READ],
      call(['app.f(integer)', 'app.f(text)']),
      'The policies that grant you something here: shop/p.',
    ],
    [
      'a Deny rule is not near',
      [rule('no', { action: 'Deny', statements: ['Delete'], relations: ['secret.*'] })],
      DELETE,
      'The policies that grant you something here: shop/p.',
    ],
    ['another verb', [READ], DELETE, 'The policies that grant you something here: shop/p.'],
    [
      'a relation of the server',
      [READ],
      select('pg_catalog.pg_authid'),
      'The policies that grant you something here: shop/p.',
    ],
  ])('and the hint names what comes nearest: %s', (_name, rules, of, hint) => {
    const decision = decide(inForce([policy('p', rules)]), of, NOON);
    expect(decision.verdict === 'Deny' && decision.hint).toBe(hint);
  });

  test('and everything, for whom no policy grants anything', () => {
    const denying = policy('d', [rule('none', { action: 'Deny', statements: ['Ddl'] })], { role: null });
    expect(verdict([denying], facts('Select', { classes: ['Select'], readOnly: true }))).toBe('Deny -');
  });
});

describe('an Allow rule', () => {
  test('allows its classes on its relations', () => {
    expect(verdict([policy('p', [READ])], select('public.orders'))).toBe('Allow shop/p/read');
  });

  test('counts only from policies of the session’s role: a narrow one and a wide one do not add up', () => {
    const narrow = policy('narrow', [rule('one', { statements: ['Delete'], relations: ['public.tmp'] })], {
      role: 'owner',
    });
    const wide = policy('wide', [rule('all', { statements: ['Delete'], relations: ['*.*'] })]);
    expect(verdict([narrow, wide], DELETE, 'owner')).toBe('Deny -');
    expect(verdict([narrow, wide], DELETE, 'reader')).toBe('Allow shop/wide/all');
  });

  test.each([
    [['Keyed'], 'Keyed', 'Allow shop/p/fix'],
    [['Keyed'], 'Filtered', 'Deny -'],
    [['Keyed', 'Filtered'], 'Filtered', 'Allow shop/p/fix'],
    [['Keyed', 'Filtered'], 'Unbounded', 'Deny -'],
    [null, 'Unbounded', 'Allow shop/p/fix'],
  ] as const)('with reach %j and a write that is %s: %s', (reach, found, expected) => {
    const fix = rule('fix', { statements: ['Update'], relations: ['public.orders'], reach });
    expect(verdict([policy('p', [fix])], facts('Update', { relations: [use('Update', 'public.orders', found)] }))).toBe(
      expected,
    );
  });

  test('lists functions by their arguments; a call that may mean another one is not allowed', () => {
    const call = (...candidates: string[]) =>
      facts('Select', { classes: ['Select'], functions: [{ schema: 'app', name: 'f', candidates, called: [] }] });
    const policies = [policy('p', [rule('call', { statements: ['Select'], functions: ['app.f(integer)'] })])];
    expect(verdict(policies, call('app.f(integer)'))).toBe('Allow shop/p/call');
    expect(verdict(policies, call('app.f(integer)', 'app.f(text)'))).toBe('Deny -');
  });

  test.each([
    ['app.f(int, Text)', 'app.f(integer, text)'],
    ['app.f(int4,int8[])', 'app.f(integer, bigint[])'],
    ['"App"."F"(timestamptz)', 'App.F(timestamp with time zone)'],
    ['app.f(numeric(10,2))', 'app.f(numeric)'],
    ['app.f()', 'app.f()'],
    ['App.F(double  precision)', 'app.f(double precision)'],
    ['app.f("Odd Type")', 'app.f("Odd Type")'],
  ])('names a function as people write it: %s', (written, candidate) => {
    const policies = [policy('p', [rule('call', { statements: ['Select'], functions: [written] })])];
    const call = facts('Select', { functions: [{ schema: 'app', name: 'f', candidates: [candidate], called: [] }] });
    expect(verdict(policies, call)).toBe('Allow shop/p/call');
  });

  test('a function that does not exist needs no rule: the server says so', () => {
    const call = facts('Select', { functions: [{ schema: 'app', name: 'nope', candidates: [], called: [] }] });
    expect(verdict([policy('p', [READ])], call)).toBe('Allow -');
  });

  test('maxRows of several rules: the widest of those that match a relation, the least of several relations', () => {
    const bounded = (name: string, maxRows: number | null, relation = 'public.*') =>
      rule(name, { statements: ['Update', 'Delete'], relations: [relation], maxRows });
    const update = (...relations: string[]) =>
      facts('Update', { relations: relations.map((relation) => use('Update', relation, 'Filtered')) });
    const limit = (rules: readonly Rule[], of: Facts) => {
      const decision = decide(inForce([policy('p', rules)]), of, NOON);
      return decision.verdict === 'Allow' ? decision.maxRows : decision;
    };
    const rules = [bounded('few', 5), bounded('more', 50, 'public.a')];
    expect(limit(rules, update('public.a'))).toEqual({ policy: 'shop/p', rule: 'more', rows: 50 });
    expect(limit(rules, update('public.b'))).toEqual({ policy: 'shop/p', rule: 'few', rows: 5 });
    expect(limit(rules, update('public.a', 'public.b'))).toMatchObject({ rows: 5 });
    expect(limit([...rules, bounded('all', null)], update('public.a'))).toBeUndefined();
    const keyed = facts('Update', { relations: [{ ...use('Update', 'public.b', 'Keyed'), most: 5 }] });
    expect(limit(rules, keyed)).toBeUndefined();
    expect(limit([bounded('few', 4)], keyed)).toMatchObject({ rows: 4 });
    expect(limit(rules, select('public.a'))).toMatchObject({ verdict: 'Deny' });
  });

  test('with alert says so in the decision, whichever of the matching rules has it', () => {
    const watch = rule('watch', { statements: ['Select'], relations: ['public.pay'], alert: true });
    const policies = [policy('p', [READ, watch])];
    expect(decide(inForce(policies), select('public.pay'), NOON)).toMatchObject({ by: { rule: 'read' }, alert: true });
    expect(decide(inForce(policies), select('public.a'), NOON)).not.toHaveProperty('alert');
    expect(decide(inForce(policies), facts('Select', { classes: ['Select'] }), NOON)).not.toHaveProperty('alert');
  });

  test('without relations speaks of none', () => {
    expect(verdict([policy('p', [rule('r', { statements: ['Select'] })])], select('public.a'))).toBe('Deny -');
  });
});

describe('a Deny rule', () => {
  const unbounded = rule('bounds', {
    action: 'Deny',
    statements: ['Delete'],
    reach: ['Unbounded'],
    message: 'Add a WHERE.',
    alert: true,
  });
  const everything = policy('dba', [rule('all', { statements: ['Any'], relations: ['*.*'] })]);

  test('beats every Allow, from a policy of another role or of none', () => {
    for (const role of ['owner', null])
      expect(verdict([everything, policy('guard', [unbounded], { role })], DELETE)).toBe('Deny shop/guard/bounds');
  });

  test('says its message, hint and alert', () => {
    expect(decide(inForce([everything, policy('guard', [unbounded])]), DELETE, NOON)).toMatchObject({
      message: 'denied by AccessPolicy shop/guard, rule bounds: Unbounded Delete on public.orders',
      hint: 'Add a WHERE.',
      alert: true,
    });
  });

  test('of a class denies what has it anywhere', () => {
    const guard = policy('guard', [rule('no-code', { action: 'Deny', statements: ['Code'] })]);
    expect(verdict([everything, guard], facts('Ddl', { classes: ['Ddl', 'Code'] }))).toBe('Deny shop/guard/no-code');
    expect(verdict([everything, guard], facts('Ddl', { classes: ['Ddl'] }))).toBe('Allow shop/dba/all');
  });

  test('of relations leaves others alone', () => {
    const guard = policy('guard', [rule('pay', { action: 'Deny', statements: ['Select'], relations: ['hr.*'] })]);
    expect(verdict([everything, guard], select('hr.pay'))).toBe('Deny shop/guard/pay');
    expect(verdict([everything, guard], select('public.orders'))).toBe('Allow shop/dba/all');
  });

  test('of functions denies them, also as one of several that may be meant, and nothing else', () => {
    const guard = policy('guard', [rule('f', { action: 'Deny', statements: ['Select'], functions: ['app.f(text)'] })]);
    const call = facts('Select', {
      functions: [{ schema: 'app', name: 'f', candidates: ['app.f(integer)', 'app.f(text)'], called: [] }],
    });
    expect(verdict([everything, guard], call)).toBe('Deny shop/guard/f');
    expect(verdict([everything, guard], select('public.orders'))).toBe('Allow shop/dba/all');
  });

  test('anywhere takes Any its blindness: what is not understood is refused', () => {
    const unread = facts('Unknown', { classes: ['Unknown'], unknown: ['a new syntax'] });
    expect(verdict([everything], unread)).toBe('Allow shop/dba/all');
    expect(verdict([everything, policy('guard', [unbounded])], unread)).toBe('Deny -');
    expect(verdict([policy('ro', everything.rules, { session: { readOnly: true } })], unread)).toBe('Deny -');
  });
});

describe('patterns', () => {
  test.each([
    ['public.orders', 'public.orders', true],
    ['public.orders', 'public.orders2', false],
    ['Public.Orders', 'public.orders', true],
    ['"Public".orders', 'public.orders', false],
    ['"Public"."Or""ders"', 'Public.Or"ders', true],
    ['"a*"."b"', 'ab.b', false],
    ['"a*"."b"', 'a*.b', true],
    ['app_*.log', 'app_one.log', true],
    ['app_*.log', 'public.log', false],
    ['public.a.c', 'public.a', false],
    ['*.*', 'public.orders', true],
    ['*.*', 'pg_catalog.pg_authid', false],
    ['*.*', 'information_schema.tables', false],
    ['pg_*.*', 'pg_catalog.pg_authid', false],
    ['pg_catalog.pg_authid', 'pg_catalog.pg_authid', true],
    ['pub+lic.*', 'publlic.x', false],
    ['public.(a|b)', 'public.a', false],
    ['"my-schema"."a/b-c"', 'my-schema.a/b-c', true],
    ['my-*.x', 'my-app.x', true],
    ['"pg_catalog".*', 'pg_catalog.pg_authid', true],
    ['pg_catalog.*', 'pg_catalog.pg_authid', true],
    ['public."a*"', 'public.ab', false],
    ['public.ördner', 'public.ördner', true],
    ['public.a*z', 'public.a\nz', true],
    ['*.secret', 'app.secret', true],
    ['*.secret', 'pg_toast.secret', false],
  ])('%s on %s: %s', (pattern, relation, expected) => {
    const only = [policy('p', [rule('r', { statements: ['Select'], relations: [pattern] })])];
    expect(verdict(only, select(relation)).startsWith('Allow')).toBe(expected);
  });
});

describe('a session', () => {
  test('that is read-only runs nothing that may write, whatever rules say', () => {
    const policies = [
      policy('ro', [rule('all', { statements: ['Any'], relations: ['*.*'] })], { session: { readOnly: true } }),
    ];
    expect(verdict(policies, DELETE)).toBe('Deny shop/ro/session.readOnly');
    expect(verdict(policies, select('public.a'))).toBe('Allow shop/ro/all');
  });

  test('outside the window of any policy that names the identity runs nothing', () => {
    const window = { days: ['Tue'], from: '13:00', to: '14:00', timeZone: 'UTC' } as const;
    const policies = [policy('p', [READ]), policy('office', [], { role: 'owner', window })];
    expect(verdict(policies, select('public.a'))).toBe('Deny shop/office/window');
    expect(verdict(policies, select('public.a'), 'reader', NOON + 3_600_000)).toBe('Allow shop/p/read');
  });
});

describe('a policy in mode Audit', () => {
  const trial = (rules: readonly Rule[], parts: object = {}) => policy('trial', rules, { mode: 'Audit', ...parts });
  const shadow = (tried: Policy, of: Facts, granting = [READ]) =>
    decide(inForce([policy('p', granting), tried]), of, NOON).shadow.map(({ verdict: v, rule: r }) => `${v} ${r}`);

  test.each<[string, Policy, Facts, string[]]>([
    [
      'would deny outside its window',
      trial([READ], { window: { days: ['Mon'], from: '00:00', to: '24:00', timeZone: 'UTC' } }),
      select('public.a'),
      ['Deny window'],
    ],
    [
      'would deny what is not read-only',
      trial([READ], { session: { readOnly: true } }),
      DELETE,
      ['Deny session.readOnly'],
    ],
    [
      'would grant what the others leave',
      trial([rule('d', { statements: ['Delete'], relations: ['*.*'] })]),
      DELETE,
      ['Allow d'],
    ],
    [
      'would not grant what it matches in part',
      trial([rule('s', { statements: ['Select'], relations: ['hr.*'] })]),
      facts('Select', { relations: [use('Select', 'hr.a'), use('Select', 'secret.b')] }),
      [],
    ],
    [
      'would grant together with others',
      trial([rule('s', { statements: ['Select'], relations: ['hr.*'] })]),
      facts('Select', { relations: [use('Select', 'hr.a'), use('Select', 'public.b')] }),
      ['Allow s'],
    ],
    ['of another role would grant nothing here', trial([READ], { role: 'other' }), select('public.a'), []],
    [
      'would not grant what is not understood',
      trial([rule('any', { statements: ['Any'], relations: ['*.*'] })]),
      { ...select('public.a'), unknown: ['x'] },
      [],
    ],
  ])('%s', (_name, tried, of, expected) => {
    expect(shadow(tried, of)).toEqual(expected);
  });

  test('never grants, never denies, and its records say what it would have done', () => {
    const allowing = policy('try', [READ], { mode: 'Audit' });
    const denying = policy('trial', [rule('no', { action: 'Deny', statements: ['Select'] })], { mode: 'Audit' });
    expect(verdict([allowing], select('public.a'))).toBe('Deny -');
    const decision = decide(inForce([policy('p', [READ]), allowing, denying]), select('public.a'), NOON);
    expect(decision).toMatchObject({
      verdict: 'Allow',
      shadow: [
        { verdict: 'Allow', policy: 'shop/try', rule: 'read' },
        { verdict: 'Deny', policy: 'shop/trial', rule: 'no' },
      ],
    });
  });
});
