import type { StatementClass } from '../sql/classes.ts';

/** What is known of an extension's functions. */
interface Extension {
  /** Its C functions that are not volatile run no code but their own, and reach nothing beyond their arguments. */
  readonly pure: boolean;
  /**
   * Also pure, though in SQL or aggregates: by name, as who owns an extension can add functions of his own to it (test:
   * "what was added to an extension is not the extension's").
   */
  readonly also?: readonly string[];
  /** Volatile for their randomness, or for their own settings, alone. */
  readonly harmless?: readonly string[];
  /** Not what the rest of the extension is. */
  readonly risky?: Readonly<Record<string, StatementClass>>;
  /** What all others do. */
  readonly cls?: StatementClass;
}

const PURE: Extension = { pure: true };
const words = (text: string): readonly string[] => text.split(' ');
const of = (cls: StatementClass, more: Partial<Extension> = {}): Extension => ({ pure: false, cls, ...more });

/** Reviewed by hand; a function of any other extension is like one of a user. */
const EXTENSIONS: Readonly<Record<string, Extension>> = {
  btree_gin: PURE,
  btree_gist: PURE,
  citext: {
    pure: true,
    also: words(
      'min max regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table replace ' +
        'split_part strpos translate',
    ),
  },
  cube: PURE,
  earthdistance: {
    pure: true,
    also: words('earth earth_box earth_distance gc_to_sec latitude ll_to_earth longitude sec_to_gc'),
  },
  fuzzystrmatch: PURE,
  // Filling a row runs the input functions of its columns' types: a domain's CHECK is anybody's code.
  hstore: { pure: true, risky: { populate_record: 'DynamicSql' } },
  intagg: { pure: true, also: ['int_array_aggregate'] },
  intarray: PURE,
  isn: { pure: true, harmless: ['isn_weak'] },
  lo: { pure: true, also: ['lo_oid'] },
  ltree: PURE,
  pg_trgm: { pure: true, harmless: ['set_limit'] },
  pgcrypto: {
    pure: true,
    harmless: words(
      'fips_mode gen_random_bytes gen_random_uuid gen_salt pgp_sym_encrypt pgp_sym_encrypt_bytea pgp_pub_encrypt ' +
        'pgp_pub_encrypt_bytea',
    ),
  },
  seg: PURE,
  sslinfo: {
    pure: true,
    harmless: words(
      'ssl_cipher ssl_client_cert_present ssl_client_dn ssl_client_dn_field ssl_client_serial ssl_extension_info ' +
        'ssl_is_used ssl_issuer_dn ssl_issuer_field ssl_version',
    ),
  },
  tsm_system_rows: { pure: true, harmless: ['system_rows'] },
  tsm_system_time: { pure: true, harmless: ['system_time'] },
  unaccent: PURE,
  'uuid-ossp': { pure: true, harmless: ['uuid_generate_v1', 'uuid_generate_v1mc', 'uuid_generate_v4'] },
  // Beyond the extensions of PostgreSQL itself: types with operators that a database is full of.
  postgis: {
    pure: true,
    also: words(
      'st_3dextent st_asflatgeobuf st_asgeobuf st_asmvt st_clusterintersecting st_clusterwithin st_collect ' +
        'st_coverageunion st_extent st_makeline st_memcollect st_memunion st_polygonize st_union',
    ),
    risky: { st_estimatedextent: 'DynamicSql' },
  },
  vector: { pure: true, also: ['avg', 'sum'] },
  // What runs SQL that is given as text, reaches other servers, or looks behind the server's back.
  tablefunc: of('DynamicSql', { harmless: ['normal_rand'] }),
  xml2: {
    pure: true,
    also: ['xpath_list', 'xpath_nodeset'],
    risky: { xpath_table: 'DynamicSql', xslt_process: 'ServerFile' },
  },
  dblink: of('Link'),
  postgres_fdw: of('Link'),
  file_fdw: of('ServerFile'),
  adminpack: of('ServerFile'),
  pageinspect: of('ServerFile'),
  pg_walinspect: of('Replication'),
  pg_logicalinspect: of('Replication'),
  pg_surgery: of('CatalogWrite'),
  pg_buffercache: of('Catalog', {
    risky: {
      pg_buffercache_evict: 'ServerControl',
      pg_buffercache_evict_all: 'ServerControl',
      pg_buffercache_evict_relation: 'ServerControl',
    },
  }),
  pg_freespacemap: of('Catalog'),
  pg_stat_statements: of('Catalog', { risky: { pg_stat_statements_reset: 'ServerControl' } }),
  pg_visibility: of('Maintenance'),
  pgstattuple: of('Maintenance'),
  pgrowlocks: of('Maintenance'),
  pg_prewarm: of('Maintenance'),
  amcheck: of('Maintenance'),
};

/** What decides whether a function may be called without a rule that lists it. */
export interface ExtensionFunction {
  readonly name: string;
  readonly extension: string | null;
  readonly language: string;
  readonly volatile: string;
  readonly securityDefiner: boolean;
  /** f function, p procedure, a aggregate, w window function. */
  readonly kind: string;
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
  // Only a superuser makes such functions; anybody's aggregate has language internal.
  const inC = (fn.language === 'c' || fn.language === 'internal') && fn.kind !== 'a';
  const harmless = inC && known.harmless?.includes(fn.name) === true;
  const pure = fn.volatile !== 'v' && ((inC && known.pure) || known.also?.includes(fn.name) === true);
  if (!fn.securityDefiner && (harmless || pure)) return { safe: true, classes: [] };
  return { safe: false, classes: known.cls === undefined ? [] : [known.cls] };
}

/** Whether an extension's types may be used without a rule. */
export function isSafeExtension(extension: string | null): boolean {
  return extension !== null && EXTENSIONS[extension]?.pure === true;
}
