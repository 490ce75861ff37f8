import { describe, expect, test } from 'vitest';
import { MAX_CONFIG_BYTES } from '../../operator/plan/children/config-map.ts';
import { plan } from '../../operator/plan/plan.ts';
import type { GatewayInput, PodView } from '../../operator/plan/types.ts';
import { gateway, policy } from '../operator/manifests.ts';
import {
  condition,
  fresh,
  known,
  MINUTE,
  NOW,
  pod,
  report,
  running,
  SETTLED,
  says,
  saysOf,
  settled,
  stored,
} from './kit.ts';

/** Settled, with the status that was written an hour ago, and then something happens. */
function then(change: (input: GatewayInput) => Partial<GatewayInput>, from: Partial<GatewayInput> = {}): GatewayInput {
  const input = known(settled(from));
  return { ...input, ...change(input) };
}

/** The new configuration is in the ConfigMap, and all is as it was else; the status is from then. */
function published(input: GatewayInput, at: number): GatewayInput {
  const next = { ...input, published: plan({ ...input, now: at }).publish, earlier: [input.published!] };
  return known(next, at);
}

const old = { ...policy('old'), metadata: { name: 'old', namespace: 'shop', generation: 1 } };
const changed = { policies: [policy('new')] };
const broken = policy('broken', { role: 'nobody' });
const paused = (input: GatewayInput): GatewayInput['gateway'] => ({
  ...input.gateway,
  metadata: { ...input.gateway.metadata, annotations: { 'postern.dev/paused': 'true' } },
});
const respec = (input: GatewayInput, spec: object): GatewayInput['gateway'] => ({
  ...stored(gateway(spec)),
  status: input.gateway.status!,
});
const podsWith = (input: GatewayInput, change: Partial<PodView>): readonly PodView[] =>
  input.pods.map((one, i) => (i === 0 ? { ...one, ...change } : one));
const finding = (kind: string, name: string, path: string, message: string) => ({
  kind,
  namespace: 'shop',
  name,
  path,
  message,
});
const found = (input: GatewayInput, ...findings: readonly ReturnType<typeof finding>[]): readonly PodView[] =>
  input.pods.map((one) => ({ ...one, report: { ...one.report!, findings } }));

/** Hardly to be compressed, and as the API would take it. */
function large(): ReturnType<typeof policy>[] {
  let seed = 1;
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed.toString(36);
  };
  return Array.from({ length: 700 }, (_, i) =>
    policy(`p${i}`, {
      subjects: Array.from({ length: 200 }, () => ({ user: `${random()}${random()}@example.com` })),
    }),
  );
}

describe('Accepted', () => {
  test.each<[string, () => GatewayInput, string]>([
    ['a gateway that can be made', () => fresh(), 'True Accepted: '],
    [
      'one whose annotation says so is left alone',
      () => then((input) => ({ gateway: paused(input) })),
      'False Paused: nothing is changed while the annotation postern.dev/paused is "true"',
    ],
    [
      'an object of somebody else stands where a child should',
      () => fresh({ foreign: ['Service/orders', 'Deployment/orders'] }),
      'False NameConflict: not ours, and in the place of what the gateway needs: Deployment/orders, Service/orders; delete or rename',
    ],
    [
      'something that this version cannot do',
      () => fresh({ gateway: stored(gateway({ audit: { recording: { mode: 'Full' } } })) }),
      'False Invalid: spec.audit.recording.mode: Full is not available in this version: use Statements or None',
    ],
    ['what is attached is at fault', () => fresh({ policies: [broken] }), 'True Accepted: '],
    [
      'more policies than a document takes',
      () => fresh({ policies: Array.from({ length: 4097 }, (_, i) => policy(`p${i}`)) }),
      'False ConfigTooLarge: 4097 objects are attached, 4095 fit: use several gateways',
    ],
  ])('%s', (_name, input, expected) => {
    expect(says(input(), 'Accepted')).toBe(expected);
  });

  test('more than fits into a ConfigMap is told before the API server would', () => {
    const input = fresh({ policies: large() });
    expect(says(input, 'Accepted')).toMatch(
      new RegExp(`^False ConfigTooLarge: [0-9]{7} bytes gzipped, ${MAX_CONFIG_BYTES} fit into a ConfigMap: `),
    );
    expect(says(input, 'Programmed')).toMatch(/^False ConfigTooLarge: there is none yet: /);
    expect(plan(input).children).toEqual([]);
  });
});

