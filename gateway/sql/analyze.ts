import { as, constant, type Fields, list, type Typed, text, unwrap } from './ast.ts';
import type { StatementClass } from './classes.ts';
import type { RawStatement, SessionEffect, SettingChange, TransactionOp } from './facts.ts';
import { reads, STATEMENTS } from './statements.ts';
import { type Findings, walk } from './walk.ts';

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
  const planned = top?.type === 'ExplainStmt' && !analyzes(top.fields);
  const found = walk(node, source, planned);
  if (top === undefined || kind === undefined) {
    found.unknown.push(top === undefined ? 'an empty statement' : `the statement ${top.type}`);
    return build('Unknown', top, found, { source, place });
  }
  for (const cls of kind.classes) found.classes.add(cls);
  refine(top, found);
  return build(kind.primary, top, found, { source, place });
}

function build(
  primary: StatementClass,
  top: Typed | undefined,
  found: Findings,
  at: { source: Buffer; place: Place },
): RawStatement {
  if (found.unknown.length > 0) found.classes.add('Unknown');
  const effects = top === undefined ? [] : effectsOf(top, at.source, at.place);
  // A temporary table is not a definition that others see.
  if (found.relations.some((r) => r.verb === 'TempTable') && primary === 'Ddl') {
    found.classes.delete('Ddl');
    found.classes.add('TempTable');
  }
  const verbs = found.relations.map((r) => r.verb);
  return {
    ...at.place,
    primary: primary === 'CopyTo' && found.classes.has('CopyFrom') ? 'CopyFrom' : primary,
    classes: [...found.classes],
    relations: dedupe(found.relations),
    functions: dedupe(found.functions),
    attributes: [...found.attributes],
    types: dedupe(found.types),
    settings: found.settings,
    effects,
    asks: found.asks,
    readOnly: [...found.classes, ...verbs].every(reads),
    returnsRows: top !== undefined && RETURNING.has(top.type),
    minMajor: found.minMajor,
    unknown: found.unknown,
  };
}

const RETURNING = new Set([
  'SelectStmt',
  'InsertStmt',
  'UpdateStmt',
  'DeleteStmt',
  'MergeStmt',
  'CopyStmt',
  'FetchStmt',
  'ExecuteStmt',
]);

function dedupe<T>(items: readonly T[]): T[] {
  const seen = new Map<string, T>();
  for (const item of items) seen.set(JSON.stringify(item), item);
  return [...seen.values()];
}

/** EXPLAIN runs the statement if any ANALYZE option may be true. */
function analyzes(fields: Fields): boolean {
  return list(fields.options).some((option) => {
    const element = as(option, 'DefElem');
    if (element === undefined || text(element.defname).toLowerCase() !== 'analyze') return false;
    const value =
      element.arg === undefined ? 'true' : (constant(element.arg) ?? as(element.arg, 'Boolean')?.boolval ?? 'true');
    return !/^(?:false|off|0)$/i.test(String(value));
  });
}

/** What the table of statement kinds cannot say. */
function refine({ type, fields }: Typed, found: Findings): void {
  switch (type) {
    case 'CopyStmt':
      return refineCopy(fields, found);
    case 'VariableSetStmt':
      return refineSet(fields, found);
    case 'VariableShowStmt':
      found.settings.push({ kind: 'Show', name: text(fields.name) });
      return;
    case 'DiscardStmt':
      found.asks = true;
      return;
    case 'TransactionStmt':
      if (/PREPARE/.test(text(fields.kind))) found.classes.add('TwoPhase');
      return;
    case 'AlterObjectSchemaStmt':
    case 'RenameStmt':
    case 'AlterOwnerStmt':
    case 'DropStmt':
    case 'CommentStmt':
      return refineObject(fields, found);
    case 'DefineStmt':
      if (/AGGREGATE|OPERATOR/.test(text(fields.kind))) found.classes.add('Code');
      return;
    case 'AlterRoleSetStmt':
    case 'AlterDatabaseSetStmt':
      found.asks = true;
      return;
    case 'CallStmt':
    case 'DoStmt':
      found.asks = true;
      return;
    default:
      return;
  }
}

