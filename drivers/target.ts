/** Somebody who logs in: the role asked for and the token (without a gateway: the password). */
export interface Login {
  readonly user: string;
  readonly token: string;
}

/** What every driver program gets as JSON in the environment variable POSTERN_TARGET. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** PEM; the server's certificate names `host`. */
  readonly caFile: string;
  /** May read and write the tables of schema public and nothing else. */
  readonly app: Login;
  /** May read the same, one session after the other, and change nothing. */
  readonly reader: Login;
  /** May do everything in `database` and `copyDatabase`. */
  readonly dba: Login;
  /** An empty database, for restoring into. */
  readonly copyDatabase: string;
}

/** The target of this driver program. */
export function readTarget(): Target {
  return JSON.parse(process.env.POSTERN_TARGET ?? '{}') as Target;
}
