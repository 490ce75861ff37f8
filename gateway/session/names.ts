import type { RowLimit } from '../policy/decision.ts';
import type { RawStatement } from '../sql/facts.ts';
import type { Judged, Verdict } from './judged.ts';

/** Why a statement is not understood, and what to do about it. */
export interface Unread {
  readonly reason: string;
  readonly hint: string;
}

/** A prepared statement, made by Parse or by SQL PREPARE: one namespace. */
export interface PreparedStatement {
  readonly text: string;
  /** null: the empty statement, or one not understood and allowed all the same (class Any). */
  readonly raw: RawStatement | null;
  /** Why it was not understood; null: it was. */
  readonly unread: Unread | null;
  /** Type OIDs that Parse gave or the server described; shorter than the parameters where not known. */
  parameterTypes: readonly number[];
  /** The last verdict, for as long as what it hung on has not changed. */
  verdict: Verdict | null;
  /** `Names.doubts` when it got its name; 0 before that. */
  made?: number;
  /** A temporary relation that was made since hides one that it names: the server may go on with the plan that it has. */
  overtaken?: true;
}

/** A portal, made by Bind or by DECLARE: one namespace. */
export interface Portal {
  readonly statement: PreparedStatement;
  /** Made by DECLARE … WITH HOLD: outlives its transaction. */
  readonly held: boolean;
  /** What runs under the intent that Bind wrote; null: made by DECLARE. */
  running: Running | null;
  /** `Progress.sent` when it was made. */
  readonly mark: number;
  made?: number;
}

/** One statement between its intent and its outcome. */
export interface Running {
  /** Number within the session, as in the records. */
  readonly statement: number;
  /** When its intent was made: milliseconds of the session's monotonic clock. */
  readonly startedAt: number;
  readonly judged: Judged;
  /** Query: how to take back what it did to names, should it not come to run. */
  undo: readonly Undo[];
  /** The most rows that it may change; null: as many as it likes. */
  bound: RowLimit | null;
  /** Its rows are counted one by one, as a limit may cut them: decided as the result begins, null before that. */
  metered: boolean | null;
  rows: number;
  bytes: number;
  /** An Execute has been sent. */
  executed: boolean;
  /** The server gave up the portal for now (PortalSuspended). */
  suspended: boolean;
  ended: boolean;
}

/** What names mean; undefined: as if the name were not there. */
type Table<V> = Map<string, V | undefined>;

/**
 * Takes a name out. The unnamed portal goes and comes back with each statement that is run: its place stays, as a Map
 * makes itself anew when it becomes empty.
 */
function drop(table: Table<unknown>, key: string): void {
  if (key === '') table.set(key, undefined);
  else table.delete(key);
}

/** What is there. */
function entries<V>(table: Table<V>): [string, V][] {
  return [...table].filter((entry): entry is [string, V] => entry[1] !== undefined);
}

/** One change of a name, which the server may yet fail or skip. */
export interface Undo {
  readonly names: Table<PreparedStatement> | Table<Portal>;
  readonly key: string;
  /** What the name meant before it. */
  before: PreparedStatement | Portal | undefined;
  /** The change of the same name before it; null: that one has been answered. */
  previous: Undo | null;
  /** The change of the same name after it. */
  next: Undo | null;
  /** `Progress.sent` when it was made. */
  readonly mark: number;
}

/** How far the server's answers have come; the reply queue knows. */
export interface Progress {
  /** Messages whose answers are still to come. */
  readonly length: number;
  /** Counts the messages sent at which skipping ends: Sync, Query, FunctionCall. */
  readonly sent: number;
  /** A change made when so many had been sent may still fail, and what is sent now would not be skipped for it. */
  mayFail(mark: number): boolean;
  /** What was sent together with a change made then has been answered, to the end. */
  isOver(mark: number): boolean;
}

/** What statements and portals of one session may weigh here: some 32 MiB of texts, or as many small ones as that is. */
const MOST_HELD = 32 << 20;

/** About the memory that it takes, in bytes: a text is kept, a verdict beside it. */
function weightOf(value: PreparedStatement | Portal | undefined): number {
  if (value === undefined) return 0;
  return 'text' in value ? 1024 + value.text.length : 512;
}

/** Bytes of a name that the server compares (NAMEDATALEN - 1). */
const NAME_BYTES = 63;

/**
 * The key under which the server files a name given in a protocol message (`latin1`: byte-transparent).
 * Test: "names that agree in their first 63 bytes are one name" (Parse, Close and Parse again under names that differ
 * later would otherwise leave us judging the first text while the server runs the second).
 */
export function protocolName(name: string): string {
  return name.length > NAME_BYTES ? name.slice(0, NAME_BYTES) : name;
}

/** The same for a name from SQL text (UTF-8 semantics). */
export function sqlName(name: string): string {
  return protocolName(Buffer.from(name, 'utf8').toString('latin1'));
}

/**
 * What the session has prepared and opened. Changes are made when a message is forwarded, and undone when the server
 * refuses or skips it. May hold names that the server has dropped (it then answers 26000 or 34000 itself), never a
 * name with another content than the server's.
 */
export class Names {
  readonly statements: Table<PreparedStatement> = new Map();
  readonly portals: Table<Portal> = new Map();
  readonly #progress: Progress;
  /** The last change of each name that was changed since the server owed nothing. */
  readonly #changedStatements: Table<Undo> = new Map();
  readonly #changedPortals: Table<Undo> = new Map();

