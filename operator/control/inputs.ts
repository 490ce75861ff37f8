/** What the control stream needs of the rest of the operator: caches, a log and counters. */

/** A gateway's document as its ConfigMap holds it. */
export interface PublishedDocument {
  readonly revision: string;
  readonly sequence: number;
  /** The gzipped bytes, in base64. */
  readonly document: string;
}

/** What the ConfigMap store holds; null: there is none, or it cannot be read. */
export interface Documents {
  current(namespace: string, gateway: string): PublishedDocument | null;
  /** Calls back whenever `current` may give another answer. Returns how to end that. */
  subscribe(listener: (namespace: string, gateway: string) => void): () => void;
}

/** What the pod store holds. */
export interface Pods {
  /**
   * The gateway that a pod belongs to (label postern.dev/gateway, a gateway of that name exists) and the ServiceAccount
   * that it must run as: that gateway's own. null: no such pod, another uid, not a gateway's, or not as that account.
   * A pod that terminates is still one.
   */
  find(
    namespace: string,
    pod: string,
    uid: string,
  ): { readonly gateway: string; readonly serviceAccount: string } | null;
  /** Calls back when a pod is gone or is another's now. Returns how to end that. */
  subscribe(listener: (namespace: string, pod: string) => void): () => void;
}

/** What became of a token: `Cached` was known good, `Busy` and `Limited` were not asked about, `Failed` had no answer. */
export type ReviewOutcome = 'Accepted' | 'Rejected' | 'Cached' | 'Busy' | 'Limited' | 'Failed';

/** Why a stream ended. */
export type StreamEnd =
  | 'Closed'
  | 'Lost'
  | 'Silent'
  | 'Slow'
  | 'Garbage'
  | 'TooFast'
  | 'TokenExpired'
  | 'PodGone'
  | 'Replaced'
  | 'Stopping';

export interface ControlMetrics {
  streamOpened(): void;
  streamEnded(why: StreamEnd): void;
  review(outcome: ReviewOutcome): void;
  /** A Configuration was sent to a gateway. */
  pushed(): void;
  /** From the push of a revision to the report that it is in force. */
  propagated(seconds: number): void;
  /** A connection was closed before it had become a stream: too many, too slow. */
  dropped(): void;
}

export interface ControlLog {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}
