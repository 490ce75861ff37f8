import type { Socket } from 'node:net';
import type { SecureContext, TLSSocket } from 'node:tls';
import { encodeNegotiateProtocolVersion } from '../wire/backend.ts';
import { ProtocolError } from '../wire/errors.ts';
import { type Opening, readOpening, type StartupMessage } from '../wire/opening.ts';
import { ByteSource } from './byte-source.ts';
import { finish, type Refusal, refuse } from './refusal.ts';
import { checkStartup, type Startup } from './startup.ts';
import { ALPN, type PeerCertificate, peerCertificate, type TlsFacts, terminateTls, tlsFacts } from './tls-server.ts';

export interface OpeningOptions {
  readonly tls: {
    readonly mode: 'Required' | 'Optional';
    /** The certificate in force now; null: there is none. */
    readonly context: () => SecureContext | null;
  };
  readonly requestClientCertificate: boolean;
  /** Told to a client once it has named itself, in place of a session; null: welcome. See `Connection.refusal`. */
  readonly refusal: Refusal | null;
  /** The handshake deadline, or the end of the process. */
  readonly signal: AbortSignal;
}

export type OpeningEnd = 'ClientGone' | 'Timeout' | 'ProtocolViolation' | 'TlsFailed' | 'TlsRequired' | 'Refused';

/** What a client wants. The socket is paused and keeps an error listener; where the kind is Closed it is ended. */
export type Opened =
  | {
      readonly kind: 'Startup';
      readonly socket: Socket | TLSSocket;
      readonly startup: Startup;
      /** Bytes that followed the start-up packet. */
      readonly rest: Buffer;
      readonly tls: TlsFacts | null;
      readonly peerCertificate: PeerCertificate | null;
    }
  | {
      readonly kind: 'Cancel';
      /** To be ended when the request has been dealt with: that is what the client waits for. */
      readonly socket: Socket | TLSSocket;
      readonly processId: number;
      readonly secretKey: Buffer;
    }
  | { readonly kind: 'Closed'; readonly reason: OpeningEnd; readonly message: string };

type Closed = Extract<Opened, { kind: 'Closed' }>;
type Packet = Exclude<Opening, { kind: 'NeedMore' }>;

const LETTERS = /^[A-Z]+/;
const HTTP_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'CONNECT', 'PRI']);
const HTTP_ANSWER =
  'HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n' +
  'This port speaks the PostgreSQL protocol, not HTTP: use a PostgreSQL client.\n';

/** Takes a new connection to its start-up packet: TLS in all its forms, encryption refusals, cancel requests. */
export async function open(socket: Socket, options: OpeningOptions): Promise<Opened> {
  return await new Doorkeeper(socket, options).run();
}

/** One connection's way through the opening packets. */
class Doorkeeper {
  readonly #options: OpeningOptions;
  #socket: Socket | TLSSocket;
  #source: ByteSource;
  #tls: TLSSocket | null = null;
  #asked = { ssl: false, gss: false };

  constructor(socket: Socket, options: OpeningOptions) {
    this.#options = options;
    this.#socket = socket;
    this.#source = new ByteSource(socket);
  }

  async run(): Promise<Opened> {
    for (;;) {
      const packet = await this.#nextPacket();
      if (packet.kind === 'Closed') return packet;
      const end = await this.#answer(packet);
      if (end !== null) return end;
    }
  }

