import { describe, expect, test } from 'vitest';
import { canonicalJson } from '../../gateway/config/canonical.ts';
import { checkDocument } from '../../gateway/config/load.ts';
import { compile, type PlanInput } from '../../operator/plan/compile.ts';
import { parseDuration, parseSize } from '../../operator/plan/quantities.ts';
import { gateway, policy } from '../operator/manifests.ts';

const plan = (input: Partial<PlanInput>) =>
  compile({ gateway: gateway(), policies: [], maskingRules: [], clusterIssuer: null, pods: 1, ...input });
const problems = (input: Partial<PlanInput>) =>
  plan(input).problems.map(({ object, path, message }) => `${object.kind}/${object.name}: ${path}: ${message}`);

test('a gateway with policies becomes a document that the gateway itself accepts', () => {
  const { document } = plan({
    policies: [policy('b'), policy('a', { session: { maxAge: '8h', rows: 10 }, expiresAt: '2030-01-01T00:00:00Z' })],
  });
  expect(checkDocument(document)).toMatchObject({ ok: true });
  expect(document!.policies.map(({ name }) => name)).toEqual(['a', 'b']);
  expect(document!.policies[0]).toMatchObject({
    session: { maxAge: 28_800_000, rows: 10 },
    expiresAt: Date.UTC(2030, 0, 1),
  });
});

test('limits, maxRows and alerts are in it', () => {
  const { document } = plan({
    gateway: gateway({ audit: { alerts: { webhookSecretRef: { name: 'hook' } } } }),
    policies: [
      policy('a', {
        rules: [{ name: 'r', action: 'Allow', statements: ['Update'], relations: ['public.*'], maxRows: 5 }],
        limits: { sessions: 2, bytesPerDay: '64Mi' },
      }),
    ],
  });
  expect(checkDocument(document)).toMatchObject({ ok: true });
  expect(document).toMatchObject({
    audit: { alerts: { secret: 'hook', statements: 'Omit' } },
    policies: [
      {
        rules: [{ maxRows: 5 }],
        limits: { sessions: 2, statementsPerMinute: null, rowsPerDay: null, bytesPerDay: 67_108_864 },
      },
    ],
  });
});

test('the order of arrival changes nothing', () => {
  const policies = ['c', 'a', 'b'].map((name) => policy(name));
  const one = plan({ policies }).document;
  const other = plan({ policies: policies.toReversed() }).document;
  expect(canonicalJson(one)).toBe(canonicalJson(other));
});

test('policies of another namespace or another gateway are not attached', () => {
  const other = policy('x', { targetRefs: [{ group: 'postern.dev', kind: 'PostgresGateway', name: 'other' }] });
  expect(plan({ policies: [policy('y', {}, 'elsewhere'), other] }).document!.policies).toEqual([]);
});

test('a ServiceAccount is the user that its token names', () => {
  const subjects = [{ serviceAccount: { namespace: 'n', name: 's' } }];
  const { document } = plan({ policies: [policy('a', { subjects })] });
  expect(document!.policies[0]!.subjects).toEqual([{ user: 'system:serviceaccount:n:s' }]);
});

test('a Certificate listener brings its authorities', () => {
  const { document } = plan({
    gateway: gateway({
      listeners: [{ name: 'mtls', port: 5434, authentication: 'Certificate' }],
      identity: { certificates: { caSecretRef: { name: 'people-ca' } } },
    }),
  });
  expect(document).toMatchObject({
    listeners: [{ name: 'mtls', port: 5434, authentication: 'Certificate' }],
    identity: { certificates: { ca: { secret: 'people-ca', key: 'ca.crt' } }, issuers: [] },
  });
  expect(checkDocument(document)).toMatchObject({ ok: true });
});

test('a kubernetes issuer gets the keys of the cluster', () => {
  const cluster = { issuer: 'https://kubernetes.default.svc', jwks: { keys: [{ kty: 'RSA', kid: 'a' }] } };
  const identity = { issuers: [{ name: 'cluster', kubernetes: { audience: 'postern' } }] };
  const { document } = plan({ gateway: gateway({ identity }), clusterIssuer: cluster });
  expect(document!.identity.issuers).toEqual([
    { kind: 'Kubernetes', name: 'cluster', audience: 'postern', ...cluster },
  ]);
});

