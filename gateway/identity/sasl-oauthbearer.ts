/**
 * The server side of SASL OAUTHBEARER (RFC 7628), as PostgreSQL 18 speaks it. Pure: the caller owns the exchange.
 *
 *   client                                         gateway
 *   SASLInitialResponse "n,,^Aauth=Bearer T^A^A" → Token: verify; on success AuthenticationOk
 *   SASLInitialResponse "n,,^Aauth=^A^A"         → Discovery
 *                 ← AuthenticationSASLContinue with buildErrorChallenge, for Discovery and for a refused token
 *   SASLResponse "^A"                            → isErrorAcknowledgement; then the ErrorResponse
 *
 * A SASLInitialResponse without data (length -1) is answered with an empty AuthenticationSASLContinue; the client
 * then sends the same message as a SASLResponse. Discovery is libpq's first leg: neither an audit failure nor a
 * rate-limit hit.
 */

export const OAUTHBEARER = 'OAUTHBEARER';

/** What the client's first message asks for; `message` of Invalid is safe to send and never quotes the input. */
export type OAuthBearerRequest =
  | { readonly kind: 'Token'; readonly token: string }
  | { readonly kind: 'Discovery' }
  | { readonly kind: 'Invalid'; readonly message: string };

const KVSEP = '\x01';
// RFC 7628 section 3.1: key = 1*(ALPHA), value = *(VCHAR / SP / HTAB / CR / LF).
const PAIR = /^([A-Za-z]+)=([\x21-\x7e \t\r\n]*)$/;
// RFC 6750 section 2.1; the scheme's name is case-insensitive (RFC 9110 section 11.1).
const CREDENTIALS = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i;

/** Reads the client's first message (RFC 7628 section 3.1). */
export function parseOAuthBearer(data: Uint8Array): OAuthBearerRequest {
  // Latin-1 keeps one character a byte; everything above ASCII is refused by the patterns.
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1');
  const header = gs2HeaderProblem(text);
  if (header !== null) return invalid(header);
  if (text[3] !== KVSEP) return invalid('a separator must follow the GS2 header');
  const auth = findAuth(text.slice(4));
  if (typeof auth !== 'string') return auth;
  if (auth === '') return { kind: 'Discovery' };
  const token = CREDENTIALS.exec(auth)?.[1];
  return token === undefined ? invalid('the auth value is not a Bearer token') : { kind: 'Token', token };
}

/** Why the GS2 header (RFC 5801 section 4) is refused; null: it is "n,," or "y,,". */
function gs2HeaderProblem(text: string): string | null {
  if (text === '') return 'the message is empty';
  if (text.startsWith('p')) return 'channel binding is not supported by OAUTHBEARER';
  if (!/^[ny],/.test(text)) return 'the GS2 header is malformed';
  // The identity is the token's alone: an authorization identity would be a second, unproven one.
  if (text.startsWith('a=', 2)) return 'an authorization identity is not supported';
  return text[2] === ',' ? null : 'the GS2 header is malformed';
}

/** The value of the single `auth` key among `*kvpair kvsep`; unknown keys are ignored as the RFC demands. */
function findAuth(body: string): string | OAuthBearerRequest {
  if (body !== KVSEP && !body.endsWith(KVSEP + KVSEP)) return invalid('the final separator is missing');
  const pairs = body.slice(0, -1).split(KVSEP).slice(0, -1);
  let auth: string | null = null;
  for (const pair of pairs) {
    const match = PAIR.exec(pair);
    if (match === null) return invalid('a key/value pair is malformed');
    if (match[1] !== 'auth') continue;
    if (auth !== null) return invalid('there is more than one auth value');
    auth = match[2] ?? '';
  }
  return auth ?? invalid('there is no auth value');
}

function invalid(detail: string): OAuthBearerRequest {
  return { kind: 'Invalid', message: `malformed OAUTHBEARER message: ${detail}` };
}

/**
 * The server's error challenge (RFC 7628 section 3.2.2). libpq 18 takes issuer and scope for its second leg from
 * it; the issuer string must equal the client's `oauth_issuer` byte for byte. Null: nothing to discover.
 */
export function buildErrorChallenge(discovery: { readonly issuerUrl: string; readonly scope: string } | null): Buffer {
  if (discovery === null) return Buffer.from(JSON.stringify({ status: 'invalid_token' }));
  return Buffer.from(
    JSON.stringify({
      status: 'invalid_token',
      scope: discovery.scope,
      'openid-configuration': configurationUrl(discovery.issuerUrl),
    }),
  );
}

/** Whether the client's answer to the error challenge is the single separator that RFC 7628 section 3.2.3 demands. */
export function isErrorAcknowledgement(data: Uint8Array): boolean {
  return data.length === 1 && data[0] === 1;
}

function configurationUrl(issuerUrl: string): string {
  return `${issuerUrl}/.well-known/openid-configuration`;
}
