import { as, type Fields, isExactType, list, names, type Typed, text, unwrap } from './ast.ts';
import type { ParameterType, RawStatement, SessionEffect, TransactionOp } from './facts.ts';

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

/** What a statement does to the session's names and transaction; `analyze` says what a statement within it does. */
export function effectsOf(top: Typed, analyze: (query: unknown) => RawStatement): SessionEffect[] {
  const { type, fields } = top;
  const name = text(fields.name) || text(fields.portalname);
  switch (type) {
    case 'TransactionStmt':
      return [{ kind: 'Transaction', op: OPERATIONS[text(fields.kind)] ?? 'Rollback' }];
    case 'PrepareStmt':
      return [{ kind: 'Prepare', name, inner: withTypes(analyze(fields.query), list(fields.argtypes)) }];
    case 'ExecuteStmt':
      return [{ kind: 'Execute', name }];
    case 'DeallocateStmt':
      return [{ kind: 'Deallocate', name: name === '' ? null : name }];
    case 'DeclareCursorStmt': {
      const hold = (Number(fields.options ?? 0) & HOLD) !== 0;
      return [{ kind: 'Declare', name, hold, inner: analyze(fields.query) }];
    }
    case 'FetchStmt':
      return [{ kind: 'Fetch', name }];
    case 'ClosePortalStmt':
      return [{ kind: 'CloseCursor', name: name === '' ? null : name }];
    case 'DiscardStmt':
      return [{ kind: 'Discard', what: DISCARDS[text(fields.target) as keyof typeof DISCARDS] ?? 'All' }];
    case 'ExplainStmt':
    case 'CreateTableAsStmt':
      return executed(fields);
    default:
      return [];
  }
}

/** EXPLAIN EXECUTE, CREATE TABLE AS EXECUTE, and one within the other. */
function executed(fields: Fields): SessionEffect[] {
  for (let query = unwrap(fields.query); query !== undefined; query = unwrap(query.fields.query)) {
    if (query.type === 'ExecuteStmt') return [{ kind: 'Execute', name: text(query.fields.name) }];
    if (query.type !== 'CreateTableAsStmt' && query.type !== 'ExplainStmt') return [];
  }
  return [];
}

/** PREPARE may say the types of its parameters; `unknown` is as if it did not. */
function withTypes(inner: RawStatement, types: readonly unknown[]): RawStatement {
  if (types.length === 0) return inner;
  const parameters = types.map((type): ParameterType => {
    const typeName = as(type, 'TypeName');
    if (names(typeName?.names)?.at(-1) === 'unknown') return 'Open';
    return isExactType(typeName) ? 'Exact' : 'Other';
  });
  return { ...inner, parameters };
}

const COUNTED = new Set(['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt']);

/** The tag counts for the outermost statement alone: what data-modifying queries in WITH change is not in it. */
export function isCounted({ type, fields }: Typed, dataModifying: number): boolean {
  if (type === 'CopyStmt') return fields.is_from === true;
  return type === 'ExecuteStmt' || (COUNTED.has(type) && dataModifying === 1);
}

const ROWS = new Set(['SelectStmt', 'FetchStmt', 'ExecuteStmt']);

/** A result set of unbounded size may come back. */
export function returnsRows({ type, fields }: Typed): boolean {
  if (type === 'SelectStmt') return fields.intoClause === undefined;
  if (type === 'FetchStmt') return fields.ismove !== true;
  if (type === 'CopyStmt')
    return fields.is_from !== true && fields.filename === undefined && fields.is_program !== true;
  return ROWS.has(type) || fields.returningClause !== undefined;
}

/** EXPLAIN runs the statement if any ANALYZE option may be true. */
export function isPlannedOnly({ type, fields }: Typed): boolean {
  if (type !== 'ExplainStmt') return false;
  const options = Array.isArray(fields.options) ? fields.options : [];
  return !options.some((option) => {
    const element = as(option, 'DefElem');
    if (text(element?.defname).toLowerCase() !== 'analyze') return false;
    return element?.arg === undefined || !isFalse(element.arg);
  });
}

function isFalse(value: unknown): boolean {
  const number = as(value, 'Integer');
  if (number !== undefined) return (number.ival ?? 0) === 0;
  return /^(?:false|off)$/i.test(text(as(value, 'String')?.sval)) || as(value, 'Boolean')?.boolval === false;
}