describe('ResolvedRefs', () => {
  test.each<[string, () => GatewayInput, string]>([
    ['all Secrets are there', () => settled(), 'True ResolvedRefs: '],
    ['nobody can say it yet', () => fresh(), 'Unknown Progressing: no pod has said yet whether its Secrets are there'],
    [
      'a Secret is missing',
      () =>
        then((input) => ({
          pods: found(
            input,
            finding('Secret', 'ro-login', 'spec.upstream.roles[0].secretRef', 'Secret ro-login is missing'),
          ),
        })),
      'False SecretNotFound: spec.upstream.roles[0].secretRef: Secret ro-login is missing',
    ],
    [
      'the certificate is missing',
      () =>
        then((input) => ({
          pods: found(input, finding('Secret', 'tls', 'spec.tls.secretRef', 'Secret tls is missing')),
        })),
      'False CertificateNotReady: spec.tls.secretRef: Secret tls is missing',
    ],
    [
      'both are',
      () =>
        then((input) => ({
          pods: found(
            input,
            finding('Secret', 'tls', 'spec.tls.secretRef', 'Secret tls is missing'),
            finding('Secret', 'ca', 'spec.upstream.tls.caSecretRef', 'Secret ca lacks ca.crt'),
          ),
        })),
      'False SecretNotFound: spec.tls.secretRef: Secret tls is missing, spec.upstream.tls.caSecretRef: Secret ca lacks ca.crt',
    ],
    [
      'the kubelet says so',
      () =>
        then((input) => ({
          pods: podsWith(input, {
            waiting: [{ reason: 'CreateContainerConfigError', message: 'secret "extra" not found' }],
            report: null,
            ready: false,
          }),
        })),
      'False SecretNotFound: secret "extra" not found',
    ],
    [
      'what pods say of other objects is not of this one',
      () => then((input) => ({ pods: found(input, finding('AccessPolicy', 'orders', 'spec.rules[0]', 'nothing')) })),
      'True ResolvedRefs: ',
    ],
    [
      'nobody is heard any more: what was known stays',
      () => then((input) => ({ pods: input.pods.map((one) => ({ ...one, report: null })) })),
      'True ResolvedRefs: ',
    ],
  ])('%s', (_name, input, expected) => {
    expect(says(input(), 'ResolvedRefs')).toBe(expected);
  });
});

