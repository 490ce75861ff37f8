import { as, constant, type Fields, fixedBy, isFixed, list, names, text, unwrap } from './ast.ts';
import type { StatementClass } from './classes.ts';
import type { BoundColumn, RawReach } from './facts.ts';
import { FILTERED, inBoth, isRestricted, type Keys, mostKeys, reachOf, told, UNBOUNDED, VALUES } from './reach.ts';
import { AGGREGATES } from './subqueries.ts';
import { anyOf, type FindQuery, nameOf, targetOf } from './target.ts';

/** A verb of a data-modifying statement on its target, with how far it reaches. */
export interface Write {
  readonly verb: StatementClass;
  readonly reach: RawReach;
  /** Columns that are set; `*`: all. */
  readonly columns: readonly string[];
}

/** Of INSERT, UPDATE, DELETE and MERGE: what is done to the target; first what the statement is called after. */
export function writesOf(type: string, fields: Fields, find: FindQuery): Write[] {
  const target = fields.relation as Fields;
  switch (type) {
    case 'InsertStmt':
      return insertWrites(fields, find);
    case 'MergeStmt':
      return mergeWrites(fields, find);
    default: {
      const others = list(type === 'UpdateStmt' ? fields.fromClause : fields.usingClause);
      const own = targetOf(target, others, find);
      const reach = { ...reachOf(fields.whereClause, own), most: mostKeys(fields.whereClause, own) };
      return [
        type === 'UpdateStmt'
          ? { verb: 'Update', reach, columns: columnsSet(fields.targetList) }
          : { verb: 'Delete', reach, columns: EVERY },
      ];
    }
  }
}

const EVERY = ['*'];

/** The columns that SET or an INSERT's list names. */
function columnsSet(targets: unknown): readonly string[] {
  const columns = list(targets).map((target) => text(as(target, 'ResTarget')?.name));
  return columns.length > MAX_COLUMNS ? EVERY : columns;
}

function insertWrites(fields: Fields, find: FindQuery): Write[] {
  const reach = insertReach(as(fields.selectStmt, 'SelectStmt'), find);
  const conflict = fields.onConflictClause as Fields | undefined;
  const insert: Write = { verb: 'Insert', reach, columns: fields.cols === undefined ? EVERY : columnsSet(fields.cols) };
  if (conflict?.action !== 'ONCONFLICT_UPDATE') return [insert];
  return [insert, { verb: 'Update', reach, columns: columnsSet(conflict.targetList) }];
}

/** VALUES say which rows; a query says it by its own restriction. */
function insertReach(query: Fields | undefined, find: FindQuery): RawReach {
  if (query === undefined) return { ...VALUES, most: 1 };
  if (isOpen(query, find)) return UNBOUNDED;
  if (query.valuesLists === undefined) return FILTERED;
  const rows = list(query.valuesLists).map((row) => list(as(row, 'List')?.items));
  // A function in VALUES may return a set.
  return rows.every((row) => row.every(isPlain)) ? { ...VALUES, most: rows.length } : VALUES;
}

function isPlain(value: unknown): boolean {
  return isFixed(value) || as(value, 'SetToDefault') !== undefined;
}

/** More columns than this are all of them. */
const MAX_COLUMNS = 64;
/** Queries nested deeper than this are taken to have no restriction. */
const MAX_DEPTH = 64;
/** A LIMIT above this is none. */
const MAX_LIMIT = 10_000;
/** Functions of pg_catalog that make rows out of one value. */
const SETS =
  /^(?:generate_(?:series|subscripts)|unnest|regexp_(?:matches|split_to_table)|string_to_table|jsonb?_(?:array_elements|each|object_keys|path_query|populate_recordset|to_recordset).*|xpath_table|ts_(?:parse|token_type|stat)|aclexplode|pg_.*)$/;

/** Whether a query has no restriction of its own: whatever is there comes out of it. */
function isOpen(query: Fields, find: FindQuery): boolean {
  return new OpenQueries(find).isOpen(query, 0);
}

/** Remembers what it has seen: common table expressions may name each other, and themselves. */
class OpenQueries {
  readonly #find: FindQuery;
  readonly #seen = new Map<unknown, boolean>();

  constructor(find: FindQuery) {
    this.#find = find;
  }

