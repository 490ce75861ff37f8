import type { Clock } from '../../operator/kube/clock.ts';
import { KubeError, statusError } from '../../operator/kube/errors.ts';
import type { CallOptions, KubeClient, KubeObject, ObjectKey, Resource } from '../../operator/kube/types.ts';
import { createApiStore, keyOf } from './api-store.ts';

type Verb = 'get' | 'create' | 'update' | 'apply';

/** What becomes of a call instead of its answer; `until`: it takes place only then, whether anybody still waits or not. */
type Act = 'reset' | 'silence' | { readonly status: number } | { readonly until: Promise<unknown> };

export interface MemoryCall {
  readonly verb: Verb;
  readonly object: KubeObject | null;
  readonly at: number;
}

/** An API server without sockets, for code that waits for nothing but the clock: single objects, no lists. */
export interface MemoryApi {
  readonly seen: readonly MemoryCall[];
  /** A client of one process, which may die: its calls fail from then on. */
  client(): KubeClient & { kill(): void };
  put(resource: Resource, object: KubeObject): void;
  remove(resource: Resource, namespace: string, name: string): void;
  objects(resource: Resource): readonly KubeObject[];
  inject(on: Verb, act: Act, times?: number): void;
  clearFaults(): void;
}

export function createMemoryApi(clock: Clock): MemoryApi {
  const store = createApiStore(() => {});
  const seen: MemoryCall[] = [];
  let faults: { readonly on: Verb; readonly act: Act; times: number }[] = [];

  const nextAct = (verb: Verb): Act | null => {
    const fault = faults.find(({ on }) => on === verb);
    if (fault === undefined) return null;
    fault.times -= 1;
    if (fault.times <= 0) faults = faults.filter((other) => other !== fault);
    return fault.act;
  };

  const refused = (verb: Verb, code: number, reason: string): KubeError =>
    statusError(verb, code, { reason, message: `told to ${code}` });

  const perform = (verb: Verb, resource: Resource, key: string, object: KubeObject | null): KubeObject => {
    const kept = store.kept(resource);
    const old = kept.objects.get(key);
    if (verb === 'create' && old !== undefined) throw refused(verb, 409, 'AlreadyExists');
    if (verb === 'apply') return store.put(kept, { ...old, ...object! });
    if (verb === 'create') return store.put(kept, object!);
    if (old === undefined) throw refused(verb, 404, 'NotFound');
    if (verb === 'get') return old;
    if (object!.metadata.resourceVersion !== old.metadata.resourceVersion) throw refused(verb, 409, 'Conflict');
    return store.put(kept, object!);
  };

  const late = (verb: Verb, { timeout = 30_000, signal }: CallOptions): Promise<never> =>
    new Promise((_, reject) => {
      const cancel = clock.after(timeout, () => reject(new KubeError('Transport', verb, 'no answer')));
      signal?.addEventListener('abort', () => {
        cancel();
        reject(new KubeError('Transport', verb, 'given up'));
      });
    });

  const call = async (verb: Verb, key: ObjectKey, object: KubeObject | null, how: CallOptions = {}) => {
    // Through the form that the wire gives it.
    const sent = object === null ? null : (JSON.parse(JSON.stringify(object)) as KubeObject);
    seen.push({ verb, object: sent, at: clock.now() });
    const act = nextAct(verb);
    const name = keyOf({ name: key.name, ...(key.namespace === null ? {} : { namespace: key.namespace }) });
    if (act === 'reset') throw new KubeError('Transport', verb, 'reset');
    if (act === 'silence') return late(verb, how);
    if (act !== null && 'status' in act) throw refused(verb, act.status, '');
    if (act === null) return perform(verb, key.resource, name, sent);
    const later = act.until.then(() => perform(verb, key.resource, name, sent));
    return Promise.race([later, late(verb, how)]);
  };

  const client = (): KubeClient & { kill(): void } => {
    let dead = false;
    const living = async <R>(answer: () => Promise<R>): Promise<R> => {
      if (dead) throw new KubeError('Transport', '', 'dead');
      return answer();
    };
    const keyOfObject = (resource: Resource, { metadata }: KubeObject): ObjectKey => ({
      resource,
      namespace: metadata.namespace ?? null,
      name: metadata.name,
    });
    const write = (verb: Verb) => (resource: Resource, object: KubeObject, how?: CallOptions) =>
      living(() => call(verb, keyOfObject(resource, object), object, how));
    const unused = (): never => {
      throw new Error('not served');
    };
    return {
      get: (key, how) => living(() => call('get', key, null, how)),
      create: write('create'),
      update: write('update'),
      apply: write('apply'),
      applyStatus: unused,
      listPage: unused,
      watch: unused,
      delete: unused,
      raw: unused,
      kill: () => {
        dead = true;
      },
    };
  };

  return {
    seen,
    client,
    put: (resource, object) => void store.put(store.kept(resource), object),
    remove: (resource, namespace, name) => store.remove(store.kept(resource), keyOf({ namespace, name })),
    objects: (resource) => [...store.kept(resource).objects.values()],
    inject: (on, act, times = 1) => void faults.push({ on, act, times }),
    clearFaults: () => {
      faults = [];
    },
  };
}