function refineCopy(fields: Fields, found: Findings): void {
  found.classes.add(fields.is_from === true ? 'CopyFrom' : 'CopyTo');
  if (fields.is_program === true) found.classes.add('Program');
  else if (fields.filename !== undefined) found.classes.add('ServerFile');
  const relation = fields.relation as Fields | undefined;
  if (relation === undefined) return;
  const schema = typeof relation.schemaname === 'string' ? relation.schemaname : null;
  const from = fields.is_from === true;
  found.relations.push({
    schema,
    name: text(relation.relname),
    verb: from ? 'Insert' : 'Select',
    creates: false,
    reach: from ? { floor: 'Filtered', equated: [], values: fields.filename === undefined } : null,
  });
  // The walk does not know the direction: it reported the position as not understood.
  const at = found.unknown.indexOf('a relation in CopyStmt.relation');
  if (at >= 0) found.unknown.splice(at, 1);
}

const ROLE_SETTINGS = new Set(['role', 'session_authorization']);

/** Setting names have no case, however they are quoted (test: "SET \"ROLE\" is SET ROLE"). */
function settingName(name: string, kind: string): string {
  return kind === 'VAR_SET_MULTI' ? name : name.toLowerCase();
}

function refineSet(fields: Fields, found: Findings): void {
  const kind = text(fields.kind);
  const name = settingName(text(fields.name), kind);
  if (kind === 'VAR_SET_MULTI') {
    // SET TRANSACTION and SET SESSION CHARACTERISTICS; a snapshot only says what the transaction sees.
    found.classes.delete('Session');
    found.classes.add('Transaction');
    for (const option of list(fields.args)) pushTransactionMode(name, as(option, 'DefElem'), found);
    return;
  }
  found.settings.push(settingChange(kind, name, fields));
  if (ROLE_SETTINGS.has(name)) found.classes.add('Role');
}

/** READ WRITE inside SET TRANSACTION is a change of a setting like any other. */
function pushTransactionMode(name: string, option: Fields | undefined, found: Findings): void {
  const mode = text(option?.defname);
  if (!mode.startsWith('transaction_')) return;
  const setting = name === 'SESSION CHARACTERISTICS' ? `default_${mode}` : mode;
  const value = constant(option?.arg);
  const plain = mode.endsWith('isolation') ? (value ?? null) : value === '0' || value === 'false' ? 'off' : 'on';
  found.settings.push({ kind: 'Set', name: setting, value: plain, list: null, local: name === 'TRANSACTION' });
}

function settingChange(kind: string, name: string, fields: Fields): SettingChange {
  if (kind === 'VAR_RESET_ALL') return { kind: 'ResetAll' };
  if (kind === 'VAR_RESET' || kind === 'VAR_SET_DEFAULT') return { kind: 'Reset', name };
  const values = list(fields.args).map((arg) => constant(arg));
  const plain = kind === 'VAR_SET_VALUE' && values.every((v): v is string => typeof v === 'string');
  const local = fields.is_local === true;
  if (!plain) return { kind: 'Set', name, value: null, list: null, local };
  return { kind: 'Set', name, value: (values as string[]).join(', '), list: values as string[], local };
}

/** Statements that name their object by a list of strings. */
function refineObject(fields: Fields, found: Findings): void {
  const kind = text(fields.removeType) || text(fields.renameType) || text(fields.objectType) || text(fields.objtype);
  if (/FUNCTION|PROCEDURE|AGGREGATE|TRIGGER|RULE|OPERATOR|CAST|EXTENSION|LANGUAGE|EVENT|TRANSFORM|ROUTINE/.test(kind))
    found.classes.add('Code');
  if (/ROLE/.test(kind)) found.classes.add('Role');
  if (/FOREIGN|FDW|SUBSCRIPTION|USER_MAPPING/.test(kind) && !/FOREIGN_TABLE/.test(kind)) found.classes.add('Link');
  const objects = fields.removeType === undefined ? [fields.object] : list(fields.objects);
  for (const object of objects) pushNamed(kind, object, found);
}

