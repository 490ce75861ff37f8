import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalJson } from '../../gateway/config/canonical.ts';
import { planAttached } from '../../operator/plan/attached.ts';
import { plan } from '../../operator/plan/plan.ts';
import type { GatewayInput, GatewayPlan, PodView } from '../../operator/plan/types.ts';
import { gateway, mask, policy } from '../operator/manifests.ts';
import { fresh, MINUTE, NOW, pod, report, settled, stored } from './kit.ts';

const POLICIES = [
  policy('a'),
  policy('b', { mode: 'Audit' }),
  policy('c', { expiresAt: '2026-11-26T09:30:00Z' }),
  policy('d', { role: 'nobody' }),
];
const MASKS = [mask('m'), mask('n', { subjects: [{ group: 'g' }] })];
const GATEWAYS = [
  gateway(),
  gateway({ replicas: 0 }),
  gateway({ autoscaling: { maxReplicas: 5 } }),
  gateway({ audit: { spool: { volumeClaimTemplate: {} } } }),
  gateway({ audit: { recording: { mode: 'Full' } } }),
];
const BEFORE = settled({ policies: [POLICIES[0]!] }).published!;

const finding = fc.record({
  kind: fc.constantFrom('Secret', 'PostgresGateway', 'AccessPolicy', 'MaskingRule'),
  namespace: fc.constant('shop'),
  name: fc.constantFrom('a', 'm', 'orders', 'tls'),
  path: fc.constantFrom('spec.tls.secretRef', 'spec.rules[0]', 'spec.columns[0]'),
  message: fc.constantFrom('is missing', 'matches nothing'),
});

/** A pod in any state, and whether it runs the new document, the one before, or one that nobody knows. */
const anyPod = fc.record({
  ready: fc.boolean(),
  terminating: fc.boolean(),
  started: fc.boolean(),
  shape: fc.constantFrom('new', 'old'),
  waiting: fc.subarray([
    { reason: 'ImagePullBackOff', message: 'Back-off' },
    { reason: 'CreateContainerConfigError', message: 'secret "x" not found' },
  ]),
  runs: fc.constantFrom('new', 'before', 'unknown', 'silent', 'refuses'),
  sessions: fc.nat(2),
  findings: fc.array(finding, { maxLength: 3 }),
});

const anyInput = fc
  .record({
    gateway: fc.constantFrom(...GATEWAYS),
    paused: fc.boolean(),
    policies: fc.subarray(POLICIES),
    maskingRules: fc.subarray(MASKS),
    published: fc.boolean(),
    earlier: fc.boolean(),
    foreign: fc.subarray(['Service/orders', 'Deployment/orders']),
    exceeded: fc.boolean(),
    wanted: fc.nat(6),
    listeningSince: fc.constantFrom(NOW, NOW - 5000, NOW - MINUTE),
    pods: fc.array(anyPod, { maxLength: 4 }),
    conflicts: fc.boolean(),
  })
  .map((from): GatewayInput => {
    const annotations = from.paused ? { 'postern.dev/paused': 'true' } : {};
    const manifest = { ...from.gateway, metadata: { ...from.gateway.metadata, annotations } };
    const input = fresh({
      gateway: stored(manifest),
      policies: from.policies,
      maskingRules: from.maskingRules,
      published: from.published ? BEFORE : null,
      earlier: from.earlier ? [BEFORE] : [],
      foreign: from.conflicts ? from.foreign : [],
      listeningSince: from.listeningSince,
      workload: {
        generation: 1,
        observedGeneration: 1,
        wanted: from.wanted,
        replicas: from.wanted,
        updatedReplicas: 1,
        progressDeadlineExceeded: from.exceeded,
      },
    });
    const next = plan(input).publish ?? BEFORE;
    const revisions = {
      new: next.revision,
      before: BEFORE.revision,
      unknown: 'f'.repeat(64),
      refuses: BEFORE.revision,
    };
    const pods = from.pods.map(({ runs, sessions, findings, shape, ...rest }, i): PodView => {
      const refused = runs === 'refuses' ? { revision: next.revision, errors: ['z', 'a'] } : null;
      const told = runs === 'silent' ? null : report(revisions[runs], { refused, sessions, findings });
      return pod(`orders-${i}`, { ...rest, shape, report: told });
    });
    return { ...input, pods };
  });

