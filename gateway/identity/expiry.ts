import type { Identity } from './identity.ts';

/**
 * Whether the identity's right to run statements has ended. `now` and `skew` are milliseconds; `skew` is the
 * document's `clockSkew`, the same allowance that the credential had when the connection opened, and no more: a
 * certificate has none, as TLS grants none.
 */
export function isExpired(identity: Pick<Identity, 'expiresAt' | 'method'>, now: number, skew: number): boolean {
  return now >= identity.expiresAt + (identity.method === 'Certificate' ? 0 : skew);
}
