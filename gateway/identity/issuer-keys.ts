import type { JSONWebKeySet, LocalJWKSet } from 'jose';
import { createLocalJWKSet } from 'jose';
import type { Issuer, SecretSource } from '../config/document.ts';
import { getJson } from './get-json.ts';

export type OidcIssuer = Extract<Issuer, { readonly kind: 'Oidc' }>;

/** What this room logs to; a pino logger fits. */
export interface IdentityLog {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
}

export interface IssuerKeysOptions {
  readonly secrets: SecretSource;
  readonly now: () => number;
  readonly log: IdentityLog;
}

/** Keys are fetched anew after this long, so that one the issuer withdrew stops being trusted. Milliseconds. */
const KEY_REFRESH = 5 * 60_000;
/** With keys at hand, an issuer is asked at most this often, whatever `kid` tokens name. Milliseconds. */
const KEY_COOL_DOWN = 30_000;
/** Without any keys, an issuer is asked at most this often. Milliseconds. */
const FIRST_FETCH_RETRY = 1_000;
/** How long keys are trusted while their issuer cannot be reached. Milliseconds. */
const KEY_MAX_AGE = 24 * 3_600_000;
/** For discovery and keys together, well below the handshake deadline. Milliseconds. */
const FETCH_TIMEOUT = 5_000;
/** More keys than any issuer publishes; a token without `kid` is tried against each. */
const MAX_KEYS = 64;

interface FetchedKeys {
  readonly resolver: LocalJWKSet;
  readonly fetchedAt: number;
}

/** The public keys of one OpenID issuer: fetched on demand, shared by all who wait, kept while it is away. */
export class IssuerKeys {
  readonly #url: string;
  readonly #ca: OidcIssuer['ca'];
  readonly #options: IssuerKeysOptions;
  readonly #closed = new AbortController();
  #keys: FetchedKeys | null = null;
  #attemptedAt: number | null = null;
  #unknownKeyAt: number | null = null;
  #inFlight: Promise<void> | null = null;

  constructor(issuer: OidcIssuer, options: IssuerKeysOptions) {
    this.#url = issuer.url;
    this.#ca = issuer.ca;
    this.#options = options;
  }

  /** The keys to check a token with; null: none that may be trusted can be had now. Never rejects. */
  async current(): Promise<LocalJWKSet | null> {
    const { now } = this.#options;
    const pause = this.#keys === null ? FIRST_FETCH_RETRY : KEY_COOL_DOWN;
    if (this.#age() >= KEY_REFRESH) await this.#fetchUnless(isWithin(this.#attemptedAt, pause, now()));
    return this.#keys !== null && this.#age() < KEY_MAX_AGE ? this.#keys.resolver : null;
  }

  /** Newer keys than `known`, for a token whose `kid` is not among them; null: there are none. Never rejects. */
  async newer(known: LocalJWKSet): Promise<LocalJWKSet | null> {
    if (this.#keys?.resolver === known) {
      // A clock of its own: a rotation just after a fetch is seen at once, and a flood of made-up key ids still
      // costs one fetch (test "a flood of tokens with unknown key ids costs one fetch").
      const now = this.#options.now();
      const cooling = isWithin(this.#unknownKeyAt, KEY_COOL_DOWN, now);
      if (!cooling) this.#unknownKeyAt = now;
      await this.#fetchUnless(cooling);
    }
    return this.#keys === null || this.#keys.resolver === known ? null : this.#keys.resolver;
  }

  /** Ends a fetch under way; afterwards nothing is fetched. */
  close(): void {
    this.#closed.abort();
  }

  #age(): number {
    // A clock that was set back makes the age unknown: fetch.
    const age = this.#keys === null ? Infinity : this.#options.now() - this.#keys.fetchedAt;
    return age < 0 ? KEY_REFRESH : age;
  }

  /** Joins the fetch under way, or begins one unless `tooSoon`. */
  async #fetchUnless(tooSoon: boolean): Promise<void> {
    if (this.#inFlight === null && !tooSoon && !this.#closed.signal.aborted) {
      this.#inFlight = this.#fetch().finally(() => {
        this.#inFlight = null;
      });
    }
    await this.#inFlight;
  }

  async #fetch(): Promise<void> {
    const { log, now } = this.#options;
    this.#attemptedAt = now();
    try {
      const resolver = await this.#download();
      this.#keys = { resolver, fetchedAt: now() };
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      log.warn({ issuer: this.#url, error: describe(error), cached: this.#keys !== null }, 'issuer keys not fetched');
    }
  }

  async #download(): Promise<LocalJWKSet> {
    const issuerUrl = fetchableUrl(this.#url, null);
    const options = {
      ca: this.#readAuthorities(),
      signal: AbortSignal.any([this.#closed.signal, AbortSignal.timeout(FETCH_TIMEOUT)]),
    };
    // OpenID Connect Discovery 1.0, section 4: a final slash of the issuer goes.
    const path = `${this.#url.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const metadata = await getJson(new URL(path), options);
    // Section 4.3: a document that speaks for another issuer would let one host lend its keys to another's name.
    if (metadata.issuer !== this.#url) throw new Error('the discovery document names another issuer');
    if (typeof metadata.jwks_uri !== 'string') throw new Error('the discovery document has no jwks_uri');
    return readKeySet(await getJson(fetchableUrl(metadata.jwks_uri, issuerUrl), options));
  }

  #readAuthorities(): Buffer | null {
    if (this.#ca === null) return null;
    const pem = this.#options.secrets.read(this.#ca.secret, this.#ca.key);
    if (pem === undefined) throw new Error(`Secret ${this.#ca.secret} has no key ${this.#ca.key}`);
    return pem;
  }
}

/** A time in the future says that the clock was set back: not within. */
function isWithin(since: number | null, pause: number, now: number): boolean {
  return since !== null && now >= since && now - since < pause;
}

function readKeySet(value: Readonly<Record<string, unknown>>): LocalJWKSet {
  const { keys } = value;
  if (!Array.isArray(keys) || keys.length === 0) throw new Error('the key set is empty');
  if (keys.length > MAX_KEYS) throw new Error(`the key set has more than ${MAX_KEYS} keys`);
  // Only the three members that choose a key and its public parts are read from it; jose refuses malformed ones.
  return createLocalJWKSet(value as unknown as JSONWebKeySet);
}

/** https, or http where the issuer itself is configured on this machine's loopback. */
function fetchableUrl(text: string, issuer: URL | null): URL {
  const url = URL.parse(text);
  if (url === null) throw new Error('not a URL');
  const local = url.protocol === 'http:' && isLoopback(url) && (issuer === null || issuer.protocol === 'http:');
  if (url.protocol !== 'https:' && !local) throw new Error('only https is trusted, or http on loopback');
  if (url.username !== '' || url.password !== '') throw new Error('a URL with credentials is refused');
  return url;
}

function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return `no answer within ${FETCH_TIMEOUT} ms`;
  return error.message;
}
