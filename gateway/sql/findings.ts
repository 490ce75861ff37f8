import { type Fields, names, qualified } from './ast.ts';
import type { StatementClass } from './classes.ts';
import type { Columns, Source } from './columns.ts';
import type { RawFunction, RawOperator, RawPlace, RawRelation, RawType, SettingChange } from './facts.ts';

/** A relation whose columns are not all known yet. */
export interface FoundRelation extends Omit<RawRelation, 'reads'> {
  readonly source: Source | null;
}

/** What is found in a statement; lists may repeat. */
export interface Findings {
  readonly classes: Set<StatementClass>;
  readonly relations: FoundRelation[];
  readonly functions: RawFunction[];
  /** By what makes them different: there are chains of thousands. */
  readonly operators: Map<string, RawOperator>;
  readonly types: Map<string, RawType>;
  readonly settings: SettingChange[];
  readonly unknown: string[];
  /** Names in attribute notation, which may be calls. */
  readonly attributes: Set<string>;
  readonly columns: Columns;
  /** Two-part column references, and the names of functions in FROM: a scalar's attribute may be a conversion. */
  readonly columnParts: Map<string, Set<string>>;
  readonly functionItems: Set<string>;
  /** Where parameters stand, beside casts to types that tell keys apart: in how many places, and compared with columns. */
  readonly parameters: Map<number, { places: number; compared: number }>;
  /** Calls of set_config whose setting a condition on pg_settings names, and that view as it is written. */
  readonly settingsNamed: Map<Fields, string>;
  readonly settingsViews: RawPlace[];
  readonly opclasses: RawPlace[];
  /** Temporary tables that it makes. */
  readonly temporary: string[];
  asks: boolean;
  renamesTypes: boolean;
  /** Relations go, or go by another name: those that are named, or others as well. */
  removes: 'Named' | 'Any' | null;
  /** LOCK … IN ACCESS SHARE MODE: as reading does. */
  locksMildly: boolean;
  /** Calls something that changes more than settings. */
  writes: boolean;
  /** INSERT, UPDATE, DELETE and MERGE, those in WITH included. */
  dataModifying: number;
  minMajor: number;
  nesting: number;
  folds: boolean;
}

/** Nothing found yet. */
export function nothing(): Findings {
  return {
    classes: new Set(),
    relations: [],
    functions: [],
    operators: new Map(),
    types: new Map(),
    settings: [],
    unknown: [],
    attributes: new Set(),
    columns: { sources: new Map(), levels: [] },
    columnParts: new Map(),
    functionItems: new Set(),
    parameters: new Map(),
    settingsNamed: new Map(),
    settingsViews: [],
    opclasses: [],
    temporary: [],
    asks: false,
    renamesTypes: false,
    removes: null,
    locksMildly: false,
    writes: false,
    dataModifying: 0,
    minMajor: 14,
    nesting: 0,
    folds: false,
  };
}

/** The parser leaves letters beyond ASCII as they are, and the tree does not tell which names were quoted. */
export function mayFold(name: string): boolean {
  return /[^\0-\x7f]/.test(name) && name !== name.toLowerCase();
}

/** An operator class whose functions run when values are put in order. */
export function noteOpclass(name: unknown, found: Findings): void {
  const parts = names(name) ?? [];
  if (parts.length > 0) found.opclasses.push(qualified(parts));
}

/** It need not exist. */
export const NEW = { creates: true } as const;

/** Adds a relation that is named by strings, or one that is to be made. */
export function addRelation(
  found: Findings,
  place: { readonly schema: string | null; readonly name: string },
  verb: StatementClass,
  more: Partial<Omit<FoundRelation, 'schema' | 'name' | 'verb'>> = {},
): void {
  const plain = { creates: false, reach: null, door: 'Statement', writes: [], source: null } as const;
  found.relations.push({ schema: place.schema, name: place.name, verb, ...plain, ...more });
}

/** Whatever a schema contains, or will: `schema.*` in rules and records. */
export function addSchema(found: Findings, schema: string, verb: StatementClass): void {
  if (schema !== '') addRelation(found, { schema, name: '*' }, verb, NEW);
}