const RELATION_KINDS = new Set([
  'OBJECT_TABLE',
  'OBJECT_VIEW',
  'OBJECT_MATVIEW',
  'OBJECT_SEQUENCE',
  'OBJECT_FOREIGN_TABLE',
  'OBJECT_INDEX',
]);
/** The relation is named in front of the object's own name. */
const PART_KINDS = new Set(['OBJECT_COLUMN', 'OBJECT_TRIGGER', 'OBJECT_RULE', 'OBJECT_POLICY', 'OBJECT_TABCONSTRAINT']);

function pushNamed(kind: string, object: unknown, found: Findings): void {
  const items = list(as(object, 'List')?.items).map((item) => text(as(item, 'String')?.sval));
  const parts = PART_KINDS.has(kind) ? items.slice(0, -1) : RELATION_KINDS.has(kind) ? items : [];
  if (parts.length === 0) return;
  found.relations.push({ schema: parts.at(-2) ?? null, name: parts.at(-1)!, verb: 'Ddl', creates: false, reach: null });
}

const OPERATIONS: Readonly<Record<string, TransactionOp>> = {
  TRANS_STMT_BEGIN: 'Begin',
  TRANS_STMT_START: 'Begin',
  TRANS_STMT_COMMIT: 'Commit',
  TRANS_STMT_ROLLBACK: 'Rollback',
  TRANS_STMT_SAVEPOINT: 'Savepoint',
  TRANS_STMT_RELEASE: 'Release',
  TRANS_STMT_ROLLBACK_TO: 'RollbackTo',
  TRANS_STMT_PREPARE: 'PrepareTransaction',
  TRANS_STMT_COMMIT_PREPARED: 'CommitPrepared',
  TRANS_STMT_ROLLBACK_PREPARED: 'RollbackPrepared',
};
const DISCARDS = {
  DISCARD_ALL: 'All',
  DISCARD_PLANS: 'Plans',
  DISCARD_SEQUENCES: 'Sequences',
  DISCARD_TEMP: 'Temp',
} as const;
/** CURSOR_OPT_HOLD. */
const HOLD = 0x20;

function effectsOf(top: Typed, source: Buffer, place: Place): SessionEffect[] {
  const { type, fields } = top;
  const name = text(fields.name) || text(fields.portalname);
  const inner = () => analyzeStatement(fields.query, source, place);
  switch (type) {
    case 'TransactionStmt':
      return [{ kind: 'Transaction', op: OPERATIONS[text(fields.kind)] ?? 'Rollback' }];
    case 'PrepareStmt':
      return [{ kind: 'Prepare', name, inner: inner() }];
    case 'ExecuteStmt':
      return [{ kind: 'Execute', name }];
    case 'DeallocateStmt':
      return [{ kind: 'Deallocate', name: name === '' ? null : name }];
    case 'DeclareCursorStmt':
      return [{ kind: 'Declare', name, hold: (Number(fields.options ?? 0) & HOLD) !== 0, inner: inner() }];
    case 'FetchStmt':
      return [{ kind: 'Fetch', name }];
    case 'ClosePortalStmt':
      return [{ kind: 'CloseCursor', name: name === '' ? null : name }];
    case 'DiscardStmt':
      return [{ kind: 'Discard', what: DISCARDS[text(fields.target) as keyof typeof DISCARDS] ?? 'All' }];
    case 'ExplainStmt':
    case 'CreateTableAsStmt': {
      const executed = as(fields.query, 'ExecuteStmt');
      return executed === undefined ? [] : [{ kind: 'Execute', name: text(executed.name) }];
    }
    default:
      return [];
  }
}
