import { describe, expect, test } from 'vitest';
import { homeOf, ownedBy } from '../../operator/kube/home.ts';

const OWNER = { apiVersion: 'v1', kind: 'ServiceAccount', name: 'postern-operator', uid: 'b0b0' };
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const token = (claims: unknown) => `Bearer ${part({ alg: 'RS256' })}.${part(claims)}.c2lnbmF0dXJl`;
const bound = (namespace: string, serviceaccount: object) => token({ 'kubernetes.io': { namespace, serviceaccount } });
const home = (authorization?: string) => {
  const headers = authorization === undefined ? {} : { authorization };
  const current = async () => ({ server: new URL('https://api'), proxy: null, tls: {}, headers });
  return homeOf({ current, refused: () => {} }, 'postern')();
};

describe('home', () => {
  test('is the ServiceAccount that the token names', async () => {
    const { name, uid } = OWNER;
    expect(await home(bound('postern', { name, uid }))).toEqual(OWNER);
  });

  test.each([
    ['of another namespace', bound('elsewhere', { name: 'a', uid: 'b' })],
    ['that is bound to nothing', token({ sub: 'system:serviceaccount:postern:a' })],
    ['without a uid', bound('postern', { name: 'a' })],
    ['of another make', 'Bearer opaque'],
    ['that is no JSON', 'Bearer a.b.c'],
    ['that is null', token(null)],
    ['which is a password', 'Basic YTpi'],
    ['that is missing', undefined],
  ])('is nowhere with a token %s', async (_what, authorization) => {
    expect(await home(authorization)).toBeNull();
  });
});

test('what is owned already stays the very object', () => {
  const metadata = { name: 'one', ownerReferences: [OWNER] };
  expect(ownedBy(metadata, OWNER)).toBe(metadata);
  expect(ownedBy(metadata, null)).toBe(metadata);
  expect(ownedBy({ name: 'one' }, OWNER)).toEqual(metadata);
});
