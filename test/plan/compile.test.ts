import { describe, expect, test } from 'vitest';
import { canonicalJson } from '../../gateway/config/canonical.ts';
import { checkDocument } from '../../gateway/config/load.ts';
import { compile, type PlanInput } from '../../operator/plan/compile.ts';
import { parseDuration, parseSize } from '../../operator/plan/quantities.ts';

const metadata = (name: string, namespace = 'shop') => ({ name, namespace });
const targetRefs = [{ group: 'postern.dev', kind: 'PostgresGateway', name: 'orders' }];

const gateway = (spec: object = {}) => ({
  kind: 'PostgresGateway',
  metadata: metadata('orders'),
  spec: {
    upstream: { host: 'db', roles: [{ name: 'ro', secretRef: { name: 'ro-login' } }], catalogRole: 'ro' },
    listeners: [{ name: 'token', port: 5432, authentication: 'Token' }],
    tls: { secretRef: { name: 'tls' } },
    identity: {
      issuers: [
        { name: 'corp', url: 'https://login.example.com', audiences: ['postern'], claims: { username: 'email' } },
      ],
    },
    ...spec,
  },
});
const policy = (name: string, spec: object = {}, namespace = 'shop') => ({
  kind: 'AccessPolicy',
  metadata: metadata(name, namespace),
  spec: {
    targetRefs,
    subjects: [{ group: 'g' }],
    role: 'ro',
    rules: [{ name: 'read', action: 'Allow', statements: ['Select'], relations: ['public.*'] }],
    ...spec,
  },
});
const plan = (input: Partial<PlanInput>) =>
  compile({ gateway: gateway(), policies: [], maskingRules: [], clusterIssuer: null, ...input });
const problems = (input: Partial<PlanInput>) => plan(input).problems.map(({ path, message }) => `${path}: ${message}`);

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
  const { document } = plan({
    policies: [policy('a', { subjects: [{ serviceAccount: { namespace: 'n', name: 's' } }] })],
  });
  expect(document!.policies[0]!.subjects).toEqual([{ user: 'system:serviceaccount:n:s' }]);
});

describe('refused, with field and remedy', () => {
  const rule = (parts: object) => ({
    policies: [policy('a', { rules: [{ name: 'r', action: 'Allow', statements: ['Update'], ...parts }] })],
  });
  test.each<[string, Partial<PlanInput>, string]>([
    [
      'a role that the gateway does not have',
      { policies: [policy('a', { role: 'nobody' })] },
      'spec.role: "nobody" is not a role of the gateway',
    ],
    ['approval', rule({ action: 'RequireApproval' }), 'nobody can approve yet'],
    ['maxRows', rule({ maxRows: 5 }), 'spec.rules[0].maxRows: maxRows is not available'],
    [
      'reach beside classes that have none',
      rule({ statements: ['Select', 'Update'], reach: ['Keyed'] }),
      'put Select into a rule of their own',
    ],
    ['a pattern without schema', rule({ relations: ['orders'] }), 'has no schema'],
    ['Any beside others', rule({ statements: ['Any', 'Select'] }), 'Any stands alone'],
    [
      'a masking rule',
      { maskingRules: [{ kind: 'MaskingRule', metadata: metadata('m'), spec: { targetRefs } }] },
      'masking is not available',
    ],
    [
      'durability Acknowledged',
      { gateway: gateway({ audit: { durability: 'Acknowledged' } }) },
      'Acknowledged is not available',
    ],
    ['an s3 sink', { gateway: gateway({ audit: { sinks: [{ name: 'a', s3: {} }] } }) }, 'spec.audit.sinks[0].s3'],
    ['no certificate while TLS is required', { gateway: gateway({ tls: {} }) }, 'spec.tls.secretRef'],
    [
      'an issuer over http',
      {
        gateway: gateway({ identity: { issuers: [{ name: 'x', url: 'http://login.example.com', audiences: ['p'] }] } }),
      },
      'must be https',
    ],
    ['a time that is none', { gateway: gateway({ limits: { idle: 'soon' } }) }, '"soon" is not a duration'],
    [
      'a time zone that is none',
      { policies: [policy('a', { window: { timeZone: 'Mars/Base' } })] },
      'spec.window.timeZone',
    ],
  ])('%s', (_name, input, expected) => {
    expect(plan(input).document).toBeNull();
    expect(problems(input).join('\n')).toContain(expected);
  });
});

test('durations and sizes', () => {
  expect([parseDuration('1h30m'), parseDuration('10s'), parseDuration('10'), parseDuration('')]).toEqual([
    5_400_000,
    10_000,
    undefined,
    undefined,
  ]);
  expect([parseSize('1Gi'), parseSize('64Mi'), parseSize('5'), parseSize('x')]).toEqual([
    1024 ** 3,
    64 * 1024 ** 2,
    5,
    undefined,
  ]);
});
