import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { exportJWK } from 'jose';
import { afterEach, describe, expect, it } from 'vitest';
import { startIssuer, type TestIssuer } from '../kit/issuer.ts';
import { createCertificateAuthority } from '../kit/tls.ts';
import { type Bench, createBench, oidc } from './support.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const cleanups: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  await Promise.all(cleanups.splice(0).map((cleanup) => cleanup()));
});

async function start(): Promise<TestIssuer> {
  const issuer = await startIssuer();
  cleanups.push(issuer.close);
  return issuer;
}

function bench(...parameters: Parameters<typeof createBench>): Bench {
  const created = createBench(...parameters);
  cleanups.push(created.authenticator.close);
  return created;
}

async function serve(server: Server, scheme = 'http'): Promise<string> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  cleanups.push(async () => {
    server.closeAllConnections();
    await once(server.close(), 'close');
  });
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('key rotation', () => {
  it('a token of the new key is accepted at once, one of the old key no more', async () => {
    const issuer = await start();
    const gateway = bench([oidc(issuer.url)]);
    const old = await issuer.mint();
    expect(await gateway.refusal(old)).toBe('Accepted');
    await issuer.rotate();
    expect(await gateway.refusal(await issuer.mint())).toBe('Accepted');
    expect(await gateway.refusal(old)).toBe('BadSignature');
  });

  it('a key that the issuer withdrew is trusted for five minutes at most', async () => {
    const issuer = await start();
    const gateway = bench([oidc(issuer.url)]);
    const old = await issuer.mint();
    expect(await gateway.refusal(old)).toBe('Accepted');
    await issuer.rotate();
    gateway.advance(5 * MINUTE);
    expect(await gateway.refusal(old)).toBe('BadSignature');
  });

  it('a flood of tokens with unknown key ids costs one fetch', async () => {
    const issuer = await start();
    const gateway = bench([oidc(issuer.url)]);
    expect(await gateway.refusal(await issuer.mint())).toBe('Accepted');
    const fetches = issuer.keyFetches();
    const flood = await Promise.all(Array.from({ length: 50 }, (_, n) => issuer.forge({}, { kid: `made-up-${n}` })));
    const together = await Promise.all(flood.map((token) => gateway.refusal(token)));
    for (const token of flood) expect(await gateway.refusal(token)).toBe('BadSignature');
    expect(new Set(together)).toEqual(new Set(['BadSignature']));
    expect(issuer.keyFetches() - fetches).toBe(1);
    gateway.advance(30 * SECOND);
    await Promise.all(flood.map((token) => gateway.refusal(token)));
    expect(issuer.keyFetches() - fetches).toBe(2);
  });

  it('a clock that is set back does not stop the fetching', async () => {
    const issuer = await start();
    const gateway = bench([oidc(issuer.url)]);
    await gateway.refusal(await issuer.forge({}, { kid: 'made-up' }));
    gateway.advance(-HOUR);
    await issuer.rotate();
    expect(await gateway.refusal(await issuer.forge({ iat: 0 }))).toBe('Accepted');
  });
});

describe('an issuer that is away', () => {
  it('at connect: the token is refused as IssuerUnavailable, and accepted once the issuer is back', async () => {
    const issuer = await start();
    const token = await issuer.mint();
    await issuer.down();
    const gateway = bench([oidc(issuer.url)]);
    expect(await gateway.refusal(token)).toBe('IssuerUnavailable');
    expect(gateway.log.some((line) => line.includes('ECONNREFUSED'))).toBe(true);
    await issuer.up();
    gateway.advance(SECOND);
    expect(await gateway.refusal(token)).toBe('Accepted');
  });

  it('in mid-session: keys already fetched go on for a day, and no longer', async () => {
    const issuer = await start();
    const gateway = bench([oidc(issuer.url)]);
    const day = { expiresIn: 48 * 3600 };
    const token = await issuer.mint(day);
    expect(await gateway.refusal(token)).toBe('Accepted');
    await issuer.down();
    gateway.advance(10 * MINUTE);
    expect(await gateway.refusal(token)).toBe('Accepted');
    gateway.advance(23 * HOUR);
    expect(await gateway.refusal(token)).toBe('Accepted');
    gateway.advance(HOUR);
    expect(await gateway.refusal(token)).toBe('IssuerUnavailable');
    await issuer.up();
    gateway.advance(30 * SECOND);
    expect(await gateway.refusal(token)).toBe('Accepted');
  });

  it('keys are fetched at start: an outage before the first sign-in does not matter', async () => {
    const issuer = await start();
    const token = await issuer.mint();
    const gateway = bench([oidc(issuer.url)]);
    await expect.poll(() => issuer.keyFetches()).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await issuer.down();
    expect(await gateway.refusal(token)).toBe('Accepted');
  });

  it('does not disturb the tokens of another issuer', async () => {
    const [away, here] = [await start(), await start()];
    await away.down();
    const gateway = bench([oidc(away.url), oidc(here.url, { name: 'here' })]);
    expect(await gateway.refusal(await here.mint())).toBe('Accepted');
  });

  it('an issuer that stays in a new revision keeps its keys', async () => {
    const issuer = await start();
    const gateway = bench([oidc(issuer.url)]);
    const token = await issuer.mint();
    expect(await gateway.refusal(token)).toBe('Accepted');
    await issuer.down();
    gateway.authenticator.update({ issuers: [oidc(issuer.url, { name: 'renamed' })], clockSkew: 0 });
    expect((await gateway.identify(token)).issuer).toBe('renamed');
  });

  it('after close nothing is fetched', async () => {
    const issuer = await start();
    const gateway = bench([oidc(issuer.url)]);
    gateway.authenticator.close();
    expect(await gateway.refusal(await issuer.mint())).toBe('IssuerUnavailable');
    expect(issuer.keyFetches()).toBe(0);
  });
});

