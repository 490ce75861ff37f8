import type { KubeMeta, KubeObject, Resource } from '../../operator/kube/types.ts';

/** What the fake API server keeps: objects with versions, and what happened to them. */
export interface Happening {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: KubeObject;
  readonly old: KubeObject | null;
}

/** The objects of one resource. */
export interface Kept {
  readonly resource: Resource;
  readonly objects: Map<string, KubeObject>;
  history: Happening[];
  /** Watches from before this version are refused: Gone. */
  compactedAt: number;
  /** The kind is not served: its definition has been removed. */
  removed: boolean;
}

export interface ApiStore {
  readonly version: () => number;
  kept(resource: Pick<Resource, 'group' | 'plural'>): Kept;
  /** Writes an object as it is; nothing happens where nothing changes. */
  put(kept: Kept, object: KubeObject): KubeObject;
  remove(kept: Kept, key: string): void;
  /** Forgets what happened so far, of one resource or of all. */
  forget(kept?: Kept): void;
}

export function createApiStore(onHappening: (kept: Kept, happening: Happening) => void): ApiStore {
  const all = new Map<string, Kept>();
  let version = 100;
  let uids = 0;

  const happen = (kept: Kept, type: Happening['type'], object: KubeObject): KubeObject => {
    version += 1;
    const old = kept.objects.get(keyOf(object.metadata)) ?? null;
    const stamped = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
    if (type === 'DELETED') kept.objects.delete(keyOf(object.metadata));
    else kept.objects.set(keyOf(object.metadata), stamped);
    const happening = { version, type, object: stamped, old };
    kept.history.push(happening);
    onHappening(kept, happening);
    return stamped;
  };

  return {
    version: () => version,
    kept: ({ group, plural }) => {
      const name = `${group}/${plural}`;
      const known = all.get(name);
      if (known !== undefined) return known;
      const resource = { group, plural, version: 'v1', kind: '', namespaced: true };
      const kept: Kept = { resource, objects: new Map(), history: [], compactedAt: 0, removed: false };
      all.set(name, kept);
      return kept;
    },
    put: (kept, object) => {
      const old = kept.objects.get(keyOf(object.metadata));
      if (old === undefined) {
        uids += 1;
        return happen(kept, 'ADDED', { ...object, metadata: { ...object.metadata, uid: `uid-${uids}` } });
      }
      const { uid, resourceVersion } = old.metadata;
      const next = { ...object, metadata: { ...object.metadata, uid, resourceVersion } as KubeMeta };
      return JSON.stringify(next) === JSON.stringify(old) ? old : happen(kept, 'MODIFIED', next);
    },
    remove: (kept, key) => {
      const old = kept.objects.get(key);
      if (old !== undefined) happen(kept, 'DELETED', old);
    },
    forget: (only) => {
      for (const kept of only === undefined ? all.values() : [only]) {
        kept.history = [];
        kept.compactedAt = version;
      }
    },
  };
}

export function keyOf({ namespace, name }: Pick<KubeMeta, 'namespace' | 'name'>): string {
  return `${namespace ?? ''}/${name}`;
}
