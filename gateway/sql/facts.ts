import type { Reach } from '../config/document.ts';
import type { StatementClass } from './classes.ts';

/** A name as written; schema null: to be found by the search path. */
export interface RawPlace {
  readonly schema: string | null;
  readonly name: string;
}

/** What a text says, before names are resolved: the result of the parser worker. */
export interface RawRelation {
  /** As written; null: to be found by the search path. */
  readonly schema: string | null;
  readonly name: string;
  /** Select, Insert, Update, Delete, Merge, Truncate, Lock, Ddl, Maintenance, Sequence, TempTable…: what is done to it. */
  readonly verb: StatementClass;
  /** The statement creates it: need not exist. */
  readonly creates: boolean;
  /** For Insert, Update, Delete, Merge, Truncate. */
  readonly reach: RawReach | null;
  /** The nearest piece of syntax that the statement comes to it through. */
  readonly door: SyntaxDoor;
  /** Columns that expressions speak of, or may, where they have no qualifier; `*`: all, or too many to tell. */
  readonly reads: readonly string[];
  /** Columns that are set; `*`: all. */
  readonly writes: readonly string[];
  /** ONLY: without its children. */
  readonly only?: true;
  /** TRUNCATE … CASCADE; REFRESH, which runs the definition. */
  readonly cascade?: true;
}

/** How a statement comes to a relation that it names. */
export type SyntaxDoor =
  | 'Statement'
  | 'CommonTableExpression'
  | 'Subquery'
  | 'Copy'
  | 'Explain'
  | 'ExplainAnalyze'
  | 'CreateTableAs'
  | 'SelectInto'
  | 'Merge'
  | 'Returning'
  | 'Locking'
  | 'Cursor'
  | 'Prepare'
  /** The body of a view, rule, policy or function that is defined. */
  | 'Definition';

export interface RawReach {
  /** Reach without knowledge of keys: never Keyed. */
  readonly floor: Exclude<Reach, 'Keyed'>;
  /** Columns that a top-level conjunct equates with constants or parameters; Keyed if they cover a unique key. */
  readonly equated: readonly string[];
  /** The same with parameters, whose types decide whether no two keys are equal to them. */
  readonly bound?: readonly BoundColumn[];
  /** INSERT of VALUES, WHERE CURRENT OF a cursor: Keyed as such. */
  readonly values: boolean;
  /** The condition leaves nothing out if all columns of one of these are NOT NULL. */
  readonly openIfNotNull?: readonly (readonly string[])[];
  /** If the target has this column (other relations are in scope, and it has no qualifier): Filtered, and equated. */
  readonly ifOwn?: readonly ({ readonly column: string } & Pick<RawReach, 'equated' | 'bound'>)[];
  /** The most rows that it can concern if it is Keyed; absent: not known. */
  readonly most?: number;
}

export interface BoundColumn {
  readonly column: string;
  readonly parameters: readonly number[];
}

/**
 * What is known of the type of a parameter: that no two keys are equal to one of its values; that they may be; nothing,
 * so the server takes that of what it first meets; its OID.
 */
export type ParameterType = 'Exact' | 'Other' | 'Open' | number;

/** Parameters that stand in more than one place, where it may be another that gives them their type. */
export interface Repeated {
  /** Beside a comparison with a column. */
  readonly compared: readonly number[];
  /** Elsewhere. */
  readonly used: readonly number[];
}

export interface RawFunction {
  readonly schema: string | null;
  readonly name: string;
  /** Number of arguments as written; -1: not known (VARIADIC, a name in a definition). */
  readonly args: number;
  /** First constant text arguments where the name is one that sets or reads something (set_config, current_setting, nextval, …). */
  readonly literals: readonly (string | null)[];
  /** The arguments' types as in `text, integer[]`, where the text says all of them and they are the server's own. */
  readonly argTypes?: string;
  /** The one that is meant, where a message names it so: then name and arguments say nothing more. */
  readonly oid?: number;
  /** It stands in FROM, which the statement comes to so. */
  readonly item?: SyntaxDoor;
}

/** An operator: written, or looked up by name on behalf of IN, BETWEEN, LIKE, CASE x WHEN, USING and their kin. */
export interface RawOperator {
  readonly schema: string | null;
  readonly name: string;
  /** 1: prefix. */
  readonly args: 1 | 2;
  /** Whether an operand is a constant or parameter that takes whatever type the operator wants. */
  readonly untyped: readonly [left: boolean, right: boolean];
}

