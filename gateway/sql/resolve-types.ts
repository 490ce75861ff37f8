import type { RawStatement } from './facts.ts';
import { nameKey, type ResolveEnvironment } from './resolve-environment.ts';

/** Which types, other than the server's own, values of a statement can have. */
export interface Present {
  some(types: readonly number[]): boolean;
}

/**
 * A value of a user's type comes from a row that has it, from a function that returns it, or from a conversion that the
 * text (or the client's parameter) names. Computed when first asked for: most databases have nothing that asks.
 */
export function presentTypes(raw: RawStatement, env: ResolveEnvironment): Present {
  let all: ReadonlySet<number> | 'any' | undefined;
  return {
    some(types) {
      all ??= collect(raw, env);
      const known = all;
      return known === 'any' || types.some((type) => known.has(type));
    },
  };
}

function collect(raw: RawStatement, env: ResolveEnvironment): ReadonlySet<number> | 'any' {
  const { catalog, searchPath, overlay } = env;
  // Only the session knows the columns of what it has just defined.
  if (env.localNames) return 'any';
  const found = new Set<number>();
  const places = (schema: string | null) => (schema === null ? searchPath : [schema]);
  const add = (types: readonly number[] = []) => {
    for (const type of types) found.add(type);
  };
  for (const { schema, name } of raw.relations) {
    const answer = overlay?.relations.get(nameKey(schema, name));
    if (answer != null && catalog.relation(answer.schema, name) === undefined) return 'any';
    for (const place of places(schema)) add(catalog.typesHeld(place, name));
  }
  for (const { schema, name, oid } of raw.types) {
    if (oid !== undefined) add(catalog.userTypeByOid(oid)?.holds);
    else for (const place of places(schema)) add(catalog.userType(place, name)?.holds);
  }
  for (const { schema, name } of [...raw.functions, ...raw.attributes.map((name) => ({ schema: null, name }))]) {
    const answer = overlay?.functions.get(nameKey(schema, name)) ?? [];
    const known = places(schema).flatMap((place) => catalog.functions(place, name));
    const returned = [...answer, ...known].flatMap((fn) => fn.returns);
    add(returned.flatMap((type) => [type, ...(catalog.userTypeByOid(type)?.holds ?? [])]));
  }
  return found;
}
