import { createHash, createHmac, pbkdf2Sync, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { describe, expect, test } from 'vitest';
import { tlsServerEndPoint } from '../../gateway/net/channel-binding.ts';
import { saslprep } from '../../gateway/net/saslprep.ts';
import { ScramClient, ScramKeyCache, type ScramOptions } from '../../gateway/net/scram.ts';
import { createCertificateAuthority } from '../kit/tls.ts';

const NONCE = Buffer.alloc(18, 7);
const SALT = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');

function client(options: Partial<ScramOptions> = {}): ScramClient {
  return new ScramClient({
    mechanisms: ['SCRAM-SHA-256'],
    password: 'pencil',
    certificate: null,
    randomBytes: () => NONCE,
    cache: new ScramKeyCache(),
    ...options,
  });
}

/** The server's side, written from RFC 5802 for the test alone. */
class ScramServer {
  readonly #password: string;
  readonly #iterations: number;
  #first = '';
  #bare = '';

  constructor(password: string, iterations = 4096) {
    this.#password = password;
    this.#iterations = iterations;
  }

  first(clientFirst: Buffer): Buffer {
    this.#bare = clientFirst.toString().split(',').slice(2).join(',');
    const nonce = /r=([^,]+)/.exec(this.#bare)![1]!;
    this.#first = `r=${nonce}%hvYDpWUa2RaTCAfuxFIlj)hNlF,s=${SALT.toString('base64')},i=${this.#iterations}`;
    return Buffer.from(this.#first);
  }

  /** Null: the proof is wrong. */
  final(clientFinal: Buffer): Buffer | null {
    const [, withoutProof = '', proof = ''] = /^(.*),p=([^,]+)$/.exec(clientFinal.toString())!;
    const message = [this.#bare, this.#first, withoutProof].join(',');
    const salted = pbkdf2Sync(this.#password, SALT, this.#iterations, 32, 'sha256');
    const mac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest();
    const hash = (bytes: Buffer) => createHash('sha256').update(bytes).digest();
    const stored = hash(mac(salted, 'Client Key'));
    const signature = mac(stored, message);
    const key = Buffer.from(Buffer.from(proof, 'base64').map((byte, i) => byte ^ signature[i]!));
    if (!hash(key).equals(stored)) return null;
    return Buffer.from(`v=${mac(mac(salted, 'Server Key'), message).toString('base64')}`);
  }
}

test('the example of RFC 7677, section 3', async () => {
  // PostgreSQL's client leaves `n` empty, so the RFC's proof is computed over its own messages here: same keys.
  const { clientKey, serverKey } = await new ScramKeyCache().keys('pencil', SALT, 4096);
  const nonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
  const message = `n=user,r=rOprNGfwEbeRWgbNEkqO,r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,` + `c=biws,r=${nonce}`;
  const stored = createHash('sha256').update(clientKey).digest();
  const signature = createHmac('sha256', stored).update(message).digest();
  const proof = Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!)).toString('base64');
  expect(proof).toBe('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=');
  const verifier = createHmac('sha256', serverKey).update(message).digest('base64');
  expect(verifier).toBe('6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=');
});

describe('an exchange', () => {
  test.each(['pencil', 'p"ä\u00a0ß ', ''])('with password %j', async (password) => {
    const server = new ScramServer(saslprep(password));
    const us = client({ password });
    const final = await us.final(server.first(us.first()));
    expect(final.toString()).toMatch(/^c=biws,/);
    us.verify(server.final(final)!);
  });

  test('a wrong password gives a wrong proof', async () => {
    const server = new ScramServer('other');
    const us = client();
    expect(server.final(await us.final(server.first(us.first())))).toBeNull();
  });

  test('a server that does not know the password is found out', async () => {
    const us = client();
    await us.final(new ScramServer('pencil').first(us.first()));
    for (const forged of [`v=${Buffer.alloc(32).toString('base64')}`, 'v=', 'e=other-error', '', 'v=AA==,x=1']) {
      expect(() => us.verify(Buffer.from(forged)), forged).toThrow();
    }
    expect(() => client().verify(Buffer.from('v=AAAA'))).toThrow();
  });

  const nonce = NONCE.toString('base64');
  test.each([
    ['another nonce', 'r=other,s=AAAA,i=4096'],
    ['our own nonce and nothing more', `r=${nonce},s=AAAA,i=4096`],
    ['too few iterations', `r=${nonce}x,s=AAAA,i=4095`],
    ['too many iterations', `r=${nonce}x,s=AAAA,i=10000001`],
    ['more digits than a number has', `r=${nonce}x,s=AAAA,i=99999999999999999999`],
    ['negative iterations', `r=${nonce}x,s=AAAA,i=-1`],
    ['no salt', `r=${nonce}x,s=,i=4096`],
    ['a salt that is not base64', `r=${nonce}x,s=!!!!,i=4096`],
    ['a mandatory extension', `m=ext,r=${nonce}x,s=AAAA,i=4096`],
    ['nothing', ''],
  ])('a server-first-message with %s is refused', async (_name, text) => {
    await expect(client().final(Buffer.from(text))).rejects.toThrow(/^SCRAM: /);
  });
});

describe('the choice of mechanism', () => {
  const both = ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'];

  test('-PLUS over TLS, with the binding in the final message', async () => {
    const authority = await createCertificateAuthority();
    const { certPem } = await authority.server(['localhost']);
    const certificate = Buffer.from(certPem.replace(/-----[A-Z ]+-----|\n/g, ''), 'base64');
    const us = client({ mechanisms: both, certificate });
    expect(us.mechanism).toBe('SCRAM-SHA-256-PLUS');
    expect(us.first().toString()).toMatch(/^p=tls-server-end-point,,n=,r=/);
    const final = await us.final(new ScramServer('pencil').first(us.first()));
    const binding = Buffer.from(/^c=([^,]+)/.exec(final.toString())![1]!, 'base64');
    const expected = createHash('sha256').update(certificate).digest();
    expect(binding.equals(Buffer.concat([Buffer.from('p=tls-server-end-point,,'), expected]))).toBe(true);
  });

  test('a removed -PLUS offer is noticed by the server: we say that we could bind', async () => {
    const { certPem } = await (await createCertificateAuthority()).server(['localhost']);
    const certificate = Buffer.from(certPem.replace(/-----[A-Z ]+-----|\n/g, ''), 'base64');
    expect(client({ certificate }).first().toString()).toMatch(/^y,,/);
  });

  test('without TLS there is nothing to bind to', () => {
    const us = client({ mechanisms: both });
    expect([us.mechanism, us.first().toString('latin1', 0, 3)]).toEqual(['SCRAM-SHA-256', 'n,,']);
  });

  test.each([[['SCRAM-SHA-1']], [['SCRAM-SHA-256-PLUS']], [[]]])('an offer of %j cannot be used', (mechanisms) => {
    expect(() => client({ mechanisms })).toThrow();
  });
});

describe('tls-server-end-point', () => {
  const RSA = { modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) };

  test.each([
    ['ECDSA with SHA-256', { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }, 'sha256'],
    ['ECDSA with SHA-384', { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' }, 'sha384'],
    ['RSA with SHA-512', { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-512', ...RSA }, 'sha512'],
    ['RSA with SHA-1, for which SHA-256 is used', { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-1', ...RSA }, 'sha256'],
    ['RSA-PSS with SHA-384', { name: 'RSA-PSS', hash: 'SHA-384', saltLength: 48, ...RSA }, 'sha384'],
    ['RSA-PSS with SHA-1, the default', { name: 'RSA-PSS', hash: 'SHA-1', saltLength: 20, ...RSA }, 'sha256'],
    ['Ed25519, which has none', { name: 'Ed25519' }, null],
  ])('%s', async (_name, signingAlgorithm, hash) => {
    const keys = (await webcrypto.subtle.generateKey(signingAlgorithm, true, [
      'sign',
      'verify',
    ])) as webcrypto.CryptoKeyPair;
    const made = { name: 'CN=localhost', keys, signingAlgorithm };
    const certificate = await x509.X509CertificateGenerator.createSelfSigned(made, webcrypto);
    const der = Buffer.from(certificate.rawData);
    expect(tlsServerEndPoint(der)).toEqual(hash === null ? null : createHash(hash).update(der).digest());
  });

  test('a certificate without a hash is not bound to: plain SCRAM, without the claim that we could', async () => {
    const keys = (await webcrypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
    const made = { name: 'CN=localhost', keys, signingAlgorithm: { name: 'Ed25519' } };
    const { rawData } = await x509.X509CertificateGenerator.createSelfSigned(made, webcrypto);
    const us = client({ mechanisms: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'], certificate: Buffer.from(rawData) });
    expect([us.mechanism, us.first().toString('latin1', 0, 3)]).toEqual(['SCRAM-SHA-256', 'n,,']);
  });
});

describe('SASLprep', () => {
  test.each([
    ['RFC 4013: soft hyphen is mapped to nothing', 'I\u00adX', 'IX'],
    ['RFC 4013: no transformation', 'user', 'user'],
    ['RFC 4013: case is kept', 'USER', 'USER'],
    ['RFC 4013: NFKC', '\u00aa', 'a'],
    ['RFC 4013: NFKC of a Roman numeral', '\u2168', 'IX'],
    ['spaces become a space', 'a\u00a0\u2003b', 'a  b'],
    ['a prohibited character leaves the password as it is', 'ª\u0007', 'ª\u0007'],
    ['mixed directions leave the password as it is', 'ª\u0627a', 'ª\u0627a'],
  ])('%s', (_name, from, to) => {
    expect(saslprep(from)).toBe(to);
  });
});

test('keys are derived once for the same password, salt and iterations', async () => {
  const cache = new ScramKeyCache();
  expect(cache.keys('a', SALT, 4096)).toBe(cache.keys('a', SALT, 4096));
  const others = [cache.keys('b', SALT, 4096), cache.keys('a', Buffer.from('salt'), 4096), cache.keys('a', SALT, 4097)];
  expect(others).not.toContain(cache.keys('a', SALT, 4096));
  await Promise.all(others);
});
