import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import type { UpstreamAuthentication } from '../config/document.ts';
import {
  type Authentication,
  decodeAuthentication,
  decodeBackendKeyData,
  decodeErrorResponse,
  decodeNegotiateProtocolVersion,
  decodeParameterStatus,
  decodeReadyForQuery,
} from '../wire/backend.ts';
import { ProtocolError } from '../wire/errors.ts';
import { encodePassword, encodeSASLInitialResponse, encodeSASLResponse } from '../wire/frontend.ts';
import { encodeStartupMessage } from '../wire/opening.ts';
import { MessageReader } from '../wire/reader.ts';
import { BACKEND, messageName } from '../wire/types.ts';
import { ByteSource } from './byte-source.ts';
import { ScramClient, ScramError, type ScramKeyCache } from './scram.ts';
import { CONNECTION_FAILURE, OPERATOR_HINT, UpstreamError } from './upstream-error.ts';

export interface LoginOptions {
  readonly user: string;
  readonly password: string;
  /** Parameters of the StartupMessage besides `user`. */
  readonly startup: ReadonlyMap<string, string>;
  readonly minor: 0 | 2;
  /** Methods the server may ask for; `Password` is answered over TLS alone. */
  readonly authentication: readonly UpstreamAuthentication[];
  /** DER of the server's certificate; null: the connection is not encrypted. */
  readonly certificate: Buffer | null;
  readonly scramKeys: ScramKeyCache;
  readonly randomBytes: (count: number) => Buffer;
  readonly signal: AbortSignal;
}

/** What the server said until it was ready. */
export interface LoggedIn {
  readonly processId: number;
  readonly secretKey: Buffer;
  readonly parameters: ReadonlyMap<string, string>;
  /** NoticeResponse messages as they came. */
  readonly notices: readonly Buffer[];
  readonly protocolMinor: number;
  /** Bytes after ReadyForQuery. */
  readonly rest: Buffer;
}

/** Greatest message before ReadyForQuery, as in libpq. */
const MAX_MESSAGE = 30_000;
const MAX_NOTICES = 100;
const MAX_PARAMETERS = 1_000;

/** Sends the StartupMessage and answers the server until it is ready; rejects with an UpstreamError. */
export async function login(socket: Socket, options: LoginOptions): Promise<LoggedIn> {
  const source = new ByteSource(socket);
  try {
    socket.write(encodeStartupMessage(options.minor, new Map([...options.startup, ['user', options.user]])));
    return await new Login(socket, options).run(source);
  } catch (error) {
    if (error instanceof ProtocolError) throw violation(error.message);
    if (error instanceof ScramError) throw loginFailed(options.user, error.message);
    throw error;
  } finally {
    source.detach();
  }
}

