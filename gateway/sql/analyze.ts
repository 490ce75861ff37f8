import { type Fields, type Typed, text, unwrap } from './ast.ts';
import type { StatementClass } from './classes.ts';
import { readsOf } from './columns.ts';
import { effectsOf, isCounted, isPlannedOnly, returnsRows } from './effects.ts';
import type { Analysis, Place, RawRelation, RawStatement } from './facts.ts';
import { type Findings, mayFold } from './findings.ts';
import { freeConstants } from './literals.ts';
import { makesOf } from './makes.ts';
import {
  refineCopy,
  refineCreateSchema,
  refineDefaultPrivileges,
  refineDefine,
  refineExtensionContents,
  refineGrant,
  refineImport,
  refineObject,
  refinePublication,
  refineReindex,
  refineSequence,
} from './objects.ts';
import { addSetting, addTransactionModes, refineSet, settingChange } from './settings.ts';
import { reads, STATEMENTS } from './statements.ts';
import { commandTag } from './tags.ts';
import { walk } from './walk.ts';

/** What the parser returns: statements with their place in the text, in UTF-8 bytes. */
export interface ParseTree {
  readonly stmts?: readonly { readonly stmt?: unknown; readonly stmt_location?: number; readonly stmt_len?: number }[];
}

/** Facts of every statement of a text; `source` is exactly what was parsed. */
export function analyzeTree(tree: ParseTree, source: Buffer): RawStatement[] {
  return (tree.stmts ?? []).map(({ stmt }) => analyzeStatement(stmt, source));
}

/** Facts of every statement, and where each stands. */
export function analyzeText(tree: ParseTree, source: Buffer): Analysis & { kind: 'Statements' } {
  const places = (tree.stmts ?? []).map((raw) => placeOf(source, raw.stmt_location ?? 0, raw.stmt_len));
  return { kind: 'Statements', statements: analyzeTree(tree, source), places };
}

/** Where constants stand whose values say nothing about the facts of their statement, in bytes. */
export function freeIn(tree: ParseTree): number[] {
  return (tree.stmts ?? []).flatMap(({ stmt }) => freeConstants(stmt));
}

/** Space around a statement is not part of it; a byte A0 is part of a character (test: "a statement ends with its last character"). */
function placeOf(source: Buffer, from: number, length = source.length - from): Place {
  const lead = /^[ \t-\r]*/.exec(source.toString('latin1', from, from + Math.min(length, 1024)))![0].length;
  const tail = /[ \t-\r]*$/.exec(source.toString('latin1', from + Math.max(lead, length - 1024), from + length))![0]
    .length;
  return { offset: from + lead, length: length - lead - tail };
}

function analyzeStatement(node: unknown, source: Buffer): RawStatement {
  const top = unwrap(node);
  const kind = top === undefined ? undefined : STATEMENTS.get(top.type);
  const planned = top !== undefined && isPlannedOnly(top);
  const found = walk(node, source, planned);
  if (top === undefined || kind === undefined) {
    found.unknown.push(top === undefined ? 'an empty statement' : `the statement ${top.type}`);
    return { ...build('Unknown', found), effects: [], countsRows: false, returnsRows: false };
  }
  for (const cls of kind.classes) found.classes.add(cls);
  REFINEMENTS[top.type]?.(top.fields, found, top);
  const effects = effectsOf(top, (query) => analyzeStatement(query, source));
  const countsRows = isCounted(top, found.dataModifying);
  const tag = commandTag(top);
  const makes = planned ? undefined : makesOf(top, kind.primary, found);
  return {
    ...build(kind.primary, found),
    ...(tag === null ? {} : { tag }),
    ...(makes === undefined ? {} : { makes }),
    effects,
    countsRows,
    returnsRows: returnsRows(top),
  };
}

type Built = Omit<RawStatement, 'effects' | 'countsRows' | 'returnsRows'>;

function build(primary: StatementClass, found: Findings): Built {
  if (found.unknown.length > 0) found.classes.add('Unknown');
  // A temporary table is not a definition that others see.
  if (found.relations.some((r) => r.verb === 'TempTable') && primary === 'Ddl') {
    found.classes.delete('Ddl');
    found.classes.add('TempTable');
  }
  const verbs = found.relations.map((r) => r.verb);
  const { settings, asks, renamesTypes, removes, minMajor, nesting, unknown } = found;
  return {
    primary: shownAs(primary, found),
    classes: [...found.classes],
    relations: relationsOf(found),
    functions: dedupe(found.functions),
    attributes: [...found.attributes],
    operators: [...found.operators.values()],
    types: [...found.types.values()],
    ...repeatedOf(found),
    ...(found.opclasses.length === 0 ? {} : { opclasses: found.opclasses }),
    settings,
    ...(found.settingsViews.length === 0 ? {} : { settingsViews: found.settingsViews }),
    asks,
    ...(renamesTypes ? { renamesTypes } : {}),
    ...(removes === null ? {} : { removes }),
    readOnly:
      !found.writes && [...found.classes, ...verbs].every((cls) => reads(cls) || (cls === 'Lock' && found.locksMildly)),
    minMajor,
    nesting,
    folds: found.folds || [...found.functions, ...found.types.values()].some(({ name }) => mayFold(name)),
    unknown,
  };
}