/** A type that values are converted to. */
export interface RawType {
  readonly schema: string | null;
  readonly name: string;
  /** Written as a call or an attribute: `app.positive('5')` converts where there is such a type. */
  readonly ifAny?: true;
  /** The one that is meant, where a message names it so. */
  readonly oid?: number;
}

export type SettingChange =
  /** `value` null: not a plain literal (cannot be judged or foreseen). DEFAULT is kind Reset. */
  | {
      readonly kind: 'Set';
      readonly name: string;
      readonly value: string | null;
      readonly list: readonly string[] | null;
      readonly local: boolean;
    }
  | { readonly kind: 'Reset'; readonly name: string }
  | { readonly kind: 'ResetAll' }
  | { readonly kind: 'Show'; readonly name: string };

export type TransactionOp =
  | 'Begin'
  | 'Commit'
  | 'Rollback'
  | 'Savepoint'
  | 'Release'
  | 'RollbackTo'
  | 'PrepareTransaction'
  | 'CommitPrepared'
  | 'RollbackPrepared';

/** What a statement does to the session's names and transaction: input of the trackers. */
export type SessionEffect =
  | { readonly kind: 'Prepare'; readonly name: string; readonly inner: RawStatement }
  | { readonly kind: 'Execute'; readonly name: string }
  | { readonly kind: 'Deallocate'; readonly name: string | null }
  | { readonly kind: 'Declare'; readonly name: string; readonly hold: boolean; readonly inner: RawStatement }
  | { readonly kind: 'Fetch'; readonly name: string }
  | { readonly kind: 'CloseCursor'; readonly name: string | null }
  | { readonly kind: 'Discard'; readonly what: 'All' | 'Plans' | 'Sequences' | 'Temp' }
  | { readonly kind: 'Transaction'; readonly op: TransactionOp };

/**
 * What a definition means for the statements behind it in the same string: they are judged before it has run, when nobody
 * can be asked yet what came of it.
 */
export interface Makes {
  /** What can no longer be said of the relations that it names; null: all that was known of them holds. */
  readonly unforeseen: Unforeseen | null;
  /** Tables whose changes go on to others from now on, by a foreign key. */
  readonly cascades: readonly string[];
  /** Temporary tables that it makes: they come before others of their names. */
  readonly temporary: readonly string[];
  /** Functions that it makes, or gives these names. */
  readonly functions: readonly string[];
  /** The functions that it calls by name do not run yet. */
  readonly callsLater?: true;
}

/**
 * Which rows a key tells apart; what changes of rows lead to; what new rows lead to; what reading leads to. Each includes
 * those before it.
 */
export type Unforeseen = 'Keys' | 'Changes' | 'Inserts' | 'Reads';

export interface RawStatement {
  /** The class shown first to people (Select, Update, Ddl…). */
  readonly primary: StatementClass;
  /** Every class that is not carried by a relation or function: Transaction, Session, Explain, Cursor, Prepare, CopyTo, Do, … */
  readonly classes: readonly StatementClass[];
  readonly relations: readonly RawRelation[];
  readonly functions: readonly RawFunction[];
  /** Names in attribute notation (`x.f`), which call a function f of one argument where there is one. */
  readonly attributes: readonly string[];
  readonly operators: readonly RawOperator[];
  /** Types that values are converted to: their input functions run, or those of casts. */
  readonly types: readonly RawType[];
  /** Of $1 and so on, as far as they are known; left out: not at all. */
  readonly parameters?: readonly ParameterType[];
  readonly repeated?: Repeated;
  readonly settings: readonly SettingChange[];
  /** Names by which settings are read from pg_settings to be set: it must be the server's own. */
  readonly settingsViews?: readonly RawPlace[];
  readonly effects: readonly SessionEffect[];
  /** Operator classes that it names. */
  readonly opclasses?: readonly RawPlace[];
  /** What event triggers call it, if they fire for it; `*`: not known, any. */
  readonly tag?: string;
  /** May change search_path, role or another tracked setting in a way that only the server knows. */
  readonly asks: boolean;
  /** Later in the same string, the name of a type may mean another. */
  readonly renamesTypes?: true;
  /** Relations go, or go by another name: those that it names, or others as well (CASCADE). */
  readonly removes?: 'Named' | 'Any';
  /** Left out: it defines nothing. */
  readonly makes?: Makes;
  /** Nothing that the statement itself does can write (for readOnly by facts). */
  readonly readOnly: boolean;
  /** A name has capital letters beyond ASCII, which some databases take for small ones. */
  readonly folds: boolean;
  /** How deep queries are nested: 1 is a query, 2 one in it. */
  readonly nesting: number;
  /** Its command tag tells how many rows it changes, all of them; of EXECUTE, those that the prepared statement changes. */
  readonly countsRows: boolean;
  /** A result set of unbounded size may come back. */
  readonly returnsRows: boolean;
  /** Lowest server major that reads this text as the grammar here does. */
  readonly minMajor: number;
  /** Each thing that was not understood, in words; not empty means class Unknown is in `classes`. */
  readonly unknown: readonly string[];
}

