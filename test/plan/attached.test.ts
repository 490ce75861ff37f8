import { describe, expect, test } from 'vitest';
import type { GatewayReport } from '../../gateway/config/control.ts';
import type { AccessPolicy, MaskingRule } from '../../operator/api/types.generated.ts';
import { planAttached } from '../../operator/plan/attached.ts';
import { plan } from '../../operator/plan/plan.ts';
import type { Attachment, GatewayInput } from '../../operator/plan/types.ts';
import { mask, policy } from '../operator/manifests.ts';
import { fresh, known, MINUTE, NOW, report, running, saysOf, settled } from './kit.ts';

const a = policy('a');
const b = policy('b');
const rule = mask('m');
const edited = policy('a', {
  rules: [{ name: 'read', action: 'Allow', statements: ['Select'], relations: ['other.*'] }],
});
const broken = policy('b', { role: 'nobody' });

const both = () => known(settled({ policies: [a, b], maskingRules: [rule] }));
const telling = (input: GatewayInput, change: Partial<GatewayReport>): GatewayInput => ({
  ...input,
  pods: input.pods.map((one) => ({ ...one, report: { ...one.report!, ...change } })),
});

describe('on one gateway', () => {
  test.each<[string, () => GatewayInput, AccessPolicy | MaskingRule, string, string]>([
    ['in force', both, a, 'True Accepted: ', 'True Programmed: '],
    [
      'a rule that this version cannot enforce',
      both,
      rule,
      'True Accepted: ',
      'False PartiallyProgrammed: this version cannot mask: sessions of those from whom values are to be hidden are refused',
    ],
    [
      'the same where reports do not tell of it',
      () => telling(both(), { unenforced: [] }),
      rule,
      'True Accepted: ',
      'False PartiallyProgrammed: this version cannot mask: sessions of those from whom values are to be hidden are refused',
    ],
    [
      'no pod is ready',
      () => fresh({ policies: [a] }),
      a,
      'True Accepted: ',
      'False Progressing: no pod of the gateway is ready',
    ],
    [
      'changed, and on its way',
      () => ({ ...both(), policies: [edited, b] }),
      edited,
      'True Accepted: ',
      'False Progressing: not confirmed by pods orders-a, orders-b',
    ],
    [
      'unchanged beside one that has changed',
      () => ({ ...both(), policies: [edited, b] }),
      b,
      'True Accepted: ',
      'True Programmed: ',
    ],
    [
      'unchanged, where pods run a document from before the published one',
      () => {
        const input = both();
        const next = plan({ ...input, policies: [edited, b] }).publish!;
        return { ...input, policies: [edited, b], published: next, earlier: [input.published!] };
      },
      b,
      'True Accepted: ',
      'True Programmed: ',
    ],
    [
      'unchanged, where nobody knows what pods run',
      () => telling({ ...both() }, { revision: 'f'.repeat(64) }),
      b,
      'True Accepted: ',
      'False Progressing: not confirmed by pods orders-a, orders-b',
    ],
    [
      'made anew under its old name and generation, with another content',
      () => ({ ...both(), policies: [{ ...edited, metadata: { ...edited.metadata, generation: 1 } }, b] }),
      edited,
      'True Accepted: ',
      'False Progressing: not confirmed by pods orders-a, orders-b',
    ],
    [
      'broken',
      () => ({ ...both(), policies: [a, broken] }),
      broken,
      'False Invalid: spec.role: "nobody" is not a role of the gateway; its spec.upstream.roles are: ro',
      'False Invalid: the last good configuration stays in force: spec.role: "nobody" is not a role of the gateway; its spec.upstream.roles are: ro',
    ],
    [
      'in force beside a broken one',
      () => ({ ...both(), policies: [a, broken] }),
      a,
      'True Accepted: ',
      'True Programmed: ',
    ],
    [
      'changed beside a broken one',
      () => ({ ...both(), policies: [edited, broken] }),
      edited,
      'True Accepted: ',
      'False Invalid: the gateway keeps what it has: AccessPolicy b: spec.role: "nobody" is not a role of the gateway; its spec.upstream.roles are: ro',
    ],
    [
      'new on a gateway that is not touched',
      () => ({ ...both(), policies: [edited, b], foreign: ['Service/orders'] }),
      edited,
      'True Accepted: ',
      'False NameConflict: not ours, and in the place of what the gateway needs: Service/orders; delete or rename',
    ],
    [
      'in force on one that is not touched',
      () => ({ ...both(), foreign: ['Service/orders'] }),
      a,
      'True Accepted: ',
      'True Programmed: ',
    ],
    [
      'mode Audit',
      () => settled({ policies: [policy('a', { mode: 'Audit' })] }),
      a,
      'True Shadow: mode Audit: records what it would have done, grants nothing and denies nothing',
      'True Programmed: ',
    ],
    [
      'expired',
      () => settled({ policies: [policy('a', { expiresAt: '2026-11-26T09:00:00Z' })] }),
      a,
      'True Accepted: in force for nobody: spec.expiresAt has passed',
      'True Programmed: ',
    ],
    [
      'one pod of two is silent',
      () => {
        const input = both();
        return { ...input, pods: input.pods.map((one, i) => (i === 0 ? { ...one, report: null } : one)) };
      },
      a,
      'True Accepted: ',
      'False Progressing: not confirmed by pods orders-a',
    ],
    [
      'silent right after the operator’s start',
      () => {
        const input = both();
        return { ...input, listeningSince: NOW - 1000, pods: input.pods.map((one) => ({ ...one, report: null })) };
      },
      a,
      'True Accepted: ',
      'True Programmed: ',
    ],
  ])('%s', (_name, input, object, accepted, programmed) => {
    expect([saysOf(input(), object, 'Accepted'), saysOf(input(), object, 'Programmed')]).toEqual([
      accepted,
      programmed,
    ]);
  });

  test('what the database says against it is told by field, once for all pods, and takes nothing from its being in force', () => {
    const finding = { kind: 'AccessPolicy', namespace: 'shop', name: 'a', path: 'spec.rules[0].relations[0]' };
    const input = telling(both(), {
      findings: [
        { ...finding, path: 'spec.rules[1].functions[0]', message: 'no function app.f(int)' },
        { ...finding, message: 'no relation matches public.*' },
      ],
    });
    expect(saysOf(input, a, 'ResolvedRefs')).toBe(
      'False TargetNotFound: spec.rules[0].relations[0]: no relation matches public.*, spec.rules[1].functions[0]: no function app.f(int)',
    );
    expect(saysOf(input, a, 'Programmed')).toBe('True Programmed: ');
    expect(saysOf(input, b, 'ResolvedRefs')).toBe('none');
  });

  test('a column that is not there', () => {
    const finding = {
      kind: 'MaskingRule',
      namespace: 'shop',
      name: 'm',
      path: 'spec.columns[0]',
      message: 'no such column',
    };
    expect(saysOf(telling(both(), { findings: [finding] }), rule, 'ResolvedRefs')).toBe(
      'False ColumnNotFound: spec.columns[0]: no such column',
    );
  });

  test('objects of other namespaces and for other gateways are not attached', () => {
    const elsewhere = policy('x', {}, 'elsewhere');
    const other = policy('y', { targetRefs: [{ group: 'postern.dev', kind: 'PostgresGateway', name: 'other' }] });
    expect(plan(fresh({ policies: [elsewhere, other] })).attachments).toEqual([]);
  });
});

