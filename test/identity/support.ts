import { expect } from 'vitest';
import type { Issuer } from '../../gateway/config/document.ts';
import { type Authenticator, createAuthenticator } from '../../gateway/identity/authenticator.ts';
import type { AuthenticationResult, Identity } from '../../gateway/identity/identity.ts';
import type { OidcIssuer } from '../../gateway/identity/issuer-keys.ts';

export const SKEW = 30_000;

/** An authenticator whose clock can be moved and whose every word is searched for the token it was given. */
export interface Bench {
  readonly authenticator: Authenticator;
  /** Verifies as the Token listener does; fails the test if a part of the token is in the result or in the log. */
  verify(token: string): Promise<AuthenticationResult>;
  /** Verifies a token that must be accepted. */
  identify(token: string): Promise<Identity>;
  /** The reason for which a token is refused, or Accepted. */
  refusal(token: string): Promise<string>;
  readonly log: readonly string[];
  /** Moves the clock, in milliseconds. */
  advance(by: number): void;
  /** Stops the clock at a moment, in milliseconds since 1970. */
  stopAt(moment: number): void;
}

/** An issuer entry as the configuration document has it. */
export function oidc(url: string, changes: Partial<OidcIssuer> = {}): OidcIssuer {
  return {
    kind: 'Oidc',
    name: 'corp',
    url,
    audiences: ['postern'],
    algorithms: ['RS256', 'ES256'],
    claims: { username: 'email', groups: 'groups' },
    ca: null,
    ...changes,
  };
}

export function createBench(issuers: readonly Issuer[], secrets: Readonly<Record<string, string>> = {}): Bench {
  const log: string[] = [];
  let offset = 0;
  let stopped: number | undefined;
  const write = (fields: object, message: string): void => {
    log.push(JSON.stringify({ ...fields, message }));
  };
  const authenticator = createAuthenticator({
    issuers,
    clockSkew: SKEW,
    secrets: {
      read(secret, key) {
        const value = secrets[`${secret}/${key}`];
        return value === undefined ? undefined : Buffer.from(value);
      },
    },
    now: () => stopped ?? Date.now() + offset,
    log: { info: write, warn: write },
  });
  const verify = async (token: string): Promise<AuthenticationResult> => {
    const result = await authenticator.verify(token, 'Token');
    const said = JSON.stringify(result) + log.join('\n');
    for (const part of secretParts(token)) expect(said).not.toContain(part);
    return result;
  };
  return {
    authenticator,
    verify,
    async identify(token) {
      const result = await verify(token);
      if (!result.ok) throw new Error(`refused: ${result.reason}: ${result.message}`);
      return result.identity;
    },
    async refusal(token) {
      const result = await verify(token);
      return result.ok ? 'Accepted' : result.reason;
    },
    log,
    advance(by) {
      offset += by;
    },
    stopAt(moment) {
      stopped = moment;
    },
  };
}

/** Pieces of a token, none of which may appear anywhere: from each part's beginning, middle and end. */
function secretParts(token: string): string[] {
  return token
    .split('.')
    .filter((part) => part.length >= 16)
    .flatMap((part) => [part.slice(0, 16), part.slice(-16), part.slice(part.length >> 1).slice(0, 16)]);
}
