/**
 * Extensions whose immutable and stable functions run no code but their own, reach no file, no network and no other
 * session: judged like the server's safe built-in functions.
 */
const SAFE_EXTENSIONS: ReadonlySet<string> = new Set([
  'btree_gin',
  'btree_gist',
  'citext',
  'cube',
  'earthdistance',
  'fuzzystrmatch',
  'hstore',
  'intarray',
  'isn',
  'ltree',
  'pg_trgm',
  'pgcrypto',
  'seg',
  'unaccent',
  'uuid-ossp',
]);

/** Volatile for their randomness alone. */
const SAFE_VOLATILE: ReadonlySet<string> = new Set([
  'pgcrypto.gen_random_bytes',
  'pgcrypto.gen_random_uuid',
  'pgcrypto.gen_salt',
  'pgcrypto.pgp_sym_encrypt',
  'pgcrypto.pgp_sym_encrypt_bytea',
  'pgcrypto.pgp_pub_encrypt',
  'pgcrypto.pgp_pub_encrypt_bytea',
  'uuid-ossp.uuid_generate_v1',
  'uuid-ossp.uuid_generate_v1mc',
  'uuid-ossp.uuid_generate_v4',
]);

const OWN_LANGUAGES: ReadonlySet<string> = new Set(['c', 'internal', 'sql']);

/** Whether a function runs nobody's code but a known extension's. */
export function isSafeExtensionFunction(fn: {
  readonly name: string;
  readonly extension: string | null;
  readonly language: string;
  readonly volatile: string;
  readonly securityDefiner: boolean;
}): boolean {
  if (fn.extension === null || !SAFE_EXTENSIONS.has(fn.extension)) return false;
  if (fn.securityDefiner || !OWN_LANGUAGES.has(fn.language)) return false;
  return fn.volatile !== 'v' || SAFE_VOLATILE.has(`${fn.extension}.${fn.name}`);
}

/** Whether an extension's types may be used without a rule. */
export function isSafeExtension(extension: string | null): boolean {
  return extension !== null && SAFE_EXTENSIONS.has(extension);
}
