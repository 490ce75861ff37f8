import type { JSONWebKeySet, LocalJWKSet } from 'jose';
import { createLocalJWKSet } from 'jose';
import type { Issuer } from '../config/document.ts';
import type { Person } from './claims.ts';
import { readPerson } from './claims.ts';
import type { AuthenticationResult } from './identity.ts';
import type { IssuerKeysOptions, OidcIssuer } from './issuer-keys.ts';
import { IssuerKeys } from './issuer-keys.ts';
import type { Refusal } from './refusal.ts';
import { refuse } from './refusal.ts';
import { readServiceAccount } from './service-account.ts';
import type { ProvenToken, TokenExpectations, UnprovenToken } from './token.ts';
import { algorithmNotAllowed, badSignature, readUnproven, verifyToken } from './token.ts';

/** The part of the configuration document that decides whose tokens are believed. */
export interface IdentitySettings {
  readonly issuers: readonly Issuer[];
  /** Milliseconds. */
  readonly clockSkew: number;
}

export interface AuthenticatorOptions extends IdentitySettings, IssuerKeysOptions {}

/** Turns tokens into identities. */
export interface Authenticator {
  /** Checks a token presented as password or by OAUTHBEARER. Never rejects; takes at most the fetch's 5 seconds. */
  verify(token: string, method: 'Token' | 'OAuthBearer'): Promise<AuthenticationResult>;
  /** What OAUTHBEARER's error challenge points a client to: the first OpenID issuer; null: there is none. */
  discovery(): { readonly issuerUrl: string; readonly scope: string } | null;
  /** Puts a new revision in force; issuers that stay keep their fetched keys. */
  update(settings: IdentitySettings): void;
  /** Ends fetches under way. */
  close(): void;
}

/** One issuer as configured, with its keys. */
interface Source {
  readonly issuer: Issuer;
  readonly iss: string;
  readonly audiences: readonly string[];
  readonly algorithms: readonly string[];
  readonly keys: IssuerKeys | LocalJWKSet;
}

// Public-key signatures alone. HMAC would make the published key the secret, `none` needs no key at all: neither
// can be configured (tests "a token with alg none", "a token signed by HMAC with the public key").
const ASYMMETRIC = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
const KUBERNETES_ALGORITHMS = ['RS256', 'ES256', 'ES384', 'ES512'];

/** Creates the gateway's authenticator and begins to fetch the issuers' keys, so that later outages do not matter. */
export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const fetched = new Map<string, IssuerKeys>();
  let settings: IdentitySettings = options;
  let sources: readonly Source[] = [];

  const keysOf = (issuer: OidcIssuer): IssuerKeys => {
    const id = keysId(issuer);
    const keys = fetched.get(id) ?? new IssuerKeys(issuer, options);
    fetched.set(id, keys);
    return keys;
  };
  const update = (next: IdentitySettings): void => {
    sources = next.issuers.map((issuer) => toSource(issuer, keysOf));
    settings = next;
    const wanted = new Set(next.issuers.map((issuer) => (issuer.kind === 'Oidc' ? keysId(issuer) : '')));
    for (const [id, keys] of fetched) {
      if (wanted.has(id)) {
        void keys.current();
      } else {
        keys.close();
        fetched.delete(id);
      }
    }
  };
  update(options);

  return {
    async verify(token, method) {
      const unproven = readUnproven(token);
      if (!unproven.ok) return unproven;
      const source = chooseSource(sources, unproven);
      if (source === null) return unknownIssuer(sources);
      if (!source.algorithms.includes(unproven.algorithm)) return algorithmNotAllowed();
      const proven = await prove(token, source, { clockSkew: settings.clockSkew, now: options.now() });
      if (!proven.ok) return proven;
      const person = readClaims(source.issuer, proven);
      if (!person.ok) return person;
      if (person.reservedGroups > 0) {
        const fields = { issuer: source.issuer.name, dropped: person.reservedGroups };
        options.log.warn(fields, 'groups that begin with "system:" ignored');
      }
      return { ok: true, identity: toIdentity(source.issuer, { person, proven, method }) };
    },
    discovery: () => discoveryOf(settings.issuers),
    update,
    close() {
      for (const keys of fetched.values()) keys.close();
    },
  };
}

