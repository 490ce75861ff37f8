import type { JWTPayload, JWTVerifyOptions, LocalJWKSet } from 'jose';
import { decodeJwt, decodeProtectedHeader, errors, jwtVerify } from 'jose';
import type { Refusal } from './refusal.ts';
import { refuse } from './refusal.ts';

/** Longest token, in bytes. */
const MAX_TOKEN_BYTES = 16 * 1024;

/** What a token says of itself before anything is proven: good for choosing the issuer, for nothing else. */
export interface UnprovenToken {
  readonly ok: true;
  readonly issuer: string;
  readonly algorithm: string;
  readonly payload: JWTPayload;
}

/** A token whose signature and standard claims hold. */
export interface ProvenToken {
  readonly ok: true;
  readonly payload: JWTPayload;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export interface TokenExpectations {
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly algorithms: readonly string[];
  /** Milliseconds. */
  readonly clockSkew: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** A key that the token names is not in the set: a newer set may have it. */
export type Verification = ProvenToken | Refusal | 'UnknownKey';

const NOT_A_TOKEN = 'Give a token of one of the configured issuers as the password: three parts joined by dots.';
const TAKE_A_FRESH_ONE = 'Sign in at the issuer again and take a fresh token.';

/** Reads a compact JWS (RFC 7515 section 7.1) without believing it. */
export function readUnproven(token: string): UnprovenToken | Refusal {
  if (Buffer.byteLength(token) > MAX_TOKEN_BYTES) {
    return refuse('TooLarge', `the token is longer than ${MAX_TOKEN_BYTES} bytes`, 'Let the issuer send fewer claims.');
  }
  if (!/^[\w-]+\.[\w-]+\.[\w-]*$/.test(token)) {
    return refuse('Malformed', 'the password is not a signed JSON Web Token', NOT_A_TOKEN);
  }
  try {
    const payload = decodeJwt(token);
    const { alg } = decodeProtectedHeader(token);
    if (typeof payload.iss !== 'string') {
      return refuse('MissingClaim', 'the token has no claim "iss" that names its issuer', TAKE_A_FRESH_ONE);
    }
    return { ok: true, issuer: payload.iss, algorithm: alg ?? 'none', payload };
  } catch {
    return refuse('Malformed', 'the password is not a signed JSON Web Token', NOT_A_TOKEN);
  }
}

/** Checks signature, issuer, audience and times. Expected failures are returned, whatever the token contains. */
export async function verifyToken(
  token: string,
  keys: LocalJWKSet,
  expected: TokenExpectations,
): Promise<Verification> {
  const options: JWTVerifyOptions = {
    issuer: expected.issuer,
    audience: [...expected.audiences],
    algorithms: [...expected.algorithms],
    clockTolerance: expected.clockSkew / 1000,
    currentDate: new Date(expected.now),
    requiredClaims: ['exp'],
  };
  try {
    const { payload } = await verifyWithAnyKey(token, keys, options);
    return checkTimes(payload, expected);
  } catch (error) {
    return explain(error);
  }
}

async function verifyWithAnyKey(
  token: string,
  keys: LocalJWKSet,
  options: JWTVerifyOptions,
): Promise<{ readonly payload: JWTPayload }> {
  try {
    return await jwtVerify(token, keys, options);
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    // A token without `kid`, and an issuer with several keys: try each.
    for await (const key of error) {
      try {
        return await jwtVerify(token, key, options);
      } catch (failure) {
        if (!(failure instanceof errors.JWSSignatureVerificationFailed)) throw failure;
      }
    }
    throw new errors.JWSSignatureVerificationFailed();
  }
}

/** What jose leaves to us: `iat` in the future, an expiry that is a usable time, tokens bound to a key. */
function checkTimes(payload: JWTPayload, { now, clockSkew }: TokenExpectations): ProvenToken | Refusal {
  const expiresAt = Math.floor((payload.exp ?? Number.NaN) * 1000);
  if (!Number.isSafeInteger(expiresAt)) {
    return refuse('Malformed', 'the token\'s claim "exp" is not a usable time', TAKE_A_FRESH_ONE);
  }
  if (payload.iat !== undefined && payload.iat * 1000 > now + clockSkew) return notYetValid();
  // RFC 7800: whoever presents it must prove a key, for which no PostgreSQL client has a place.
  if (payload.cnf !== undefined) {
    return refuse('Malformed', 'the token is bound to a key that cannot be proven here', 'Ask for a bearer token.');
  }
  return { ok: true, payload, expiresAt };
}

function explain(error: unknown): Verification {
  if (error instanceof errors.JWKSNoMatchingKey) return 'UnknownKey';
  if (error instanceof errors.JWTExpired) return refuse('Expired', 'the token has expired', TAKE_A_FRESH_ONE);
  if (error instanceof errors.JWTClaimValidationFailed) return explainClaim(error);
  if (error instanceof errors.JOSEAlgNotAllowed) return algorithmNotAllowed();
  if (error instanceof errors.JWTInvalid || error instanceof errors.JWSInvalid) {
    return refuse('Malformed', 'the password is not a signed JSON Web Token', NOT_A_TOKEN);
  }
  if (error instanceof errors.JOSENotSupported) {
    return refuse('Malformed', 'the token demands an extension that is not supported', TAKE_A_FRESH_ONE);
  }
  // The rest are keys that cannot serve: too short, of another type, malformed.
  return badSignature();
}

function explainClaim({ claim, reason }: errors.JWTClaimValidationFailed): Refusal {
  if (reason === 'missing') return refuse('MissingClaim', `the token has no claim "${claim}"`, TAKE_A_FRESH_ONE);
  if (reason === 'invalid') return refuse('Malformed', `the token's claim "${claim}" is not a time`, TAKE_A_FRESH_ONE);
  if (claim === 'nbf') return notYetValid();
  if (claim === 'aud') return wrongAudience();
  return refuse('UnknownIssuer', 'the token is of an issuer that is not configured', TAKE_A_FRESH_ONE);
}

function notYetValid(): Refusal {
  return refuse('NotYetValid', 'the token is not valid yet', 'Compare the clocks of the gateway and of the issuer.');
}

function wrongAudience(): Refusal {
  return refuse(
    'WrongAudience',
    'the token was issued for another audience',
    "Ask the issuer for a token whose audience is one of the gateway's identity.issuers[] audiences.",
  );
}

/** The token's algorithm is none, symmetric, or not in the issuer's list. */
export function algorithmNotAllowed(): Refusal {
  return refuse(
    'AlgorithmNotAllowed',
    'the token is signed with an algorithm that is not allowed for its issuer',
    "Compare the issuer's signing algorithm with the gateway's identity.issuers[].algorithms.",
  );
}

/** The signature is no key's of the issuer. */
export function badSignature(): Refusal {
  return refuse('BadSignature', "the token's signature is not one of its issuer's", TAKE_A_FRESH_ONE);
}
