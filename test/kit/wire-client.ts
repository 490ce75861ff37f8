import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { decodeAuthentication } from '../../gateway/wire/backend.ts';
import { encodePassword } from '../../gateway/wire/frontend.ts';
import { encodeSSLRequest, encodeStartupMessage } from '../../gateway/wire/opening.ts';
import { describe, type Message, MessageStream } from './message-stream.ts';

/** Where and how to connect: `Request` asks with SSLRequest first, `Direct` begins with TLS (ALPN postgresql). */
export interface WireClientOptions {
  readonly host?: string;
  readonly port: number;
  readonly tls?: 'Off' | 'Request' | 'Direct';
  /** Certificates and checks of the TLS connection; by default the server's certificate is not verified. */
  readonly tlsOptions?: tls.ConnectionOptions;
  /** How long to wait for any one message; default 10 s. */
  readonly timeoutMs?: number;
}

/** How to log in; `password` answers AuthenticationCleartextPassword. */
export interface Login {
  readonly user: string;
  readonly database?: string;
  readonly password?: string;
  /** Other startup parameters. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Protocol 3.x; default 3.0. */
  readonly minor?: number;
}

/** A protocol client that does nothing by itself: it sends the bytes it is given and keeps what comes back. */
export class WireClient {
  readonly socket: net.Socket;
  readonly #incoming: MessageStream;
  readonly #transcript: string[] = [];

  /** Connects, through TLS where wanted; sends no StartupMessage. */
  static async connect(options: WireClientOptions): Promise<WireClient> {
    const host = options.host ?? '127.0.0.1';
    const plain = net.connect({ host, port: options.port, noDelay: true });
    await once(plain, 'connect');
    const socket = options.tls === undefined || options.tls === 'Off' ? plain : await encrypt(plain, host, options);
    return new WireClient(socket, options.timeoutMs ?? 10_000);
  }

  private constructor(socket: net.Socket, timeoutMs: number) {
    this.socket = socket;
    this.#incoming = new MessageStream('backend', timeoutMs);
    this.#incoming.attach(socket);
  }

  /** Both directions, one line a message as gateway/wire/trace.ts writes them, in the order of sending and reading. */
  get transcript(): readonly string[] {
    return this.#transcript;
  }

  /** Sends messages, whole or not, in one write. */
  send(...messages: readonly Buffer[]): void {
    const bytes = Buffer.concat(messages);
    this.#transcript.push(...describe('frontend', bytes));
    this.socket.write(bytes);
  }

  /** Sends bytes that are no typed messages: opening packets, garbage, halves. */
  sendRaw(bytes: Buffer, label: string): void {
    this.#transcript.push(`F\t${bytes.length}\t${label}`);
    this.socket.write(bytes);
  }

  /** The next message. */
  async receive(): Promise<Message> {
    const message = await this.#incoming.next();
    this.#transcript.push(...describe('backend', message.raw));
    return message;
  }

  /** All messages up to and including the first with this name. */
  async receiveUntil(name: string): Promise<readonly Message[]> {
    const messages: Message[] = [];
    do messages.push(await this.receive());
    while (messages.at(-1)?.name !== name);
    return messages;
  }

  /** StartupMessage and, when asked, the password; the messages up to the first ReadyForQuery or ErrorResponse. */
  async login(login: Login): Promise<readonly Message[]> {
    const parameters = { user: login.user, database: login.database ?? 'postgres', ...login.parameters };
    this.sendRaw(encodeStartupMessage(login.minor ?? 0, new Map(Object.entries(parameters))), 'StartupMessage');
    const messages: Message[] = [];
    for (;;) {
      const message = await this.receive();
      messages.push(message);
      if (message.name === 'ReadyForQuery' || message.name === 'ErrorResponse') return messages;
      if (message.name !== 'Authentication' || decodeAuthentication(message.body).kind !== 'CleartextPassword')
        continue;
      this.send(encodePassword(Buffer.from(login.password ?? '')));
    }
  }

  /** Resolves when the other side has closed; messages that came before stay readable. */
  async closed(): Promise<void> {
    if (!this.socket.destroyed) await once(this.socket, 'close');
  }

  /** Ends the connection without a word, as a client that disappears. */
  destroy(): void {
    this.socket.destroy();
  }
}

async function encrypt(plain: net.Socket, host: string, options: WireClientOptions): Promise<tls.TLSSocket> {
  if (options.tls === 'Request') {
    plain.write(encodeSSLRequest());
    const [answer] = (await once(plain, 'data')) as [Buffer];
    if (answer.toString() !== 'S') throw new Error(`SSLRequest was answered with ${JSON.stringify(answer.toString())}`);
  }
  const socket = tls.connect({
    socket: plain,
    rejectUnauthorized: options.tlsOptions?.ca !== undefined,
    ...(net.isIP(host) === 0 ? { servername: host } : { host }),
    ...(options.tls === 'Direct' && { ALPNProtocols: ['postgresql'] }),
    ...options.tlsOptions,
  });
  await once(socket, 'secureConnect');
  return socket;
}
