/**
 * The control stream, as both ends speak it: newline-delimited JSON in both directions of one HTTP exchange that the
 * gateway opens and keeps (`POST /v1/control`), with its projected ServiceAccount token (audience CONTROL_AUDIENCE) as
 * the bearer token. One message per line. Unknown message types are ignored, so that either end may be the newer one; a
 * line that is no message, or is too long, ends the stream.
 */

export const CONTROL_AUDIENCE = 'postern-control';
export const CONTROL_PATH = '/v1/control';
/** Milliseconds between beats of either end; three missed ones end the stream. */
export const CONTROL_BEAT = 5000;
/** Bytes of a line to the gateway: a document is at most 1 MiB gzipped in its ConfigMap, in base64 a third more. */
export const MAX_DOWN_LINE = 2 * 1024 * 1024;
/** Bytes of a line to the operator, which many pods talk to, and one of them may be hostile. */
export const MAX_UP_LINE = 128 * 1024;
/** Key of the gateway's ConfigMap that holds the document's sequence, in decimal digits, beside the document. */
export const SEQUENCE_KEY = 'sequence';

/** The sequence that is written there; 0: none that can be read. */
export function readSequence(written: string): number {
  const sequence = /^\d{1,16}$/.test(written.trim()) ? Number(written) : 0;
  return Number.isSafeInteger(sequence) ? sequence : 0;
}

/** From the operator to the gateway. The first one after the opening is always the present Configuration, if there is one. */
export type ControlDown =
  | {
      readonly type: 'Configuration';
      readonly revision: string;
      /**
       * Orders the documents of one gateway, as hashes cannot: several replicas push, and the kubelet mounts, each with a
       * lag of its own. Written by the leader beside the document (SEQUENCE_KEY), greater with each new revision:
       * max(the published one + 1, any that a pod has + 1, milliseconds since the epoch), so that a ConfigMap made anew is
       * newer as well.
       */
      readonly sequence: number;
      /** The canonical bytes of the document, gzipped, base64: what the ConfigMap holds. */
      readonly document: string;
    }
  | { readonly type: 'Beat' };

/** What one gateway pod says of itself; the whole of it each time, after every change and at each beat. */
export interface GatewayReport {
  readonly type: 'Report';
  /** The revision in force, and its sequence; 0: it has none. */
  readonly revision: string;
  readonly sequence: number;
  /** The last document that was refused and that none followed that was good, and why; null: none. */
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