describe('Programmed', () => {
  const revision = plan(settled()).publish!.revision;
  test.each<[string, () => GatewayInput, string]>([
    ['all pods confirm', () => settled(), `True Programmed: revision ${revision.slice(0, 12)} is in force`],
    ['there are no pods yet', () => fresh(), 'False Progressing: 0 of 2 pods are ready'],
    [
      'none is wanted',
      () => settled({ gateway: stored(gateway({ replicas: 0 })) }),
      `True Programmed: revision ${plan(settled({ gateway: stored(gateway({ replicas: 0 })) })).publish!.revision.slice(0, 12)} is in force`,
    ],
    [
      'a new configuration is on its way',
      () => then(() => changed),
      'False Progressing: not confirmed by pods orders-a, orders-b',
    ],
    [
      'one pod has it',
      () =>
        then((input) => ({ ...changed, pods: podsWith(input, running('x', plan({ ...input, ...changed }).publish!)) })),
      'False Progressing: not confirmed by pods orders-b',
    ],
    [
      'it has been on its way for a minute',
      () =>
        published(
          then(() => changed),
          NOW - MINUTE,
        ),
      'False ConfigNotConfirmed: not confirmed by pods orders-a, orders-b: their logs say why',
    ],
    [
      'pods without a stream for a minute',
      () => {
        const silent = then((input) => ({ ...changed, pods: input.pods.map((one) => ({ ...one, report: null })) }));
        return published(silent, NOW - MINUTE);
      },
      'False ConfigNotConfirmed: not confirmed by pods orders-a, orders-b: they have no control stream; their logs say why',
    ],
    [
      'what has only now been published is not late, however long something else was wrong',
      () =>
        published(
          {
            ...known(
              then(() => ({ policies: [broken] })),
              NOW - 30 * MINUTE,
            ),
            ...changed,
          },
          NOW - 1000,
        ),
      'False Progressing: not confirmed by pods orders-a, orders-b',
    ],
    [
      'pods refuse it',
      () =>
        then((input) => {
          const refused = {
            revision: plan({ ...input, ...changed }).publish!.revision,
            errors: ['limits: no', 'audit: no'],
          };
          return { ...changed, pods: podsWith(input, { report: { ...input.pods[0]!.report!, refused } }) };
        }),
      'False ConfigNotConfirmed: pods orders-a, orders-b refuse the configuration: audit: no',
    ],
    [
      'a pod that ends and has sessions runs the one before',
      () =>
        then((input) => {
          const published = plan({ ...input, ...changed }).publish!;
          const before = { ...input.pods[0]!, ready: false, terminating: true };
          return {
            ...changed,
            pods: [
              { ...before, name: 'orders-z', report: { ...before.report!, sessions: 1 } },
              ...input.pods.map(({ name }) => running(name, published)),
            ],
          };
        }),
      'False Progressing: not confirmed by pods orders-z',
    ],
    [
      'one that is not ready and is not heard may have sessions, behind a broken network',
      () =>
        then((input) => {
          const published = plan({ ...input, ...changed }).publish!;
          return { ...changed, pods: [running('orders-a', published), pod('orders-b', { ready: false })] };
        }),
      'False Progressing: not confirmed by pods orders-b',
    ],
    [
      'a container that has not started has none',
      () =>
        then((input) => {
          const published = plan({ ...input, ...changed }).publish!;
          return {
            ...changed,
            pods: [running('orders-a', published), pod('orders-b', { ready: false, started: false })],
          };
        }),
      `True Programmed: revision ${plan({ ...settled(), ...changed }).publish!.revision.slice(0, 12)} is in force`,
    ],
    [
      'a gateway does not go back: the one that ends unheard had confirmed',
      () => then((input) => ({ pods: podsWith(input, { ready: false, terminating: true, report: null }) })),
      `True Programmed: revision ${revision.slice(0, 12)} is in force`,
    ],
    [
      'an operator that has just begun waits for the streams',
      () =>
        then((input) => ({ listeningSince: NOW - 1000, pods: input.pods.map((one) => ({ ...one, report: null })) })),
      `True Programmed: revision ${revision.slice(0, 12)} is in force`,
    ],
    [
      'but not for ever',
      () =>
        then((input) => ({ listeningSince: NOW - MINUTE, pods: input.pods.map((one) => ({ ...one, report: null })) })),
      'False Progressing: not confirmed by pods orders-a, orders-b',
    ],
    [
      'nor where what they ran was another one',
      () =>
        then((input) => ({
          ...changed,
          listeningSince: NOW - 1000,
          pods: input.pods.map((one) => ({ ...one, report: null })),
        })),
      'False Progressing: not confirmed by pods orders-a, orders-b',
    ],
    [
      'pods began with other listeners',
      () =>
        then((input) => {
          const spec = { listeners: [{ name: 'token', port: 5555, authentication: 'Token' }] };
          const next = { ...input, gateway: respec(input, spec) };
          const told = report(plan(next).publish!.revision);
          return { gateway: next.gateway, pods: input.pods.map((one) => ({ ...one, report: told })) };
        }),
      'False Progressing: pods from before what counts from their start: orders-a, orders-b',
    ],
    [
      'and their successors do not start',
      () =>
        then((input) => {
          const next = { ...input, gateway: respec(input, { audit: { durability: 'Synced' } }) };
          const told = report(plan(next).publish!.revision);
          const stuck = pod('orders-c', {
            ready: false,
            started: false,
            waiting: [{ reason: 'ImagePullBackOff', message: 'Back-off pulling image' }],
          });
          return { gateway: next.gateway, pods: [...input.pods.map((one) => ({ ...one, report: told })), stuck] };
        }),
      'False RolloutStuck: orders-c: ImagePullBackOff',
    ],
    [
      'a policy is broken: the last good one stays',
      () => then(() => ({ policies: [broken, policy('other', { role: 'none' })] })),
      'False Invalid: the last good one stays in force: AccessPolicy broken: spec.role: "nobody" is not a role of the gateway; its spec.upstream.roles are: ro (and 1 more)',
    ],
    [
      'a policy is broken from the beginning',
      () => fresh({ policies: [broken] }),
      'False Invalid: there is none yet: AccessPolicy broken: spec.role: "nobody" is not a role of the gateway; its spec.upstream.roles are: ro',
    ],
    [
      'a paused gateway that has what it says',
      () => then((input) => ({ gateway: paused(input) })),
      `True Programmed: revision ${revision.slice(0, 12)} is in force`,
    ],
    [
      'a paused gateway that does not get what it says',
      () => then((input) => ({ ...changed, gateway: paused(input) })),
      'False Paused: nothing is changed while the annotation postern.dev/paused is "true"',
    ],
  ])('%s', (_name, input, expected) => {
    expect(says(input(), 'Programmed')).toBe(expected);
  });
});