  async #nextPacket(): Promise<Packet | Closed> {
    for (;;) {
      const packet = this.#readPacket();
      if (packet.kind !== 'NeedMore') return packet;
      const arrival = await this.#source.more(this.#options.signal);
      if (arrival === 'Closed') return this.#drop('ClientGone', 'the client closed the connection');
      // As PostgreSQL: a start-up packet that does not come in time is not worth an answer.
      if (arrival === 'Aborted') return this.#drop('Timeout', 'no start-up packet before the handshake deadline');
    }
  }

  #readPacket(): Opening | Closed {
    const bytes = this.#source.bytes;
    const method = this.#tls === null ? LETTERS.exec(bytes.toString('latin1', 0, 8))?.[0] : undefined;
    if (method !== undefined && method.length === bytes.length) return { kind: 'NeedMore' };
    if (method !== undefined && HTTP_METHODS.has(method)) {
      finish(this.#release(), Buffer.from(HTTP_ANSWER));
      return { kind: 'Closed', reason: 'ProtocolViolation', message: 'an HTTP request on a PostgreSQL port' };
    }
    try {
      return readOpening(bytes);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return this.#refuse('ProtocolViolation', { code: error.sqlstate, message: error.message });
    }
  }

  /** Null: go on with the next packet. */
  async #answer(packet: Packet): Promise<Opened | null> {
    switch (packet.kind) {
      case 'DirectTLS':
        return await this.#directTls();
      case 'SSLRequest':
        return await this.#sslRequest(packet.size);
      case 'GSSENCRequest':
        return this.#gssRequest(packet.size);
      case 'CancelRequest':
        // In clear even where TLS is required: libpq before 17 always sends it so.
        return {
          kind: 'Cancel',
          processId: packet.processId,
          secretKey: Buffer.from(packet.secretKey),
          socket: this.#release(),
        };
      case 'StartupMessage':
        return this.#startup(packet);
    }
  }

  async #directTls(): Promise<Closed | null> {
    if (this.#tls !== null || this.#asked.ssl || this.#asked.gss) {
      return this.#refuse('ProtocolViolation', violation('a TLS handshake was not expected here'));
    }
    const context = this.#options.tls.context();
    if (context === null) return this.#drop('TlsFailed', 'a TLS handshake, but there is no certificate');
    const hello = this.#source.detach();
    this.#socket.unshift(hello);
    const failed = await this.#encrypt(context);
    if (failed !== null) return failed;
    // Mandatory here: it is what keeps another protocol's client from being led to this port (ALPACA).
    if (this.#negotiated() === ALPN) return null;
    return this.#refuse('ProtocolViolation', violation(`direct TLS connections must ask for ALPN protocol ${ALPN}`));
  }

  #negotiated(): string | false | null {
    return this.#tls?.alpnProtocol ?? null;
  }

  async #sslRequest(size: number): Promise<Closed | null> {
    if (this.#tls !== null || this.#asked.ssl) {
      return this.#refuse('ProtocolViolation', violation('SSLRequest was not expected here'));
    }
    this.#asked.ssl = true;
    this.#source.take(size);
    if (this.#source.pending > 0) return this.#stuffed('SSLRequest');
    const context = this.#options.tls.context();
    this.#socket.write(context === null ? 'N' : 'S');
    if (context === null) return null;
    this.#source.detach();
    return await this.#encrypt(context);
  }

  #gssRequest(size: number): Closed | null {
    if (this.#tls !== null || this.#asked.gss) {
      return this.#refuse('ProtocolViolation', violation('GSSENCRequest was not expected here'));
    }
    this.#asked.gss = true;
    this.#source.take(size);
    if (this.#source.pending > 0) return this.#stuffed('GSSENCRequest');
    this.#socket.write('N');
    return null;
  }

  /**
   * Bytes sent in clear behind an encryption request would be taken for bytes of the encrypted session
   * (CVE-2021-23214; test "bytes stuffed behind SSLRequest are refused").
   */
  #stuffed(request: string): Closed {
    return this.#refuse('ProtocolViolation', {
      ...violation(`received unencrypted data after ${request}`),
      hint: 'This is a bug of the client software or an attempted man-in-the-middle attack.',
    });
  }

  async #encrypt(context: SecureContext): Promise<Closed | null> {
    const { requestClientCertificate, signal } = this.#options;
    const secure = await terminateTls(this.#socket, { context, requestClientCertificate, signal });
    if (secure === null) {
      if (signal.aborted) return { kind: 'Closed', reason: 'Timeout', message: 'no TLS before the handshake deadline' };
      return { kind: 'Closed', reason: 'TlsFailed', message: 'the TLS handshake failed' };
    }
    this.#tls = secure;
    this.#socket = secure;
    this.#source = new ByteSource(secure);
    return null;
  }

  #startup(message: StartupMessage): Opened {
    if (this.#tls === null && this.#options.tls.mode === 'Required') {
      return this.#refuse('TlsRequired', {
        code: '28000',
        message: 'this gateway accepts TLS connections only',
        hint: 'Connect with sslmode=require, or better sslmode=verify-full.',
      });
    }
    const startup = checkStartup(message);
    if ('refusal' in startup) return this.#refuse('ProtocolViolation', startup.refusal);
    if (this.#options.refusal !== null) return this.#refuse('Refused', this.#options.refusal);
    if (startup.negotiate !== null) this.#socket.write(encodeNegotiateProtocolVersion(startup.negotiate));
    this.#source.take(message.size);
    return {
      kind: 'Startup',
      startup,
      rest: this.#source.detach(),
      socket: this.#socket,
      tls: this.#tls === null ? null : tlsFacts(this.#tls),
      peerCertificate: this.#tls === null ? null : peerCertificate(this.#tls),
    };
  }

  #refuse(reason: OpeningEnd, refusal: Refusal): Closed {
    refuse(this.#release(), refusal);
    return { kind: 'Closed', reason, message: refusal.message };
  }

  #drop(reason: OpeningEnd, message: string): Closed {
    this.#release().destroy();
    return { kind: 'Closed', reason, message };
  }

  #release(): Socket | TLSSocket {
    this.#source.detach();
    return this.#socket;
  }
}

function violation(message: string): Refusal {
  return { code: '08P01', message };
}
