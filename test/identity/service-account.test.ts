import { generateKeyPairSync } from 'node:crypto';
import { exportJWK, SignJWT } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Issuer } from '../../gateway/config/document.ts';
import { type Bench, createBench, oidc } from './support.ts';

const ISSUER = 'https://kubernetes.default.svc.cluster.local';
const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const SUBJECT = 'system:serviceaccount:reports:nightly';

let cluster: Issuer;
let bench: Bench;

beforeAll(async () => {
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' };
  cluster = { kind: 'Kubernetes', name: 'cluster', audience: 'postern', issuer: ISSUER, jwks: { keys: [jwk] } };
  bench = createBench([cluster]);
});

/** A token as `kubectl create token nightly -n reports --audience postern` gives, with changes. */
function token(changes: Record<string, unknown> = {}, key = privateKey, kid = 'k1'): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    aud: ['postern'],
    exp: now + 600,
    iat: now,
    nbf: now,
    iss: ISSUER,
    jti: '5b8a0e0c-0000-4000-8000-000000000001',
    'kubernetes.io': {
      namespace: 'reports',
      pod: { name: 'nightly-0', uid: '2' },
      serviceaccount: { name: 'nightly', uid: '1' },
    },
    sub: SUBJECT,
    ...changes,
  };
  return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid }).sign(key);
}

describe('a projected ServiceAccount token', () => {
  it('has the user name and groups that the API server gives it, without any network', async () => {
    const identity = await bench.identify(await token());
    expect(identity).toMatchObject({
      username: SUBJECT,
      groups: ['system:serviceaccounts', 'system:serviceaccounts:reports', 'system:authenticated'],
      issuer: 'cluster',
      subject: SUBJECT,
      credentialId: '5b8a0e0c-0000-4000-8000-000000000001',
    });
    expect(identity.expiresAt % 1000).toBe(0);
  });

  const claims = (namespace: unknown, name: unknown): Record<string, unknown> => ({
    'kubernetes.io': { namespace, serviceaccount: { name } },
  });
  const refused: { name: string; changes: Record<string, unknown>; reason: string }[] = [
    { name: 'for the API server', changes: { aud: [ISSUER] }, reason: 'WrongAudience' },
    { name: 'of another cluster', changes: { iss: 'https://other' }, reason: 'UnknownIssuer' },
    { name: 'expired', changes: { exp: 1_700_000_000 }, reason: 'Expired' },
    {
      name: 'of a long-lived Secret, which has no expiry',
      changes: { exp: undefined, 'kubernetes.io': undefined, 'kubernetes.io/serviceaccount/namespace': 'reports' },
      reason: 'MissingClaim',
    },
    { name: 'without the kubernetes.io claim', changes: { 'kubernetes.io': undefined }, reason: 'MissingClaim' },
    { name: 'of a node', changes: { ...claims('reports', undefined), sub: 'system:node:a' }, reason: 'MissingClaim' },
    { name: 'whose subject is another account', changes: { sub: 'system:serviceaccount:x:y' }, reason: 'BadUsername' },
    { name: 'without subject', changes: { sub: undefined }, reason: 'BadUsername' },
    {
      name: 'whose colons would move',
      changes: { ...claims('reports:nightly', 'x'), sub: 'system:serviceaccount:reports:nightly:x' },
      reason: 'BadUsername',
    },
    {
      name: 'with a newline in the name',
      changes: { ...claims('reports', 'a\nb'), sub: 'system:serviceaccount:reports:a\nb' },
      reason: 'BadUsername',
    },
  ];
  it.each(refused)('is refused: $name', async ({ changes, reason }) => {
    expect(await bench.refusal(await token(changes))).toBe(reason);
  });

  it('is refused when another key signed it, whatever key id it names', async () => {
    const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    expect(await bench.refusal(await token({}, stranger))).toBe('BadSignature');
    expect(await bench.refusal(await token({}, stranger, 'k2'))).toBe('BadSignature');
  });

  it("is accepted under the cluster's new keys as soon as a revision brings them", async () => {
    const next = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const changing = createBench([cluster]);
    const fresh = await token({}, next.privateKey, 'k2');
    expect(await changing.refusal(fresh)).toBe('BadSignature');
    const jwk = { ...(await exportJWK(next.publicKey)), kid: 'k2' };
    changing.authenticator.update({
      issuers: [{ ...cluster, jwks: { keys: [jwk] } } as Issuer],
      clockSkew: 0,
    });
    expect(await changing.refusal(fresh)).toBe('Accepted');
  });

  it('cannot be imitated by an OpenID issuer', async () => {
    const both = createBench([
      oidc('https://login.example.com', { claims: { username: 'sub', groups: null } }),
      cluster,
    ]);
    expect(await both.refusal(await token({ iss: 'https://login.example.com' }))).toBe('IssuerUnavailable');
    both.authenticator.close();
  });
});
