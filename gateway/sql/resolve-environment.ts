import type { StatementClass } from './classes.ts';
import type { CalledFunction, Facts, RawPlace, RelationUse, Unforeseen } from './facts.ts';

/** What resolution needs to know of a relation; `gateway/catalog` provides it. */
export interface KnownRelation {
  readonly schema: string;
  readonly name: string;
  readonly kind: Exclude<RelationUse['kind'], 'new' | 'function'>;
  /** Column sets of primary keys and unique not-null constraints. */
  readonly uniqueKeys: readonly (readonly string[])[];
  /** Left out: nothing hangs on it. */
  readonly links?: RelationLinks;
}

/** What a relation is tied to: relations and functions by OID. */
export interface RelationLinks {
  readonly oid: number;
  readonly columns: readonly string[];
  /** Columns that are never null. */
  readonly notNull: readonly string[];
  /** `uniqueKeys` by attribute number. */
  readonly keyNumbers: readonly (readonly number[])[];
  /** The types of those columns; left out: not known. */
  readonly keyTypes?: readonly (readonly number[])[];
  /** It is a partition: its rows are its parent's, column by column. */
  readonly partition: boolean;
  /** The table that it is an index of. */
  readonly indexOf: number | null;
  readonly parents: readonly number[];
  readonly children: readonly number[];
  /** Foreign keys of other tables that reference it. */
  readonly referencing: readonly KnownForeignKey[];
  readonly triggers: readonly KnownTrigger[];
  readonly rules: readonly KnownRule[];
  /** User functions that run when it is written or read. */
  readonly code: readonly KnownCode[];
  /** Relations that its row security policies read. */
  readonly policyReads: readonly { readonly relation: number; readonly verbs: ReadonlySet<StatementClass> }[];
}

export type ForeignKeyAction = 'Nothing' | 'Cascade' | 'SetNull';

export interface KnownForeignKey {
  /** The table that references. */
  readonly relation: number;
  /** Its columns, and those that they reference. */
  readonly columns: readonly string[];
  readonly referenced: readonly string[];
  readonly onDelete: ForeignKeyAction;
  readonly onUpdate: ForeignKeyAction;
}

export interface KnownTrigger {
  readonly fn: number;
  readonly verbs: ReadonlySet<StatementClass>;
  /** UPDATE OF these columns; empty: of any. */
  readonly columns: readonly string[];
  readonly insteadOf: boolean;
  readonly forEachRow: boolean;
}

export interface KnownRule {
  readonly oid: number;
  /** Select: the query of a view. */
  readonly verb: StatementClass;
  /** INSTEAD, without a condition: what the statement says does not happen. */
  readonly replaces: boolean;
  /** Left out: to be had of the catalogue. */
  readonly definition?: RuleDefinition;
}

/** What the query of a view, or the actions of a rule, do. */
export interface RuleDefinition {
  readonly relations: readonly DefinitionUse[];
  /** A NOTIFY is among the actions. */
  readonly notifies: boolean;
  /** Every function called, those of pg_catalog included; operators count by their functions. */
  readonly functions: readonly number[];
  /** The one relation that a simple view is over; null: there is none. */
  readonly base: DefinitionUse | null;
  /** Columns of a simple view by the attribute number of the base's column. */
  readonly columns: ReadonlyMap<number, Column>;
}

export interface Column {
  readonly name: string;
  readonly number: number;
  /** Of a key. */
  readonly type?: number | undefined;
}

export interface DefinitionUse {
  readonly relation: number;
  readonly verb: StatementClass;
  readonly reach: 'Filtered' | 'Unbounded' | null;
  /** Columns read, where the relation is the server's own; null: all, or not known. */
  readonly columns: readonly string[] | null;
  /** ONLY: without its children. */
  readonly only: boolean;
}

export interface KnownCode {
  readonly fn: number;
  readonly door: 'Default' | 'Check' | 'Index' | 'Statistics' | 'Policy';
  readonly verbs: ReadonlySet<StatementClass>;
  /** The default of this column: counts for an update of it. */
  readonly column: string | null;
}

/** An event trigger that fires. */
export interface KnownEventTrigger {
  readonly name: string;
  readonly event: string;
  /** Command tags; empty: whatever it is. */
  readonly tags: readonly string[];
  readonly fn: number;
}

