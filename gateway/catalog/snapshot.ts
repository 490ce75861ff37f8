import type { KnownCatalog, KnownFunction, KnownOperator, KnownRelation } from '../sql/resolve-environment.ts';
import { indexTypes, type TypeRows } from './types.ts';

/** A table, view, sequence, index… of the database. */
export interface CatalogRelation extends KnownRelation {
  readonly oid: number;
}

/** A function, procedure, aggregate or window function of the database. */
export interface CatalogFunction extends KnownFunction {
  /** f function, p procedure, a aggregate, w window function. */
  readonly kind: 'f' | 'p' | 'a' | 'w';
}

/** What one database contains, as of one moment; immutable. */
export interface CatalogSnapshot extends KnownCatalog {
  /** Counts the reloads of this database from 1. */
  readonly version: number;
  readonly schemas: ReadonlySet<string>;
  relation(schema: string, name: string): CatalogRelation | undefined;
  functions(schema: string, name: string): readonly CatalogFunction[];
  functionByOid(oid: number): CatalogFunction | undefined;
}

/** The contents of a snapshot, as read. */
export interface CatalogContents {
  readonly version: number;
  readonly serverMajor: number;
  readonly schemas: readonly string[];
  readonly relations: readonly CatalogRelation[];
  readonly functions: readonly CatalogFunction[];
  readonly typeRows: TypeRows;
}

/** Indexes what was read by schema and name. */
export function createSnapshot(contents: CatalogContents): CatalogSnapshot {
  const relations = new Map(contents.relations.map((relation) => [key(relation.schema, relation.name), relation]));
  const functions = new Map<string, CatalogFunction[]>();
  const byOid = new Map<number, CatalogFunction>();
  for (const fn of contents.functions) {
    const at = key(fn.schema, fn.name);
    const overloads = functions.get(at);
    if (overloads === undefined) functions.set(at, [fn]);
    else overloads.push(fn);
    byOid.set(fn.oid, fn);
  }
  const index = indexTypes(contents.typeRows, byOid);
  const types = new Map([...index.types.values()].map((type) => [key(type.schema, type.name), type]));
  const operators = new Map<string, KnownOperator[]>();
  for (const operator of index.operators) {
    const at = key(operator.schema, operator.name);
    operators.set(at, [...(operators.get(at) ?? []), operator]);
  }
  return {
    version: contents.version,
    serverMajor: contents.serverMajor,
    schemas: new Set(contents.schemas),
    relation: (schema, name) => relations.get(key(schema, name)),
    functions: (schema, name) => functions.get(key(schema, name)) ?? [],
    functionByOid: (oid) => byOid.get(oid),
    userType: (schema, name) => types.get(key(schema, name)),
    userTypeByOid: (oid) => index.types.get(oid),
    userOperators: (schema, name) => operators.get(key(schema, name)) ?? NONE,
    userCasts: index.casts,
    typesHeld: (schema, name) => {
      const relation = relations.get(key(schema, name));
      const direct = relation === undefined ? NONE : (index.held.get(relation.oid) ?? NONE);
      return direct.flatMap((type) => [type, ...(index.types.get(type)?.holds ?? [])]);
    },
  };
}

const NONE: readonly never[] = [];

function key(schema: string, name: string): string {
  return `${schema}\0${name}`;
}
