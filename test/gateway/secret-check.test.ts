import { expect, test } from 'vitest';
import { secretUses } from '../../gateway/config/secret-uses.ts';
import { checkSecrets } from '../../gateway/secret-check.ts';
import { exampleDocument } from '../config/fixture.ts';

const ca = (secret: string) => ({ secret, key: 'ca.crt' });
const base = exampleDocument();
const WHOLE = exampleDocument({
  upstream: { ...base.upstream, tls: { mode: 'VerifyFull', ca: ca('db-ca') } },
  identity: {
    ...base.identity,
    issuers: [
      { kind: 'Kubernetes', name: 'cluster', audience: 'postern', issuer: 'https://k', jwks: { keys: [] } },
      { ...base.identity.issuers[0]!, ca: ca('login-ca') } as (typeof base.identity.issuers)[number],
    ],
    certificates: { ca: ca('people-ca') },
  },
  audit: { ...base.audit, alerts: { secret: 'alerts', statements: 'Omit' } },
});
const ALL = [
  'reader/password',
  'db-ca/ca.crt',
  'orders-tls/tls.crt',
  'orders-tls/tls.key',
  'login-ca/ca.crt',
  'people-ca/ca.crt',
  'alerts/url',
  'alerts/key',
];

function world(keys: readonly string[]) {
  const there = new Set(keys);
  let now = 0;
  const read = (secret: string, key: string) => (there.has(`${secret}/${key}`) ? Buffer.from('x') : undefined);
  const check = checkSecrets(
    () => WHOLE,
    { read },
    () => now,
  );
  const later = () => {
    now += 1000;
  };
  const said = () => check.findings().map(({ path, message }) => `${path}: ${message}`);
  return { there, check, later, said };
}

test('every Secret of a document is looked for, by the field that names it', () => {
  expect(secretUses(WHOLE).map(({ path, secret }) => [path, secret])).toEqual([
    ['spec.upstream.roles[0].secretRef', 'reader'],
    ['spec.upstream.tls.caSecretRef', 'db-ca'],
    ['spec.tls.secretRef', 'orders-tls'],
    ['spec.identity.issuers[1].caSecretRef', 'login-ca'],
    ['spec.identity.certificates.caSecretRef', 'people-ca'],
    ['spec.audit.alerts.webhookSecretRef', 'alerts'],
  ]);
  // Whatever names a Secret in the document is in the list; keys of masks are not read in this version.
  const named = [...JSON.stringify(WHOLE).matchAll(/"secret":"([^"]+)"/g)].map(([, name]) => name);
  expect(new Set(secretUses(WHOLE).map(({ secret }) => secret))).toEqual(new Set(named));
});

test('nothing is missing where everything required is there', () => {
  const { check } = world(ALL);
  expect([check.findings(), check.notReady()]).toEqual([[], null]);
});

test('what is missing is said by Secret and key', () => {
  const { check, said } = world(
    ALL.filter((key) => !['reader/password', 'orders-tls/tls.key', 'alerts/url'].includes(key)),
  );
  expect(said()).toEqual([
    'spec.upstream.roles[0].secretRef: Secret reader is missing',
    'spec.tls.secretRef: Secret orders-tls lacks tls.key',
    'spec.audit.alerts.webhookSecretRef: Secret alerts lacks url',
  ]);
  expect(check.findings()[0]).toMatchObject({ kind: 'Secret', namespace: 'shop', name: 'reader' });
  expect(check.notReady()).toBe('spec.upstream.roles[0].secretRef: Secret reader is missing');
});

test('a Secret with a user name and no password is there', () => {
  const { said } = world([...ALL.slice(1), 'reader/username']);
  expect(said()).toEqual(['spec.upstream.roles[0].secretRef: Secret reader lacks password']);
});

test('one that comes is seen within a second; one that goes is told, and the pod stays ready', () => {
  const { there, check, later } = world(ALL.slice(1));
  expect(check.notReady()).not.toBeNull();
  there.add('reader/password');
  later();
  expect([check.notReady(), check.findings()]).toEqual([null, []]);
  there.delete('reader/password');
  later();
  expect(check.notReady()).toBeNull();
  expect(check.findings()).toHaveLength(1);
});
