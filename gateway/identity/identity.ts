import type { ListenerAuthentication } from '../config/document.ts';

/** Who a session belongs to. */
export interface Identity {
  readonly username: string;
  readonly groups: readonly string[];
  /** Name of the issuer in the manifest, or `certificate`. */
  readonly issuer: string;
  readonly method: ListenerAuthentication;
  /** Milliseconds since the epoch: the token's `exp`, the certificate's notAfter. */
  readonly expiresAt: number;
  /** `sub` of the token, subject of the certificate: for the record. */
  readonly subject: string;
  /** `jti`, or the certificate's serial number; null: none. */
  readonly credentialId: string | null;
}

export type AuthenticationFailure =
  | 'Malformed'
  | 'UnknownIssuer'
  | 'WrongAudience'
  | 'Expired'
  | 'NotYetValid'
  | 'BadSignature'
  | 'AlgorithmNotAllowed'
  | 'IssuerUnavailable'
  | 'MissingClaim'
  | 'BadUsername'
  | 'GroupsOverage'
  | 'NoCertificate'
  | 'Timeout'
  | 'TooLarge'
  | 'NoPolicy'
  | 'UnknownRole'
  | 'Masked'
  | 'WrongMechanism'
  | 'LimitReached';

export type AuthenticationResult =
  | { readonly ok: true; readonly identity: Identity }
  /** `message` is safe for the client and for logs: it never quotes the credential. */
  | { readonly ok: false; readonly reason: AuthenticationFailure; readonly message: string; readonly hint: string };
