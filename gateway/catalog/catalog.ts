import type { CatalogConnection, CatalogLog } from './connection.ts';
import { isSafeExtension } from './extensions.ts';
import { FUNCTION_COLUMNS, RELATION_COLUMNS, readFunction, readRelation } from './rows.ts';
import { type CatalogSnapshot, createSnapshot } from './snapshot.ts';

export interface CatalogOptions {
  readonly connect: (database: string) => Promise<CatalogConnection>;
  readonly log: CatalogLog;
  /** Milliseconds between looks at whether something was defined; 1000 unless given. */
  readonly pollInterval?: number;
}

/** The shared knowledge of what each database contains, read on connections of its own and kept up to date. */
export class Catalog {
  readonly #options: CatalogOptions;
  readonly #databases = new Map<string, Database>();

  constructor(options: CatalogOptions) {
    this.#options = options;
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
    return this.#databases.get(database)?.snapshot;
  }

  /** Waits for a first snapshot; rejects if it cannot be had. */
  async ensure(database: string): Promise<CatalogSnapshot> {
    const known = this.#database(database);
    return known.snapshot ?? (await known.load());
  }

  /** Reads again whatever has changed; a load that runs already may have begun too early, so it does not count. */
  async refresh(database: string): Promise<CatalogSnapshot> {
    await this.ensure(database);
    return await this.#database(database).load();
  }

  #database(name: string): Database {
    let known = this.#databases.get(name);
    if (known === undefined) {
      known = new Database(name, this.#options, () => this.#databases.delete(name));
      this.#databases.set(name, known);
    }
    return known;
  }