  isOpen(query: Fields, depth: number, find = this.#find): boolean {
    if (depth > MAX_DEPTH) return true;
    const own = new Map(list((query.withClause as Fields | undefined)?.ctes).map(nameAndQuery));
    const lookUp: FindQuery = (name) => own.get(name) ?? find(name);
    if (isLimited(query)) return false;
    let arm = query;
    // A chain of set operations leans to the left.
    for (; arm.op !== undefined && arm.op !== 'SETOP_NONE'; arm = arm.larg as Fields) {
      const right = arm.op === 'SETOP_UNION' && this.isOpen(arm.rarg as Fields, depth + 1, lookUp);
      if (right) return true;
    }
    return this.#isOpenSelect(arm, depth, lookUp);
  }

  #isOpenSelect(query: Fields, depth: number, find: FindQuery): boolean {
    if (isLimited(query)) return false;
    // A single row of VALUES is a SELECT list to the server: `VALUES (generate_series(1, 1000000000))` inserts them all.
    if (query.valuesLists !== undefined) return list(query.valuesLists).some(returnsSet);
    const columns = list(query.targetList).map((column) => as(column, 'ResTarget')?.val);
    if (columns.some(returnsSet)) return true;
    const from = list(query.fromClause);
    if (query.whereClause !== undefined && isRestricted(query.whereClause, anyOf(from))) return false;
    // One row for the whole of it.
    if (query.groupClause === undefined && columns.some(isAggregate)) return false;
    return from.some((item) => this.#isOpenItem(item, depth, find));
  }

  #isOpenItem(item: unknown, depth: number, find: FindQuery): boolean {
    const typed = unwrap(item);
    if (typed === undefined) return true;
    const { type, fields } = typed;
    if (type === 'JoinExpr') {
      // A join is bounded only if both sides are.
      const [left, right] = [fields.larg, fields.rarg].map((side) => this.#isOpenItem(side, depth + 1, find));
      return left === true || right === true;
    }
    if (type === 'RangeSubselect') return this.#isOpenNode(fields.subquery, depth, find);
    if (type !== 'RangeVar' || fields.schemaname !== undefined) return true;
    const query = find(text(fields.relname));
    if (query === undefined) return true;
    const known = this.#seen.get(query);
    if (known !== undefined) return known;
    this.#seen.set(query, true); // meets itself: nothing bounds it
    const open = this.#isOpenNode(query, depth, find);
    this.#seen.set(query, open);
    return open;
  }

  /** A query, or a data-modifying statement with RETURNING. */
  #isOpenNode(node: unknown, depth: number, find: FindQuery): boolean {
    const typed = unwrap(node);
    if (typed === undefined || depth > MAX_DEPTH) return true;
    const { type, fields } = typed;
    switch (type) {
      case 'SelectStmt':
        return this.isOpen(fields, depth + 1, find);
      case 'InsertStmt': {
        const query = as(fields.selectStmt, 'SelectStmt');
        return query !== undefined && this.isOpen(query, depth + 1, find);
      }
      case 'UpdateStmt':
      case 'DeleteStmt':
        return writesOf(type, fields, find).some(({ reach }) => reach.floor === 'Unbounded');
      default:
        return true;
    }
  }
}

function nameAndQuery(cte: unknown): [string, unknown] {
  const fields = as(cte, 'CommonTableExpr');
  return [text(fields?.ctename), fields?.ctequery];
}

function isLimited(query: Fields): boolean {
  const limit = constant(query.limitCount);
  return typeof limit === 'string' && Number(limit) <= MAX_LIMIT;
}

function returnsSet(expression: unknown): boolean {
  return calls(expression, (name) => SETS.test(name));
}

function isAggregate(expression: unknown): boolean {
  const call = as(expression, 'FuncCall');
  return call?.over === undefined && AGGREGATES.has(names(call?.funcname)?.at(-1) ?? '');
}

/** Whether an expression calls a function of such a name, outside of queries of its own. */
function calls(expression: unknown, such: (name: string) => boolean): boolean {
  const stack: unknown[] = [expression];
  while (stack.length > 0) {
    const node = stack.pop();
    if (typeof node !== 'object' || node === null || 'SelectStmt' in node) continue;
    const call = (node as { FuncCall?: Fields }).FuncCall;
    if (call !== undefined && such(names(call.funcname)?.at(-1) ?? '')) return true;
    for (const value of Object.values(node)) stack.push(value);
  }
  return false;
}

