import { randomBytes } from 'node:crypto';
import type tls from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import type { ListenerAuthentication } from '../../gateway/config/document.ts';
import type { AuthenticationResult, Identity } from '../../gateway/identity/identity.ts';
import { type Authenticated, type AuthenticateOptions, authenticate } from '../../gateway/net/authenticate.ts';
import type { Opened } from '../../gateway/net/opening.ts';
import { decodeAuthentication } from '../../gateway/wire/backend.ts';
import {
  encodePassword,
  encodeQuery,
  encodeSASLInitialResponse,
  encodeSASLResponse,
  encodeTerminate,
} from '../../gateway/wire/frontend.ts';
import { type Door, RawClient, startDoor, startup } from './support.ts';

const SECRET = 'the-token-itself';

const ANA: Identity = {
  username: 'ana',
  groups: [],
  issuer: 'dex',
  method: 'Token',
  expiresAt: 1,
  subject: 'ana',
  credentialId: null,
};

function verify(token: string): Promise<AuthenticationResult> {
  if (token === SECRET) return Promise.resolve({ ok: true, identity: ANA });
  const message = 'the token is bad';
  return Promise.resolve({ ok: false, reason: 'BadSignature', message, hint: 'Get another one.' });
}

interface Setting {
  readonly door: Door;
  readonly outcome: Promise<Authenticated>;
}

const doors: Door[] = [];

async function setUp(method: ListenerAuthentication, options: Partial<AuthenticateOptions> = {}): Promise<Setting> {
  const { promise, resolve } = Promise.withResolvers<Authenticated>();
  const onOpened = async (opened: Opened) => {
    if (opened.kind !== 'Startup') throw new Error(opened.kind);
    resolve(
      await authenticate({
        method,
        opened,
        authenticator: { verify, discovery: () => ({ issuerUrl: 'https://dex.example', scope: 'openid' }) },
        identifyCertificate: (certificate) => ({ ok: true, identity: { ...ANA, subject: certificate.subject } }),
        signal: AbortSignal.timeout(5_000),
        ...options,
      }),
    );
  };
  const door = await startDoor({ mode: 'Optional', clientCertificates: method === 'Certificate', onOpened });
  doors.push(door);
  return { door, outcome: promise };
}

async function begin({ door }: Setting, options: tls.ConnectionOptions = {}): Promise<RawClient> {
  const client = await RawClient.connectTls(door.port, { ca: door.authority.caPem, ...options });
  client.write(startup());
  return client;
}

async function asked(client: RawClient) {
  const { type, body } = await client.message();
  expect(String.fromCharCode(type)).toBe('R');
  return decodeAuthentication(body);
}

function bearer(token: string): Buffer {
  return Buffer.from(`n,,\x01auth=${token === '' ? '' : `Bearer ${token}`}\x01\x01`);
}

function initial(data: Buffer | null, mechanism = 'OAUTHBEARER'): Buffer {
  return encodeSASLInitialResponse({ mechanism, data });
}

afterEach(() => {
  for (const door of doors.splice(0)) door.close();
});