  async close(): Promise<void> {
    const all = [...this.#databases.values()];
    this.#databases.clear();
    await Promise.all(all.map((database) => database.close()));
  }
}

const RELATIONS = `SELECT * FROM (SELECT ${RELATION_COLUMNS} FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
  WHERE n.nspname::pg_catalog.text OPERATOR(pg_catalog.!~) '^pg_(toast|temp)') r(c0, c1, c2, c3, c4)`;
const FUNCTIONS = `SELECT * FROM (SELECT ${FUNCTION_COLUMNS} FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace)
  r(c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11)`;
/** Enums and composites have input functions of the server's own; a domain's constraints run whoever's code. */
const TYPES = `SELECT n.nspname AS schema, t.typname AS name, x.extname AS extension,
    (t.typtype OPERATOR(pg_catalog.=) ANY ('{e,c}') OR (t.typtype OPERATOR(pg_catalog.=) 'd' AND NOT EXISTS (
      SELECT 1 FROM pg_catalog.pg_constraint k WHERE k.contypid OPERATOR(pg_catalog.=) t.oid))) AS plain
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace
  LEFT JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass::pg_catalog.oid
    AND d.objid OPERATOR(pg_catalog.=) t.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'
  LEFT JOIN pg_catalog.pg_extension x ON x.oid OPERATOR(pg_catalog.=) d.refobjid
  WHERE n.nspname OPERATOR(pg_catalog.<>) 'pg_catalog' AND n.nspname::pg_catalog.text OPERATOR(pg_catalog.!~) '^pg_toast'`;
const OPERATORS = `SELECT n.nspname AS schema, o.oprname AS name, x.extname AS extension, false AS plain
  FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace
  LEFT JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass::pg_catalog.oid
    AND d.objid OPERATOR(pg_catalog.=) o.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'
  LEFT JOIN pg_catalog.pg_extension x ON x.oid OPERATOR(pg_catalog.=) d.refobjid
  WHERE n.nspname OPERATOR(pg_catalog.<>) 'pg_catalog'`;
const SCHEMAS = 'SELECT nspname AS name FROM pg_catalog.pg_namespace';
const VERSION = `SELECT pg_catalog.current_setting('server_version_num') AS num`;
/** Unchanged while nothing was defined: the newest row versions and the counts of what names can mean. */
const DIGEST = `SELECT pg_catalog.concat_ws('/', ${[
  'pg_namespace',
  'pg_class',
  'pg_index',
  'pg_proc',
  'pg_type',
  'pg_operator',
  'pg_constraint',
  'pg_extension',
]
  .map(
    (table) =>
      `(SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(t.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.${table} t)`,
  )
  .join(', ')}) AS digest`;

type Row = Record<string, unknown>;

/** For how long what was read is kept for the next session that uses the database; milliseconds. */
const REMEMBERED = 600_000;

class Database {
  readonly #name: string;
  readonly #options: CatalogOptions;
  readonly #forget: () => void;
  #snapshot: CatalogSnapshot | undefined;
  #users = 0;
  /** The connection was given up: the snapshot holds only once its digest has been compared. */
  #resting = false;
  /** How often it was given up; what was begun before that is broken off. */
  #rests = 0;
  #connection: CatalogConnection | null = null;
  #timer: NodeJS.Timeout | null = null;
  #work: Promise<unknown> = Promise.resolve();
  /** A look that has not begun: good for everybody who asks until then. */
  #next: Promise<CatalogSnapshot> | null = null;
  #digest = '';
  #version = 0;
  #closed = false;

  constructor(name: string, options: CatalogOptions, forget: () => void) {
    this.#name = name;
    this.#options = options;
    this.#forget = forget;
  }

  get snapshot(): CatalogSnapshot | undefined {
    return this.#resting ? undefined : this.#snapshot;
  }

  use(): () => void {
    this.#users += 1;
    let used = true;
    return () => {
      if (!used) return;
      used = false;
      this.#users -= 1;
      if (this.#users === 0) this.#schedule();
    };
  }

  /** One look at a time on the one connection. */
  load(): Promise<CatalogSnapshot> {
    if (this.#next !== null) return this.#next;
    const rests = this.#rests;
    const next = this.#work.then(() => {
      this.#next = null;
      return this.#look(rests);
    });
    this.#next = next;
    this.#work = next.catch(() => {});
    return next;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#work;
    await this.#connection?.end().catch(() => {});
  }

  async #look(rests: number): Promise<CatalogSnapshot> {
    if (rests !== this.#rests) throw new Error('nobody uses the database any more');
    try {
      this.#connection ??= await this.#connect();
      const connection = this.#connection;
      const digest = String((await rowsOf(connection, DIGEST))[0]?.digest);
      if (this.#snapshot === undefined || digest !== this.#digest) this.#snapshot = await this.#read(connection);
      this.#digest = digest;
      this.#resting = false;
      return this.#snapshot;
    } catch (error) {
      if (rests !== this.#rests) throw error;
      await this.#connection?.end().catch(() => {});
      this.#connection = null;
      this.#options.log.warn(
        { database: this.#name, reason: (error as Error).message },
        'the catalogue could not be read',
      );
      throw error;
    } finally {
      if (rests === this.#rests) this.#schedule();
    }
  }

  async #connect(): Promise<CatalogConnection> {
    const connection = await this.#options.connect(this.#name);
    await connection.query(
      `SET search_path = pg_catalog; SET statement_timeout = '30s'; SET default_transaction_read_only = on`,
    );
    // A server on a system that cannot do it refuses.
    await connection.query(`SET client_connection_check_interval = '500ms'`).catch(() => {});
    return connection;
  }

  async #read(connection: CatalogConnection): Promise<CatalogSnapshot> {
    const [num] = await rowsOf(connection, VERSION);
    const schemas = await rowsOf(connection, SCHEMAS);
    const relations = await rowsOf(connection, RELATIONS);
    const functions = await rowsOf(connection, FUNCTIONS);
    const types = await rowsOf(connection, TYPES);
    const operators = await rowsOf(connection, OPERATORS);
    this.#version += 1;
    return createSnapshot({
      version: this.#version,
      serverMajor: Math.floor(Number(num?.num) / 10_000),
      schemas: schemas.map(({ name }) => String(name)),
      relations: relations.map((row) => readRelation(cells(row))),
      functions: functions.map((row) => readFunction(cells(row))),
      types: types.map(readObject),
      operators: operators.map(readObject),
    });
  }

  #schedule(delay = this.#options.pollInterval ?? 1000): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(() => this.#onTime(), delay);
    this.#timer.unref();
  }

  #onTime(): void {
    if (this.#users > 0) this.load().catch(() => {});
    else if (this.#connection === null) this.#forget();
    else this.#rest(this.#connection);
  }

  /** DROP DATABASE waits five seconds for others to go: what is being read is not waited for. */
  #rest(connection: CatalogConnection): void {
    this.#resting = true;
    this.#rests += 1;
    this.#connection = null;
    this.#next = null;
    this.#schedule(REMEMBERED);
    connection.end().catch(() => {});
  }
}

async function rowsOf(connection: CatalogConnection, text: string): Promise<Row[]> {
  return (await connection.query(text)).rows;
}

function cells(row: Row): (string | null)[] {
  return Object.values(row).map((value) => (value === null || value === undefined ? null : String(value)));
}

function readObject(row: Row): { schema: string; name: string; safe: boolean } {
  const extension = typeof row.extension === 'string' ? row.extension : null;
  return { schema: String(row.schema), name: String(row.name), safe: row.plain === true || isSafeExtension(extension) };
}
