/** What the tests and their agent in the cluster say to each other: a POST of one of these, an answer in JSON. */

/** Where and as whom to sign in. */
export interface Login {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly password: string;
  /** PEM of the authority that signed the server's certificate. */
  readonly ca: string;
  /** The name that the certificate must carry, where `host` is an address. */
  readonly serverName?: string;
}

export type Command =
  | { readonly do: 'connect'; readonly session: string; readonly login: Login }
  | { readonly do: 'query'; readonly session: string; readonly sql: string }
  /** Repeats a statement until it ends with this SQLSTATE (`00000`: until it works). */
  | {
      readonly do: 'until';
      readonly session: string;
      readonly sql: string;
      readonly sqlstate: string;
      /** Milliseconds. */
      readonly within: number;
    }
  /** Sends a CancelRequest for what the session runs to another address. */
  | { readonly do: 'cancel'; readonly session: string; readonly host: string; readonly port: number }
  | { readonly do: 'state'; readonly session: string }
  | { readonly do: 'close'; readonly session: string }
  /** Runs a statement again and again until `stop`: in one session (which is opened anew when it ends), or in one each. */
  | {
      readonly do: 'beat';
      readonly name: string;
      readonly login: Login;
      readonly sql: string;
      readonly every: number;
      readonly sessions: 'one' | 'each';
    }
  | { readonly do: 'stop'; readonly name: string }
  /** Fetches a token from the issuer, saying this. */
  | { readonly do: 'mint'; readonly username: string; readonly groups: readonly string[] };

export interface Failure {
  /** SQLSTATE, or the code of the socket's error. */
  readonly code: string;
  readonly message: string;
}

export type Answer =
  | { readonly ok: true; readonly rows: readonly Readonly<Record<string, unknown>>[] }
  | ({ readonly ok: false } & Failure);

export interface State {
  readonly open: boolean;
  /** What ended it; null: nothing yet. */
  readonly ended: Failure | null;
  /** Serial number of the server's certificate. */
  readonly serial: string;
}

export interface Beats {
  readonly good: number;
  /** `at`: milliseconds since the first beat. */
  readonly failures: readonly (Failure & { readonly at: number })[];
  /** Longest time between two successes, in milliseconds. */
  readonly longestGap: number;
}
