import type { StatementClass } from './classes.ts';

/** What a function of the server does beyond computing a value: a class of the API, and whether it may write. */
interface Meaning {
  /** One letter for it in the generated table. */
  readonly letter: string;
  readonly cls: StatementClass | null;
  readonly writes: boolean;
}

const reads = (letter: string, cls: StatementClass | null = null): Meaning => ({ letter, cls, writes: false });
const writes = (letter: string, cls: StatementClass): Meaning => ({ letter, cls, writes: true });

/** The kinds of the reviewed table (`tools/builtin-rules.ts` says which function has which, and why). */
export const BUILTIN_KINDS = {
  /** Computes from its arguments alone. */
  Pure: reads('p'),
  /** Another value each time, nothing else. */
  Varies: reads('t'),
  /** Reads the session: settings, identity, transaction, what it has opened. */
  Session: reads('s'),
  /** Reads definitions, names and privileges. */
  Catalogue: reads('c', 'Catalog'),
  /** Reads counters, sizes and states of the server. */
  Statistics: reads('m', 'Catalog'),
  /** SQL text cannot call it: the server itself refuses. */
  Uncallable: reads('i'),
  Settings: reads('g', 'Session'),
  Sequence: writes('q', 'Sequence'),
  AdvisoryLock: writes('a', 'AdvisoryLock'),
  LargeObject: writes('o', 'LargeObject'),
  ServerFile: writes('f', 'ServerFile'),
  ServerControl: writes('k', 'ServerControl'),
  Sleep: writes('z', 'Resource'),
  Replication: writes('r', 'Replication'),
  /** Runs SQL, or whatever a type's input is, given as text. */
  DynamicSql: writes('d', 'DynamicSql'),
  /** Reads tables that are named by an argument. */
  Tables: writes('b', 'DynamicSql'),
  Notify: writes('l', 'Listen'),
  CatalogWrite: writes('w', 'CatalogWrite'),
  Maintenance: writes('h', 'Maintenance'),
  Unreviewed: writes('u', 'Unknown'),
} as const satisfies Readonly<Record<string, Meaning>>;

export type BuiltinKind = keyof typeof BUILTIN_KINDS;
