import type { KubeObject, Resource, Store, StoreChange } from './types.ts';

/** Gives the values under which an object is to be found. Where it throws, the object does not get into the store. */
export type IndexFunction<T> = (object: T) => readonly string[];

/** The writing side of a store: the reflector's alone. */
export interface WritableStore<T extends KubeObject> extends Store<T> {
  /** Takes exactly these objects for the truth, at once; gives what is different now. */
  replace(objects: readonly T[]): readonly StoreChange<T>[];
  /** Takes what a watch said of one object; null: the store knew. */
  put(object: T): StoreChange<T> | null;
  remove(object: T): StoreChange<T> | null;
  /** Whether that is news. */
  setIncomplete(reason: string | null): boolean;
}

/** An object with what each index function said of it, in the order of the indexes. */
interface Entry<T> {
  readonly object: T;
  readonly values: readonly (readonly string[])[];
}

class ObjectStore<T extends KubeObject> implements WritableStore<T> {
  readonly resource: Resource;
  #entries = new Map<string, Entry<T>>();
  #list: readonly T[] | null = null;
  #hasSynced = false;
  #incomplete: string | null = 'not listed yet';
  readonly #names: readonly string[];
  readonly #functions: readonly IndexFunction<T>[];
  /** Per index: the objects under each value, by key. */
  readonly #indexes: readonly Map<string, Map<string, T>>[];

  constructor(resource: Resource, indexes: Readonly<Record<string, IndexFunction<T>>>) {
    this.resource = resource;
    this.#names = Object.keys(indexes);
    this.#functions = Object.values(indexes);
    this.#indexes = this.#names.map(() => new Map());
  }

  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  get incomplete(): string | null {
    return this.#incomplete;
  }

  get(namespace: string | null, name: string): T | undefined {
    return this.#entries.get(keyOf(namespace, name))?.object;
  }

  list(): readonly T[] {
    this.#list ??= Array.from(this.#entries.values(), ({ object }) => object);
    return this.#list;
  }

  byIndex(index: string, value: string): readonly T[] {
    const found = this.#indexes[this.#names.indexOf(index)];
    if (found === undefined) throw new Error(`there is no index ${index}`);
    return [...(found.get(value)?.values() ?? [])];
  }

  replace(objects: readonly T[]): readonly StoreChange<T>[] {
    const initial = !this.#hasSynced;
    // All that may throw comes first: either the whole list gets in or nothing of it.
    const next = new Map(objects.map((object) => [keyOfObject(object), this.#entry(object)]));
    const changes: StoreChange<T>[] = [];
    for (const key of [...this.#entries.keys()]) if (!next.has(key)) changes.push(this.#set(key, null, initial));
    for (const [key, entry] of next) {
      const old = this.#entries.get(key);
      if (old === undefined || !isSame(old.object, entry.object)) changes.push(this.#set(key, entry, initial));
    }
    this.#hasSynced = true;
    return changes;
  }

  put(object: T): StoreChange<T> | null {
    const key = keyOfObject(object);
    const old = this.#entries.get(key);
    return old !== undefined && isSame(old.object, object) ? null : this.#set(key, this.#entry(object), false);
  }

  remove(object: T): StoreChange<T> | null {
    const key = keyOfObject(object);
    return this.#entries.has(key) ? this.#set(key, null, false) : null;
  }

  setIncomplete(reason: string | null): boolean {
    const news = reason !== this.#incomplete;
    this.#incomplete = reason;
    return news;
  }

  #entry(object: T): Entry<T> {
    return { object, values: this.#functions.map((valuesOf) => valuesOf(object)) };
  }

  #set(key: string, entry: Entry<T> | null, initial: boolean): StoreChange<T> {
    const old = this.#entries.get(key) ?? null;
    if (entry === null) this.#entries.delete(key);
    else this.#entries.set(key, entry);
    this.#list = null;
    this.#indexes.forEach((index, i) => {
      for (const value of old?.values[i] ?? []) leave(index, value, key);
      for (const value of entry?.values[i] ?? []) enter(index, value, key, entry!.object);
    });
    return { old: old?.object ?? null, current: entry?.object ?? null, initial };
  }
}

export function createStore<T extends KubeObject>(
  resource: Resource,
  indexes: Readonly<Record<string, IndexFunction<T>>> = {},
): WritableStore<T> {
  return new ObjectStore(resource, indexes);
}

function enter<T>(index: Map<string, Map<string, T>>, value: string, key: string, object: T): void {
  const objects = index.get(value);
  if (objects === undefined) index.set(value, new Map([[key, object]]));
  else objects.set(key, object);
}

function leave<T>(index: Map<string, Map<string, T>>, value: string, key: string): void {
  const objects = index.get(value);
  objects?.delete(key);
  if (objects?.size === 0) index.delete(value);
}

function keyOf(namespace: string | null, name: string): string {
  return `${namespace ?? ''}/${name}`;
}

function keyOfObject({ metadata }: KubeObject): string {
  return keyOf(metadata.namespace ?? null, metadata.name);
}

/** A resourceVersion means something only beside the uid: another object of the same name may have any. */
function isSame({ metadata: a }: KubeObject, { metadata: b }: KubeObject): boolean {
  return a.resourceVersion !== undefined && a.resourceVersion === b.resourceVersion && a.uid === b.uid;
}