/** All that a plan would write; the order of what is applied counts, that of events does not. */
const bytes = (planned: GatewayPlan): string => canonicalJson({ ...planned, events: [...planned.events] });

test('any order of arrival gives the same plan', () => {
  fc.assert(
    fc.property(anyInput, fc.infiniteStream(fc.nat()), (input, numbers) => {
      const shuffled = <T>(items: readonly T[]): T[] =>
        items
          .map((item) => ({ item, at: numbers.next().value }))
          .sort((a, b) => a.at - b.at)
          .map(({ item }) => item);
      const other: GatewayInput = {
        ...input,
        policies: shuffled(input.policies),
        maskingRules: shuffled(input.maskingRules),
        foreign: shuffled(input.foreign),
        earlier: shuffled(input.earlier),
        pods: shuffled(input.pods).map((one) => ({
          ...one,
          waiting: shuffled(one.waiting),
          report: one.report && {
            ...one.report,
            findings: shuffled(one.report.findings),
            refused: one.report.refused && { ...one.report.refused, errors: shuffled(one.report.refused.errors) },
          },
        })),
      };
      expect(bytes(plan(other))).toBe(bytes(plan(input)));
    }),
  );
});

test('a plan made again after it was carried out writes nothing: neither children, nor status, nor events', () => {
  fc.assert(
    fc.property(anyInput, fc.nat(10 * MINUTE), (input, later) => {
      const first = plan(input);
      const status = first.status;
      const after: GatewayInput = {
        ...input,
        gateway: { ...input.gateway, status },
        published: first.publish ?? input.published,
        autoscaled: input.gateway.spec.autoscaling !== undefined,
      };
      const second = plan(after);
      // What was published is now what is in force: counts and attachments may say so, once.
      const third = plan({ ...after, gateway: { ...after.gateway, status: second.status } });
      expect(canonicalJson([third.children, third.status, third.attachments, third.events])).toBe(
        canonicalJson([second.children, second.status, second.attachments, []]),
      );
      expect(second.children).toEqual(first.children);
      // Time alone changes conditions only when a plan has said that it will.
      const wait = third.requeueAfter ?? Number.POSITIVE_INFINITY;
      if (later >= wait) return;
      const fourth = plan({ ...after, gateway: { ...after.gateway, status: third.status }, now: NOW + later });
      expect(canonicalJson([fourth.status, fourth.attachments])).toBe(canonicalJson([third.status, third.attachments]));
    }),
  );
});

test('the same holds for what is attached', () => {
  fc.assert(
    fc.property(anyInput, fc.nat(10 * MINUTE), (input, later) => {
      for (const attachment of plan(input).attachments) {
        const object = [...input.policies, ...input.maskingRules].find(
          ({ kind, metadata }) => kind === attachment.kind && metadata.name === attachment.name,
        )!;
        const gateways = new Map([['orders', attachment]]);
        const status = planAttached({ object, gateways, now: NOW });
        const written = { ...object, status } as typeof object;
        expect(planAttached({ object: written, gateways, now: NOW + later })).toEqual(status);
      }
    }),
  );
});

test('messages fit into a line, and say no times', () => {
  fc.assert(
    fc.property(anyInput, (input) => {
      const { status, attachments } = plan(input);
      for (const { message } of [...status.conditions!, ...attachments.flatMap(({ conditions }) => conditions)]) {
        expect(message.length).toBeLessThanOrEqual(200);
        expect(message).not.toMatch(/\d\d:\d\d:\d\d|\d{4}-\d\d-\d\d/);
      }
    }),
  );
});

test('Programmed is never said while a pod that is ready, or has sessions, is known to run anything else', () => {
  fc.assert(
    fc.property(anyInput, (input) => {
      const { status, publish } = plan(input);
      const isTrue = status.conditions!.some((one) => one.type === 'Programmed' && one.status === 'True');
      const target = (publish ?? input.published)?.revision;
      const others = input.pods.filter(
        ({ ready, report: told }) => (ready || (told?.sessions ?? 0) > 0) && told?.revision !== target,
      );
      if (isTrue) expect(others).toEqual([]);
    }),
  );
});
