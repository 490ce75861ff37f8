import { createHmac, createPublicKey, generateKeyPairSync, KeyObject } from 'node:crypto';
import { exportJWK, type JWTPayload } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isExpired } from '../../gateway/identity/expiry.ts';
import { startIssuer, type TestIssuer } from '../kit/issuer.ts';
import { type Bench, createBench, oidc, SKEW } from './support.ts';

let issuer: TestIssuer;
let other: TestIssuer;
let bench: Bench;

beforeAll(async () => {
  [issuer, other] = await Promise.all([startIssuer(), startIssuer()]);
  bench = createBench([oidc(issuer.url)]);
});

afterAll(async () => {
  bench.authenticator.close();
  await Promise.all([issuer.close(), other.close()]);
});

const seconds = (by: number): number => Math.floor(Date.now() / 1000) + by;
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const forgePlain = (header: object, claims: object, signature = ''): string =>
  `${encode(header)}.${encode(claims)}.${signature}`;
const claims = (): JWTPayload => ({
  iss: issuer.url,
  aud: 'postern',
  email: 'root@example.com',
  groups: ['dba'],
  exp: seconds(60),
});

describe('a token of the configured issuer', () => {
  it('becomes an identity with name, groups, expiry and token id', async () => {
    const token = await issuer.mint({ username: 'alice@example.com', groups: ['analysts', 'eu', 'eu'] });
    const before = Date.now();
    const identity = await bench.identify(token);
    expect(identity).toMatchObject({
      username: 'alice@example.com',
      groups: ['analysts', 'eu'],
      issuer: 'corp',
      method: 'Token',
      subject: 'test',
    });
    expect(identity.credentialId).toMatch(/^[\w-]{10,}$/);
    expect(identity.expiresAt - before).toBeGreaterThan(3_500_000);
    expect(identity.expiresAt - before).toBeLessThan(3_700_000);
  });

  it('may be signed with ES256', async () => {
    expect((await bench.identify(await issuer.mint({ algorithm: 'ES256' }))).username).toBe('alice@example.com');
  });

  it('carries the method it was presented by', async () => {
    const result = await bench.authenticator.verify(await issuer.mint(), 'OAuthBearer');
    expect(result.ok && result.identity.method).toBe('OAuthBearer');
  });

  it('may name several audiences, one of them ours', async () => {
    expect(await bench.refusal(await issuer.forge({ aud: ['other', 'postern'] }))).toBe('Accepted');
  });

  it('needs no key id while each of several keys may have signed it', async () => {
    const both = createBench([oidc(issuer.url)]);
    expect(await both.refusal(await issuer.forge({}, { kid: undefined as never }))).toBe('Accepted');
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    expect(await both.refusal(await issuer.forge({}, { kid: undefined as never }, privateKey))).toBe('BadSignature');
  });

  it('is verified a hundred times at once with one fetch of the keys', async () => {
    const fetches = issuer.keyFetches();
    const fresh = createBench([oidc(issuer.url)]);
    const token = await issuer.mint();
    const results = await Promise.all(Array.from({ length: 100 }, () => fresh.refusal(token)));
    expect(new Set(results)).toEqual(new Set(['Accepted']));
    expect(issuer.keyFetches() - fetches).toBe(1);
  });
});

