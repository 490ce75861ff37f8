import type { KnownEventTrigger } from '../sql/resolve-environment.ts';
import { CHANGES, hasChanged, NOW, readSeen, type Seen } from './changes.ts';
import type { CatalogConnection, CatalogLog } from './connection.ts';
import { ALL_FUNCTIONS, ARGUMENT_TYPES, readAllFunctions } from './functions.ts';
import { ALL_COLUMNS, ALL_KEYS, ALL_LINKS, ALL_RELATIONS, DEFINITIONS, EVENT_TRIGGERS } from './links.ts';
import { leave, PATIENCE, silent, within } from './patience.ts';
import { gather, readDefinitionRow } from './relations.ts';
import { type CatalogFunction, type CatalogSnapshot, createSnapshot } from './snapshot.ts';
import { CASTS, COLUMN_TYPES, OPERATORS, ORDERS, TYPES } from './types.ts';

export interface CatalogOptions {
  readonly connect: (database: string) => Promise<CatalogConnection>;
  readonly log: CatalogLog;
  /** Milliseconds between looks at whether something was defined; 500 unless given, so that it counts within a second. */
  readonly pollInterval?: number;
  /** Milliseconds for which an answer is waited for. */
  readonly patience?: { readonly answer: number; readonly reading: number };
}

/** The shared knowledge of what each database contains, read on connections of its own and kept up to date. */
export class Catalog {
  readonly #options: CatalogOptions;
  readonly #databases = new Map<string, Database>();
  readonly #listeners: (() => void)[] = [];

  constructor(options: CatalogOptions) {
    this.#options = options;
  }

