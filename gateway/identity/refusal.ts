import type { AuthenticationFailure, AuthenticationResult } from './identity.ts';

/** A refused authentication: what every check in this room returns instead of throwing. */
export type Refusal = Extract<AuthenticationResult, { readonly ok: false }>;

/** Builds a refusal; neither text may quote the credential. */
export function refuse(reason: AuthenticationFailure, message: string, hint: string): Refusal {
  return { ok: false, reason, message, hint };
}
