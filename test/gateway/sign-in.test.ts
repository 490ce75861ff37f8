import { createHmac } from 'node:crypto';
import { exportSPKI } from 'jose';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ConfigDocument, Issuer, Policy } from '../../gateway/config/document.ts';
import { encodePassword, encodeSASLInitialResponse, encodeSASLResponse } from '../../gateway/wire/frontend.ts';
import { encodeStartupMessage } from '../../gateway/wire/opening.ts';
import { startIssuer, type TestIssuer } from '../kit/issuer.ts';
import { type CertificateAuthority, createCertificateAuthority, type KeyAndCertificate } from '../kit/tls.ts';
import { policy, rule, startWorld, type World } from './harness.ts';
import { Raw } from './raw.ts';

let issuer: TestIssuer;
let authority: CertificateAuthority;
let stranger: CertificateAuthority;
let world: World;

const ANALYSTS: Policy = {
  ...policy('analysts', 'nobody', 'analyst_ro', [rule('read', { statements: ['Select'], relations: ['public.*'] })]),
  subjects: [{ group: 'data-analysts' }],
};

function issuerConfig(name: string, url: string): Issuer {
  const claims = { username: 'email', groups: 'groups' };
  return { kind: 'Oidc', name, url, audiences: ['postern'], algorithms: ['RS256'], claims, ca: null };
}

function identityConfig(): ConfigDocument['identity'] {
  const certificates = { ca: { secret: 'people-ca', key: 'ca.crt' } };
  return { issuers: [issuerConfig('corp', issuer.url)], certificates, clockSkew: 0 };
}

function configure(document: ConfigDocument): ConfigDocument {
  return {
    ...document,
    listeners: [
      { name: 'token', port: 5432, authentication: 'Token' },
      { name: 'oauth', port: 5433, authentication: 'OAuthBearer' },
      { name: 'certificate', port: 5434, authentication: 'Certificate' },
    ],
    tls: { mode: 'Optional', minVersion: '1.2', secret: 'gateway-tls' },
    identity: identityConfig(),
    policies: [ANALYSTS],
  };
}

beforeAll(async () => {
  issuer = await startIssuer();
  authority = await createCertificateAuthority('People');
  stranger = await createCertificateAuthority('Somebody else');
  const server = await authority.server(['localhost', '127.0.0.1']);
  world = await startWorld({
    change: configure,
    secrets: {
      'gateway-tls/tls.crt': server.certPem,
      'gateway-tls/tls.key': server.keyPem,
      'people-ca/ca.crt': authority.caPem,
    },
  });
}, 60_000);
afterAll(async () => {
  await world.stop();
  await issuer.close();
});

const MEMBER = { groups: ['data-analysts'] } as const;

async function connect(config: pg.ClientConfig, listener = 'token'): Promise<pg.Client> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port: world.gateway.ports.get(listener)!,
    user: 'analyst_ro',
    database: 'postgres',
    ...config,
  });
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function who(config: pg.ClientConfig, listener?: string): Promise<unknown> {
  const client = await connect(config, listener);
  try {
    return (await client.query('SELECT count(*)::int AS n FROM orders')).rows;
  } finally {
    await client.end();
  }
}

