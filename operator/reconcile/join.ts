import type { KubeObject, Resource, Source, Store } from '../kube/types.ts';

/** One resource in several namespaces, each followed by a source of its own, as if it were one. */
export function joinSources<T extends KubeObject>(
  resource: Resource,
  namespaces: readonly (string | null)[],
  sources: readonly Source<T>[],
): Source<T> {
  const [only] = sources;
  if (sources.length === 1) return only!;
  const stores = new Map(sources.map((source, i) => [namespaces[i] ?? null, source.store]));
  const all = [...stores.values()];
  const store: Store<T> = {
    resource,
    get hasSynced() {
      return all.every(({ hasSynced }) => hasSynced);
    },
    get incomplete() {
      return all.find(({ incomplete }) => incomplete !== null)?.incomplete ?? null;
    },
    get: (namespace, name) => stores.get(namespace)?.get(namespace, name),
    list: () => all.flatMap((each) => each.list()),
    byIndex: (index, value) => all.flatMap((each) => each.byIndex(index, value)),
  };
  return {
    store,
    subscribe(handler) {
      for (const source of sources) source.subscribe(handler);
    },
    onHealth(handler) {
      for (const source of sources) source.onHealth(handler);
    },
  };
}
