import {
  isSystem,
  nameKey,
  type ResolveEnvironment,
  typeKey,
  type WrittenName,
  type WrittenType,
} from './resolve-environment.ts';

/**
 * What the session is asked for, to know what a name means: under a foreseen path, whatever is in one of its schemas. Test:
 * "a path that the string sets".
 */
export function askedAs<T extends WrittenType>(name: T, { foreseen, searchPath }: ResolveEnvironment): readonly T[] {
  if (foreseen !== true || name.schema !== null || name.oid !== undefined) return [name];
  return searchPath.filter((place) => !isSystem(place)).map((schema) => ({ ...name, schema }));
}

/** The session's answers to that; undefined: not asked yet. */
export function answersOf<T>(
  answers: ReadonlyMap<string, T> | undefined,
  name: WrittenType,
  env: ResolveEnvironment,
): readonly (T | undefined)[] {
  return askedAs(name, env).map((one) => answers?.get(typeKey(one)));
}

/** What the first schema of a foreseen path has that knows the name; null: nothing; undefined: to be asked. */
export function throughPath<T>(
  { name }: WrittenName,
  { searchPath }: ResolveEnvironment,
  answers: ReadonlyMap<string, T | null> | undefined,
  shared: (place: string) => T | undefined,
): T | null | undefined {
  let asked = true;
  for (const place of searchPath) {
    const answer = isSystem(place) ? undefined : answers?.get(nameKey(place, name));
    const known = answer === undefined ? shared(place) : answer;
    if (known != null) return known;
    asked &&= isSystem(place) || answer === null;
  }
  return asked ? null : undefined;
}