describe('a token as the password', () => {
  test('of a member of a group gets the role of that group', async () => {
    expect(await who({ password: await issuer.mint(MEMBER) })).toEqual([{ n: 50 }]);
  });

  test('without the group gets nothing, and the refusal says whom to ask', async () => {
    await expect(who({ password: await issuer.mint() })).rejects.toMatchObject({
      code: '28000',
      message: 'no AccessPolicy grants alice@example.com anything here',
    });
  });

  const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  test.each([
    ['for another audience', () => issuer.mint({ ...MEMBER, audience: 'somebody-else' })],
    ['of another issuer', () => issuer.forge({ ...MEMBER, iss: 'https://evil.example' })],
    ['that has expired', () => issuer.forge({ ...MEMBER, exp: Math.floor(Date.now() / 1000) - 5 })],
    ['that is not valid yet', () => issuer.forge({ ...MEMBER, nbf: Math.floor(Date.now() / 1000) + 600 })],
    ['with alg: none', () => `${base64({ alg: 'none' })}.${base64({ iss: issuer.url, aud: 'postern', ...MEMBER })}.`],
    [
      'signed by HMAC with the public key',
      async () => {
        const exp = Math.floor(Date.now() / 1000) + 600;
        const claims = { iss: issuer.url, aud: 'postern', email: 'alice@example.com', exp, ...MEMBER };
        const input = `${base64({ alg: 'HS256' })}.${base64(claims)}`;
        const key = await exportSPKI(issuer.publicKey());
        return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`;
      },
    ],
    ['of an algorithm that is not listed', () => issuer.mint({ ...MEMBER, algorithm: 'ES256' })],
    ['whose user name has a newline', () => issuer.forge({ ...MEMBER, email: 'alice@example.com\nadmin' })],
    ['whose user name has 300 bytes', () => issuer.forge({ ...MEMBER, email: `${'a'.repeat(288)}@example.com` })],
    ['that is no token', () => 'hunter2'],
  ])('%s is refused, and is in no record', async (_name, make) => {
    const token = await make();
    await expect(who({ password: token })).rejects.toMatchObject({ code: '28P01' });
    const written = JSON.stringify(await world.events());
    expect(written).not.toContain(token);
    if (token.includes('.')) expect(written).not.toContain(token.split('.')[1]);
  });

  test('with a quote in the user name is carried safely', async () => {
    const email = `o'brien"; DROP TABLE orders;--@example.com`;
    expect(await who({ password: await issuer.mint({ ...MEMBER, username: email }) })).toEqual([{ n: 50 }]);
    expect(JSON.stringify(await world.events())).toContain(JSON.stringify(email).slice(1, -1));
  });

  test("somebody else's domain in another case is somebody else", async () => {
    world.revise({ policies: [{ ...ANALYSTS, subjects: [{ user: 'alice@example.com' }] }] });
    try {
      expect(await who({ password: await issuer.mint() })).toEqual([{ n: 50 }]);
      await expect(who({ password: await issuer.mint({ username: 'alice@EXAMPLE.com' }) })).rejects.toThrow(
        'no AccessPolicy',
      );
    } finally {
      world.revise({ policies: [ANALYSTS] });
    }
  });
});

describe('SASL OAUTHBEARER', () => {
  async function begin(): Promise<Raw> {
    const raw = new Raw(world.gateway.ports.get('oauth')!);
    raw.send(encodeStartupMessage(2, new Map(Object.entries({ user: 'analyst_ro', database: 'postgres' }))));
    return raw;
  }
  const initial = (token: string) =>
    encodeSASLInitialResponse({
      mechanism: 'OAUTHBEARER',
      data: Buffer.from(`n,,\u0001auth=${token === '' ? '' : `Bearer ${token}`}\u0001\u0001`),
    });

  test('a good token signs in, protocol 3.2', async () => {
    const raw = await begin();
    raw.send(initial(await issuer.mint(MEMBER)));
    await raw.until('Z:I');
    expect(raw.key.length).toBe(32);
    raw.socket.destroy();
  });

  test.each(['', 'not-a-token'])('without a good token the client learns where to get one (%j)', async (token) => {
    const raw = await begin();
    let text = '';
    raw.socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    raw.send(initial(token), encodeSASLResponse(Buffer.from([1])));
    expect(await raw.until('end')).toMatch(/E:28000/);
    expect(text).toContain(`"openid-configuration":"${issuer.url}/.well-known/openid-configuration"`);
  });

  test('a password in its place ends the connection', async () => {
    const raw = await begin();
    raw.send(encodePassword(Buffer.from('secret')));
    expect(await raw.until('end')).toMatch(/E:(08P01|28000)/);
  });
});

describe('a client certificate', () => {
  const tls = ({ certPem, keyPem }: KeyAndCertificate) => ({
    ssl: { ca: authority.caPem, cert: certPem, key: keyPem, servername: 'localhost' },
  });

  test('of a configured authority signs in: CN is the user, O are groups', async () => {
    const pair = await authority.client('robot', { organizations: ['data-analysts', 'machines'] });
    expect(await who(tls(pair), 'certificate')).toEqual([{ n: 50 }]);
    // What ends a session names its user in short.
    const start = (await world.events()).findLast(({ activity_name }) => activity_name === 'Connect');
    const actor = start?.actor as { user: Record<string, unknown> };
    expect(actor.user).toMatchObject({ name: 'robot', groups: [{ name: 'data-analysts' }, { name: 'machines' }] });
  });

  test.each([
    ['of another authority', () => stranger.client('robot', { organizations: ['data-analysts'] })],
    [
      'that has expired',
      () => authority.client('robot', { organizations: ['data-analysts'], notAfter: new Date(Date.now() - 1000) }),
    ],
    ['with a group of Kubernetes', () => authority.client('robot', { organizations: ['system:masters'] })],
  ])('%s is refused', async (_name, make) => {
    await expect(who(tls(await make()), 'certificate')).rejects.toMatchObject({ code: '28000' });
  });

  test('is asked for: a client without one, or without TLS, is told so', async () => {
    const ssl = { ca: authority.caPem, servername: 'localhost' };
    await expect(who({ ssl }, 'certificate')).rejects.toThrow('requires a client certificate');
    await expect(who({}, 'certificate')).rejects.toMatchObject({ code: '28000' });
  });

  test('that expires in mid-session ends the session at the next statement', async () => {
    const notAfter = new Date(Date.now() + 2500);
    const client = await connect(
      tls(await authority.client('robot', { organizations: ['data-analysts'], notAfter })),
      'certificate',
    );
    await client.query('SELECT count(*) FROM orders');
    await new Promise((resolve) => setTimeout(resolve, notAfter.getTime() - Date.now() + 50));
    await expect(client.query('SELECT count(*) FROM orders')).rejects.toThrow('has expired');
    await client.end();
  });
});

describe('the issuer', () => {
  test('down in mid-session disturbs no session and no sign-in by keys that are known', async () => {
    const password = await issuer.mint(MEMBER);
    const client = await connect({ password });
    await issuer.down();
    try {
      expect((await client.query('SELECT count(*)::int AS n FROM orders')).rows).toEqual([{ n: 50 }]);
      expect(await who({ password })).toEqual([{ n: 50 }]);
    } finally {
      await issuer.up();
      await client.end();
    }
  });

  test('down when a gateway that does not know its keys is asked: refused, and fine once it is up', async () => {
    const late = await startIssuer();
    const password = await late.mint(MEMBER);
    await late.down();
    const identity = identityConfig();
    world.revise({ identity: { ...identity, issuers: [...identity.issuers, issuerConfig('late', late.url)] } });
    try {
      await expect(who({ password })).rejects.toThrow('cannot be fetched');
      await late.up();
      await expect.poll(() => who({ password }).catch(() => null), { timeout: 15_000 }).toEqual([{ n: 50 }]);
    } finally {
      world.revise({ identity });
      await late.close();
    }
  }, 30_000);

  test('that has rotated its keys: new tokens are good at once, old ones no more after the cool-down', async () => {
    const old = await issuer.mint(MEMBER);
    await issuer.rotate();
    const fetches = issuer.keyFetches();
    expect(await who({ password: await issuer.mint(MEMBER) })).toEqual([{ n: 50 }]);
    expect(issuer.keyFetches()).toBe(fetches + 1);
    await expect(who({ password: old })).rejects.toMatchObject({ code: '28P01' });
  });
});

test('what was refused is counted by reason and shows no identity', async () => {
  const { body } = await world.admin('/metrics');
  expect(body).toMatch(/postern_authentication_total\{outcome="WrongAudience"\} [1-9]/);
  expect(body).not.toContain('alice');
});
