/**
 * The control stream, as both ends speak it: newline-delimited JSON in both directions of one HTTP exchange that the
 * gateway opens and keeps (`POST /v1/control`), with its projected ServiceAccount token (audience CONTROL_AUDIENCE) as
 * the bearer token. One message per line, at most MAX_CONTROL_LINE bytes. Unknown message types are ignored, so that
 * either end may be the newer one; a line that is no message ends the stream.
 */

export const CONTROL_AUDIENCE = 'postern-control';
export const CONTROL_PATH = '/v1/control';
/** Milliseconds between beats of either end; three missed ones end the stream. */
export const CONTROL_BEAT = 5000;
/** A document is at most 1 MiB gzipped in its ConfigMap; plain it can be many times that. */
export const MAX_CONTROL_LINE = 32 * 1024 * 1024;

/** From the operator to the gateway. The first one after the opening is always the present Configuration, if there is one. */
export type ControlDown =
  | {
      readonly type: 'Configuration';
      readonly revision: string;
      /** The canonical bytes of the document, gzipped, base64: what the ConfigMap holds. */
      readonly document: string;
    }
  | { readonly type: 'Beat' };

/** What one gateway pod says of itself; the whole of it each time, after every change and at each beat. */
export interface GatewayReport {
  readonly type: 'Report';
  /** The revision in force. */
  readonly revision: string;
  /** The last document that was refused since `revision` came into force, and why; null: none. */
  readonly refused: { readonly revision: string | null; readonly errors: readonly string[] } | null;
  /** Open sessions, those included that end with the drain. */
  readonly sessions: number;
  readonly draining: boolean;
  /** Objects in the revision that this gateway cannot enforce: the sessions they concern are refused. */
  readonly unenforced: readonly {
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
    readonly reason: string;
  }[];
  /** What the live database says against the configuration: patterns that match nothing, roles that cannot log in, … */
  readonly findings: readonly {
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
    readonly path: string;
    readonly message: string;
  }[];
}

/** From the gateway to the operator. The first line is a Report. */
export type ControlUp = GatewayReport;