/** Parameters that something else may give their type than what is looked at. */
function repeatedOf({ parameters }: Findings): Pick<RawStatement, 'repeated'> {
  const all = [...parameters].filter(([, { places, compared }]) => places + compared > 1);
  if (all.length === 0) return {};
  const used = all.filter(([, { places }]) => places > 0).map(([number]) => number);
  return { repeated: { compared: all.map(([number]) => number).filter((number) => !used.includes(number)), used } };
}

/** What a statement is called after, where its node does not say it. */
function shownAs(primary: StatementClass, { classes }: Findings): StatementClass {
  if (primary === 'CopyTo' && classes.has('CopyFrom')) return 'CopyFrom';
  if (primary !== 'Ddl' || classes.has('Ddl')) return primary;
  return (['TempTable', 'LargeObject', 'Replication'] as const).find((cls) => classes.has(cls)) ?? primary;
}

/** Each relation once for everything that is done to it in the same way. */
function relationsOf({ relations }: Findings): RawRelation[] {
  const seen = new Map<string, { relation: Omit<RawRelation, 'reads'>; reads: Set<string> }>();
  for (const { source, ...relation } of relations) {
    const key = JSON.stringify(relation);
    const known = seen.get(key) ?? { relation, reads: new Set() };
    for (const column of source === null ? [] : readsOf(source)) known.reads.add(column);
    seen.set(key, known);
  }
  return [...seen.values()].map(({ relation, reads }) => ({ ...relation, reads: reads.has('*') ? ['*'] : [...reads] }));
}

function dedupe<T>(items: readonly T[]): T[] {
  const seen = new Map<string, T>();
  for (const item of items) seen.set(JSON.stringify(item), item);
  return [...seen.values()];
}

type Refinement = (fields: Fields, found: Findings, top: Typed) => void;

const onObject: Refinement = (_, found, top) => refineObject(top, found);
const asks: Refinement = (_, found) => {
  found.asks = true;
};
const settingOf: Refinement = (fields, found) => {
  found.asks = true;
  const setting = unwrap({ VariableSetStmt: fields.setstmt });
  if (setting !== undefined) addSetting(settingChange(setting.fields), found);
};
const writes: Refinement = (_, found) => {
  found.writes = true;
};

/** AccessShareLock. */
const ACCESS_SHARE = 1;

/** What the table of statement kinds cannot say. */
const REFINEMENTS: Readonly<Record<string, Refinement>> = {
  // What no relation carries: `SELECT 1`.
  SelectStmt: (_, found) => {
    if (found.relations.length === 0) found.classes.add('Select');
  },
  CopyStmt: refineCopy,
  VariableSetStmt: refineSet,
  VariableShowStmt: (fields, found) => found.settings.push({ kind: 'Show', name: text(fields.name) }),
  TransactionStmt: (fields, found) => {
    if (/PREPARE/.test(text(fields.kind))) found.classes.add('TwoPhase');
    addTransactionModes(fields.options, false, found);
  },
  LockStmt: ({ mode }, found) => {
    found.locksMildly = mode === ACCESS_SHARE;
  },
  NotifyStmt: writes,
  DiscardStmt: asks,
  CallStmt: asks,
  DoStmt: asks,
  AlterRoleSetStmt: settingOf,
  AlterDatabaseSetStmt: settingOf,
  // Roles and extensions may take the schemas of the search path with them.
  AlterRoleStmt: asks,
  DropRoleStmt: asks,
  GrantRoleStmt: asks,
  DropOwnedStmt: asks,
  ReassignOwnedStmt: asks,
  CreateExtensionStmt: asks,
  AlterExtensionStmt: asks,
  // What fires from now on is not known.
  AlterEventTrigStmt: asks,
  CreateEventTrigStmt: asks,
  AlterObjectSchemaStmt: onObject,
  RenameStmt: onObject,
  AlterOwnerStmt: onObject,
  AlterObjectDependsStmt: onObject,
  DropStmt: onObject,
  CommentStmt: onObject,
  SecLabelStmt: onObject,
  AlterExtensionContentsStmt: refineExtensionContents,
  CreateSchemaStmt: refineCreateSchema,
  GrantStmt: refineGrant,
  AlterDefaultPrivilegesStmt: refineDefaultPrivileges,
  CreatePublicationStmt: refinePublication,
  AlterPublicationStmt: refinePublication,
  ImportForeignSchemaStmt: refineImport,
  CreateSeqStmt: refineSequence,
  AlterSeqStmt: refineSequence,
  DefineStmt: refineDefine,
  ReindexStmt: refineReindex,
};