const COMMANDS: Readonly<Record<string, StatementClass>> = {
  CMD_INSERT: 'Insert',
  CMD_UPDATE: 'Update',
  CMD_DELETE: 'Delete',
};

/** Each WHEN clause by what its rows have to meet; Merge itself reaches as far as the farthest. */
function mergeWrites(fields: Fields, find: FindQuery): Write[] {
  const writes: Write[] = [];
  for (const clause of list(fields.mergeWhenClauses)) {
    const when = as(clause, 'MergeWhenClause');
    const verb = COMMANDS[String(when?.commandType)];
    if (when === undefined || verb === undefined) continue;
    const columns = verb === 'Delete' || when.targetList === undefined ? EVERY : columnsSet(when.targetList);
    writes.push({ verb, reach: clauseReach(fields, when, find), columns });
  }
  const [first = { reach: FILTERED }, ...rest] = writes;
  const reach = rest.reduce((worst, write) => farther(worst, write.reach), first.reach);
  const columns = [...new Set(writes.flatMap((write) => write.columns))];
  return [{ verb: 'Merge', reach, columns: columns.includes('*') ? EVERY : columns }, ...writes];
}

function clauseReach(merge: Fields, when: Fields, find: FindQuery): RawReach {
  const source = merge.sourceRelation;
  const target = targetOf(merge.relation as Fields, [source], find);
  switch (when.matchKind) {
    case 'MERGE_WHEN_MATCHED': {
      const args = [merge.joinCondition, when.condition].filter((condition) => condition !== undefined);
      return reachOf({ BoolExpr: { boolop: 'AND_EXPR', args } }, target, constantsOf(source));
    }
    // What ON says is what these rows do not meet (test: "rows that MERGE does not match are not keyed").
    case 'MERGE_WHEN_NOT_MATCHED_BY_SOURCE':
      return reachOf(when.condition, target);
    default: {
      if (constantSource(source) !== null) return VALUES;
      const bounded = isRestricted(merge.joinCondition, target) || isRestricted(when.condition, anyOf([source]));
      return bounded || !isOpen({ fromClause: [source] }, find) ? FILTERED : UNBOUNDED;
    }
  }
}

function farther(a: RawReach, b: RawReach): RawReach {
  if (a.floor === 'Unbounded' || b.floor === 'Unbounded') return UNBOUNDED;
  if (a.values || b.values) return a.values && b.values ? a : { ...(a.values ? b : a), values: false };
  return { ...FILTERED, ...told(inBoth(columnsOf(a), columnsOf(b))) };
}

function columnsOf({ equated, bound = [] }: RawReach): BoundColumn[] {
  return [...equated.map((column) => ({ column, parameters: [] })), ...bound];
}

interface ConstantSource {
  readonly alias: string;
  /** Parameters that stand in it. */
  readonly parameters: readonly number[];
}

/** A source that is a short list of constants; null: another source. */
function constantSource(source: unknown): ConstantSource | null {
  const item = as(source, 'RangeSubselect');
  const query = as(item?.subquery, 'SelectStmt');
  if (item === undefined || query === undefined || query.fromClause !== undefined || query.larg !== undefined)
    return null;
  const columns = list(query.targetList).map((column) => as(column, 'ResTarget')?.val);
  const rows =
    query.valuesLists === undefined ? [columns] : list(query.valuesLists).map((row) => list(as(row, 'List')?.items));
  const values = rows.flat().map(fixedBy);
  if (rows.length > 100 || values.includes(null)) return null;
  return { alias: nameOf(item), parameters: values.flatMap((parameters) => parameters ?? []) };
}

/** Constants, and the columns of a source of constants. */
function constantsOf(source: unknown): Keys {
  const constants = constantSource(source);
  const isOf = (node: unknown) => names(as(node, 'ColumnRef')?.fields)?.at(-2) === constants?.alias;
  return (node) => fixedBy(node) ?? (constants !== null && isOf(node) ? constants.parameters : null);
}
