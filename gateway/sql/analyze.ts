import { type Fields, type Typed, text, unwrap } from './ast.ts';
import type { StatementClass } from './classes.ts';
import { effectsOf, isCounted, isPlannedOnly, returnsRows } from './effects.ts';
import type { RawStatement } from './facts.ts';
import type { Findings } from './findings.ts';
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
import { walk } from './walk.ts';

/** What the parser returns: statements with their place in the text, in UTF-8 bytes. */
export interface ParseTree {
  readonly stmts?: readonly { readonly stmt?: unknown; readonly stmt_location?: number; readonly stmt_len?: number }[];
}

/** Facts of every statement of a text; `source` is exactly what was parsed. */
export function analyzeTree(tree: ParseTree, source: Buffer): RawStatement[] {
  return (tree.stmts ?? []).map((raw) => {
    const from = raw.stmt_location ?? 0;
    const length = raw.stmt_len ?? source.length - from;
    const lead = /^\s*/.exec(source.toString('latin1', from, from + Math.min(length, 1024)))![0].length;
    const tail = /\s*$/.exec(source.toString('latin1', from + Math.max(lead, length - 1024), from + length))![0].length;
    return analyzeStatement(raw.stmt, source, { offset: from + lead, length: length - lead - tail });
  });
}

interface Place {
  readonly offset: number;
  readonly length: number;
}

function analyzeStatement(node: unknown, source: Buffer, place: Place): RawStatement {
  const top = unwrap(node);
  const kind = top === undefined ? undefined : STATEMENTS.get(top.type);
  const found = walk(node, source, top !== undefined && isPlannedOnly(top));
  if (top === undefined || kind === undefined) {
    found.unknown.push(top === undefined ? 'an empty statement' : `the statement ${top.type}`);
    return { ...place, ...build('Unknown', found), effects: [], countsRows: false, returnsRows: false };
  }
  for (const cls of kind.classes) found.classes.add(cls);
  REFINEMENTS[top.type]?.(top.fields, found, top);
  const effects = effectsOf(top, (query) => analyzeStatement(query, source, place));
  const countsRows = isCounted(top, found.dataModifying);
  return { ...place, ...build(kind.primary, found), effects, countsRows, returnsRows: returnsRows(top) };
}

type Built = Omit<RawStatement, 'offset' | 'length' | 'effects' | 'countsRows' | 'returnsRows'>;

function build(primary: StatementClass, found: Findings): Built {
  if (found.unknown.length > 0) found.classes.add('Unknown');
  // A temporary table is not a definition that others see.
  if (found.relations.some((r) => r.verb === 'TempTable') && primary === 'Ddl') {
    found.classes.delete('Ddl');
    found.classes.add('TempTable');
  }
  const verbs = found.relations.map((r) => r.verb);
  const { settings, asks, minMajor, unknown } = found;
  return {
    primary: shownAs(primary, found),
    classes: [...found.classes],
    relations: dedupe(found.relations),
    functions: dedupe(found.functions),
    attributes: [...found.attributes],
    types: dedupe(found.types),
    settings,
    asks,
    readOnly: !found.writes && [...found.classes, ...verbs].every(reads),
    minMajor,
    unknown,
  };
}

/** What a statement is called after, where its node does not say it. */
function shownAs(primary: StatementClass, { classes }: Findings): StatementClass {
  if (primary === 'CopyTo' && classes.has('CopyFrom')) return 'CopyFrom';
  if (primary !== 'Ddl' || classes.has('Ddl')) return primary;
  return (['TempTable', 'LargeObject', 'Replication'] as const).find((cls) => classes.has(cls)) ?? primary;
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
  AlterObjectSchemaStmt: onObject,
  RenameStmt: onObject,
  AlterOwnerStmt: onObject,
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
