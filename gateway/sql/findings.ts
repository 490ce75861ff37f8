import type { StatementClass } from './classes.ts';
import type { RawFunction, RawRelation, SettingChange } from './facts.ts';

/** What is found in a statement; lists may repeat. */
export interface Findings {
  readonly classes: Set<StatementClass>;
  readonly relations: RawRelation[];
  readonly functions: RawFunction[];
  readonly types: { readonly schema: string | null; readonly name: string }[];
  readonly settings: SettingChange[];
  readonly unknown: string[];
  /** Names in attribute notation, which may be calls. */
  readonly attributes: Set<string>;
  asks: boolean;
  /** Calls something that changes more than settings. */
  writes: boolean;
  /** INSERT, UPDATE, DELETE and MERGE, those in WITH included. */
  dataModifying: number;
  minMajor: number;
}

/** Nothing found yet. */
export function nothing(): Findings {
  return {
    classes: new Set(),
    relations: [],
    functions: [],
    types: [],
    settings: [],
    unknown: [],
    attributes: new Set(),
    asks: false,
    writes: false,
    dataModifying: 0,
    minMajor: 14,
  };
}

/** Adds a relation that is named by strings, or one that is to be made. */
export function addRelation(
  found: Findings,
  place: { readonly schema: string | null; readonly name: string },
  verb: StatementClass,
  creates = false,
): void {
  found.relations.push({ schema: place.schema, name: place.name, verb, creates, reach: null });
}

/** Whatever a schema contains, or will: `schema.*` in rules and records. */
export function addSchema(found: Findings, schema: string, verb: StatementClass): void {
  if (schema !== '') addRelation(found, { schema, name: '*' }, verb, true);
}