/** Issuers that are fetched from the same place in the same way share their keys. */
function keysId({ url, ca }: OidcIssuer): string {
  return JSON.stringify([url, ca?.secret, ca?.key]);
}

function toSource(issuer: Issuer, keysOf: (issuer: OidcIssuer) => IssuerKeys): Source {
  if (issuer.kind === 'Kubernetes') {
    return {
      issuer,
      iss: issuer.issuer,
      audiences: [issuer.audience],
      algorithms: KUBERNETES_ALGORITHMS,
      keys: createLocalJWKSet(issuer.jwks as unknown as JSONWebKeySet),
    };
  }
  const algorithms = issuer.algorithms.filter((algorithm) => ASYMMETRIC.includes(algorithm));
  return { issuer, iss: issuer.url, audiences: issuer.audiences, algorithms, keys: keysOf(issuer) };
}

/** By exact `iss`; where several entries share it, the one for an audience of the token. */
function chooseSource(sources: readonly Source[], { issuer, payload }: UnprovenToken): Source | null {
  const candidates = sources.filter((source) => source.iss === issuer);
  const audiences: readonly unknown[] = Array.isArray(payload.aud) ? payload.aud : [payload.aud];
  return candidates.find((source) => source.audiences.some((a) => audiences.includes(a))) ?? candidates[0] ?? null;
}

async function prove(
  token: string,
  source: Source,
  clock: Pick<TokenExpectations, 'clockSkew' | 'now'>,
): Promise<ProvenToken | Refusal> {
  const expected = { issuer: source.iss, audiences: source.audiences, algorithms: source.algorithms, ...clock };
  const fetched = source.keys instanceof IssuerKeys ? source.keys : null;
  const keys = source.keys instanceof IssuerKeys ? await source.keys.current() : source.keys;
  if (keys === null) return issuerUnavailable(source.issuer.name);
  const first = await verifyToken(token, keys, expected);
  if (first !== 'UnknownKey') return first;
  // The issuer may have changed its keys since the last fetch.
  const newer = fetched === null ? null : await fetched.newer(keys);
  const second = newer === null ? first : await verifyToken(token, newer, expected);
  return second === 'UnknownKey' ? badSignature() : second;
}

function readClaims(issuer: Issuer, { payload }: ProvenToken): Person | Refusal {
  return issuer.kind === 'Kubernetes' ? readServiceAccount(payload) : readPerson(payload, issuer.claims);
}

function toIdentity(
  issuer: Issuer,
  { person, proven, method }: { person: Person; proven: ProvenToken; method: 'Token' | 'OAuthBearer' },
): Extract<AuthenticationResult, { ok: true }>['identity'] {
  const { sub, jti } = proven.payload;
  return {
    username: person.username,
    groups: person.groups,
    issuer: issuer.name,
    method,
    expiresAt: proven.expiresAt,
    subject: typeof sub === 'string' ? sub : '',
    credentialId: typeof jti === 'string' ? jti : null,
  };
}

function discoveryOf(issuers: readonly Issuer[]): { issuerUrl: string; scope: string } | null {
  const issuer = issuers.find((candidate) => candidate.kind === 'Oidc');
  if (issuer === undefined) return null;
  // Standard scopes only (OpenID Connect Core 5.4): issuers refuse names that they do not know.
  const { username } = issuer.claims;
  const extra = username === 'email' ? ' email' : username === 'preferred_username' ? ' profile' : '';
  return { issuerUrl: issuer.url, scope: `openid${extra}` };
}

function unknownIssuer(sources: readonly Source[]): Refusal {
  const known = sources.map((source) => source.iss).join(', ');
  return refuse('UnknownIssuer', 'the token is of an issuer that is not configured', `Configured here: ${known}.`);
}

function issuerUnavailable(name: string): Refusal {
  return refuse(
    'IssuerUnavailable',
    `the keys of issuer "${name}" cannot be fetched, so its tokens cannot be checked`,
    'Try again later; whoever runs the gateway finds the cause in its log.',
  );
}
