import { as, type Fields, list, text, unwrap } from './ast.ts';
import { nameOf } from './target.ts';

/** More columns than this are all of them. */
const MAX_COLUMNS = 64;

/** One item of a FROM clause, or a target, and the columns of it that expressions surely or perhaps speak of. */
export interface Source {
  readonly reads: Set<string>;
  /** An alias gives its columns other names. */
  readonly renamed: boolean;
  /** The queries in whose FROM it stands. */
  readonly levels: Level[];
}

/** The FROM clause of a query, with what its expressions read. */
export interface Level {
  readonly named: Map<string, Source | null>;
  readonly sources: Source[];
  readonly outer: Level | null;
  /** Columns without qualifier: any item's here, or further out. */
  readonly unqualified: Set<string>;
  /** `*`: every column of every item. */
  readonly all: Set<string>;
}

/** What is known of columns while a statement is walked. */
export interface Columns {
  /** By the fields of the RangeVar. */
  readonly sources: Map<unknown, Source>;
  /** Outer ones first. */
  readonly levels: Level[];
}

/** A query's level over the items of its FROM clause. */
export function levelOf(items: readonly unknown[], outer: Level | null, columns: Columns): Level {
  const level: Level = { named: new Map(), sources: [], outer, unqualified: new Set(), all: new Set() };
  columns.levels.push(level);
  const stack = [...items];
  while (stack.length > 0) {
    const item = unwrap(stack.pop());
    if (item === undefined) continue;
    const { type, fields } = item;
    if (type === 'RangeVar') enter(level, sourceOf(fields, columns), nameOf(fields));
    else if (nameOf(fields) !== '') level.named.set(nameOf(fields), type === 'JoinExpr' ? null : nobodys());
    if (type === 'RangeTableSample') stack.push(fields.relation);
    if (type !== 'JoinExpr') continue;
    stack.push(fields.larg, fields.rarg);
    if (fields.isNatural === true) level.all.add('*');
    for (const column of list(fields.usingClause)) add(level.unqualified, text(as(column, 'String')?.sval));
  }
  return level;
}

/** The level of a statement over its target and the items of its FROM, USING or source. */
export function targetLevel(target: Fields, items: readonly unknown[], outer: Level | null, columns: Columns): Level {
  const level = levelOf(items, outer, columns);
  enter(level, sourceOf(target, columns), nameOf(target));
  return level;
}

/** The row that an INSERT proposes is no relation. */
export function addExcluded(level: Level): void {
  level.named.set('excluded', nobodys());
}

/** RETURNING reads the target once more: as a relation of its own. */
export function returningLevel(target: Fields, items: readonly unknown[], outer: Level | null, columns: Columns) {
  const level = levelOf(items, outer, columns);
  const source = nobodys();
  for (const name of [nameOf(target), 'old', 'new']) if (!level.named.has(name)) enter(level, source, name);
  return { level, source };
}

/** A query or function is no relation: its columns are nobody's. */
function nobodys(): Source {
  return { reads: new Set(), renamed: false, levels: [] };
}

function sourceOf(relation: Fields, columns: Columns): Source {
  const known = columns.sources.get(relation);
  if (known !== undefined) return known;
  const renamed = list((relation.alias as Fields | undefined)?.colnames).length > 0;
  const source: Source = { reads: new Set(), renamed, levels: [] };
  columns.sources.set(relation, source);
  return source;
}

function enter(level: Level, source: Source, name: string): void {
  level.named.set(name, source);
  level.sources.push(source);
  source.levels.push(level);
}

/** A column reference in an expression of a level: the item it names, or any that is in scope. */
export function noteColumn(column: Fields, level: Level | null): void {
  if (level === null) return;
  const parts = list(column.fields).map((part) => as(part, 'String')?.sval);
  const last = parts.at(-1);
  const name = typeof last === 'string' ? last : '*';
  const qualifier = parts.at(-2);
  if (typeof qualifier !== 'string') {
    if (name === '*') level.all.add('*');
    else {
      add(level.unqualified, name);
      // A name alone may be a whole row.
      noteNamed(level, name, '*');
    }
  } else if (!noteNamed(level, qualifier, name)) add(level.unqualified, name);
}

/** false: no item has that name. */
function noteNamed(level: Level, name: string, column: string): boolean {
  for (let at: Level | null = level; at !== null; at = at.outer) {
    const source = at.named.get(name);
    if (source === undefined) continue;
    if (source !== null) add(source.reads, source.renamed ? '*' : column);
    // An alias of a join: its columns are its items'.
    else add(at.unqualified, column);
    return true;
  }
  return false;
}

function add(columns: Set<string>, column: string): void {
  if (columns.has('*')) return;
  if (column === '*' || columns.size >= MAX_COLUMNS) {
    columns.clear();
    columns.add('*');
  } else columns.add(column);
}

/** What inner queries name without qualifier may be an outer one's. To be called once the walk is over. */
export function settleColumns({ levels }: Columns): void {
  for (const { outer, unqualified } of levels.toReversed()) {
    if (outer !== null) for (const column of unqualified) add(outer.unqualified, column);
  }
}

/** The columns of an item that are read: by name, or `*`. */
export function readsOf(source: Source): string[] {
  const reads = new Set(source.reads);
  for (const { unqualified, all } of source.levels) {
    for (const column of [...unqualified, ...all]) add(reads, source.renamed ? '*' : column);
  }
  return [...reads];
}