describe('over all gateways', () => {
  const target = (name: string) => ({ group: 'postern.dev', kind: 'PostgresGateway', name });
  const wide = policy('a', { targetRefs: [target('orders'), target('billing')] });
  const good = plan(settled({ policies: [wide] })).attachments[0]!;
  const late = plan(fresh({ policies: [wide] })).attachments[0]!;
  const shadow = plan(settled({ policies: [policy('a', { mode: 'Audit' })] })).attachments[0]!;
  const invalid = plan(fresh({ policies: [policy('a', { role: 'nobody' })] })).attachments[0]!;
  const found: Attachment = {
    ...good,
    conditions: [
      ...good.conditions,
      {
        type: 'ResolvedRefs',
        status: 'False',
        observedGeneration: 1,
        reason: 'TargetNotFound',
        message: 'spec.x: nothing',
      },
    ],
  };
  const roll = (object: AccessPolicy | MaskingRule, ...gateways: readonly [string, Attachment | null][]) => {
    const status = planAttached({ object, gateways: new Map(gateways), now: NOW });
    const [ready] = status.conditions!;
    return `${ready!.status} ${ready!.reason}: ${ready!.message}`;
  };

  test.each<[string, () => string, string]>([
    ['in force on both', () => roll(wide, ['orders', good], ['billing', good]), 'True Ready: '],
    [
      'in force on one',
      () => roll(wide, ['orders', good], ['billing', late]),
      'False PartiallyProgrammed: in force on 1 of 2 gateways; billing: no pod of the gateway is ready',
    ],
    [
      'on none, for one reason',
      () => roll(wide, ['orders', late], ['billing', late]),
      'False Progressing: billing: no pod of the gateway is ready, orders: no pod of the gateway is ready',
    ],
    [
      'there is no such gateway',
      () => roll(wide, ['orders', good], ['billing', null]),
      'False PartiallyProgrammed: in force on 1 of 2 gateways; billing: there is no PostgresGateway billing in this namespace',
    ],
    [
      'there is none at all',
      () => roll(a, ['orders', null]),
      'False TargetNotFound: orders: there is no PostgresGateway orders in this namespace',
    ],
    [
      'wrong',
      () => roll(a, ['orders', invalid]),
      'False Invalid: orders: spec.role: "nobody" is not a role of the gateway; its spec.upstream.roles are: ro',
    ],
    ['not looked at yet', () => roll(a), 'Unknown Progressing: orders: gateway orders has not been looked at yet'],
    [
      'a policy that only watches',
      () => roll(a, ['orders', shadow]),
      'True Shadow: mode Audit: records what it would have done, grants nothing and denies nothing',
    ],
    ['in force, with something to look at', () => roll(a, ['orders', found]), 'True Ready: orders: spec.x: nothing'],
    [
      'a mask',
      () => roll(rule, ['orders', plan(settled({ maskingRules: [rule] })).attachments[0]!]),
      'False PartiallyProgrammed: orders: this version cannot mask: sessions of those from whom values are to be hidden are refused',
    ],
  ])('%s', (_name, said, expected) => {
    expect(said()).toBe(expected);
  });

  test('one ancestor for each gateway, sorted, with what it made of it', () => {
    const status = planAttached({
      object: wide,
      gateways: new Map([
        ['orders', good],
        ['billing', null],
      ]),
      now: NOW,
    });
    expect(status.ancestors).toEqual([
      {
        ancestorRef: { group: 'postern.dev', kind: 'PostgresGateway', namespace: 'shop', name: 'billing' },
        conditions: [
          expect.objectContaining({ type: 'Accepted', status: 'False', reason: 'TargetNotFound' }),
          expect.objectContaining({ type: 'Programmed', status: 'False', reason: 'TargetNotFound' }),
        ],
      },
      {
        ancestorRef: { group: 'postern.dev', kind: 'PostgresGateway', namespace: 'shop', name: 'orders' },
        conditions: [
          expect.objectContaining({ type: 'Accepted', status: 'True' }),
          expect.objectContaining({ type: 'Programmed', status: 'True' }),
        ],
      },
    ]);
  });

  test('sixteen at most', () => {
    const names = Array.from({ length: 18 }, (_, i) => `g${String(i).padStart(2, '0')}`);
    const object = { ...a, spec: { ...a.spec, targetRefs: names.map((name) => ({ ...a.spec.targetRefs[0]!, name })) } };
    const status = planAttached({ object, gateways: new Map(names.map((name) => [name, good])), now: NOW });
    expect(status.ancestors).toHaveLength(16);
    expect(status.conditions![0]!.message).toBe('2 more gateways are not told of');
  });

  test('what was said last stays until a gateway has been looked at again', () => {
    const status = planAttached({ object: a, gateways: new Map([['orders', good]]), now: NOW - MINUTE });
    const object = { ...a, status };
    expect(planAttached({ object, gateways: new Map(), now: NOW })).toEqual(status);
    const next = { ...object, metadata: { ...object.metadata, generation: 2 } };
    expect(planAttached({ object: next, gateways: new Map(), now: NOW }).conditions![0]!.status).toBe('Unknown');
  });

  test('columns that a database lacks are listed', () => {
    const finding = { kind: 'MaskingRule', namespace: 'shop', name: 'm', path: 'spec.columns[0]', message: 'none' };
    const input = telling(settled({ maskingRules: [rule] }), { findings: [finding] });
    const gateways = new Map([['orders', plan(input).attachments[0]!]]);
    expect(planAttached({ object: rule, gateways, now: NOW })).toMatchObject({ unmatched: ['public.customers.email'] });
  });

  test('times stay while the status does', () => {
    const first = planAttached({ object: a, gateways: new Map([['orders', good]]), now: NOW - MINUTE });
    const again = planAttached({ object: { ...a, status: first }, gateways: new Map([['orders', good]]), now: NOW });
    expect(again).toEqual(first);
    const later = planAttached({ object: { ...a, status: first }, gateways: new Map([['orders', late]]), now: NOW });
    expect(later.conditions![0]).toMatchObject({ status: 'False', lastTransitionTime: '2026-11-26T09:00:00Z' });
  });
});

test('a pod that runs the document from before is not asked for what it has', () => {
  const input = both();
  const next = plan({ ...input, policies: [edited, b] }).publish!;
  const mixed = {
    ...input,
    policies: [edited, b],
    pods: [running('orders-a', next), { ...input.pods[1]!, report: report(input.published!.revision) }],
  };
  expect(saysOf(mixed, edited, 'Programmed')).toBe('False Progressing: not confirmed by pods orders-b');
  expect(saysOf(mixed, b, 'Programmed')).toBe('True Programmed: ');
});