describe('Ready', () => {
  test.each<[string, () => GatewayInput, string]>([
    ['all is well', () => settled(), 'True Ready: 2 of 2 pods are ready'],
    [
      'one pod serves',
      () => then((input) => ({ pods: podsWith(input, { ready: false }) })),
      'True Ready: 1 of 2 pods are ready',
    ],
    [
      'none does',
      () => then((input) => ({ pods: input.pods.map((one) => ({ ...one, ready: false })) })),
      'False Progressing: 0 of 2 pods are ready',
    ],
    [
      'pods that end serve nobody new',
      () => then((input) => ({ pods: input.pods.map((one) => ({ ...one, terminating: true })) })),
      'False Progressing: 0 of 2 pods are ready',
    ],
    [
      'none is wanted',
      () => settled({ gateway: stored(gateway({ replicas: 0 })) }),
      'False Progressing: nobody can connect: spec.replicas is 0',
    ],
    [
      'a rollout of the image alone is stuck',
      () => then((input) => ({ workload: { ...input.workload!, progressDeadlineExceeded: true } })),
      'False RolloutStuck: new pods do not become ready',
    ],
    [
      'a rollout goes on',
      () => then((input) => ({ workload: { ...input.workload!, updatedReplicas: 1 } })),
      'True Ready: 2 of 2 pods are ready; 1 of 2 are up to date',
    ],
    [
      'what was stuck has got another template',
      () => then((input) => ({ workload: { ...input.workload!, generation: 2, progressDeadlineExceeded: true } })),
      'True Ready: 2 of 2 pods are ready',
    ],
    [
      'the first condition that does not hold',
      () => then((input) => ({ gateway: paused(input), ...changed })),
      'False Paused: nothing is changed while the annotation postern.dev/paused is "true"',
    ],
    [
      'a Secret is missing',
      () =>
        then((input) => ({
          pods: found(
            input,
            finding('Secret', 'ro-login', 'spec.upstream.roles[0].secretRef', 'Secret ro-login is missing'),
          ),
        })),
      'False SecretNotFound: spec.upstream.roles[0].secretRef: Secret ro-login is missing',
    ],
  ])('%s', (_name, input, expected) => {
    expect(says(input(), 'Ready')).toBe(expected);
  });
});