describe('Token', () => {
  test('a token as the password; bytes behind it are kept', async () => {
    const setting = await setUp('Token');
    const client = await begin(setting);
    expect(await asked(client)).toEqual({ kind: 'CleartextPassword' });
    const query = encodeQuery(Buffer.from('SELECT 1'));
    client.write(Buffer.concat([encodePassword(Buffer.from(SECRET)), query]));
    expect(await setting.outcome).toEqual({ kind: 'Identity', identity: ANA, rest: query });
  });

  test('a password message in the segment of the start-up packet, and one split byte by byte', async () => {
    const together = await setUp('Token');
    const first = await RawClient.connect(together.door.port);
    first.write(Buffer.concat([startup(), encodePassword(Buffer.from(SECRET))]));
    expect((await together.outcome).kind).toBe('Identity');
    const split = await setUp('Token');
    const second = await begin(split);
    for (const byte of encodePassword(Buffer.from(SECRET))) second.write(Buffer.from([byte]));
    expect((await split.outcome).kind).toBe('Identity');
  });

  test('a token of 16 KiB arrives whole', async () => {
    let length = 0;
    const authenticator = {
      verify: (token: string) => {
        length = token.length;
        return verify(SECRET);
      },
      discovery: () => null,
    };
    const setting = await setUp('Token', { authenticator });
    (await begin(setting)).write(encodePassword(Buffer.alloc(16_384, 'a')));
    expect((await setting.outcome).kind).toBe('Identity');
    expect(length).toBe(16_384);
  });

  test.each(['wrong-token', ''])('the refused password %j is answered with 28P01 and never quoted', async (token) => {
    const setting = await setUp('Token');
    const client = await begin(setting);
    await asked(client);
    client.write(encodePassword(Buffer.from(token)));
    const error = await client.error();
    expect([error.get('S'), error.get('C')]).toEqual(['FATAL', '28P01']);
    expect(error.get('H')).toBeTruthy();
    expect(JSON.stringify([...error])).not.toContain('wrong-token');
    expect(await setting.outcome).toMatchObject({
      kind: 'Failed',
      reason: token === '' ? 'Malformed' : 'BadSignature',
    });
    await client.rest();
  });

  test.each([
    ['a message of another type', encodeQuery(Buffer.from('SELECT 1')), 'Malformed'],
    ['an unknown message type', Buffer.from([0xff, 0, 0, 0, 4]), 'Malformed'],
    ['a length of 3', Buffer.from([0x70, 0, 0, 0, 3]), 'Malformed'],
    ['a length of 2 GB', Buffer.from([0x70, 0x7f, 0xff, 0xff, 0xff]), 'TooLarge'],
    ['a password without its terminator', Buffer.from([0x70, 0, 0, 0, 5, 0x61]), 'Malformed'],
    ['trailing bytes', Buffer.from([0x70, 0, 0, 0, 7, 0x61, 0, 0x61]), 'Malformed'],
  ])('%s is a protocol violation', async (_name, bytes, reason) => {
    const setting = await setUp('Token');
    const client = await begin(setting);
    await asked(client);
    client.write(bytes);
    expect((await client.error()).get('C')).toBe('08P01');
    expect(await setting.outcome).toMatchObject({ kind: 'Failed', reason });
  });

  test('a client that leaves to ask for a password is no failure', async () => {
    for (const leave of [(c: RawClient) => c.write(encodeTerminate()), (c: RawClient) => c.socket.end()]) {
      const setting = await setUp('Token');
      const client = await begin(setting);
      await asked(client);
      leave(client);
      expect(await setting.outcome).toEqual({ kind: 'Gone' });
    }
  });

  test('no answer before the deadline: 57014, as PostgreSQL', async () => {
    const setting = await setUp('Token', { signal: AbortSignal.timeout(100) });
    const client = await begin(setting);
    await asked(client);
    expect((await client.error()).get('C')).toBe('57014');
    expect(await setting.outcome).toMatchObject({ kind: 'Failed', reason: 'Timeout' });
  });

  test('a verification that outlives the deadline ends the connection', async () => {
    const slow = () => new Promise<AuthenticationResult>((r) => setTimeout(() => r({ ok: true, identity: ANA }), 150));
    const authenticator = { verify: slow, discovery: () => null };
    const setting = await setUp('Token', { authenticator, signal: AbortSignal.timeout(50) });
    (await begin(setting)).write(encodePassword(Buffer.from(SECRET)));
    expect(await setting.outcome).toMatchObject({ kind: 'Failed', reason: 'Timeout' });
  });
});

