import type {
  KnownCatalog,
  KnownEventTrigger,
  KnownFunction,
  KnownOperator,
  RuleDefinition,
} from '../sql/resolve-environment.ts';
import type { CatalogRelation, Gathered, RuleCode } from './relations.ts';
import { indexTypes, type TypeRows } from './types.ts';

/** A function, procedure, aggregate or window function of the database. */
export interface CatalogFunction extends KnownFunction {
  /** f function, p procedure, a aggregate, w window function. */
  readonly kind: 'f' | 'p' | 'a' | 'w';
}

/** What one database contains, as of one moment. */
export interface CatalogSnapshot extends KnownCatalog {
  /** Counts the reloads of this database from 1. */
  readonly version: number;
  readonly schemas: ReadonlySet<string>;
  relation(schema: string, name: string): CatalogRelation | undefined;
  functions(schema: string, name: string): readonly CatalogFunction[];
  functionByOid(oid: number): CatalogFunction | undefined;
  relationByOid(oid: number): CatalogRelation | undefined;
  relationsOf(schema: string): readonly CatalogRelation[];
  readonly ruleCode: RuleCode;
  /** Adds the definition of a rule: they are many, and read only when they are needed. */
  define(rule: number, definition: RuleDefinition): void;
  isDefined(rule: number): boolean;
}

/** The contents of a snapshot, as read. */
export interface CatalogContents extends Gathered {
  readonly version: number;
  readonly serverMajor: number;
  readonly utf8: boolean;
  readonly schemas: readonly string[];
  readonly functions: readonly CatalogFunction[];
  readonly typeRows: TypeRows;
  readonly eventTriggers: readonly KnownEventTrigger[];
}

/** Indexes what was read by schema and name. */
export function createSnapshot(contents: CatalogContents): CatalogSnapshot {
  const { relations: byOid, ruleCode } = contents;
  const relations = new Map([...byOid.values()].map((relation) => [key(relation.schema, relation.name), relation]));
  const definitions = new Map<number, RuleDefinition>();
  const bySchema = new Map<string, readonly CatalogRelation[]>();
  const relationsOf = (schema: string) => {
    const known = bySchema.get(schema) ?? [...byOid.values()].filter((one) => schema === '*' || one.schema === schema);
    // Names of schemas that are not there are anybody's to make up.
    if (known.length > 0) bySchema.set(schema, known);
    return known;
  };
  const functions = new Map<string, CatalogFunction[]>();
  const functionsByOid = new Map<number, CatalogFunction>();
  for (const fn of contents.functions) {
    const at = key(fn.schema, fn.name);
    const overloads = functions.get(at);
    if (overloads === undefined) functions.set(at, [fn]);
    else overloads.push(fn);
    functionsByOid.set(fn.oid, fn);
  }
  const index = indexTypes(contents.typeRows, functionsByOid);
  const types = new Map([...index.types.values()].map((type) => [key(type.schema, type.name), type]));
  const operators = new Map<string, KnownOperator[]>();
  for (const operator of index.operators) {
    const at = key(operator.schema, operator.name);
    operators.set(at, [...(operators.get(at) ?? []), operator]);
  }
  return {
    version: contents.version,
    serverMajor: contents.serverMajor,
    utf8: contents.utf8,
    schemas: new Set(contents.schemas),
    relation: (schema, name) => relations.get(key(schema, name)),
    functions: (schema, name) => functions.get(key(schema, name)) ?? [],
    functionByOid: (oid) => functionsByOid.get(oid),
    relationByOid: (oid) => byOid.get(oid),
    relationsOf,
    ruleCode,
    definition: ({ oid }) => definitions.get(oid),
    define: (rule, definition) => definitions.set(rule, definition),
    isDefined: (rule) => definitions.has(rule),
    userType: (schema, name) => types.get(key(schema, name)),
    userTypeByOid: (oid) => index.types.get(oid),
    userOperators: (schema, name) => operators.get(key(schema, name)) ?? NONE,
    userCasts: index.casts,
    userOrders: index.orders,
    unsafeTypes: [...index.types.values()].filter(({ safe }) => !safe),
    eventTriggers: contents.eventTriggers,
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
