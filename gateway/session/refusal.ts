import type { Decision } from '../policy/decision.ts';
import { encodeErrorResponse, encodeNoticeResponse } from '../wire/backend.ts';
import { encodeExecute, encodeFunctionCall, encodeQuery } from '../wire/frontend.ts';

/** An ErrorResponse of ours, given in the place of the server's answer to a replacement. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
  /** 1-based, in characters of the statement's text. */
  readonly position?: number;
  /** Also takes the place of 25P02, which a real failure of this kind would have come before (raw parsing). */
  readonly beforeTransactionState?: boolean;
}

export const SQLSTATE = {
  denied: '42501',
  syntax: '42601',
  invalidStatementName: '26000',
  invalidCursorName: '34000',
  undefinedColumn: '42703',
  undefinedFunction: '42883',
  failedTransaction: '25P02',
  queryCanceled: '57014',
  protocolViolation: '08P01',
  connectionFailure: '08006',
  invalidAuthorization: '28000',
  adminShutdown: '57P01',
  idleSessionTimeout: '57P05',
  idleInTransactionTimeout: '25P03',
  auditUnavailable: '58030',
  tooLarge: '54000',
  limitExceeded: '53400',
  internalError: 'XX000',
} as const;

/** The refusal that a denial becomes. */
export function refusalOf(decision: Decision & { readonly verdict: 'Deny' }): Refusal {
  const refusal: Refusal = { code: SQLSTATE.denied, message: decision.message, hint: decision.hint };
  return decision.detail === null ? refusal : { ...refusal, detail: decision.detail };
}

/** A denial by the gateway itself: no policy object decided. */
export function gatewayDenial(
  message: string,
  hint: string,
  detail: string | null = null,
): Decision & { verdict: 'Deny' } {
  return { verdict: 'Deny', by: null, message, detail, hint, alert: false, shadow: [] };
}

/** The gateway's own question to the server failed; `detail` is what the server said to it. */
export function unasked(detail: string): Decision & { verdict: 'Deny' } {
  return gatewayDenial(
    'what the names in the statement mean could not be asked of the server, so it is not run',
    'Try again; if it stays so, tell the people who run the gateway.',
    detail,
  );
}

/** A refusal in the words of the server, which would refuse it as well. */
export function serverDenial(message: string): Decision & { verdict: 'Deny' } {
  return { ...gatewayDenial(message, ''), asServer: true };
}

export function encodeRefusal(refusal: Refusal, fatal = false): Buffer {
  const { code, message, detail, hint, position } = refusal;
  return encodeErrorResponse({
    severity: fatal ? 'FATAL' : 'ERROR',
    code,
    message,
    ...(detail === undefined ? {} : { detail }),
    ...(hint === undefined ? {} : { hint }),
    ...(position === undefined ? {} : { position: String(position) }),
  });
}

export function encodeWarning(refusal: Refusal): Buffer {
  const { message, hint } = refusal;
  return encodeNoticeResponse({ severity: 'WARNING', code: '01000', message, ...(hint === undefined ? {} : { hint }) });
}

/**
 * What goes to the server in the place of a denied message, so that the server itself fails and its transaction state
 * stays its own. `nonce` makes the failure recognisable.
 */
export const replacement = {
  /** Fails in analysis (42703), so statements before it in one string run first. A syntax error would stop them. */
  query(prefix: Buffer, nonce: string): Buffer {
    return encodeQuery(Buffer.concat([prefix, Buffer.from(`SELECT "${nonce}"`)]));
  },
  /** 34000 in whatever transaction state. */
  extended(nonce: string): Buffer {
    return encodeExecute(nonce, 0);
  },
  /** 42883. */
  functionCall(): Buffer {
    return encodeFunctionCall({ functionOid: 0, formats: [], parameters: [], resultFormat: 0 });
  },
};
