import type { Identity } from './identity.ts';

/**
 * Whether the identity's right to run statements has ended. `now` and `skew` are milliseconds; `skew` is the
 * document's `clockSkew`, the same allowance that the token had when the connection opened, and no more.
 */
export function isExpired(identity: Pick<Identity, 'expiresAt'>, now: number, skew: number): boolean {
  return now >= identity.expiresAt + skew;
}
