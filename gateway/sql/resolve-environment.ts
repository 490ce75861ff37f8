import type { StatementClass } from './classes.ts';
import type { CalledFunction, Facts, RelationUse } from './facts.ts';

/** What resolution needs to know of a relation; `gateway/catalog` provides it. */
export interface KnownRelation {
  readonly schema: string;
  readonly name: string;
  readonly kind: Exclude<RelationUse['kind'], 'new'>;
  /** Column sets of primary keys and unique not-null constraints. */
  readonly uniqueKeys: readonly (readonly string[])[];
}

/** What resolution needs to know of a function, procedure, aggregate or window function. */
export interface KnownFunction extends CalledFunction {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** Argument types as in `numeric, app.money`. */
  readonly arguments: string;
  readonly minArgs: number;
  /** Infinity: VARIADIC. */
  readonly maxArgs: number;
  /** Runs no code but a known extension's or the server's own. */
  readonly safe: boolean;
  /** One of the server's own that the reviewed table has: the text alone says what it does. */
  readonly builtin: boolean;
  /** What it does beyond computing a value, where an extension is known for it. */
  readonly classes: readonly StatementClass[];
  /** Types that are not the server's own, of which a call may return values. */
  readonly returns: readonly number[];
}

/** A type that is not the server's own. */
export interface KnownType {
  readonly oid: number;
  /** Its input runs nobody's code but the server's or a known extension's. */
  readonly safe: boolean;
  /** The functions that are neither; empty where it is not safe: not known which. */
  readonly runs: readonly KnownFunction[];
  /** Itself, and the types of which its values have parts. */
  readonly holds: readonly number[];
}

/** An operand: null takes values of types that are everywhere; else one of these types must be there first. */
export type KnownOperand = readonly number[] | null;

/** An operator that is not the server's own. */
export interface KnownOperator {
  /** 1: prefix; then `left` says nothing. */
  readonly args: 1 | 2;
  readonly left: KnownOperand;
  readonly right: KnownOperand;
  /** undefined: a shell. */
  readonly runs: KnownFunction | undefined;
}

/** A cast by a function that is neither the server's nor a known extension's. */
export interface KnownCast {
  readonly source: KnownOperand;
  readonly target: { readonly schema: string; readonly name: string };
  /** Where the server inserts it by itself. */
  readonly context: 'Explicit' | 'Assignment' | 'Implicit';
  readonly runs: KnownFunction;
}

/** The part of a catalogue snapshot that resolution reads. */
export interface KnownCatalog {
  readonly serverMajor: number;
  relation(schema: string, name: string): KnownRelation | undefined;
  functions(schema: string, name: string): readonly KnownFunction[];
  functionByOid(oid: number): KnownFunction | undefined;
  userType(schema: string, name: string): KnownType | undefined;
  userTypeByOid(oid: number): KnownType | undefined;
  userOperators(schema: string, name: string): readonly KnownOperator[];
  readonly userCasts: readonly KnownCast[];
  /** Types that are not the server's own, of which rows of this relation have values. */
  typesHeld(schema: string, name: string): readonly number[];
}

/** A name as written: schema null is found by the search path. */
export interface WrittenName {
  readonly schema: string | null;
  readonly name: string;
}

/** What the session itself answered to `relationsQuestion` and `functionsQuestion`, by `nameKey`. */
export interface Overlay {
  /** null: the session sees no such relation. */
  readonly relations: ReadonlyMap<string, KnownRelation | null>;
  /** Empty: the session sees no such function. */
  readonly functions: ReadonlyMap<string, readonly KnownFunction[]>;
}

export interface ResolveEnvironment {
  readonly catalog: KnownCatalog;
  /** The effective search path: `current_schemas(true)`, in order. */
  readonly searchPath: readonly string[];
  readonly overlay: Overlay | null;
  /** The session has temporary objects or uncommitted DDL: names without schema must come from the overlay. */
  readonly localNames: boolean;
}

export type Resolution =
  | { readonly kind: 'Facts'; readonly facts: Facts }
  /** Put these names to the session, add the answers to the overlay and resolve again; never asks twice for a name. */
  | { readonly kind: 'Ask'; readonly relations: readonly WrittenName[]; readonly functions: readonly WrittenName[] };

/** The overlay's key for a name as written. */
export function nameKey(schema: string | null, name: string): string {
  return `${schema ?? ''}\0${name}`;
}

/** Where a new object without a schema goes. */
export function creationSchema(env: ResolveEnvironment): string {
  return env.searchPath.find((schema) => !isSystem(schema) && !isTemporary(schema)) ?? 'pg_catalog';
}

export function isTemporary(schema: string): boolean {
  return schema === 'pg_temp' || schema.startsWith('pg_temp_') || schema.startsWith('pg_toast_temp_');
}

export function isSystem(schema: string): boolean {
  return schema === 'pg_catalog' || schema === 'information_schema' || schema === 'pg_toast';
}
