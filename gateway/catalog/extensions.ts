import type { StatementClass } from '../sql/classes.ts';

/** What is known of an extension's functions. */
interface Extension {
  /** Those in C or plain SQL that are not volatile run no code but their own, and reach nothing beyond their arguments. */
  readonly pure: boolean;
  /** Volatile for their randomness, or for their own settings, alone. */
  readonly harmless?: readonly string[];
  /** Not what the rest of the extension is. */
  readonly risky?: Readonly<Record<string, StatementClass>>;
  /** What all others do. */
  readonly cls?: StatementClass;
}

const PURE: Extension = { pure: true };
const of = (cls: StatementClass, more: Partial<Extension> = {}): Extension => ({ pure: false, cls, ...more });

/** Reviewed by hand; a function of any other extension is like one of a user. */
const EXTENSIONS: Readonly<Record<string, Extension>> = {
  btree_gin: PURE,
  btree_gist: PURE,
  // Folding case is all that it adds.
  citext: PURE,
  cube: PURE,
  earthdistance: PURE,
  fuzzystrmatch: PURE,
  // Filling a row runs the input functions of its columns' types: a domain's CHECK is anybody's code.
  hstore: { pure: true, risky: { populate_record: 'DynamicSql' } },
  intagg: PURE,
  intarray: PURE,
  isn: { pure: true, harmless: ['isn_weak'] },
  ltree: PURE,
  pg_trgm: { pure: true, harmless: ['set_limit'] },
  pgcrypto: {
    pure: true,
    harmless: [
      'gen_random_bytes',
      'gen_random_uuid',
      'gen_salt',
      'pgp_sym_encrypt',
      'pgp_sym_encrypt_bytea',
      'pgp_pub_encrypt',
      'pgp_pub_encrypt_bytea',
    ],
  },
  seg: PURE,
  sslinfo: PURE,
  tsm_system_rows: PURE,
  tsm_system_time: PURE,
  unaccent: PURE,
  'uuid-ossp': { pure: true, harmless: ['uuid_generate_v1', 'uuid_generate_v1mc', 'uuid_generate_v4'] },
  // Beyond the extensions of PostgreSQL itself: types with operators that a database is full of.
  postgis: { pure: true, risky: { st_estimatedextent: 'DynamicSql', postgis_libjson_version: 'Catalog' } },
  vector: PURE,
  // What runs SQL that is given as text, reaches other servers, or looks behind the server's back.
  tablefunc: of('DynamicSql', { harmless: ['normal_rand'] }),
  xml2: { pure: true, risky: { xpath_table: 'DynamicSql', xslt_process: 'ServerFile' } },
  dblink: of('Link'),
  postgres_fdw: of('Link'),
  file_fdw: of('ServerFile'),
  adminpack: of('ServerFile'),
  pageinspect: of('ServerFile'),
  pg_walinspect: of('Replication'),
  pg_logicalinspect: of('Replication'),
  pg_surgery: of('CatalogWrite'),
  pg_buffercache: of('Catalog', { risky: { pg_buffercache_evict: 'ServerControl' } }),
  pg_freespacemap: of('Catalog'),
  pg_stat_statements: of('Catalog', { risky: { pg_stat_statements_reset: 'ServerControl' } }),
  pg_visibility: of('Maintenance'),
  pgstattuple: of('Maintenance'),
  pgrowlocks: of('Maintenance'),
  pg_prewarm: of('Maintenance'),
  amcheck: of('Maintenance'),
};

const OWN_LANGUAGES: ReadonlySet<string> = new Set(['c', 'internal', 'sql']);

/** What decides whether a function may be called without a rule that lists it. */
export interface ExtensionFunction {
  readonly name: string;
  readonly extension: string | null;
  readonly language: string;
  readonly volatile: string;
  readonly securityDefiner: boolean;
}

/** Whether a function runs nobody's code but a known extension's, and the class that it has if not. */
export function judgeExtensionFunction(fn: ExtensionFunction): {
  readonly safe: boolean;
  readonly classes: readonly StatementClass[];
} {
  const known = fn.extension === null ? undefined : EXTENSIONS[fn.extension];
  if (known === undefined) return { safe: false, classes: [] };
  const risk = known.risky?.[fn.name];
  if (risk !== undefined) return { safe: false, classes: [risk] };
  const own = !fn.securityDefiner && OWN_LANGUAGES.has(fn.language);
  if (own && (known.harmless?.includes(fn.name) === true || (known.pure && fn.volatile !== 'v')))
    return { safe: true, classes: [] };
  return { safe: false, classes: known.cls === undefined ? [] : [known.cls] };
}

/** Whether an extension's types may be used without a rule. */
export function isSafeExtension(extension: string | null): boolean {
  return extension !== null && EXTENSIONS[extension]?.pure === true;
}