/** Where a statement stands in its text, in UTF-8 bytes. */
export interface Place {
  readonly offset: number;
  readonly length: number;
}

export type Analysis =
  | {
      readonly kind: 'Statements';
      /** Texts that differ only in literals that do not matter share these very objects. */
      readonly statements: readonly RawStatement[];
      /** Of each statement. */
      readonly places: readonly Place[];
    }
  /** PostgreSQL's own words; position in code points from 1, 0: none. */
  | { readonly kind: 'SyntaxError'; readonly message: string; readonly position: number }
  | { readonly kind: 'NotUnderstood'; readonly reason: string; readonly hint: string };

/** How a statement comes to a relation or function that it does not name itself. */
export type LinkDoor =
  | 'View'
  | 'Rule'
  | 'ForeignKey'
  | 'Trigger'
  | 'Default'
  | 'Check'
  | 'Index'
  | 'Statistics'
  | 'Policy'
  | 'EventTrigger';

export interface QualifiedName {
  readonly schema: string;
  readonly name: string;
}

/** A relation after resolution against the catalogue. */
export interface RelationUse {
  readonly schema: string;
  readonly name: string;
  readonly kind:
    | 'table'
    | 'view'
    | 'matview'
    | 'sequence'
    | 'foreign'
    | 'partitioned'
    | 'index'
    | 'composite'
    | 'toast'
    /** A function in FROM: it is listed among the relations, and judged among the functions. */
    | 'function'
    | 'new';
  readonly verb: StatementClass;
  readonly reach: Reach | null;
  readonly door?: SyntaxDoor | LinkDoor;
  /** The relation behind whose door it stands; left out: the statement names it. */
  readonly of?: QualifiedName;
  /** The most rows that it can concern; absent: not known. */
  readonly most?: number;
  /** Columns, where the statement names the relation; `*`: all, or too many to tell. */
  readonly reads?: readonly string[];
  readonly writes?: readonly string[];
  /** What it is a partition or inheritance child of: rules that deny something there speak of its rows as well. */
  readonly ancestors?: readonly QualifiedName[];
  /** It is a partition: what is allowed on its ancestors is allowed here. */
  readonly partition?: true;
  /** Partitions and inheritance children that are reached through it, or what is in the schema that `*` stands for. */
  readonly descendants?: readonly QualifiedName[];
}

/** What a catalogue says of a function that a statement may call. */
export interface CalledFunction {
  /** i immutable, s stable, v volatile. */
  readonly volatile: 'i' | 's' | 'v';
  readonly securityDefiner: boolean;
  readonly language: string;
  /** The extension it belongs to. */
  readonly extension: string | null;
}

export interface FunctionUse {
  readonly schema: string;
  readonly name: string;
  /** Argument types as in `app.add_tax(numeric)`: one entry per candidate that the call may mean. */
  readonly candidates: readonly string[];
  /** What is known of each candidate, in the same order. */
  readonly called: readonly CalledFunction[];
  /** Left out: the statement calls it. What it does inside is not known. */
  readonly door?: LinkDoor;
  /** The relation behind whose door it stands; of an event trigger its name, without a schema. */
  readonly of?: QualifiedName;
}

/** What a statement does, names resolved: the input of a decision. */
export interface Facts {
  readonly primary: StatementClass;
  readonly classes: readonly StatementClass[];
  readonly relations: readonly RelationUse[];
  /** User functions (not built in and safe): each needs a rule that lists it. */
  readonly functions: readonly FunctionUse[];
  readonly settings: readonly SettingChange[];
  readonly readOnly: boolean;
  readonly unknown: readonly string[];
  /** OIDs of types, not the server's own, of which values may be in what it defines; absent: it defines nothing. */
  readonly holds?: ReadonlySet<number> | 'any';
}