describe('refused, with object, field and remedy; and no document', () => {
  const rule = (parts: object) => ({
    policies: [policy('a', { rules: [{ name: 'r', action: 'Allow', statements: ['Update'], ...parts }] })],
  });
  const audit = (spec: object) => ({ gateway: gateway({ audit: spec }) });
  const s3 = { name: 'a', s3: { bucket: 'audit', region: 'eu-central-1' } };
  const otlp = { name: 'b', otlp: { endpoint: 'http://collector:4318' } };
  test.each<[string, Partial<PlanInput>, string]>([
    [
      'a role that the gateway does not have',
      { policies: [policy('a', { role: 'nobody' })] },
      'AccessPolicy/a: spec.role: "nobody" is not a role of the gateway; its spec.upstream.roles are: ro',
    ],
    [
      'approval',
      rule({ action: 'RequireApproval', approval: { approvers: [{ group: 'dba' }] } }),
      'AccessPolicy/a: spec.rules[0].action: RequireApproval is not available in this version: nobody can approve yet',
    ],
    [
      'durability Acknowledged',
      audit({ durability: 'Acknowledged', sinks: [otlp] }),
      'PostgresGateway/orders: spec.audit.durability: Acknowledged is not available',
    ],
    ['an s3 sink', audit({ sinks: [s3] }), 'PostgresGateway/orders: spec.audit.sinks[0].s3: the sink s3'],
    ['an otlp sink', audit({ sinks: [s3, otlp] }), 'PostgresGateway/orders: spec.audit.sinks[1].otlp: the sink otlp'],
    ['full recording', audit({ recording: { mode: 'Full' } }), 'spec.audit.recording.mode: Full is not available'],
    ['hashed parameters', audit({ redaction: { parameters: 'Hash' } }), 'spec.audit.redaction.parameters: Hash'],
    ['hashed literals', audit({ redaction: { literals: 'Hash' } }), 'spec.audit.redaction.literals: Hash'],
    [
      'a kubernetes issuer where the cluster is not known',
      { gateway: gateway({ identity: { issuers: [{ name: 'c', kubernetes: { audience: 'p' } }] } }) },
      'spec.identity.issuers[0].kubernetes: the keys of the cluster are not known here',
    ],
    [
      'a time zone that is none',
      { policies: [policy('a', { window: { from: '07:00', to: '20:00', timeZone: 'Mars/Base' } })] },
      'AccessPolicy/a: spec.window.timeZone: "Mars/Base" is not a time zone',
    ],
    [
      'an end that the API server takes and nobody can read',
      { policies: [unreadable(policy('a'))] },
      'AccessPolicy/a: spec.expiresAt: "2026-12-31T00:00:00+99:99" is not a time such as 2026-12-31T00:00:00Z',
    ],
  ])('%s', (_name, input, expected) => {
    expect(plan(input).document).toBeNull();
    expect(problems(input).join('\n')).toContain(expected);
  });
});

test('an end before 1970 has passed as well', () => {
  const { document } = plan({ policies: [policy('a', { expiresAt: '0001-01-01T00:00:00Z' })] });
  expect(document!.policies[0]!.expiresAt).toBe(0);
  expect(checkDocument(document)).toMatchObject({ ok: true });
});

function unreadable(manifest: ReturnType<typeof policy>): ReturnType<typeof policy> {
  return { ...manifest, spec: { ...manifest.spec, expiresAt: '2026-12-31T00:00:00+99:99' } };
}

test('durations and sizes', () => {
  expect([parseDuration('1h30m'), parseDuration('10s'), parseDuration('250ms'), parseDuration('0s')]).toEqual([
    5_400_000, 10_000, 250, 0,
  ]);
  expect([parseSize('1Gi'), parseSize('64Mi'), parseSize('5')]).toEqual([1024 ** 3, 64 * 1024 ** 2, 5]);
  for (const text of ['10', '', 'soon', '-1s']) expect(() => parseDuration(text)).toThrow(RangeError);
  for (const text of ['x', '', '-1', '1.5Gi']) expect(() => parseSize(text)).toThrow(RangeError);
});