describe('a forged or misdirected token is refused', () => {
  const { privateKey: foreignKey, publicKey: foreignPublic } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const cases: { name: string; token: () => Promise<string> | string; reason: string }[] = [
    {
      name: 'a token for another audience',
      token: () => issuer.mint({ audience: 'payroll' }),
      reason: 'WrongAudience',
    },
    {
      name: 'an audience that differs in case',
      token: () => issuer.mint({ audience: 'Postern' }),
      reason: 'WrongAudience',
    },
    { name: 'no audience', token: () => issuer.forge({ aud: undefined as never }), reason: 'MissingClaim' },
    { name: 'an audience that is a number', token: () => issuer.forge({ aud: 7 as never }), reason: 'WrongAudience' },
    { name: 'a token of another issuer', token: () => other.mint(), reason: 'UnknownIssuer' },
    {
      name: "another issuer's token that claims our issuer",
      token: () => other.forge({ iss: issuer.url }),
      reason: 'BadSignature',
    },
    {
      name: 'our issuer with a slash more',
      token: () => issuer.forge({ iss: `${issuer.url}/` }),
      reason: 'UnknownIssuer',
    },
    { name: 'no issuer', token: () => issuer.forge({ iss: undefined as never }), reason: 'MissingClaim' },
    {
      name: 'a token with alg none',
      token: () => forgePlain({ alg: 'none' }, claims()),
      reason: 'AlgorithmNotAllowed',
    },
    {
      name: 'alg none in mixed case with a signature',
      token: () => forgePlain({ alg: 'nOnE' }, claims(), 'AAAA'),
      reason: 'AlgorithmNotAllowed',
    },
    { name: 'no alg', token: () => forgePlain({ typ: 'JWT' }, claims(), 'AAAA'), reason: 'AlgorithmNotAllowed' },
    {
      name: 'a token signed by HMAC with the public key',
      token: () => {
        const pem = KeyObject.from(issuer.publicKey()).export({ type: 'spki', format: 'pem' });
        const unsigned = `${encode({ alg: 'HS256' })}.${encode(claims())}`;
        return `${unsigned}.${createHmac('sha256', pem).update(unsigned).digest('base64url')}`;
      },
      reason: 'AlgorithmNotAllowed',
    },
    {
      name: 'an algorithm that is not in the list',
      token: () => issuer.forge({}, { alg: 'PS256' }, foreignKey),
      reason: 'AlgorithmNotAllowed',
    },
    {
      name: "a stranger's key under our key id",
      token: () => issuer.forge({}, {}, foreignKey),
      reason: 'BadSignature',
    },
    {
      name: 'a key that the token brings along',
      token: async () => issuer.forge({}, { jwk: await exportJWK(foreignPublic), kid: 'mine' }, foreignKey),
      reason: 'BadSignature',
    },
    {
      name: 'a changed payload under the old signature',
      token: async () => {
        const [header, , signature] = (await issuer.mint()).split('.');
        return `${header}.${encode(claims())}.${signature}`;
      },
      reason: 'BadSignature',
    },
    {
      name: 'a signature cut off',
      token: async () => (await issuer.mint()).replace(/[^.]+$/, ''),
      reason: 'BadSignature',
    },
    {
      name: 'a token that must be proven with a key',
      token: () => issuer.forge({ cnf: { jkt: 'x' } }),
      reason: 'Malformed',
    },
    {
      name: 'a critical header extension',
      token: () => forgePlain({ alg: 'RS256', crit: ['x'], x: 1 }, claims(), 'AAAA'),
      reason: 'Malformed',
    },
  ];
  it.each(cases)('$name', async ({ token, reason }) => {
    expect(await bench.refusal(await token())).toBe(reason);
  });

  it('HMAC stays refused where the issuer entry lists it', async () => {
    const lax = createBench([oidc(issuer.url, { algorithms: ['HS256', 'none'] })]);
    const pem = createPublicKey(KeyObject.from(issuer.publicKey()).export({ type: 'spki', format: 'pem' }));
    const unsigned = `${encode({ alg: 'HS256' })}.${encode(claims())}`;
    const secret = pem.export({ type: 'spki', format: 'der' });
    const token = `${unsigned}.${createHmac('sha256', secret).update(unsigned).digest('base64url')}`;
    expect(await lax.refusal(token)).toBe('AlgorithmNotAllowed');
    expect(await lax.refusal(forgePlain({ alg: 'none' }, claims()))).toBe('AlgorithmNotAllowed');
  });
});

describe('what is no token at all is refused', () => {
  const cases: { name: string; token: () => string; reason: string }[] = [
    { name: 'nothing', token: () => '', reason: 'Malformed' },
    { name: 'an ordinary password', token: () => 'correct horse battery staple', reason: 'Malformed' },
    { name: 'three parts that are not JSON', token: () => 'aaaa.bbbb.cccc', reason: 'Malformed' },
    { name: 'five parts: an encrypted token', token: () => 'a.b.c.d.e', reason: 'Malformed' },
    {
      name: 'a payload that is a list',
      token: () => `${encode({ alg: 'RS256' })}.${encode([1])}.AAAA`,
      reason: 'Malformed',
    },
    { name: 'a token with a NUL', token: () => 'aaaa.bbbb.cc\0c', reason: 'Malformed' },
    { name: 'a token with a line break', token: () => 'aaaa.bbbb.cccc\n', reason: 'Malformed' },
    { name: '16 KiB and a byte', token: () => 'a'.repeat(16 * 1024 + 1), reason: 'TooLarge' },
    { name: 'a megabyte', token: () => `a.${'b'.repeat(1 << 20)}.c`, reason: 'TooLarge' },
  ];
  it.each(cases)('$name', async ({ token, reason }) => {
    expect(await bench.refusal(token())).toBe(reason);
  });
});