/** One login. */
class Login {
  readonly #socket: Socket;
  readonly #options: LoginOptions;
  readonly #reader = new MessageReader({
    direction: 'backend',
    streamed: new Set(),
    spill: () => Number.MAX_SAFE_INTEGER,
    maxLength: () => MAX_MESSAGE,
  });
  readonly #parameters = new Map<string, string>();
  readonly #notices: Buffer[] = [];
  #scram: ScramClient | null = null;
  /** What the server must do before AuthenticationOk may come. */
  #stage: 'Nothing' | 'Challenge' | 'ScramFirst' | 'ScramFinal' | 'Answered' | 'Authenticated' = 'Nothing';
  #key: { readonly processId: number; readonly secretKey: Buffer } | null = null;
  #minor: number;

  constructor(socket: Socket, options: LoginOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#minor = options.minor;
  }

  async run(source: ByteSource): Promise<LoggedIn> {
    for (;;) {
      for (let step = this.#reader.next(); step !== null; step = this.#reader.next()) {
        if (step.kind !== 'message') throw new ProtocolError('a message of the login is too long');
        if (await this.#message(step.type, step.body, step.raw)) return this.#ready();
      }
      const arrival = await source.more(this.#options.signal);
      if (arrival !== 'More') throw violation('the server closed the connection during the login');
      this.#reader.push(source.take(source.bytes.length));
    }
  }

  /** Handles one message; true: the server is ready. */
  async #message(type: number, body: Buffer, raw: Buffer): Promise<boolean> {
    if (type === BACKEND.ErrorResponse) throw this.#serverError(body, raw);
    if (type === BACKEND.NoticeResponse) {
      if (this.#notices.length < MAX_NOTICES) this.#notices.push(Buffer.from(raw));
      return false;
    }
    if (this.#stage !== 'Authenticated') {
      await this.#beforeOk(type, body);
      return false;
    }
    return this.#afterOk(type, body);
  }

  async #beforeOk(type: number, body: Buffer): Promise<void> {
    if (type === BACKEND.NegotiateProtocolVersion && this.#stage === 'Nothing') return this.#negotiate(body);
    if (type !== BACKEND.Authentication) throw unexpected(type);
    const message = decodeAuthentication(body);
    if (message.kind === 'Ok') return this.#ok();
    if (this.#stage === 'Nothing') return this.#request(message);
    if (message.kind === 'SASLContinue' && this.#stage === 'ScramFirst') {
      this.#socket.write(encodeSASLResponse(await this.#scram!.final(message.data)));
      this.#stage = 'ScramFinal';
      return;
    }
    if (message.kind !== 'SASLFinal' || this.#stage !== 'ScramFinal') throw unexpected(type);
    this.#scram!.verify(message.data);
    this.#stage = 'Answered';
  }

  /** AuthenticationOk counts only after a method that is allowed, and SCRAM only with the server's own proof. */
  #ok(): void {
    if (this.#stage === 'Nothing') throw this.#notAllowed('no authentication at all');
    if (this.#stage !== 'Answered') throw new ScramError('the server left out its proof');
    this.#stage = 'Authenticated';
  }

  #request(message: Authentication): void {
    const { authentication, certificate, password, user } = this.#options;
    if (message.kind === 'SASL') return this.#startScram(message.mechanisms);
    if (message.kind === 'MD5Password') {
      if (!authentication.includes('Md5')) throw this.#notAllowed('md5');
      this.#answer(
        Buffer.from(`md5${md5(Buffer.concat([Buffer.from(md5(Buffer.from(password + user))), message.salt]))}`),
      );
      return;
    }
    if (message.kind !== 'CleartextPassword') throw this.#notAllowed(message.kind);
    if (!authentication.includes('Password')) throw this.#notAllowed('the password in clear');
    if (certificate === null) throw this.#notAllowed('the password in clear over an unencrypted connection');
    this.#answer(Buffer.from(password));
  }

  #startScram(mechanisms: readonly string[]): void {
    const { authentication, certificate, password, randomBytes, scramKeys } = this.#options;
    if (!authentication.includes('ScramSha256')) throw this.#notAllowed('SCRAM-SHA-256');
    this.#scram = new ScramClient({ mechanisms, certificate, password, randomBytes, cache: scramKeys });
    this.#socket.write(encodeSASLInitialResponse({ mechanism: this.#scram.mechanism, data: this.#scram.first() }));
    this.#stage = 'ScramFirst';
  }

  #answer(password: Buffer): void {
    this.#socket.write(encodePassword(password));
    this.#stage = 'Answered';
  }

  #negotiate(body: Buffer): void {
    const { version } = decodeNegotiateProtocolVersion(body);
    const minor = version & 0xffff;
    if (version >>> 16 !== 3 || minor > this.#options.minor) {
      throw new ProtocolError(`the server chose protocol ${version >>> 16}.${minor}`);
    }
    this.#minor = minor;
  }

  #afterOk(type: number, body: Buffer): boolean {
    switch (type) {
      case BACKEND.ParameterStatus: {
        const { name, value } = decodeParameterStatus(body);
        if (this.#parameters.size >= MAX_PARAMETERS) throw new ProtocolError('too many ParameterStatus messages');
        this.#parameters.set(name, value);
        return false;
      }
      case BACKEND.BackendKeyData: {
        const { processId, secretKey } = decodeBackendKeyData(body);
        this.#key = { processId, secretKey: Buffer.from(secretKey) };
        return false;
      }
      case BACKEND.ReadyForQuery:
        decodeReadyForQuery(body);
        return true;
      default:
        throw unexpected(type);
    }
  }

  #ready(): LoggedIn {
    if (this.#key === null) throw violation('the server gave no key for cancel requests');
    // A client of protocol 3.0 could not read a longer one.
    if (this.#minor === 0 && this.#key.secretKey.length !== 4)
      throw violation('the key for cancel requests is too long');
    return {
      ...this.#key,
      parameters: this.#parameters,
      notices: this.#notices,
      protocolMinor: this.#minor,
      rest: this.#reader.rest(),
    };
  }

  #serverError(body: Buffer, raw: Buffer): UpstreamError {
    const { fields } = decodeErrorResponse(body);
    const sqlstate = fields.get('C') ?? CONNECTION_FAILURE;
    const message = fields.get('M') ?? '';
    // How our own role logs in is no business of the client's.
    if (sqlstate.startsWith('28')) return loginFailed(this.#options.user, `${sqlstate} ${message}`);
    return new UpstreamError({
      code: 'ServerError',
      sqlstate,
      message,
      hint: fields.get('H') ?? '',
      fatal: Buffer.from(raw),
    });
  }

  #notAllowed(method: string): UpstreamError {
    return new UpstreamError({
      code: 'MethodNotAllowed',
      sqlstate: CONNECTION_FAILURE,
      message: 'the database server asks for an authentication that the gateway does not allow',
      hint: OPERATOR_HINT,
      detail: `the server asked for ${method}; allowed by spec.upstream.authentication: ${this.#options.authentication.join(', ')}`,
    });
  }
}

function md5(bytes: Buffer): string {
  return createHash('md5').update(bytes).digest('hex');
}

function loginFailed(user: string, detail: string): UpstreamError {
  return new UpstreamError({
    code: 'AuthenticationFailed',
    sqlstate: CONNECTION_FAILURE,
    message: `the gateway could not log in to the database server as role "${user}"`,
    hint: OPERATOR_HINT,
    detail,
  });
}

function unexpected(type: number): ProtocolError {
  return new ProtocolError(`${messageName('backend', type)} was not expected during the login`);
}

function violation(detail: string): UpstreamError {
  return new UpstreamError({
    code: 'ProtocolViolation',
    sqlstate: CONNECTION_FAILURE,
    message: 'the login to the database server failed',
    hint: OPERATOR_HINT,
    detail,
  });
}