describe('an issuer that misbehaves is not believed', () => {
  /** An issuer whose answers are given by `answer(path, url)`: a document, or text to send as it is. */
  async function misbehaving(answer: (path: string, url: string) => unknown): Promise<Bench> {
    let url = '';
    const listener: RequestListener = (request, response) => {
      const body = answer(request.url ?? '', url);
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    };
    url = await serve(createServer(listener));
    return bench([oidc(url)]);
  }

  const unsigned = async (url: string): Promise<string> =>
    `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${Buffer.from(
      JSON.stringify({ iss: url, aud: 'postern', exp: 4e9 }),
    ).toString('base64url')}.AAAA`;

  const keys = { keys: [{ kty: 'RSA', n: 'AQAB', e: 'AQAB' }] };
  const cases: { name: string; answer: (path: string, url: string) => unknown; log: string }[] = [
    {
      name: 'a discovery document of another issuer',
      answer: (path, url) => (path === '/jwks' ? keys : { issuer: `${url}/other`, jwks_uri: `${url}/jwks` }),
      log: 'names another issuer',
    },
    { name: 'a discovery document without key address', answer: (_, url) => ({ issuer: url }), log: 'no jwks_uri' },
    {
      name: 'keys at a file address',
      answer: (_, url) => ({ issuer: url, jwks_uri: 'file:///etc/passwd' }),
      log: 'only https',
    },
    {
      name: 'keys over http on another machine',
      answer: (_, url) => ({ issuer: url, jwks_uri: 'http://10.0.0.1/jwks' }),
      log: 'only https',
    },
    {
      name: 'a key address with a password',
      answer: (_, url) => ({ issuer: url, jwks_uri: url.replace('//', '//u:p@') }),
      log: 'with credentials',
    },
    { name: 'an answer that is not JSON', answer: () => '<html>hunter2</html>', log: 'not JSON' },
    { name: 'an answer that is a list', answer: () => [1], log: 'not a JSON object' },
    { name: 'an endless answer', answer: () => 'x'.repeat(300_000), log: 'longer than' },
    {
      name: 'an empty key set',
      answer: (path, url) => (path === '/jwks' ? { keys: [] } : { issuer: url, jwks_uri: `${url}/jwks` }),
      log: 'key set is empty',
    },
    {
      name: 'a key set with a thousand keys',
      answer: (path, url) =>
        path === '/jwks' ? { keys: Array(1000).fill(keys.keys[0]) } : { issuer: url, jwks_uri: `${url}/jwks` },
      log: 'more than',
    },
  ];
  it.each(cases)('$name', async ({ answer, log }) => {
    const gateway = await misbehaving(answer);
    const url = gateway.authenticator.discovery()?.issuerUrl ?? '';
    expect(await gateway.refusal(await unsigned(url))).toBe('IssuerUnavailable');
    expect(gateway.log.join()).toContain(log);
    expect(gateway.log.join()).not.toContain('hunter2');
  });

  it('a redirect is not followed', async () => {
    const issuer = await start();
    const url = await serve(
      createServer((request, response) => {
        response.writeHead(302, { location: `${issuer.url}${request.url}` }).end();
      }),
    );
    const gateway = bench([oidc(url)]);
    expect(await gateway.refusal(await unsigned(url))).toBe('IssuerUnavailable');
    expect(gateway.log.join()).toContain('status 302');
  });

  it('a symmetric or private key in the set verifies nothing', async () => {
    const issuer = await start();
    const { keys: real } = (await (await fetch(`${issuer.url}/jwks`)).json()) as { keys: { kid: string }[] };
    const gateway = await misbehaving((path, url) =>
      path === '/jwks'
        ? {
            keys: [
              { kty: 'oct', k: 'AAAA', kid: real[0]?.kid },
              { kty: 'RSA', n: 1, kid: 'broken' },
            ],
          }
        : { issuer: url, jwks_uri: `${url}/jwks` },
    );
    const iss = gateway.authenticator.discovery()?.issuerUrl ?? '';
    expect(await gateway.refusal(await issuer.forge({ iss }))).toBe('BadSignature');
    expect(await gateway.refusal(await issuer.forge({ iss }, { kid: 'broken' }))).toBe('BadSignature');
  });

  it('an RSA key of 1024 bits verifies nothing', async () => {
    const { generateKeyPairSync } = await import('node:crypto');
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const issuer = await start();
    const jwk = { ...(await exportJWK(weak.publicKey)), kid: 'weak' };
    const gateway = await misbehaving((path, url) =>
      path === '/jwks' ? { keys: [jwk] } : { issuer: url, jwks_uri: `${url}/jwks` },
    );
    const iss = gateway.authenticator.discovery()?.issuerUrl ?? '';
    expect(await gateway.refusal(await issuer.forge({ iss }, { kid: 'weak' }))).toBe('BadSignature');
  });

  it('an issuer over http on another machine is never asked', async () => {
    const gateway = bench([oidc('http://issuer.example.com')]);
    expect(await gateway.refusal(await unsigned('http://issuer.example.com'))).toBe('IssuerUnavailable');
    expect(gateway.log.join()).toContain('only https');
  });

  it('an issuer that never answers costs five seconds once, not for each client', async () => {
    const url = await serve(createServer(() => undefined));
    const gateway = bench([oidc(url)]);
    const before = performance.now();
    const token = await unsigned(url);
    const results = await Promise.all(Array.from({ length: 20 }, () => gateway.refusal(token)));
    expect(new Set(results)).toEqual(new Set(['IssuerUnavailable']));
    expect(performance.now() - before).toBeLessThan(9_000);
    expect(gateway.log.join()).toContain('no answer within 5000 ms');
  });
});

