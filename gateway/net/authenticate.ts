import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import type { ListenerAuthentication } from '../config/document.ts';
import type { Authenticator } from '../identity/authenticator.ts';
import type { AuthenticationFailure, AuthenticationResult, Identity } from '../identity/identity.ts';
import {
  buildErrorChallenge,
  isErrorAcknowledgement,
  OAUTHBEARER,
  parseOAuthBearer,
} from '../identity/sasl-oauthbearer.ts';
import { encodeAuthentication } from '../wire/backend.ts';
import { ProtocolError } from '../wire/errors.ts';
import { decodePassword, decodeSASLInitialResponse } from '../wire/frontend.ts';
import { FRONTEND, messageName } from '../wire/types.ts';
import { ByteSource } from './byte-source.ts';
import type { Opened } from './opening.ts';
import { type Refusal, refuse } from './refusal.ts';

export interface AuthenticateOptions {
  readonly method: ListenerAuthentication;
  readonly opened: Extract<Opened, { kind: 'Startup' }>;
  readonly authenticator: Pick<Authenticator, 'verify' | 'discovery'>;
  /** Reads an identity from a client certificate whose chain has been verified. */
  readonly identifyCertificate: (certificate: X509Certificate) => AuthenticationResult;
  /** The handshake deadline, or the end of the process. */
  readonly signal: AbortSignal;
}

/** In all cases but Identity the client has been told and the connection is ended. */
export type Authenticated =
  /** AuthenticationOk has not been sent. `rest`: bytes that followed the client's last message. */
  | { readonly kind: 'Identity'; readonly identity: Identity; readonly rest: Buffer }
  | { readonly kind: 'Failed'; readonly reason: AuthenticationFailure; readonly message: string }
  /** libpq's first OAUTHBEARER leg, which asks where to get a token: neither a failure nor a rate-limit hit. */
  | { readonly kind: 'Discovery' }
  /** The client left, as psql does to ask for a password. */
  | { readonly kind: 'Gone' };

type Failure = Extract<AuthenticationResult, { ok: false }>;

/** Greatest length of a message of the 'p' family, as in the server (PG_MAX_AUTH_TOKEN_LENGTH). */
const MAX_MESSAGE = 65_535;
const HEADER = 5;

/** Asks the client who it is, in the listener's way, and tells it when the answer will not do. */
export async function authenticate(options: AuthenticateOptions): Promise<Authenticated> {
  return await new Exchange(options).run();
}

/** Ends the exchange from anywhere in it. */
class Ended extends Error {
  readonly outcome: Authenticated;

  constructor(outcome: Authenticated) {
    super(outcome.kind);
    this.outcome = outcome;
  }
}

/** One client's authentication. */
class Exchange {
  readonly #options: AuthenticateOptions;
  readonly #socket: Socket;
  readonly #source: ByteSource;

  constructor(options: AuthenticateOptions) {
    this.#options = options;
    this.#socket = options.opened.socket;
    this.#source = new ByteSource(options.opened.socket, options.opened.rest);
  }

