import type { Reach } from '../gateway/config/document.ts';
import { STATEMENT_CLASSES, type StatementClass } from '../gateway/sql/classes.ts';
import type { Facts, FunctionUse, RawStatement, RelationUse } from '../gateway/sql/facts.ts';
import { reads } from '../gateway/sql/statements.ts';
import type { RecordedFacts } from './recorded.ts';

const CLASSES: ReadonlySet<string> = new Set(STATEMENT_CLASSES);
const RELATION = /^([^.]+)\.([^.]+?):([A-Za-z]+)(?::(Keyed|Filtered|Unbounded))?$/;

/**
 * Facts as a record has them, with what only the text tells (settings, how many keys); a string: why they cannot be had.
 * `raw`: what the text says, null: there is none.
 */
export function factsOfRecord(recorded: RecordedFacts, raw: RawStatement | null): Facts | string {
  const classes = recorded.classes.filter((cls): cls is StatementClass => CLASSES.has(cls));
  if (classes.length < recorded.classes.length) return 'it has a class that this version does not know';
  const relations = recorded.relations.map((written) => relationOf(written, recorded.kinds, raw));
  if (relations.some((use) => use === null)) return 'it has a relation whose name is recorded ambiguously';
  if (raw !== null && lacksNames(recorded, raw)) return 'it was refused before it was known what its names mean';
  const uses = relations as RelationUse[];
  const [primary] = classes;
  // The first class is shown to people; where a relation carries it, it is not one of the statement's own.
  const own = uses.some(({ verb }) => verb === primary) ? classes.slice(1) : classes;
  const functions = recorded.functions.map(functionOf);
  return {
    primary: primary ?? 'Unknown',
    classes: own,
    relations: uses,
    functions,
    settings: raw?.settings ?? [],
    readOnly:
      functions.length === 0 &&
      (raw?.readOnly ?? true) &&
      [...own, ...uses.map(({ verb }) => verb)].every((cls) => reads(cls)),
    unknown: classes.includes('Unknown') ? ['what the record says was not understood'] : [],
  };
}

function relationOf(written: string, kinds: readonly string[], raw: RawStatement | null): RelationUse | null {
  const [, schema, name, verb, reach] = RELATION.exec(written) ?? [];
  if (schema === undefined || name === undefined || verb === undefined || !CLASSES.has(verb)) return null;
  const named = raw?.relations.filter((one) => one.name === name && one.verb === verb) ?? [];
  const most = reach === 'Keyed' && named.length === 1 ? named[0]?.reach?.most : undefined;
  return {
    schema,
    name,
    // What else it may be makes no difference to a decision.
    kind: kinds.includes(`${schema}.${name}:function`) ? 'function' : 'table',
    verb: verb as StatementClass,
    reach: (reach as Reach | undefined) ?? null,
    ...(most === undefined ? {} : { most }),
  };
}

function functionOf(signature: string): FunctionUse {
  const [, schema = '', name = signature] = /^([^.]*)\.([^(]*)/.exec(signature) ?? [];
  return { schema, name, candidates: signature.includes('(') ? [signature] : [], called: [] };
}

/** A refusal for a setting or the like comes before names are looked up: nothing is recorded of what they mean. */
function lacksNames(recorded: RecordedFacts, raw: RawStatement): boolean {
  if (recorded.relations.length > 0 || recorded.functions.length > 0) return false;
  const resolved = ['Catalog', 'CatalogWrite', 'TempTable'].some((cls) => recorded.classes.includes(cls));
  return raw.relations.length > 0 && !resolved;
}