describe('status', () => {
  test('address, revision, counts, replicas and selector', () => {
    const input = settled({ policies: [old] });
    expect(plan(input).status).toMatchObject({
      observedGeneration: 1,
      address: 'orders.shop.svc',
      revision: input.published!.revision,
      attached: { accessPolicies: 1, maskingRules: 0 },
      replicas: 2,
      selector: 'app.kubernetes.io/name=postern-gateway,postern.dev/gateway=orders',
    });
  });

  test('counts are of what is in force', () => {
    expect(plan(then(() => ({ policies: [old, broken] }), { policies: [old] })).status.attached).toEqual({
      accessPolicies: 1,
      maskingRules: 0,
    });
  });

  test('the revision is that which all pods run, the one before while they do, none while they differ', () => {
    const input = then(() => changed);
    const next = plan(input).publish!;
    expect(plan(input).status.revision).toBe(input.published!.revision);
    expect(plan({ ...input, pods: [running('a', next), input.pods[1]!] }).status.revision).toBeUndefined();
    expect(plan({ ...input, pods: [running('a', next), running('b', next)] }).status.revision).toBe(next.revision);
  });

  test('observedGeneration is the manifest’s', () => {
    const input = settled();
    const metadata = { ...input.gateway.metadata, generation: 9 };
    const { status } = plan({ ...input, gateway: { ...input.gateway, metadata } });
    expect([status.observedGeneration, ...status.conditions!.map((one) => one.observedGeneration)]).toEqual([
      9, 9, 9, 9, 9,
    ]);
  });

  test('a condition keeps its time while its status does, whatever else changes', () => {
    const input = then(() => changed);
    const begun = condition(input, 'Programmed');
    expect(begun).toMatchObject({ status: 'False', lastTransitionTime: '2026-11-26T09:00:00Z' });
    const later = published(input, NOW - 2 * MINUTE);
    expect(condition(later, 'Programmed')).toMatchObject({
      reason: 'ConfigNotConfirmed',
      lastTransitionTime: '2026-11-26T08:58:00Z',
    });
    expect(condition(input, 'Accepted').lastTransitionTime).toBe('2026-11-26T08:00:00Z');
  });
});