  async run(): Promise<Authenticated> {
    try {
      const result = await this.#byMethod();
      if (!result.ok) return this.#failed(result);
      if (this.#options.signal.aborted) return this.#timeout();
      return { kind: 'Identity', identity: result.identity, rest: this.#source.detach() };
    } catch (error) {
      if (error instanceof Ended) return error.outcome;
      if (!(error instanceof ProtocolError)) throw error;
      return this.#violation(error.message);
    }
  }

  async #byMethod(): Promise<AuthenticationResult> {
    if (this.#options.method === 'Certificate') return this.#certificate();
    const exposed = this.#exposed();
    if (exposed !== null) return exposed;
    return this.#options.method === 'Token' ? await this.#token() : await this.#oauthBearer();
  }

  /** A token is never asked for in clear, but for a client on this machine. */
  #exposed(): Failure | null {
    if (this.#options.opened.tls !== null || isLoopback(this.#socket.remoteAddress)) return null;
    const message = 'this gateway does not accept tokens over an unencrypted connection';
    return { ok: false, reason: 'WrongMechanism', message, hint: 'Connect with sslmode=require or verify-full.' };
  }

  #certificate(): AuthenticationResult {
    const peer = this.#options.opened.peerCertificate;
    if (peer?.verified === true) return this.#options.identifyCertificate(peer.certificate);
    const message =
      peer === null ? 'this listener requires a client certificate' : 'the client certificate is not trusted here';
    const hint =
      peer === null
        ? 'Set sslcert and sslkey in the connection string.'
        : 'It must be valid now and issued for client authentication by an authority that the gateway trusts.';
    return { ok: false, reason: 'NoCertificate', message, hint };
  }

  async #token(): Promise<AuthenticationResult> {
    this.#socket.write(encodeAuthentication({ kind: 'CleartextPassword' }));
    const token = decodePassword(await this.#message()).toString('utf8');
    if (token === '') {
      const message = 'an empty password was sent where a token is expected';
      return { ok: false, reason: 'Malformed', message, hint: 'Send a token of a configured issuer as the password.' };
    }
    return await this.#verify(token, 'Token');
  }

  async #oauthBearer(): Promise<AuthenticationResult> {
    this.#socket.write(encodeAuthentication({ kind: 'SASL', mechanisms: [OAUTHBEARER] }));
    const initial = decodeSASLInitialResponse(await this.#message());
    if (initial.mechanism !== OAUTHBEARER) {
      const message = 'the client chose a SASL mechanism that was not offered';
      return { ok: false, reason: 'WrongMechanism', message, hint: `Offered is ${OAUTHBEARER}.` };
    }
    const request = parseOAuthBearer(initial.data ?? (await this.#continue(Buffer.alloc(0))));
    if (request.kind === 'Invalid') throw new ProtocolError(request.message);
    if (request.kind === 'Discovery') {
      await this.#challenge();
      this.#refuse({ code: '28000', message: 'OAUTHBEARER: no token was sent', hint: 'Get a token from the issuer.' });
      throw new Ended({ kind: 'Discovery' });
    }
    const result = await this.#verify(request.token, 'OAuthBearer');
    if (!result.ok) await this.#challenge();
    return result;
  }

  async #verify(token: string, method: 'Token' | 'OAuthBearer'): Promise<AuthenticationResult> {
    return await this.#options.authenticator.verify(token, method);
  }

  /** RFC 7628 section 3.2.2: the error goes out as a challenge and is acknowledged before the exchange fails. */
  async #challenge(): Promise<void> {
    const answer = await this.#continue(buildErrorChallenge(this.#options.authenticator.discovery()));
    if (!isErrorAcknowledgement(answer)) throw new ProtocolError('the OAUTHBEARER error was not acknowledged');
  }

  async #continue(data: Buffer): Promise<Buffer> {
    this.#socket.write(encodeAuthentication({ kind: 'SASLContinue', data }));
    return await this.#message();
  }

  /** The body of the next message of the 'p' family. */
  async #message(): Promise<Buffer> {
    await this.#fill(1);
    const type = this.#source.bytes[0]!;
    if (type === FRONTEND.Terminate) throw this.#gone();
    if (type !== FRONTEND.PasswordMessage) {
      throw new ProtocolError(`expected a password or SASL response, got ${messageName('frontend', type)}`);
    }
    await this.#fill(HEADER);
    const length = this.#source.bytes.readUInt32BE(1);
    if (length < 4 || length > MAX_MESSAGE) {
      throw new Ended(this.#violation(`a password message of ${length} bytes`, length < 4 ? null : 'TooLarge'));
    }
    await this.#fill(1 + length);
    return this.#source.take(1 + length).subarray(HEADER);
  }

  async #fill(count: number): Promise<void> {
    while (this.#source.bytes.length < count) {
      const arrival = await this.#source.more(this.#options.signal);
      if (arrival === 'Closed') throw this.#gone();
      if (arrival === 'Aborted') throw new Ended(this.#timeout());
    }
  }

  #gone(): Ended {
    this.#source.detach();
    this.#socket.destroy();
    return new Ended({ kind: 'Gone' });
  }

  #timeout(): Authenticated {
    const message = 'canceling authentication due to timeout';
    this.#refuse({ code: '57014', message });
    return { kind: 'Failed', reason: 'Timeout', message };
  }

  #violation(message: string, reason: AuthenticationFailure | null = null): Authenticated {
    this.#refuse({ code: '08P01', message });
    return { kind: 'Failed', reason: reason ?? 'Malformed', message };
  }

  #failed({ reason, message, hint }: Failure): Authenticated {
    const code = this.#options.method === 'Token' ? '28P01' : '28000';
    this.#refuse({ code, message: `authentication failed: ${message}`, hint });
    return { kind: 'Failed', reason, message };
  }

  #refuse(refusal: Refusal): void {
    this.#source.detach();
    refuse(this.#socket, refusal);
  }
}

function isLoopback(address: string | undefined): boolean {
  return address === '::1' || /^(?:::ffff:)?127\./.test(address ?? '');
}