describe('clock skew and expiry', () => {
  const cases: { name: string; claims: () => JWTPayload; reason: string }[] = [
    { name: 'expired within the skew', claims: () => ({ exp: seconds(-25) }), reason: 'Accepted' },
    { name: 'expired beyond the skew', claims: () => ({ exp: seconds(-35) }), reason: 'Expired' },
    { name: 'not yet valid within the skew', claims: () => ({ nbf: seconds(25) }), reason: 'Accepted' },
    { name: 'not yet valid beyond the skew', claims: () => ({ nbf: seconds(40) }), reason: 'NotYetValid' },
    { name: 'issued in the future within the skew', claims: () => ({ iat: seconds(25) }), reason: 'Accepted' },
    { name: 'issued in the future beyond the skew', claims: () => ({ iat: seconds(40) }), reason: 'NotYetValid' },
    { name: 'no expiry', claims: () => ({ exp: undefined as never }), reason: 'MissingClaim' },
    { name: 'an expiry that is text', claims: () => ({ exp: '2099' as never }), reason: 'Malformed' },
    { name: 'an expiry beyond all times', claims: () => ({ exp: 1e300 }), reason: 'Malformed' },
    { name: 'an expiry of zero', claims: () => ({ exp: 0 }), reason: 'Expired' },
  ];
  it.each(cases)('$name', async ({ claims: given, reason }) => {
    const forged = Object.fromEntries(Object.entries(given()).filter(([, value]) => value !== undefined));
    const absent = Object.fromEntries(Object.entries(given()).filter(([, value]) => value === undefined));
    expect(await bench.refusal(await issuer.forge({ ...forged, ...absent }))).toBe(reason);
  });

  it('a token expired between two statements ends the identity when the skew is over, and no earlier', async () => {
    const clock = createBench([oidc(issuer.url)]);
    const identity = await clock.identify(await issuer.mint({ expiresIn: 60 }));
    expect(isExpired(identity, identity.expiresAt - 1, SKEW)).toBe(false);
    expect(isExpired(identity, identity.expiresAt + SKEW - 1, SKEW)).toBe(false);
    expect(isExpired(identity, identity.expiresAt + SKEW, SKEW)).toBe(true);
    expect(isExpired(identity, identity.expiresAt, 0)).toBe(true);
    // TLS grants certificates no skew: neither do we.
    expect(isExpired({ ...identity, method: 'Certificate' }, identity.expiresAt, SKEW)).toBe(true);
  });

  it('a token that was accepted is refused after it expired', async () => {
    const clock = createBench([oidc(issuer.url)]);
    const token = await issuer.mint({ expiresIn: 60 });
    const { expiresAt } = await clock.identify(token);
    clock.stopAt(expiresAt + SKEW - 1);
    expect(await clock.refusal(token)).toBe('Accepted');
    clock.stopAt(expiresAt + SKEW);
    expect(await clock.refusal(token)).toBe('Expired');
  });
});

describe('several issuers', () => {
  it('each vouches for its own tokens, with its own claims', async () => {
    const names = { username: 'sub', groups: null };
    const both = createBench([oidc(issuer.url), oidc(other.url, { name: 'partners', claims: names })]);
    expect(await both.identify(await issuer.mint())).toMatchObject({ issuer: 'corp', username: 'alice@example.com' });
    expect(await both.identify(await other.mint({ groups: ['dba'] }))).toMatchObject({
      issuer: 'partners',
      username: 'test',
      groups: [],
    });
    expect(await both.refusal(await other.forge({ iss: issuer.url }))).toBe('BadSignature');
  });

  it('two entries of one issuer are told apart by audience', async () => {
    const entries = [oidc(issuer.url), oidc(issuer.url, { name: 'batch', audiences: ['batch'] })];
    const both = createBench(entries);
    expect((await both.identify(await issuer.mint({ audience: 'batch' }))).issuer).toBe('batch');
    expect((await both.identify(await issuer.mint())).issuer).toBe('corp');
    expect(await both.refusal(await issuer.mint({ audience: 'payroll' }))).toBe('WrongAudience');
  });

  it('a new revision adds and removes issuers', async () => {
    const changing = createBench([oidc(issuer.url)]);
    expect(await changing.refusal(await other.mint())).toBe('UnknownIssuer');
    changing.authenticator.update({ issuers: [oidc(other.url)], clockSkew: 0 });
    expect(await changing.refusal(await other.mint())).toBe('Accepted');
    expect(await changing.refusal(await issuer.mint())).toBe('UnknownIssuer');
    expect(await changing.refusal(await other.forge({ exp: seconds(-5) }))).toBe('Expired');
  });
});

it('discovery points OAUTHBEARER clients to the first OpenID issuer', () => {
  const kubernetes = { kind: 'Kubernetes', name: 'k', audience: 'a', issuer: 'https://k', jwks: { keys: [] } } as const;
  const profile = { username: 'preferred_username', groups: null };
  expect(createBench([kubernetes]).authenticator.discovery()).toBeNull();
  expect(createBench([kubernetes, oidc(issuer.url)]).authenticator.discovery()).toEqual({
    issuerUrl: issuer.url,
    scope: 'openid email',
  });
  expect(createBench([oidc(issuer.url, { claims: profile })]).authenticator.discovery()?.scope).toBe('openid profile');
});

it('groups that belong to Kubernetes are dropped from an OpenID token, and the log says so without naming them', async () => {
  const identity = await bench.identify(await issuer.mint({ groups: ['system:masters', 'dba'] }));
  expect(identity.groups).toEqual(['dba']);
  expect(bench.log.at(-1)).toContain('"dropped":1');
  expect(bench.log.join()).not.toContain('masters');
});

it('a group removed at the issuer is gone from the next token on', async () => {
  const before = await bench.identify(await issuer.mint({ groups: ['dba', 'analysts'] }));
  const after = await bench.identify(await issuer.mint({ groups: ['analysts'] }));
  expect(before.groups).toEqual(['dba', 'analysts']);
  expect(after.groups).toEqual(['analysts']);
});
