import { createHash, createHmac, pbkdf2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { tlsServerEndPoint } from './channel-binding.ts';
import { saslprep } from './saslprep.ts';

const derive = promisify(pbkdf2);

/** RFC 7677 section 4 demands 4096 at least; the upper bound keeps a server from burning our time. */
const MIN_ITERATIONS = 4096;
const MAX_ITERATIONS = 10_000_000;
const MAX_CACHED = 512;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The server's part of a SCRAM exchange is wrong; no message quotes password, keys or proofs. */
export class ScramError extends Error {
  readonly code = 'POSTERN_SCRAM';

  constructor(message: string) {
    super(`SCRAM: ${message}`);
    this.name = 'ScramError';
  }
}

interface Keys {
  readonly clientKey: Buffer;
  readonly serverKey: Buffer;
}

/** ClientKey and ServerKey by password, salt and iterations: PBKDF2 takes milliseconds and gives the same each time. */
export class ScramKeyCache {
  readonly #keys = new Map<string, Promise<Keys>>();

  keys(password: string, salt: Buffer, iterations: number): Promise<Keys> {
    const digest = createHash('sha256').update(password).digest('base64');
    const id = `${digest} ${salt.toString('base64')} ${iterations}`;
    const known = this.#keys.get(id) ?? deriveKeys(password, salt, iterations);
    this.#keys.delete(id);
    this.#keys.set(id, known);
    if (this.#keys.size > MAX_CACHED) this.#keys.delete(this.#keys.keys().next().value ?? '');
    return known;
  }
}

async function deriveKeys(password: string, salt: Buffer, iterations: number): Promise<Keys> {
  const salted = await derive(saslprep(password), salt, iterations, 32, 'sha256');
  return { clientKey: hmac(salted, 'Client Key'), serverKey: hmac(salted, 'Server Key') };
}

export interface ScramOptions {
  /** Offered by the server's AuthenticationSASL. */
  readonly mechanisms: readonly string[];
  readonly password: string;
  /** DER of the server's certificate; null: the connection is not encrypted. */
  readonly certificate: Buffer | null;
  readonly randomBytes: (count: number) => Buffer;
  readonly cache: ScramKeyCache;
}

/** The client's side of one SCRAM-SHA-256 or SCRAM-SHA-256-PLUS exchange (RFC 5802, RFC 7677). */
export class ScramClient {
  readonly mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS';
  readonly #options: ScramOptions;
  readonly #gs2: string;
  readonly #binding: Buffer;
  readonly #nonce: string;
  #serverSignature: Buffer | null = null;

  /** Throws where the server offers neither mechanism. */
  constructor(options: ScramOptions) {
    const { mechanisms, certificate } = options;
    const plus = certificate !== null && mechanisms.includes('SCRAM-SHA-256-PLUS');
    const binding = certificate === null ? null : tlsServerEndPoint(certificate);
    if (!(plus && binding !== null) && !mechanisms.includes('SCRAM-SHA-256')) {
      throw new ScramError('the server offers no mechanism that is supported here');
    }
    this.#options = options;
    this.#nonce = options.randomBytes(18).toString('base64');
    this.mechanism = plus && binding !== null ? 'SCRAM-SHA-256-PLUS' : 'SCRAM-SHA-256';
    // `y`: we could bind and the server says it cannot. If it can, somebody removed -PLUS from its offer on the way,
    // and the server ends the exchange (test "a removed -PLUS offer is noticed by the server").
    const flag = this.mechanism === 'SCRAM-SHA-256-PLUS' ? 'p=tls-server-end-point' : binding === null ? 'n' : 'y';
    this.#gs2 = `${flag},,`;
    this.#binding = this.mechanism === 'SCRAM-SHA-256-PLUS' && binding !== null ? binding : Buffer.alloc(0);
  }

  /** client-first-message; PostgreSQL takes the user from the start-up packet and ignores `n`. */
  first(): Buffer {
    return Buffer.from(`${this.#gs2}${this.#firstBare()}`);
  }

  /** client-final-message for the server-first-message. */
  async final(serverFirst: Buffer): Promise<Buffer> {
    const text = serverFirst.toString('latin1');
    const { nonce, salt, iterations } = this.#parseFirst(text);
    const { password, cache } = this.#options;
    const { clientKey, serverKey } = await cache.keys(password, salt, iterations);
    const channel = Buffer.concat([Buffer.from(this.#gs2), this.#binding]).toString('base64');
    const withoutProof = `c=${channel},r=${nonce}`;
    const authMessage = `${this.#firstBare()},${text},${withoutProof}`;
    const signature = hmac(createHash('sha256').update(clientKey).digest(), authMessage);
    this.#serverSignature = hmac(serverKey, authMessage);
    const proof = clientKey.map((byte, i) => byte ^ signature[i]!);
    return Buffer.from(`${withoutProof},p=${Buffer.from(proof).toString('base64')}`);
  }

  /** Checks the server-final-message: a server that does not know the password cannot make it. */
  verify(serverFinal: Buffer): void {
    const text = serverFinal.toString('latin1');
    const signature = /^v=([^,]+)$/.exec(text)?.[1];
    if (signature === undefined || !BASE64.test(signature)) throw new ScramError('malformed server-final-message');
    const actual = Buffer.from(signature, 'base64');
    const expected = this.#serverSignature;
    if (expected === null || actual.length !== expected.length || !timingSafeEqual(actual, expected)) {
      throw new ScramError('the server could not prove that it knows the password');
    }
  }

  #firstBare(): string {
    return `n=,r=${this.#nonce}`;
  }

  #parseFirst(text: string): { nonce: string; salt: Buffer; iterations: number } {
    const match = /^r=([\x21-\x2b\x2d-\x7e]+),s=([^,]+),i=([1-9][0-9]{0,8})(?:,[A-Za-z]=[^,]*)*$/.exec(text);
    const [, nonce = '', salt = '', count = ''] = match ?? [];
    if (match === null || !BASE64.test(salt)) throw new ScramError('malformed server-first-message');
    if (!nonce.startsWith(this.#nonce) || nonce.length === this.#nonce.length) {
      throw new ScramError('the server did not extend our nonce');
    }
    const iterations = Number(count);
    if (iterations < MIN_ITERATIONS || iterations > MAX_ITERATIONS) {
      throw new ScramError(`${iterations} iterations are not between ${MIN_ITERATIONS} and ${MAX_ITERATIONS}`);
    }
    return { nonce, salt: Buffer.from(salt, 'base64'), iterations };
  }
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text, 'latin1').digest();
}
