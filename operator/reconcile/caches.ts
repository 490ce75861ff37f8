import type { AccessPolicy, AccessRequest, MaskingRule, PostgresGateway } from '../api/types.generated.ts';
import type { Log } from '../kube/log.ts';
import { Reflector, type ReflectorHooks } from '../kube/reflector.ts';
import type { IndexFunction } from '../kube/store.ts';
import type { KubeClient, KubeMeta, KubeObject, Resource, Source, Store } from '../kube/types.ts';
import { GATEWAY_LABEL } from '../plan/names.ts';
import { joinSources } from './join.ts';
import { type Pod, reducePod } from './pods.ts';
import { CHILDREN, GATEWAYS, MASKS, PODS, POLICIES, REQUESTS } from './resources.ts';

/** An object of ours as the API server returns it. */
type Stored<T> = T &
  KubeObject & { readonly metadata: KubeMeta & { readonly uid: string; readonly namespace: string } };
export type Gateway = Stored<PostgresGateway>;
export type Policy = Stored<AccessPolicy>;
export type Mask = Stored<MaskingRule>;
export type Request = Stored<AccessRequest>;

/** Everything that the operator sees of the cluster. */
export interface Caches {
  readonly gateways: Source<Gateway>;
  /** Index `gateway`: `namespace/name` of each target. */
  readonly policies: Source<Policy>;
  readonly masks: Source<Mask>;
  readonly requests: Source<Request>;
  /** Index `gateway`, as of all that follows: by label. */
  readonly pods: Source<Pod>;
  /** By kind; only those with our label: names that others use are looked up where it matters. */
  readonly children: ReadonlyMap<string, Source>;
  /** All of them. */
  readonly all: readonly Source[];
  /** Why what concerns one namespace is not all seen; null: it is. What is wrong in another says nothing of it. */
  incompleteIn(namespace: string): string | null;
}

export interface CacheOptions {
  readonly client: KubeClient;
  /** Empty: all. */
  readonly namespaces: readonly string[];
  readonly log: Log;
  readonly hooks: ReflectorHooks;
}

/** ConfigMaps have up to 1 MiB each. */
const SMALL_PAGE = 25;

/** Reflectors for all that the operator sees, not yet started. */
export function openCaches(options: CacheOptions): {
  readonly caches: Caches;
  readonly start: () => void;
  readonly stop: () => Promise<void>;
} {
  const reflectors: Reflector<KubeObject>[] = [];
  const stores: { readonly namespace: string | null; readonly store: Store }[] = [];
  const open = <T extends KubeObject>(resource: Resource, how: How<T> = {}): Source<T> => {
    const namespaces = options.namespaces.length === 0 ? [null] : options.namespaces;
    const sources = namespaces.map((namespace) => {
      const { labelSelector, ...rest } = how;
      const selection = { namespace, ...(labelSelector !== undefined && { labelSelector }) };
      const { client, log, hooks } = options;
      const reflector = new Reflector<T>({ client, resource, selection, log, hooks, ...rest });
      reflectors.push(reflector as unknown as Reflector<KubeObject>);
      stores.push({ namespace, store: reflector.store as unknown as Store });
      return reflector;
    });
    return joinSources(resource, namespaces, sources);
  };
  const incompleteIn = (namespace: string): string | null => {
    const here = stores.filter((each) => each.namespace === null || each.namespace === namespace);
    return here.find(({ store }) => store.incomplete !== null)?.store.incomplete ?? null;
  };
  const caches = { ...sourcesOf(open), incompleteIn };
  return {
    caches,
    start: () => {
      for (const reflector of reflectors) reflector.start();
    },
    stop: async () => {
      await Promise.all(reflectors.map((reflector) => reflector.stop()));
    },
  };
}

interface How<T extends KubeObject> {
  readonly labelSelector?: string;
  readonly indexes?: Readonly<Record<string, IndexFunction<T>>>;
  readonly transform?: (object: KubeObject) => T;
  readonly pageSize?: number;
}

function sourcesOf(
  open: <T extends KubeObject>(resource: Resource, how?: How<T>) => Source<T>,
): Omit<Caches, 'incompleteIn'> {
  const gateways = open<Gateway>(GATEWAYS, { transform: withoutEcho });
  const policies = open<Policy>(POLICIES, { indexes: { gateway: targets }, transform: withoutEcho });
  const masks = open<Mask>(MASKS, { indexes: { gateway: targets }, transform: withoutEcho });
  const requests = open<Request>(REQUESTS, { transform: withoutEcho });
  const labelled = { labelSelector: GATEWAY_LABEL, indexes: { gateway: gatewayLabel } };
  const pods = open<Pod>(PODS, { ...labelled, transform: reducePod });
  const children = new Map(
    CHILDREN.map((resource) => {
      const size = resource.kind === 'ConfigMap' ? { pageSize: SMALL_PAGE } : {};
      return [resource.kind, open(resource, { ...labelled, ...size })] as const;
    }),
  );
  const all = [gateways, policies, masks, requests, pods, ...children.values()] as unknown as readonly Source[];
  return { gateways, policies, masks, requests, pods, children, all };
}

/** Gateways that a policy or a rule names, as `namespace/name`. */
export function targets({ metadata, spec }: Policy | Mask): readonly string[] {
  return [...new Set(spec.targetRefs.map(({ name }) => `${metadata.namespace}/${name}`))];
}

/** The gateway that an object bears the label of, as `namespace/name`; empty: none. */
export function gatewayLabel({ metadata }: KubeObject): readonly string[] {
  const gateway = metadata.labels?.[GATEWAY_LABEL];
  return gateway === undefined ? [] : [`${metadata.namespace}/${gateway}`];
}

const ECHO = 'kubectl.kubernetes.io/last-applied-configuration';

/** Without kubectl's copy of the whole object in an annotation. */
function withoutEcho<T extends KubeObject>(object: KubeObject): T {
  const { [ECHO]: echo, ...annotations } = object.metadata.annotations ?? {};
  if (echo === undefined) return object as T;
  return { ...object, metadata: { ...object.metadata, annotations } } as T;
}