describe('what the plan does', () => {
  test.each<[string, () => GatewayInput]>([
    ['paused', () => then((input) => ({ gateway: paused(input) }))],
    ['a name conflict', () => then(() => ({ foreign: ['Service/orders'] }))],
    [
      'a gateway that is wrong itself',
      () =>
        then((input) => ({
          gateway: respec(input, {
            audit: { durability: 'Acknowledged', sinks: [{ name: 'o', otlp: { endpoint: 'http://o' } }] },
          }),
        })),
    ],
    ['broken from the beginning', () => fresh({ policies: [broken] })],
  ])('%s: nothing is touched and nothing pruned', (_name, input) => {
    expect(plan(input())).toMatchObject({ children: [], prune: false, publish: null, handover: null });
  });

  test('a broken policy leaves the published document as it is; all else goes on', () => {
    const input = then((before) => ({ policies: [broken], gateway: respec(before, { replicas: 5 }) }), {
      policies: [old],
    });
    const { children, publish, prune } = plan(input);
    expect(publish).toEqual(input.published);
    expect(prune).toBe(true);
    expect(children.find(({ kind }) => kind === 'Deployment')).toMatchObject({ spec: { replicas: 5 } });
    expect(children).toContainEqual(
      plan(settled({ policies: [old] })).children.find(({ kind }) => kind === 'ConfigMap'),
    );
  });

  test('the sequence stays with the revision and grows with each other one, whatever the clock says', () => {
    const input = then(() => ({}));
    expect(plan({ ...input, now: NOW + MINUTE }).publish!.sequence).toBe(SETTLED);
    expect(plan({ ...input, ...changed, now: NOW + MINUTE }).publish!.sequence).toBe(NOW + MINUTE);
    expect(plan({ ...input, ...changed, now: SETTLED - MINUTE }).publish!.sequence).toBe(SETTLED + 1);
    const unread = { ...input.published!, sequence: 0 };
    expect(plan({ ...input, published: unread, now: NOW + MINUTE }).publish!.sequence).toBe(NOW + MINUTE);
  });

  test('a ConfigMap that somebody gave a huge sequence and that is gone: what comes next is newer for pods all the same', () => {
    const input = then(() => ({}));
    const hold = (sequence: number) =>
      input.pods.map((each) => ({ ...each, report: report(input.published!.revision, { sequence }) }));
    const next = (sequence: number, published: GatewayInput['published'] = null) =>
      plan({ ...input, ...changed, published, pods: hold(sequence) }).publish!.sequence;
    expect(next(999_999_999_999_999)).toBe(1_000_000_000_000_000);
    expect(next(999_999_999_999_999, input.published)).toBe(1_000_000_000_000_000);
    expect(next(SETTLED)).toBe(NOW);
    // Nor does a pod that lies use up the numbers there are.
    expect(next(Number.MAX_SAFE_INTEGER)).toBe(NOW);
    expect(next(Number.MAX_SAFE_INTEGER - 1)).toBe(NOW);
  });

  test('what the definition lets through and a gateway would not take is said of its object; the last good one stays', () => {
    const [rule] = old.spec.rules;
    const odd = { ...policy('odd'), spec: { ...old.spec, rules: [{ ...rule!, maxRows: -1 }] } };
    const input = then(() => ({ policies: [old, odd] }), { policies: [old] });
    expect(says(input, 'Accepted')).toBe('True Accepted: ');
    expect(says(input, 'Programmed')).toBe(
      'False Invalid: the last good one stays in force: AccessPolicy odd: spec.rules[0].maxRows: must be >= 1',
    );
    expect(saysOf(input, odd, 'Accepted')).toBe('False Invalid: spec.rules[0].maxRows: must be >= 1');
    expect(saysOf(input, old, 'Accepted')).toBe('True Accepted: ');
    expect(plan(input).publish).toBe(input.published);
  });

  test('a sequence ahead of the clock keeps nothing on its way for ever', () => {
    const input = then((before) => {
      const { publish } = plan({ ...before, ...changed });
      const published = { ...publish!, sequence: NOW + 1000 * MINUTE };
      return { ...changed, published };
    });
    const late = { ...known(input, NOW), now: NOW + 2 * MINUTE };
    expect(says(late, 'Programmed')).toMatch(/^False ConfigNotConfirmed: not confirmed by pods/);
  });

  test.each<[string, () => GatewayInput, number | null]>([
    ['nothing is awaited', () => settled(), null],
    ['confirmations: until they are late', () => then(() => changed), MINUTE],
    [
      'after half of that',
      () =>
        published(
          then(() => changed),
          NOW - MINUTE / 2,
        ),
      MINUTE / 2,
    ],
    [
      'streams, after the operator’s start',
      () =>
        then((input) => ({ listeningSince: NOW - 5000, pods: input.pods.map((one) => ({ ...one, report: null })) })),
      10_000,
    ],
    [
      'the end of a policy',
      () => settled({ policies: [policy('a', { expiresAt: '2026-11-26T10:00:00Z' })] }),
      60 * MINUTE,
    ],
    ['no end that has been', () => settled({ policies: [policy('a', { expiresAt: '2026-11-26T08:00:00Z' })] }), null],
  ])('looks again when %s', (_name, input, expected) => {
    expect(plan(input()).requeueAfter).toBe(expected);
  });
});

describe('events', () => {
  test('the first plan tells what is accepted, the next one nothing', () => {
    const input = fresh();
    expect(plan(input).events).toEqual([{ type: 'Normal', reason: 'Accepted', message: 'Accepted' }]);
    expect(plan(known(input, NOW)).events).toEqual([]);
  });

  test('what has gone wrong is a warning, once; what is on its way is none', () => {
    const bad = then(() => ({ policies: [broken] }));
    expect(plan(bad).events).toEqual([
      { type: 'Warning', reason: 'Invalid', message: condition(bad, 'Programmed').message },
    ]);
    expect(plan(known(bad)).events).toEqual([]);
    expect(plan(then(() => changed)).events).toEqual([]);
  });
});