describe('OAuthBearer', () => {
  test('a token at the first leg', async () => {
    const setting = await setUp('OAuthBearer');
    const client = await begin(setting);
    expect(await asked(client)).toEqual({ kind: 'SASL', mechanisms: ['OAUTHBEARER'] });
    client.write(initial(bearer(SECRET)));
    expect((await setting.outcome).kind).toBe('Identity');
  });

  test('without an initial response the client is asked once more', async () => {
    const setting = await setUp('OAuthBearer');
    const client = await begin(setting);
    await asked(client);
    client.write(initial(null));
    expect(await asked(client)).toEqual({ kind: 'SASLContinue', data: Buffer.alloc(0) });
    client.write(encodeSASLResponse(bearer(SECRET)));
    expect((await setting.outcome).kind).toBe('Identity');
  });

  test('the discovery leg fails on purpose and is no failure', async () => {
    const setting = await setUp('OAuthBearer');
    const client = await begin(setting);
    await asked(client);
    client.write(initial(bearer('')));
    const challenge = await asked(client);
    if (challenge.kind !== 'SASLContinue') throw new Error(challenge.kind);
    expect(JSON.parse(challenge.data.toString())).toMatchObject({ status: 'invalid_token', scope: 'openid' });
    client.write(encodeSASLResponse(Buffer.from([1])));
    expect((await client.error()).get('C')).toBe('28000');
    expect(await setting.outcome).toEqual({ kind: 'Discovery' });
  });

  test('a refused token: challenge, acknowledgement, then the reason', async () => {
    const setting = await setUp('OAuthBearer');
    const client = await begin(setting);
    await asked(client);
    client.write(initial(bearer('bad')));
    expect((await asked(client)).kind).toBe('SASLContinue');
    client.write(encodeSASLResponse(Buffer.from([1])));
    const error = await client.error();
    expect(error.get('C')).toBe('28000');
    expect(error.get('M')).toContain('the token is bad');
    expect(await setting.outcome).toMatchObject({ kind: 'Failed', reason: 'BadSignature' });
  });

  test('the error must be acknowledged', async () => {
    const setting = await setUp('OAuthBearer');
    const client = await begin(setting);
    await asked(client);
    client.write(initial(bearer('bad')));
    await asked(client);
    client.write(encodeSASLResponse(bearer(SECRET)));
    expect((await client.error()).get('C')).toBe('08P01');
    expect((await setting.outcome).kind).toBe('Failed');
  });

  test.each([
    ['another mechanism', initial(bearer(SECRET), 'SCRAM-SHA-256'), '28000', 'WrongMechanism'],
    ['a malformed message', initial(Buffer.from('n,,')), '08P01', 'Malformed'],
    ['garbage', initial(randomBytes(40)), '08P01', 'Malformed'],
  ])('%s is refused', async (_name, bytes, code, reason) => {
    const setting = await setUp('OAuthBearer');
    const client = await begin(setting);
    await asked(client);
    client.write(bytes);
    expect((await client.error()).get('C')).toBe(code);
    expect(await setting.outcome).toMatchObject({ kind: 'Failed', reason });
  });
});

describe('Certificate', () => {
  test('the identity comes from the verified certificate, nothing is asked', async () => {
    const setting = await setUp('Certificate');
    const { certPem, keyPem } = await setting.door.authority.client('bob');
    await begin(setting, { cert: certPem, key: keyPem });
    expect(await setting.outcome).toMatchObject({ kind: 'Identity', identity: { subject: 'CN=bob' } });
  });

  test('no certificate, or one of another authority: 28000', async () => {
    const none = await setUp('Certificate');
    const first = await begin(none);
    expect((await first.error()).get('C')).toBe('28000');
    expect(await none.outcome).toMatchObject({ kind: 'Failed', reason: 'NoCertificate' });
    const { certPem, keyPem } = await none.door.authority.client('bob');
    const other = await setUp('Certificate');
    const second = await begin(other, { cert: certPem, key: keyPem });
    expect((await second.error()).get('M')).toContain('not trusted');
    expect(await other.outcome).toMatchObject({ kind: 'Failed', reason: 'NoCertificate' });
  });
});

test('a token is not asked for in clear from another machine', async () => {
  const setting = await setUp('Token');
  const client = await RawClient.connect(setting.door.port);
  client.write(startup());
  expect(await asked(client)).toEqual({ kind: 'CleartextPassword' });

  const { promise, resolve } = Promise.withResolvers<Authenticated>();
  const onOpened = async (opened: Opened) => {
    if (opened.kind !== 'Startup') throw new Error(opened.kind);
    Object.defineProperty(opened.socket, 'remoteAddress', { value: '192.0.2.7' });
    const signal = AbortSignal.timeout(5_000);
    const refuseAll = (): AuthenticationResult => ({ ok: false, reason: 'NoCertificate', message: '', hint: '' });
    const authenticator = { verify, discovery: () => null };
    resolve(await authenticate({ method: 'Token', opened, authenticator, identifyCertificate: refuseAll, signal }));
  };
  const door = await startDoor({ mode: 'Optional', onOpened });
  doors.push(door);
  const far = await RawClient.connect(door.port);
  far.write(startup());
  const error = await far.error();
  expect(error.get('H')).toContain('sslmode');
  expect(await promise).toMatchObject({ kind: 'Failed', reason: 'WrongMechanism' });
});