describe('an issuer over https', () => {
  async function startTls(): Promise<{ url: string; ca: string; token: () => Promise<string> }> {
    const authority = await createCertificateAuthority();
    const { certPem, keyPem } = await authority.server(['127.0.0.1']);
    const issuer = await start();
    let url = '';
    const server = createTlsServer({ cert: certPem, key: keyPem }, async (request, response) => {
      const answer = await (await fetch(`${issuer.url}${request.url}`)).text();
      response.end(answer.replaceAll(issuer.url, url));
    });
    url = await serve(server, 'https');
    return { url, ca: authority.caPem, token: () => issuer.forge({ iss: url }) };
  }

  it('is verified with the authorities of the named Secret', async () => {
    const { url, ca, token } = await startTls();
    const gateway = bench([oidc(url, { ca: { secret: 'corp-ca', key: 'ca.crt' } })], { 'corp-ca/ca.crt': ca });
    expect(await gateway.refusal(await token())).toBe('Accepted');
  });

  it('is not believed without them', async () => {
    const { url, token } = await startTls();
    expect(await bench([oidc(url)]).refusal(await token())).toBe('IssuerUnavailable');
  });

  it("is not believed with another authority's certificate", async () => {
    const { url, token } = await startTls();
    const stranger = (await createCertificateAuthority()).caPem;
    const gateway = bench([oidc(url, { ca: { secret: 'ca', key: 'ca.crt' } })], { 'ca/ca.crt': stranger });
    expect(await gateway.refusal(await token())).toBe('IssuerUnavailable');
  });

  it('a missing Secret is named in the log', async () => {
    const { url, token } = await startTls();
    const gateway = bench([oidc(url, { ca: { secret: 'corp-ca', key: 'ca.crt' } })]);
    expect(await gateway.refusal(await token())).toBe('IssuerUnavailable');
    expect(gateway.log.join()).toContain('Secret corp-ca has no key ca.crt');
  });
});