/** An operator class that is not the server's own. */
export interface KnownOrder extends RawPlace {
  /** A type that is not the server's own, whose values are put in order by it unless something else is said; null: none. */
  readonly type: number | null;
  /** Functions that are neither the server's nor a known extension's. */
  readonly runs: readonly KnownFunction[];
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
  relationByOid?(oid: number): KnownRelation | undefined;
  /** Everything in a schema; `*`: in all of them. */
  relationsOf?(schema: string): readonly KnownRelation[];
  /** undefined: to be loaded first. */
  definition?(rule: KnownRule): RuleDefinition | undefined;
  /** false: names are cut to 63 bytes in another encoding than the parser's. */
  readonly utf8?: boolean;
  functions(schema: string, name: string): readonly KnownFunction[];
  functionByOid(oid: number): KnownFunction | undefined;
  userType(schema: string, name: string): KnownType | undefined;
  userTypeByOid(oid: number): KnownType | undefined;
  userOperators(schema: string, name: string): readonly KnownOperator[];
  readonly userCasts: readonly KnownCast[];
  readonly userOrders?: readonly KnownOrder[];
  /** Those whose input runs somebody's code. */
  readonly unsafeTypes?: readonly KnownType[];
  readonly eventTriggers?: readonly KnownEventTrigger[];
  /** Types that are not the server's own, of which rows of this relation have values. */
  typesHeld(schema: string, name: string): readonly number[];
}

export type WrittenName = RawPlace;

/** A type as written, or by its OID where a message gives that; then the name says nothing. */
export interface WrittenType extends WrittenName {
  readonly oid?: number;
}

/** What the session itself answered to the questions about names, by `nameKey`. */
export interface Overlay {
  /** null: the session sees no such relation. */
  readonly relations: ReadonlyMap<string, KnownRelation | null>;
  /** Empty: the session sees no such function. */
  readonly functions: ReadonlyMap<string, readonly KnownFunction[]>;
  /** By `typeKey`; plain: one of the server's own; null: the session sees no such type. Left out: none was asked for. */
  readonly types?: ReadonlyMap<string, KnownType | 'plain' | null>;
  /** All that the answers' relations are tied to, by OID. */
  readonly related?: ReadonlyMap<number, KnownRelation>;
  readonly relatedFunctions?: ReadonlyMap<number, KnownFunction>;
}

/** What statements earlier in the same string define. */
export interface Earlier {
  /** Of all that they define. */
  readonly holds: NonNullable<Facts['holds']>;
  /** The relations, by name alone, with all that can no longer be said of them. */
  readonly relations: ReadonlyMap<string, ReadonlySet<Unforeseen>>;
  /** Of one of them it cannot even be said what is read. */
  readonly hidden: boolean;
  readonly temporary: ReadonlySet<string>;
}

export interface ResolveEnvironment {
  readonly catalog: KnownCatalog;
  /** The effective search path: `current_schemas(true)`, in order. */
  readonly searchPath: readonly string[];
  readonly overlay: Overlay | null;
  /** The session has temporary objects or uncommitted DDL: names without schema must come from the overlay. */
  readonly localNames: boolean;
  /** A statement earlier in the same string renames types: what the names of types mean cannot be asked. */
  readonly typesRenamed?: boolean;
  readonly earlier?: Earlier | null;
  /** The path is what a statement earlier in the same string makes of it, and not the one by which the session answers. */
  readonly foreseen?: boolean;
  /** Facts for the record alone: what would have to be asked or loaded first is left out. */
  readonly partial?: true;
}

/** All that facts hang on: as long as none of it changes, nor what the names mean, they stand. */
export interface Dependencies {
  /** Each with its rules, triggers, keys, policies, and all that inheritance ties to it. */
  readonly relations: readonly number[];
  readonly functions: readonly number[];
  /** Names that were looked up, by `nameKey`, where the search path decides included. */
  readonly names: readonly string[];
}

export type Resolution =
  | {
      readonly kind: 'Facts';
      readonly facts: Facts;
      readonly dependencies: Dependencies;
      /** Rules whose definitions are missing in partial facts. */
      readonly missing: readonly number[];
    }
  /** The catalogue must load the definitions of these rules first. */
  | { readonly kind: 'Load'; readonly rules: readonly number[] }
  /** Put these names to the session, add the answers to the overlay and resolve again; never asks twice for a name. */
  | ({ readonly kind: 'Ask' } & Wanted);

/** Names that the session has to be asked about. */
export interface Wanted {
  readonly relations: readonly WrittenName[];
  readonly functions: readonly WrittenName[];
  readonly types: readonly WrittenType[];
}

/** The overlay's key for a name as written. */
export function nameKey(schema: string | null, name: string): string {
  return `${schema ?? ''}\0${name}`;
}

/** The overlay's key for a type: no name has two zero bytes in its key. */
export function typeKey({ schema, name, oid }: WrittenType): string {
  return oid === undefined ? nameKey(schema, name) : `\0\0${oid}`;
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
