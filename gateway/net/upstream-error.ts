export type UpstreamFailure =
  | 'Unreachable'
  | 'Timeout'
  | 'TlsRefused'
  | 'TlsFailed'
  | 'AuthenticationFailed'
  | 'MethodNotAllowed'
  | 'ServerError'
  | 'ProtocolViolation'
  | 'Aborted';

/** What an UpstreamError is made of. */
export interface UpstreamProblem {
  readonly code: UpstreamFailure;
  readonly sqlstate: string;
  readonly message: string;
  readonly hint: string;
  /** For the log of whoever runs the gateway, never for the client. */
  readonly detail?: string;
  /** The server's own ErrorResponse, to be passed on as it is. */
  readonly fatal?: Buffer;
}

/** Why no connection to the database server could be had. `message` and `hint` are safe for the client. */
export class UpstreamError extends Error {
  readonly code: UpstreamFailure;
  readonly sqlstate: string;
  readonly hint: string;
  readonly detail: string | null;
  readonly fatal: Buffer | null;

  constructor(problem: UpstreamProblem) {
    super(problem.message);
    this.name = 'UpstreamError';
    this.code = problem.code;
    this.sqlstate = problem.sqlstate;
    this.hint = problem.hint;
    this.detail = problem.detail ?? null;
    this.fatal = problem.fatal ?? null;
  }

  /** Whether another host may do better: not where a host has answered about our login or our database. */
  get tryNextHost(): boolean {
    if (this.code === 'ServerError') return this.sqlstate === CANNOT_CONNECT_NOW;
    return this.code !== 'AuthenticationFailed' && this.code !== 'MethodNotAllowed' && this.code !== 'Aborted';
  }
}

/** The server is starting up, shutting down or recovering. */
const CANNOT_CONNECT_NOW = '57P03';
export const CONNECTION_FAILURE = '08006';
export const OPERATOR_HINT = 'Whoever runs the gateway finds the cause in its log.';