  /** Calls back when a database was read, for the first time or because something was defined there. */
  subscribe(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /**
   * A session uses the database until the returned function is called: what is defined there is looked for. Soon after
   * the last one has gone our connection goes as well, or it would stand in the way of DROP DATABASE and of CREATE
   * DATABASE … TEMPLATE (test: "a database that nobody uses any more can be dropped").
   */
  use(database: string): () => void {
    return this.#database(database).use();
  }

  /** The last snapshot read; undefined: none that is known to hold. */
  snapshot(database: string): CatalogSnapshot | undefined {
    return this.#databases.get(database)?.current;
  }

  /** The same, even if it is out of date: for the record. */
  last(database: string): CatalogSnapshot | undefined {
    return this.#databases.get(database)?.last;
  }

  /** Why the last look failed; null: it did not. */
  failure(database: string): string | null {
    return this.#databases.get(database)?.failure ?? null;
  }

  /** Waits for a snapshot; rejects if it cannot be had. */
  async ensure(database: string): Promise<CatalogSnapshot> {
    const known = this.#database(database);
    return known.current ?? (await known.load());
  }

  /** A look that begins now. */
  async refresh(database: string): Promise<CatalogSnapshot> {
    return await this.#database(database).load();
  }

  /**
   * Something was defined through here: there is no snapshot until it has been read again, when somebody needs it or at
   * the next look (many definitions in a row are read once). Resolves then.
   */
  async outdate(database: string): Promise<void> {
    await this.#database(database).outdate();
  }

  #database(name: string): Database {
    const known = this.#databases.get(name);
    if (known !== undefined) return known;
    const forget = () => {
      // One that was forgotten while it looked rests later than its successor, which others may use.
      if (this.#databases.get(name) === made) this.#databases.delete(name);
    };
    const read = () => {
      for (const listener of this.#listeners) listener();
    };
    const made = new Database(name, this.#options, { forget, read });
    this.#databases.set(name, made);
    return made;
  }

  /** Loads the definitions of rules, as its snapshot then has them, and of all that hangs together with them. */
  async define(database: string, rules: readonly number[]): Promise<void> {
    await this.#database(database).define(rules);
  }

  async close(): Promise<void> {
    const all = [...this.#databases.values()];
    this.#databases.clear();
    await Promise.all(all.map((database) => database.close()));
  }
}

const SCHEMAS = 'SELECT nspname AS name FROM pg_catalog.pg_namespace';
/** Another database, or another server, may have taken the name since the last connection; a restart looks like one. */
const PLACE = `SELECT oid::pg_catalog.text OPERATOR(pg_catalog.||) ' '
    OPERATOR(pg_catalog.||) pg_catalog.pg_postmaster_start_time()::pg_catalog.text AS place
  FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()`;
const VERSION = `SELECT pg_catalog.current_setting('server_version_num') AS num,
  pg_catalog.current_setting('server_encoding') AS encoding`;

type Row = Record<string, unknown>;

/** For how long what was read is kept for the next session that uses the database; milliseconds. */
const REMEMBERED = 600_000;

interface DatabaseEvents {
  /** Nobody uses it any more. */
  readonly forget: () => void;
  readonly read: () => void;
}

class Database {
  last: CatalogSnapshot | undefined;
  /** How often it was said that the snapshot is out of date, and how often it had been when the last look began. */
  #outdated = 0;
  #looked = 0;
  /** Who waits for it to be up to date. */
  #waiting: (() => void)[] = [];
  /** The look that has not begun yet. */
  #next: Promise<CatalogSnapshot> | null = null;
  readonly #name: string;
  readonly #options: CatalogOptions;
  readonly #events: DatabaseEvents;
  #users = 0;
  /** Somebody used it since the last look. */
  #used = false;
  /** The connection was given up: the snapshot holds only once it has been looked whether anything has changed. */
  #resting = false;
  #connection: CatalogConnection | null = null;
  /** The server's own functions: thousands, the same for as long as the server is. */
  #builtin: readonly CatalogFunction[] | null = null;
  #timer: NodeJS.Timeout | null = null;
  #work: Promise<unknown> = Promise.resolve();
  #seen: Seen | null = null;
  /** Where that was seen. */
  #place = '';
  #version = 0;
  #closed = false;
  /** It has been said that it cannot be read. */
  #failing = false;
  failure: string | null = null;

  constructor(name: string, options: CatalogOptions, events: DatabaseEvents) {
    this.#name = name;
    this.#options = options;
    this.#events = events;
  }

  use(): () => void {
    this.#users += 1;
    this.#used = true;
    // Test: "what a session defines that is the first one after a rest".
    if (this.#resting) this.#schedule();
    let used = true;
    return () => {
      if (!used) return;
      used = false;
      this.#users -= 1;
    };
  }

  get current(): CatalogSnapshot | undefined {
    return this.#looked === this.#outdated && !this.#resting ? this.last : undefined;
  }

  outdate(): Promise<void> {
    this.#outdated += 1;
    if (this.last === undefined) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** One look at a time on the one connection; one that runs already may have begun too early, so it does not count. */
  load(): Promise<CatalogSnapshot> {
    this.#next ??= this.#queue(() => {
      this.#next = null;
      return this.#look();
    });
    return this.#next;
  }

  define(rules: readonly number[]): Promise<void> {
    return this.#queue(async () => {
      const snapshot = await this.#look();
      await this.#define(snapshot, rules);
    });
  }

  async #define(snapshot: CatalogSnapshot, rules: readonly number[]): Promise<void> {
    try {
      const wanted = rules.filter((rule) => !snapshot.isDefined(rule));
      const rows = wanted.length === 0 ? [] : await this.#all(DEFINITIONS, [wanted]);
      for (const row of rows) snapshot.define(...readDefinitionRow(cells(row), snapshot.ruleCode));
    } catch (error) {
      await this.#fail(error as Error);
      throw error;
    }
  }

  #queue<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#work.then(work);
    this.#work = next.catch(() => {});
    return next;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#work;
    await leave(this.#connection);
  }

  async #look(): Promise<CatalogSnapshot> {
    const outdated = this.#outdated;
    try {
      if (this.#connection === null) await this.#connect();
      const snapshot = await this.#newest();
      this.#looked = outdated;
      this.#failing = false;
      this.failure = null;
      this.#resting = false;
      if (this.current !== undefined) for (const done of this.#waiting.splice(0)) done();
      return snapshot;
    } catch (error) {
      await this.#fail(error as Error);
      throw error;
    } finally {
      this.#schedule();
    }
  }

  async #fail({ message }: Error): Promise<void> {
    const connection = this.#connection;
    this.#connection = null;
    this.failure = message;
    this.#seen = null; // the next connection may be to another server
    if (!this.#failing) {
      this.#options.log.warn({ database: this.#name, reason: message }, 'the catalogue could not be read');
    }
    // What has never been read is tried again when it is asked for: the database may not exist.
    this.#failing = this.last !== undefined;
    await leave(connection);
  }

  async #newest(): Promise<CatalogSnapshot> {
    if (this.last === undefined || this.#seen === null) return await this.#readAll();
    const now = String((await this.#rows(NOW))[0]?.snapshot);
    if (now === this.#seen.snapshot) return this.last;
    const seen = readSeen(await this.#rows(CHANGES, [this.#seen.snapshot]));
    if (hasChanged(this.#seen, seen)) return await this.#readAll();
    this.#seen = seen;
    return this.last;
  }

  async #connect(): Promise<void> {
    this.#connection = await this.#options.connect(this.#name);
    this.#builtin = null;
    await this.#rows(
      // Compiling the plans of these queries would take longer than running them.
      `SET search_path = pg_catalog; SET statement_timeout = '30s'; SET default_transaction_read_only = on; SET jit = off`,
    );
    const place = String((await this.#rows(PLACE))[0]?.place);
    // Test: "a database that takes the name of one that nobody uses is another one".
    if (place !== this.#place) this.#seen = null;
    this.#place = place;
  }

  /** All of it, as of one moment. */
  async #readAll(): Promise<CatalogSnapshot> {
    await this.#rows('BEGIN ISOLATION LEVEL REPEATABLE READ');
    const now = String((await this.#rows(NOW))[0]?.snapshot);
    const seen = readSeen(await this.#rows(CHANGES, [now]));
    const snapshot = await this.#read();
    await this.#rows('COMMIT');
    this.#seen = seen;
    this.last = snapshot;
    this.#events.read();
    return snapshot;
  }

  async #read(): Promise<CatalogSnapshot> {
    const [server] = await this.#rows(VERSION);
    const schemas = await this.#all(SCHEMAS);
    const relations = gather({
      relations: (await this.#all(ALL_RELATIONS)).map(cells),
      keys: (await this.#all(ALL_KEYS)).map(cells),
      columns: (await this.#all(ALL_COLUMNS)).map(cells),
      links: (await this.#all(ALL_LINKS)).map(cells),
    });
    const argumentTypes = (await this.#all(ARGUMENT_TYPES)).map(cells);
    this.#builtin ??= readAllFunctions((await this.#all(ALL_FUNCTIONS('<'))).map(cells), argumentTypes);
    const functions = readAllFunctions((await this.#all(ALL_FUNCTIONS('>='))).map(cells), argumentTypes);
    const typeRows = {
      types: await this.#all(TYPES),
      columnTypes: await this.#all(COLUMN_TYPES),
      operators: await this.#all(OPERATORS),
      casts: await this.#all(CASTS),
      orders: await this.#all(ORDERS),
    };
    this.#version += 1;
    return createSnapshot({
      version: this.#version,
      serverMajor: Math.floor(Number(server?.num) / 10_000),
      utf8: server?.encoding === 'UTF8',
      schemas: schemas.map(({ name }) => String(name)),
      ...relations,
      functions: [...this.#builtin, ...functions],
      typeRows,
      eventTriggers: (await this.#rows(EVENT_TRIGGERS)).map(readEventTrigger),
    });
  }

  async #rows(text: string, values?: unknown[], patience = this.#options.patience?.answer ?? PATIENCE.answer) {
    const connection = this.#connection!;
    const answer = await within(connection.query(text, values), patience, () => silent(connection, patience));
    return answer.rows satisfies Row[];
  }

  /** The same of what may be much. */
  async #all(text: string, values?: unknown[]): Promise<Row[]> {
    return await this.#rows(text, values, this.#options.patience?.reading ?? PATIENCE.reading);
  }

  #schedule(delay = this.#options.pollInterval ?? 500): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#closed || this.last === undefined) return;
    this.#timer = setTimeout(() => this.#onTime(), delay);
    this.#timer.unref();
  }

  #onTime(): void {
    // Test: "sessions that come and go do not put off the look".
    const used = this.#users > 0 || this.#used;
    this.#used = false;
    if (used) this.load().catch(() => {});
    else if (this.#connection === null) this.#events.forget();
    else void this.#queue(() => this.#rest());
  }

  async #rest(): Promise<void> {
    if (this.#users > 0) return this.#schedule();
    this.#resting = true;
    const connection = this.#connection;
    this.#connection = null;
    this.#schedule(REMEMBERED);
    await leave(connection);
  }
}

function readEventTrigger({ name, event, fn, tags }: Row): KnownEventTrigger {
  const listed = typeof tags === 'string' && tags !== '' ? tags.split(',') : [];
  return { name: String(name), event: String(event), fn: Number(fn), tags: listed };
}

function cells(row: Row): (string | null)[] {
  return Object.values(row).map((value) => (value === null || value === undefined ? null : String(value)));
}
