/**
 * The vocabulary of the kube layer. Objects are plain JSON as the API server sends it: dates stay strings, unknown
 * fields survive, nothing passes through generated models.
 */

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export interface KubeMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly generation?: number;
  readonly resourceVersion?: string;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
}

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: KubeMeta;
  readonly [field: string]: unknown;
}

/** Where a kind is served: `apis/GROUP/VERSION/…/PLURAL`, or `api/v1/…` for the core group (''). */
export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

/** One object of a resource; `namespace` is null for cluster-scoped kinds. */
export interface ObjectKey {
  readonly resource: Resource;
  readonly namespace: string | null;
  readonly name: string;
}

export interface Selection {
  /** null: all namespaces, or a cluster-scoped kind. */
  readonly namespace: string | null;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface ListPage {
  readonly items: readonly KubeObject[];
  readonly resourceVersion: string;
  /** Token of the next page; null: this was the last. */
  readonly continue: string | null;
}

/** One line of a watch. `Error` carries a Status object. */
export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: KubeObject }
  | { readonly type: 'BOOKMARK'; readonly object: { readonly metadata: { readonly resourceVersion: string } } }
  | {
      readonly type: 'ERROR';
      readonly object: { readonly code?: number; readonly reason?: string; readonly message?: string };
    };

export interface CallOptions {
  /** Milliseconds until the call is given up; else 30 s. */
  readonly timeout?: number;
  /** Does not wait for other writes: a lease must be renewed in time. */
  readonly urgent?: boolean;
  /** Gives the call up, or never begins it. */
  readonly signal?: AbortSignal;
}

export interface ApplyOptions extends CallOptions {
  readonly fieldManager: string;
  /** Takes fields over from other managers. */
  readonly force: boolean;
}

export interface WatchOptions {
  readonly resourceVersion: string;
  /** After which the server is to end the stream. */
  readonly timeoutSeconds: number;
  /** Milliseconds without a byte after which the stream is given up. */
  readonly idle: number;
  readonly signal: AbortSignal;
  /** The server has accepted the watch; events may follow. */
  readonly opened?: () => void;
}

/** One shared connection pool to one API server. Every call rejects with a KubeError and nothing else. */
export interface KubeClient {
  get(key: ObjectKey, options?: CallOptions): Promise<KubeObject>;
  listPage(
    resource: Resource,
    selection: Selection,
    options: { readonly limit: number; readonly continue: string | null; readonly signal?: AbortSignal },
  ): Promise<ListPage>;
  /** Ends when the server closes the stream; throws a KubeError for all other ends. */
  watch(resource: Resource, selection: Selection, options: WatchOptions): AsyncIterable<WatchEvent>;
  /** Server-side apply of exactly these fields. */
  apply(resource: Resource, object: KubeObject, options: ApplyOptions): Promise<KubeObject>;
  /** The same on the status subresource. */
  applyStatus(resource: Resource, object: KubeObject, options: ApplyOptions): Promise<KubeObject>;
  create(resource: Resource, object: KubeObject, options?: CallOptions): Promise<KubeObject>;
  /** PUT: refused with Conflict where metadata.resourceVersion is not the present one. */
  update(resource: Resource, object: KubeObject, options?: CallOptions): Promise<KubeObject>;
  /** `uid`: only if the object is still that one. Background propagation. An absent object is no error. */
  delete(key: ObjectKey, options?: CallOptions & { readonly uid?: string }): Promise<void>;
  /** GET of a path that is no resource, such as /openid/v1/jwks. */
  raw(path: string, options?: CallOptions): Promise<Buffer>;
}

/**
 * Why a call failed. `Invalid`: the request is at fault, also where it is too large. `Server`: the server is, also where
 * its answer is not one of the Kubernetes API. `Transport`: no whole answer came.
 */
export type KubeErrorReason =
  | 'NotFound'
  | 'Conflict'
  | 'AlreadyExists'
  | 'Gone'
  | 'TooManyRequests'
  | 'Forbidden'
  | 'Unauthorized'
  | 'Invalid'
  | 'Server'
  | 'Transport';

/** The state of a reflector, as kube-rs names them. */
export type ReflectorState = 'Empty' | 'Listing' | 'Listed' | 'Watching';

/** The objects of one resource, kept current by a reflector; replaced as a whole after each full list. */
export interface Store<T extends KubeObject = KubeObject> {
  readonly resource: Resource;
  /** A full list has been seen since the start. */
  readonly hasSynced: boolean;
  /**
   * Why the store cannot be taken for the whole truth: never listed, or the last list or watch failed (RBAC, CRD gone,
   * garbage, …). null: it can. A watch that is opened anew after a clean end or a lost connection leaves it null until
   * an attempt at that has failed; then it is null again after a list, or when a watch has stood for a second.
   */
  readonly incomplete: string | null;
  get(namespace: string | null, name: string): T | undefined;
  list(): readonly T[];
  /** The objects for which the index function named so gave this value. */
  byIndex(index: string, value: string): readonly T[];
}

/** What changed in a store; `old` is what the store held before. Relists give only true differences. */
export interface StoreChange<T extends KubeObject = KubeObject> {
  readonly old: T | null;
  readonly current: T | null;
  /** Part of the first list after the start. */
  readonly initial: boolean;
}

/** What a reflector lets others do: read its store, hear of changes. */
export interface Source<T extends KubeObject = KubeObject> {
  readonly store: Store<T>;
  /** Calls the handler for every change from now on, after the store has it; what it throws is logged. */
  subscribe(handler: (change: StoreChange<T>) => void): void;
  /** Calls the handler when `hasSynced` or `incomplete` of the store has become another. */
  onHealth(handler: () => void): void;
}

/** What became of one item of a workqueue. */
export type Outcome =
  | { readonly kind: 'Done'; readonly requeueAfter?: number }
  /** Again with exponential delay; `after` (milliseconds) where the server said when. */
  | { readonly kind: 'Retry'; readonly error: Error; readonly after?: number }
  /** Counted and not tried again until something changes. */
  | { readonly kind: 'Terminal'; readonly error: Error };
