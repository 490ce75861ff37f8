import type { CatalogConnection, CatalogLog } from './connection.ts';
import { FIRST_NORMAL_OID, FUNCTION_COLUMNS, RELATION_COLUMNS, readFunction, readRelation } from './rows.ts';
import { type CatalogFunction, type CatalogSnapshot, createSnapshot } from './snapshot.ts';
import { CASTS, COLUMN_TYPES, OPERATORS, TYPES } from './types.ts';

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

  /** The last snapshot read; undefined: none yet. */
  snapshot(database: string): CatalogSnapshot | undefined {
    return this.#databases.get(database)?.snapshot;
  }

  /** Waits for a first snapshot; rejects if it cannot be had. */
  async ensure(database: string): Promise<CatalogSnapshot> {
    let known = this.#databases.get(database);
    if (known === undefined) {
      known = new Database(database, this.#options);
      this.#databases.set(database, known);
    }
    return known.snapshot ?? (await known.load());
  }

  /** Reads again whatever has changed; a load that runs already may have begun too early, so it does not count. */
  async refresh(database: string): Promise<CatalogSnapshot> {
    await this.ensure(database);
    return await this.#databases.get(database)!.load();
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
const FUNCTIONS = (which: string) => `SELECT * FROM (SELECT ${FUNCTION_COLUMNS} FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
  WHERE p.oid OPERATOR(pg_catalog.${which}) ${FIRST_NORMAL_OID})
  r(c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13)`;
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
  'pg_cast',
  'pg_constraint',
  'pg_extension',
]
  .map(
    (table) =>
      `(SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(t.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.${table} t)`,
  )
  .join(', ')}) AS digest`;

type Row = Record<string, unknown>;

class Database {
  snapshot: CatalogSnapshot | undefined;
  readonly #name: string;
  readonly #options: CatalogOptions;
  #connection: CatalogConnection | null = null;
  /** The server's own functions: thousands, the same for as long as the server is. */
  #builtin: readonly CatalogFunction[] | null = null;
  #timer: NodeJS.Timeout | null = null;
  #work: Promise<unknown> = Promise.resolve();
  #digest = '';
  #version = 0;
  #closed = false;

  constructor(name: string, options: CatalogOptions) {
    this.#name = name;
    this.#options = options;
  }

  /** One look at a time on the one connection. */
  load(): Promise<CatalogSnapshot> {
    const next = this.#work.then(() => this.#look());
    this.#work = next.catch(() => {});
    return next;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#work;
    await this.#connection?.end().catch(() => {});
  }

  async #look(): Promise<CatalogSnapshot> {
    try {
      this.#connection ??= await this.#connect();
      const digest = String((await this.#rows(DIGEST))[0]?.digest);
      if (this.snapshot === undefined || digest !== this.#digest) this.snapshot = await this.#read();
      this.#digest = digest;
      return this.snapshot;
    } catch (error) {
      await this.#connection?.end().catch(() => {});
      this.#connection = null;
      this.#options.log.warn(
        { database: this.#name, reason: (error as Error).message },
        'the catalogue could not be read',
      );
      throw error;
    } finally {
      this.#schedule();
    }
  }

  async #connect(): Promise<CatalogConnection> {
    const connection = await this.#options.connect(this.#name);
    this.#builtin = null;
    await connection.query(
      `SET search_path = pg_catalog; SET statement_timeout = '30s'; SET default_transaction_read_only = on`,
    );
    return connection;
  }

  async #read(): Promise<CatalogSnapshot> {
    const [num] = await this.#rows(VERSION);
    const schemas = await this.#rows(SCHEMAS);
    const relations = await this.#rows(RELATIONS);
    this.#builtin ??= (await this.#rows(FUNCTIONS('<'))).map((row) => readFunction(cells(row)));
    const functions = await this.#rows(FUNCTIONS('>='));
    const typeRows = {
      types: await this.#rows(TYPES),
      columnTypes: await this.#rows(COLUMN_TYPES),
      operators: await this.#rows(OPERATORS),
      casts: await this.#rows(CASTS),
    };
    this.#version += 1;
    return createSnapshot({
      version: this.#version,
      serverMajor: Math.floor(Number(num?.num) / 10_000),
      schemas: schemas.map(({ name }) => String(name)),
      relations: relations.map((row) => readRelation(cells(row))),
      functions: [...this.#builtin, ...functions.map((row) => readFunction(cells(row)))],
      typeRows,
    });
  }

  async #rows(text: string): Promise<Row[]> {
    return (await this.#connection!.query(text)).rows;
  }

  #schedule(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.load().catch(() => {}), this.#options.pollInterval ?? 1000);
    this.#timer.unref();
  }
}

function cells(row: Row): (string | null)[] {
  return Object.values(row).map((value) => (value === null || value === undefined ? null : String(value)));
}
