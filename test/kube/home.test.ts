import { describe, expect, test } from 'vitest';
import { KubeError } from '../../operator/kube/errors.ts';
import { createOwning, homeOf, ownedBy } from '../../operator/kube/home.ts';
import type { KubeMeta } from '../../operator/kube/types.ts';

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

describe('where only those may change an owner who may delete', () => {
  const before = { name: 'one', resourceVersion: '7' };
  const writer = (reason: 'Forbidden' | 'Conflict', most = 1) => {
    const written: KubeMeta[] = [];
    const write = async (metadata: KubeMeta): Promise<string> => {
      written.push(metadata);
      if (metadata.ownerReferences !== undefined && written.length <= most) throw new KubeError(reason, 'PUT', 'no');
      return 'written';
    };
    return { written, write };
  };

  test('an object is written without one, and no owner is tried again', async () => {
    const owning = createOwning(async () => OWNER);
    const { written, write } = writer('Forbidden');
    expect(await owning.write(before, write)).toBe('written');
    expect(await owning.write(before, write)).toBe('written');
    expect(written).toEqual([{ ...before, ownerReferences: [OWNER] }, before, before]);
    expect(await owning.of(before)).toBe(before);
  });

  test('anything else is said, and changes nothing', async () => {
    const owning = createOwning(async () => OWNER);
    const { written, write } = writer('Conflict');
    await expect(owning.write(before, write)).rejects.toMatchObject({ reason: 'Conflict' });
    expect(await owning.write(before, write)).toBe('written');
    expect(written).toEqual([ownedBy(before, OWNER), ownedBy(before, OWNER)]);
  });
});
