import type { CallOptions, KubeClient } from './types.ts';

/**
 * The client as one piece of work may use it: once the signal is aborted, no call begins any more and those under way
 * are given up. What comes back late from a timeout, or after the lease is lost, can so do no harm.
 */
export function fence(client: KubeClient, signal: AbortSignal): KubeClient {
  const within = <O extends CallOptions>(options: O): O => ({ ...options, signal });
  return {
    get: (key, options) => client.get(key, within({ ...options })),
    listPage: (resource, selection, options) => client.listPage(resource, selection, { ...options, signal }),
    watch: (resource, selection, options) => client.watch(resource, selection, { ...options, signal }),
    apply: (resource, object, options) => client.apply(resource, object, within(options)),
    applyStatus: (resource, object, options) => client.applyStatus(resource, object, within(options)),
    create: (resource, object, options) => client.create(resource, object, within({ ...options })),
    update: (resource, object, options) => client.update(resource, object, within({ ...options })),
    delete: (key, options) => client.delete(key, within({ ...options })),
    raw: (path, options) => client.raw(path, within({ ...options })),
  };
}
