import type { ConfigDocument } from '../gateway/config/document.ts';
import type { RawStatement } from '../gateway/sql/facts.ts';
import { resolve } from '../gateway/sql/resolve.ts';
import {
  type KnownCatalog,
  type KnownFunction,
  type KnownRelation,
  nameKey,
  type Resolution,
  typeKey,
  type Wanted,
  type WrittenName,
} from '../gateway/sql/resolve-environment.ts';

/** What names mean to somebody who has no database at hand, or has one. */
export interface Names {
  resolve(raw: RawStatement): Resolution & { kind: 'Facts' };
  /** What was taken for granted so far, in sentences. */
  readonly assumptions: ReadonlySet<string>;
}

const SYSTEM = /^pg_/;
const SEARCH_PATH = ['pg_catalog', 'public'];

/** Without a database: system relations and built-in functions are known, everything else is said to exist. */
const NOTHING: KnownCatalog = {
  serverMajor: 18,
  relation: (schema, name) =>
    (schema === 'pg_catalog' && SYSTEM.test(name)) || schema === 'information_schema'
      ? { schema, name, kind: 'view', uniqueKeys: [] }
      : undefined,
  functions: () => [],
  functionByOid: () => undefined,
  userType: () => ({ oid: 0, safe: true, runs: [], holds: [] }),
  userTypeByOid: () => undefined,
  userOperators: () => [{ args: 2, left: [], right: [], runs: undefined }],
  userCasts: [],
  typesHeld: () => [],
};

/** Names against a catalogue, as a fresh session of a role without a schema of its own finds them; null: there is none. */
export function namesFor(document: ConfigDocument, catalog: KnownCatalog | null): Names {
  const assumptions = new Set<string>();
  const known = catalog !== null;
  const listed = document.policies.flatMap(({ rules }) => rules.flatMap(({ functions }) => functions));
  return {
    assumptions,
    resolve(raw) {
      const overlay = {
        relations: new Map<string, KnownRelation | null>(),
        functions: new Map<string, KnownFunction[]>(),
        types: new Map<string, null>(),
      };
      const environment = { catalog: catalog ?? NOTHING, searchPath: SEARCH_PATH, overlay, localNames: false };
      const answer = ({ relations, functions, types }: Wanted) => {
        for (const name of relations) overlay.relations.set(keyOf(name), known ? null : table(name, assumptions));
        for (const name of functions) overlay.functions.set(keyOf(name), known ? [] : [fn(name, listed, assumptions)]);
        for (const type of types) overlay.types.set(typeKey(type), null);
      };
      let resolution = resolve(raw, environment);
      for (; resolution.kind === 'Ask'; resolution = resolve(raw, environment)) answer(resolution);
      if (resolution.kind === 'Load') throw new Error('the definitions of views have not been read');
      return resolution;
    },
  };
}

function keyOf({ schema, name }: WrittenName): string {
  return nameKey(schema, name);
}

function table({ schema, name }: WrittenName, assumptions: Set<string>): KnownRelation {
  const place = schema ?? 'public';
  assumptions.add(`${place}.${name} is a table, and no write to it is Keyed, as its primary key is not known`);
  return { schema: place, name, kind: 'table', uniqueKeys: [] };
}

/** A function that a rule lists has the arguments that the rule says. */
function fn({ schema, name }: WrittenName, listed: readonly string[], assumptions: Set<string>): KnownFunction {
  const place = schema ?? 'public';
  const written = listed.find((one) => one.startsWith(`${place}.${name}(`));
  const args = written?.slice(written.indexOf('(') + 1, -1) ?? '…';
  assumptions.add(`${place}.${name}(${args}) is a function of yours`);
  const any = { oid: 0, minArgs: 0, maxArgs: Number.POSITIVE_INFINITY, classes: [], returns: [] };
  const code = { volatile: 'v', securityDefiner: false, language: 'sql', extension: null } as const;
  return { schema: place, name, arguments: args, ...any, ...code, safe: false, builtin: false };
}
