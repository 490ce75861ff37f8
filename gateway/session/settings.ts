import type { KnownFunction, KnownRelation, KnownType } from '../sql/resolve-environment.ts';

/** What the server last said of the session's settings, by `current_schemas(true)` and the like. */
export interface KnownSettings {
  /** Effective, implicit schemas included, in order. */
  readonly searchPath: readonly string[];
  /** search_path names pg_temp: what is temporary need not come first. */
  readonly namesTemporary: boolean;
  readonly currentUser: string;
  readonly sessionUser: string;
}

/** How the server reads a text. */
export interface Reading {
  readonly clientEncoding: string;
  readonly standardConformingStrings: boolean;
}

/** Names as this session sees them right now, by `nameKey`; what `Overlay` of name resolution reads. */
export interface Answers {
  readonly relations: Map<string, KnownRelation | null>;
  readonly functions: Map<string, readonly KnownFunction[]>;
  readonly types: Map<string, KnownType | 'plain' | null>;
  /** Names whose relation is known by its OID alone so far. */
  readonly pending: Map<string, number>;
  readonly related: Map<number, KnownRelation>;
  readonly relatedFunctions: Map<number, KnownFunction>;
}

/** Names kept: far more than any program uses, some megabytes. */
const MOST_ANSWERS = 10_000;

/**
 * Settings and names that only the server knows for sure. "Ask, do not emulate": whatever may have changed them makes
 * them unknown, and the next statement that depends on them waits for the server's answer.
 */
export class Settings {
  /** ParameterStatus values. */
  readonly reported = new Map<string, string>();
  known: KnownSettings | null = null;
  overlay: Answers = noAnswers();
  /** Temporary tables or uncommitted DDL of our own: the shared catalogue does not know the names. */
  local: 'no' | 'transaction' | 'session' = 'no';
  /** Grows with every change that a verdict may hang on. */
  epoch = 0;
  /** The open transaction contains a change: its end may take it back. */
  touched = false;
  /**
   * What was sent may have changed how the server reads the next text, and it has not reported so yet: it does so with
   * ReadyForQuery alone. Test: "a name that is sent behind a change of client_encoding is judged as the server will read it".
   */
  readingUnknown = false;
  /** The open transaction contains such a change: an error takes it back at once. */
  readingTouched = false;
  /** The shared catalogue may not know yet what is defined: surroundings of names are asked for as well. */
  defining = false;
  /** The open transaction defines something; something that others see. */
  #ddl = false;
  #shared = false;
  /** The snapshot of the shared catalogue beside which the answers were given. */
  #catalog: unknown = null;

  /** A statement that may change search_path, role or the like has been forwarded. */
  touch(): void {
    this.touched = true;
    this.readingUnknown = true;
    this.#forget();
  }

  /** A statement that changes client_encoding or standard_conforming_strings has been forwarded. */
  touchReading(): void {
    this.readingTouched = true;
    this.readingUnknown = true;
  }

  /** ReadyForQuery, and nothing else is on its way: what was reported holds. */
  reportedAll(): void {
    this.readingUnknown = false;
  }

  /** A statement that defines something has been forwarded. */
  defines(what: 'Ddl' | 'TempTable'): void {
    this.#ddl = true;
    if (what === 'TempTable') this.local = 'session';
    else if (this.local === 'no') this.local = 'transaction';
    if (what === 'Ddl') {
      this.defining = true;
      this.#shared = true;
    }
    this.#forgetNames();
  }

  /** The transaction ends, or part of it is rolled back: what was touched may be as it was before. */
  rolledBack(): void {
    if (this.touched) this.#forget();
    if (this.touched || this.readingTouched) this.readingUnknown = true;
    if (this.#ddl) this.#forgetNames();
  }

  /** The transaction ended; true: the shared catalogue should be read again. */
  endTransaction(): boolean {
    if (this.touched) this.#forget();
    this.touched = false;
    this.readingTouched = false;
    if (this.#ddl) this.#forgetNames();
    const shared = this.#shared;
    this.#ddl = false;
    this.#shared = false;
    return shared;
  }

  /** The shared catalogue has caught up with our committed definitions. */
  caughtUp(): void {
    if (this.#shared) return;
    this.defining = false;
    if (this.local === 'transaction') this.local = 'no';
    this.#forgetNames();
  }

  /**
   * The answers that go with a snapshot of the shared catalogue: when somebody has defined something, what was answered
   * before may be otherwise now (test: "a name that meant nothing is looked up again").
   */
  answersFor(catalog: unknown): Answers {
    if (catalog !== this.#catalog) {
      this.#catalog = catalog;
      this.#forgetNames();
    }
    return this.overlay;
  }

  /** Between statements: what was asked for long ago is forgotten before there is too much of it. */
  boundAnswers(): void {
    const { relations, functions, types } = this.overlay;
    if (relations.size + functions.size + types.size > MOST_ANSWERS) this.#forgetNames();
  }

  answered(known: KnownSettings, reading: Reading): void {
    this.known = known;
    this.reported.set('client_encoding', reading.clientEncoding);
    this.reported.set('standard_conforming_strings', reading.standardConformingStrings ? 'on' : 'off');
    this.readingUnknown = false;
    this.#forgetNames();
  }

  get clientEncoding(): string {
    return this.reported.get('client_encoding') ?? 'UTF8';
  }

  /** A backslash in a plain literal is just a backslash, as the parser here assumes. */
  get standardStrings(): boolean {
    return this.reported.get('standard_conforming_strings') !== 'off';
  }

  #forget(): void {
    this.known = null;
    this.#forgetNames();
  }

  #forgetNames(): void {
    this.overlay = noAnswers();
    this.epoch += 1;
  }
}

function noAnswers(): Answers {
  return {
    relations: new Map(),
    functions: new Map(),
    types: new Map(),
    pending: new Map(),
    related: new Map(),
    relatedFunctions: new Map(),
  };
}
