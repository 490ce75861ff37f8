import { once } from 'node:events';
import http from 'node:http';
import type net from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';

/** An OpenID issuer that only signs: discovery, one key, and tokens for whomever the caller names. */
export interface TokenIssuer {
  readonly url: string;
  /** A token for the audience `postern`, valid for an hour. */
  token(username: string, groups?: readonly string[]): Promise<string>;
  close(): Promise<void>;
}

/** Starts the issuer on a port of 127.0.0.1; where the issuer itself is tested, a certified one is used instead. */
export async function startTokenIssuer(): Promise<TokenIssuer> {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256', use: 'sig' }] };
  let url = '';
  const server = http.createServer((request, response) => {
    const documents = new Map<string, object>([
      ['/jwks', jwks],
      ['/.well-known/openid-configuration', discovery(url)],
    ]);
    const document = documents.get(request.url ?? '');
    response.writeHead(document === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(document ?? {}));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
  return {
    url,
    token: (username, groups = []) =>
      new SignJWT({ email: username, email_verified: true, groups })
        .setProtectedHeader({ alg: 'ES256', kid: 'one' })
        .setIssuer(url)
        .setSubject(username)
        .setAudience('postern')
        .setIssuedAt()
        .setExpirationTime('1h')
        .sign(privateKey),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function discovery(url: string): object {
  return {
    issuer: url,
    jwks_uri: `${url}/jwks`,
    authorization_endpoint: `${url}/authorize`,
    token_endpoint: `${url}/token`,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
  };
}
