import { type KeyObject, randomUUID, type webcrypto } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose';
import Provider from 'oidc-provider';

export interface MintOptions {
  readonly username?: string;
  readonly groups?: readonly string[];
  readonly audience?: string;
  /** Seconds. */
  readonly expiresIn?: number;
  readonly algorithm?: 'RS256' | 'ES256';
  /** Further claims; one that is undefined is left out, `groups` and `email` included. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** A certified OpenID provider that tests can break. */
export interface TestIssuer {
  readonly url: string;
  /** A signed access token from the token endpoint; default: alice@example.com, no groups, audience postern, an hour. */
  mint(options?: MintOptions): Promise<string>;
  /** What the provider would never say, signed with its current key or with another. */
  forge(claims: JWTPayload, header?: Partial<JWTHeaderParameters>, key?: KeyObject): Promise<string>;
  /** The current RS256 key's public half. */
  readonly publicKey: () => webcrypto.CryptoKey;
  /** Replaces all keys. */
  rotate(): Promise<void>;
  /** Nothing listens any more, until `up`. */
  down(): Promise<void>;
  up(): Promise<void>;
  /** How often the key set was fetched. */
  readonly keyFetches: () => number;
  close(): Promise<void>;
}

export const CLIENT = 'test';
export const RESOURCE = 'urn:test:postern';

interface Signing {
  readonly jwks: JWK[];
  readonly keys: webcrypto.CryptoKeyPair;
}

/** Starts the provider on a port of 127.0.0.1. */
export async function startIssuer(): Promise<TestIssuer> {
  const orders = new Map<string, MintOptions>();
  const secret = randomUUID();
  let signing = await generateSigning();
  let fetches = 0;
  let handle: ReturnType<Provider['callback']>;

  const listen = async (port: number): Promise<Server> => {
    const server = createServer((request, response) => {
      if (request.url === '/jwks') fetches += 1;
      void handle(request, response);
    });
    await once(server.listen(port, '127.0.0.1'), 'listening');
    return server;
  };
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    server.closeAllConnections();
    await once(server.close(), 'close');
  };
  let server = await listen(0);
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const orderOf = (order: string): MintOptions => orders.get(order) ?? {};
  handle = createProvider({ url, secret, jwks: signing.jwks, orderOf });

  return {
    url,
    async mint(options = {}) {
      const order = randomUUID();
      orders.set(order, options);
      const response = await fetch(`${url}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${CLIENT}:${secret}`).toString('base64')}`, 'x-order': order },
        body: new URLSearchParams({ grant_type: 'client_credentials', resource: RESOURCE }),
      });
      const body = (await response.json()) as { access_token?: string };
      if (body.access_token === undefined) throw new Error(`no token: HTTP ${response.status}`);
      return body.access_token;
    },
    forge(claims, header = {}, key) {
      const now = Math.floor(Date.now() / 1000);
      const defaults = { iss: url, aud: 'postern', email: 'alice@example.com', groups: [], iat: now, exp: now + 3600 };
      return new SignJWT({ ...defaults, ...claims })
        .setProtectedHeader({ alg: 'RS256', ...(signing.jwks[0]?.kid && { kid: signing.jwks[0].kid }), ...header })
        .sign(key ?? signing.keys.privateKey);
    },
    publicKey: () => signing.keys.publicKey,
    async rotate() {
      signing = await generateSigning();
      handle = createProvider({ url, secret, jwks: signing.jwks, orderOf });
    },
    down: stop,
    async up() {
      server = await listen(port);
    },
    keyFetches: () => fetches,
    close: stop,
  };
}

/** Keys for a provider. */
export async function generateSigning(): Promise<Signing> {
  const keys = await generateKeyPair('RS256', { extractable: true });
  const second = await generateKeyPair('ES256', { extractable: true });
  return {
    keys,
    jwks: [
      { ...(await exportJWK(keys.privateKey)), kid: randomUUID(), alg: 'RS256', use: 'sig' },
      { ...(await exportJWK(second.privateKey)), kid: randomUUID(), alg: 'ES256', use: 'sig' },
    ],
  };
}

interface ProviderParts {
  readonly url: string;
  readonly secret: string;
  readonly jwks: JWK[];
  /** What the token is to say, by the header x-order of the request for it. */
  orderOf(order: string): MintOptions;
}

// Signed tokens and configured clients need no store.
const nothing = (): Promise<undefined> => Promise.resolve(undefined);
const NOTHING_STORED = {
  upsert: nothing,
  find: nothing,
  findByUserCode: nothing,
  findByUid: nothing,
  consume: nothing,
  destroy: nothing,
  revokeByGrantId: nothing,
};

/** The provider's request handler: tokens by the client-credentials grant. */
export function createProvider(parts: ProviderParts): ReturnType<Provider['callback']> {
  const { url, secret, jwks } = parts;
  const orderOf = (context: { get(name: string): string }): MintOptions => parts.orderOf(context.get('x-order'));
  const provider = new Provider(url, {
    jwks: { keys: jwks as never },
    adapter: () => NOTHING_STORED,
    clients: [
      {
        client_id: CLIENT,
        client_secret: secret,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo(context) {
          const { audience = 'postern', expiresIn = 3600, algorithm = 'RS256' } = orderOf(context);
          return {
            scope: '',
            audience,
            accessTokenTTL: expiresIn,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: algorithm } },
          };
        },
      },
    },
    ttl: { ClientCredentials: (_context, token) => token.resourceServer?.accessTokenTTL ?? 3600 },
    extraTokenClaims(context) {
      const { username = 'alice@example.com', groups = [], extra = {} } = orderOf(context);
      return { email: username, groups: [...groups], ...extra };
    },
  });
  return provider.callback();
}
