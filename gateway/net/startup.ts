import type { StartupMessage } from '../wire/opening.ts';
import type { Refusal } from './refusal.ts';

/** A client's StartupMessage, checked and sorted. */
export interface Startup {
  /** 0 (3.0) or 2 (3.2): what is spoken with this client from here on. */
  readonly minor: 0 | 2;
  /** The NegotiateProtocolVersion message owed to the client; null: it asked for nothing that is not known. */
  readonly negotiate: { readonly version: number; readonly unknownOptions: readonly string[] } | null;
  readonly user: string;
  /** Null: not given or empty, which PostgreSQL takes as the role's name. */
  readonly database: string | null;
  /** Everything else that may go to the server: settings, `options`, `application_name`. Not judged yet. */
  readonly parameters: ReadonlyMap<string, string>;
  /** Parameters `postern.*`, prefix removed: for the gateway alone. */
  readonly own: ReadonlyMap<string, string>;
}

/** Of major 3, the newest version that is spoken here. */
const NEWEST_MINOR = 2;
/** NAMEDATALEN less the terminator: PostgreSQL would cut a longer name, and policy would have judged another one. */
const MAX_NAME_BYTES = 63;
const OWN_PREFIX = 'postern.';
const NOT_FORWARDED = new Set(['user', 'database', 'replication']);

/** Checks a StartupMessage; a refusal is to be sent as FATAL. */
export function checkStartup(message: StartupMessage): Startup | { readonly refusal: Refusal } {
  if (message.major !== 3) {
    const asked = `${message.major}.${message.minor}`;
    return { refusal: { code: '0A000', message: `unsupported frontend protocol ${asked}: supported are 3.0 to 3.2` } };
  }
  const { parameters } = message;
  const problem = checkReplication(parameters.get('replication')) ?? checkNames(parameters);
  if (problem !== null) return { refusal: problem };
  const others = [...parameters].filter(([name]) => !NOT_FORWARDED.has(name));
  const isOwn = ([name]: readonly [string, string]): boolean => name.toLowerCase().startsWith(OWN_PREFIX);
  return {
    minor: message.minor >= NEWEST_MINOR ? 2 : 0,
    negotiate:
      message.minor > NEWEST_MINOR || message.unknownOptions.length > 0
        ? { version: (3 << 16) | Math.min(message.minor, NEWEST_MINOR), unknownOptions: message.unknownOptions }
        : null,
    user: parameters.get('user')!,
    database: parameters.get('database') || null,
    parameters: new Map(others.filter((entry) => !isOwn(entry))),
    own: new Map(others.filter(isOwn).map(([name, value]) => [name.slice(OWN_PREFIX.length).toLowerCase(), value])),
  };
}

function checkNames(parameters: ReadonlyMap<string, string>): Refusal | null {
  if (!parameters.get('user')) {
    return { code: '28000', message: 'no PostgreSQL user name specified in startup packet' };
  }
  if (Buffer.byteLength(parameters.get('database') ?? '') > MAX_NAME_BYTES) {
    return { code: '3D000', message: `database names have at most ${MAX_NAME_BYTES} bytes` };
  }
  return null;
}

/** `false` and its spellings mean an ordinary connection, as parse_bool in PostgreSQL has it; all else is refused. */
function checkReplication(value: string | undefined): Refusal | null {
  if (value === undefined || isFalse(value.toLowerCase())) return null;
  return {
    code: '0A000',
    message: 'replication connections are not supported by the gateway',
    hint: 'Connect to the database server directly for replication.',
  };
}

function isFalse(value: string): boolean {
  if (value === '') return false;
  return value === '0' || 'false'.startsWith(value) || 'no'.startsWith(value) || value === 'of' || value === 'off';
}