  /** How often something ran that may have changed any name. */
  #doubts = 0;
  /** The weight of all that is in the tables, and of what would come back if a change failed. */
  #held = 0;

  constructor(progress: Progress) {
    this.#progress = progress;
  }

  /** Code runs, under class Any, that nobody looks into: it may close, prepare and open what it likes. */
  doubt(): void {
    this.#doubts += 1;
  }

  /** Temporary relations of these names come before others from now on. */
  hide(hidden: ReadonlySet<string>): void {
    if (hidden.size === 0) return;
    const opened = entries(this.portals).map(([, portal]) => portal.statement);
    for (const statement of [...entries(this.statements).map(([, one]) => one), ...opened]) {
      const named = statement.raw?.relations ?? [];
      if (named.some(({ schema, name }) => schema === null && hidden.has(name))) statement.overtaken = true;
    }
  }

  /** What stands here under a name may not be what the server has. */
  isDoubtful({ made = 0 }: PreparedStatement | Portal): boolean {
    return made < this.#doubts;
  }

  /**
   * No more may be added before something goes; counted anew, to be sure, when nothing is outstanding. Test: "what a
   * session may prepare is bounded".
   */
  get isFull(): boolean {
    if (this.#held < MOST_HELD) return false;
    if (this.#progress.length === 0) {
      const all = [...this.statements.values(), ...this.portals.values()];
      this.#held = all.reduce<number>((sum, value) => sum + weightOf(value), 0);
    }
    return this.#held >= MOST_HELD;
  }

  get mayEmpty(): boolean {
    return this.#progress.length > 0;
  }

  setStatement(key: string, value: PreparedStatement | undefined): Undo {
    return this.#change(this.statements, key, value);
  }

  setPortal(key: string, value: Portal | undefined): Undo {
    return this.#change(this.portals, key, value);
  }

  /**
   * The change that made a name what it is here may yet fail on the server, and what is sent now would run all the same:
   * its answer has to come first. Test: "a name whose second definition fails is judged as the first, behind a Sync".
   */
  isUncertain(names: Undo['names'], key: string): boolean {
    const last = this.#changed(names).get(key);
    return last !== undefined && this.#progress.mayFail(last.mark);
  }

  /** Everything has been answered: no name is uncertain. */
  settled(): void {
    for (const changed of [this.#changedStatements, this.#changedPortals])
      for (const [key, change] of changed) if (change !== undefined) drop(changed, key);
  }

  /**
   * The server has done what these stand for. Test: "a name is certain once it was answered, though something is always
   * outstanding" (what is kept of them would else grow for as long as a client does not wait).
   */
  confirm(changes: readonly Undo[]): void {
    for (const change of changes) {
      this.#held -= weightOf(change.before);
      change.before = undefined;
      change.previous = null;
      if (change.next !== null) change.next.previous = null;
      const changed = this.#changed(change.names);
      if (changed.get(change.key) === change) drop(changed, change.key);
    }
  }

  undo(changes: readonly Undo[]): void {
    for (let i = changes.length - 1; i >= 0; i--) this.#undo(changes[i]!);
  }

  /** Every statement goes (DEALLOCATE ALL, DISCARD ALL). */
  clearStatements(): Undo[] {
    return entries(this.statements).map(([key]) => this.setStatement(key, undefined));
  }

  clearPortals(): Undo[] {
    return entries(this.portals).map(([key]) => this.setPortal(key, undefined));
  }

  /** The transaction ended: its portals without hold are gone. Returns what they were still running. */
  endTransaction(): Running[] {
    const left: Running[] = [];
    for (const [key, portal] of this.portals) {
      // What is already on its way belongs to the next transaction.
      if (portal === undefined || portal.held || !this.#progress.isOver(portal.mark)) continue;
      drop(this.portals, key);
      this.#held -= weightOf(portal);
      if (portal.running !== null && !portal.running.ended) left.push(portal.running);
    }
    return left;
  }

  #changed(names: Undo['names']): Table<Undo> {
    return names === this.statements ? this.#changedStatements : this.#changedPortals;
  }

  #undo(change: Undo): void {
    const { names, key, before, previous, next } = change;
    this.#held -= weightOf(next === null ? names.get(key) : next.before);
    change.before = undefined;
    if (previous !== null) previous.next = next;
    if (next !== null) {
      // What was sent since stands, and follows on what was before this one.
      // Test: "a failed definition does not take a later one of the same name with it".
      next.before = before;
      next.previous = previous;
      return;
    }
    if (before === undefined) drop(names, key);
    else (names as Table<unknown>).set(key, before);
    if (previous === null) drop(this.#changed(names), key);
    else this.#changed(names).set(key, previous);
  }

  #change<V extends PreparedStatement | Portal>(table: Table<V>, key: string, value: V | undefined): Undo {
    const names = table as Undo['names'];
    const changed = this.#changed(names);
    const previous = changed.get(key) ?? null;
    const undo: Undo = { names, key, before: table.get(key), previous, next: null, mark: this.#progress.sent };
    if (previous !== null) previous.next = undo;
    this.#held += weightOf(value);
    if (value === undefined) drop(table, key);
    else {
      // No code can give away the unnamed ones.
      value.made = key === '' ? Number.POSITIVE_INFINITY : this.#doubts;
      table.set(key, value);
    }
    changed.set(key, undo);
    return undo;
  }
}
