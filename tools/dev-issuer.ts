import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

/** Somebody who can sign in, by the client credentials `name` and a secret of this process. */
export interface Person {
  readonly name: string;
  readonly email: string;
  readonly groups: readonly string[];
}

export interface DevIssuer {
  readonly url: string;
  /** A signed access token for the audience `postern`, from the issuer's token endpoint. */
  token(name: string): Promise<string>;
  close(): void;
}

const RESOURCE = 'urn:postern';
const SECRET = 'for-this-process-only';

/** Starts a real OpenID issuer on loopback: for the demo and for tests. */
export async function startDevIssuer(people: readonly Person[]): Promise<DevIssuer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const provider = new Provider(url, {
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'dev', alg: 'RS256', use: 'sig' }] },
    clients: people.map(({ name }) => ({
      client_id: name,
      client_secret: SECRET,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    })),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => RESOURCE,
        getResourceServerInfo: () => ({
          scope: '',
          audience: 'postern',
          accessTokenTTL: 3600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    extraTokenClaims(_context, token) {
      const person = people.find(({ name }) => name === token.clientId);
      return person === undefined ? {} : { email: person.email, groups: person.groups };
    },
  });
  server.on('request', provider.callback());
  return { url, token: (name) => fetchToken(url, name), close: () => void server.close() };
}

async function fetchToken(url: string, name: string): Promise<string> {
  const response = await fetch(`${url}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${name}:${SECRET}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource: RESOURCE }),
  });
  const body = (await response.json()) as { access_token?: string };
  if (body.access_token === undefined) throw new Error(`the issuer gave ${name} no token: HTTP ${response.status}`);
  return body.access_token;
}
