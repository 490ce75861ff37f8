import { type Dispatcher, Pool, ProxyAgent } from 'undici';
import type { Clock } from './clock.ts';
import type { Access, Credentials, TlsMaterial } from './credentials.ts';
import { answerError, KubeError, transportError } from './errors.ts';

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** From the root of the API server, encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly contentType?: string;
  /** Milliseconds for the whole exchange, or for the head of a stream. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
}

/** An answer that goes on: its bytes, and what cuts it off. */
export interface Stream {
  readonly body: AsyncIterable<Uint8Array>;
  cut(error: KubeError): void;
  /** Forgets the stream; must be called at its end. */
  close(): void;
}

export interface TransportOptions {
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly userAgent: string;
  /** One request more; `code` is `<error>` where no answer came, as client-go counts. */
  readonly counted: (code: string, method: string, host: string) => void;
}

export interface Transport {
  /** The body of a successful answer. */
  exchange(call: Call): Promise<Buffer>;
  open(call: Call): Promise<Stream>;
  close(): Promise<void>;
}

/** More than any page of a list can need; what is longer is no answer of an API server. */
const LARGEST_ANSWER = 256 * 2 ** 20;
const LARGEST_REFUSAL = 2 ** 20;

/**
 * One pool of connections, made anew where certificates have changed. HTTP/1.1: a connection that dies takes one
 * request with it, and the kernel's keep-alive finds a dead peer in 25 seconds.
 */
export function createTransport(options: TransportOptions): Transport {
  const { credentials, clock } = options;
  let pool: { readonly access: Access; readonly dispatcher: Dispatcher } | null = null;

  const dispatcherFor = (access: Access): Dispatcher => {
    if (pool !== null && isSamePeer(pool.access, access)) return pool.dispatcher;
    // Requests under way end on the connections they have.
    pool?.dispatcher.close().catch(() => {});
    pool = { access, dispatcher: createDispatcher(access) };
    return pool.dispatcher;
  };

  const request = async (call: Call, signal: AbortSignal): Promise<Dispatcher.ResponseData> => {
    const access = await credentials.current();
    const count = (code: string): void => options.counted(code, call.method, access.server.host);
    try {
      const answer = await dispatcherFor(access).request({
        origin: access.server.origin,
        path: pathOf(access.server, call),
        method: call.method,
        headers: headersOf(options.userAgent, access, call),
        body: call.body === undefined ? null : JSON.stringify(call.body),
        signal,
      });
      count(String(answer.statusCode));
      if (answer.statusCode === 401) credentials.refused();
      return answer;
    } catch (error) {
      count('<error>');
      throw error;
    }
  };

  return {
    exchange: async (call) => {
      const end = createEnd(call, clock);
      try {
        const answer = await request(call, end.signal);
        await refuse(call, answer);
        return await read(call, answer.body, LARGEST_ANSWER);
      } catch (error) {
        throw transportError(nameOf(call), error);
      } finally {
        end.close();
      }
    },
    open: async (call) => {
      const end = createEnd(call, clock);
      try {
        const answer = await request(call, end.signal);
        await refuse(call, answer);
        end.lift();
        // An error that nobody reads any more must not end the process.
        answer.body.on('error', () => {});
        const close = (): void => {
          end.close();
          answer.body.destroy();
        };
        return { body: answer.body, cut: end.cut, close };
      } catch (error) {
        end.close();
        throw transportError(nameOf(call), error);
      }
    },
    close: async () => pool?.dispatcher.destroy(),
  };
}

/** `GET /api/v1/pods`: how errors name a request. */
export function nameOf(call: Pick<Call, 'method' | 'path'>): string {
  return `${call.method} ${call.path}`;
}

function isSamePeer(a: Access, b: Access): boolean {
  const peer = ({ server, proxy, tls }: Access): string => JSON.stringify([server.origin, proxy, tls]);
  return a === b || peer(a) === peer(b);
}

function createDispatcher(access: Access): Dispatcher {
  const tls: TlsMaterial = access.tls;
  const pool = { allowH2: false, headersTimeout: 0, bodyTimeout: 0, keepAliveTimeout: 30_000 };
  // Said aloud, so that NODE_TLS_REJECT_UNAUTHORIZED does not decide.
  const verified = { rejectUnauthorized: true, ...tls };
  const connect = { timeout: 10_000, keepAlive: true, keepAliveInitialDelay: 15_000 };
  if (access.proxy === null) return new Pool(access.server.origin, { ...pool, connect: { ...connect, ...verified } });
  return new ProxyAgent({ ...pool, uri: access.proxy, requestTls: { ...connect, ...verified } });
}

function pathOf(server: URL, call: Call): string {
  const query = new URLSearchParams(call.query).toString();
  return `${server.pathname.replace(/\/$/, '')}${call.path}${query === '' ? '' : `?${query}`}`;
}

function headersOf(userAgent: string, access: Access, call: Call): Record<string, string> {
  const type = call.body === undefined ? {} : { 'content-type': call.contentType ?? 'application/json' };
  return { accept: 'application/json, */*', 'user-agent': userAgent, ...type, ...access.headers };
}

/** Throws what an answer other than 2xx says. */
async function refuse(call: Call, answer: Dispatcher.ResponseData): Promise<void> {
  const { statusCode, headers } = answer;
  if (statusCode >= 200 && statusCode < 300) return;
  const after = headers['retry-after'];
  const body = await read(call, answer.body, LARGEST_REFUSAL);
  throw answerError(nameOf(call), statusCode, body, Array.isArray(after) ? after[0] : after);
}

async function read(call: Call, body: AsyncIterable<Uint8Array>, most: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > most) throw new KubeError('Server', nameOf(call), `the answer is longer than ${most} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

interface End {
  readonly signal: AbortSignal;
  cut(error: KubeError): void;
  /** The deadline no longer counts. */
  lift(): void;
  close(): void;
}

/** Joins the deadline and the caller's signal; both end as a KubeError. */
function createEnd(call: Call, clock: Clock): End {
  const controller = new AbortController();
  const cut = (message: string): void => controller.abort(new KubeError('Transport', nameOf(call), message));
  const lift = clock.after(call.timeout, () => cut(`no answer within ${call.timeout / 1000} s`));
  const stop = (): void => cut('given up');
  if (call.signal?.aborted) stop();
  call.signal?.addEventListener('abort', stop);
  return {
    signal: controller.signal,
    cut: (error) => controller.abort(error),
    lift,
    close: () => {
      lift();
      call.signal?.removeEventListener('abort', stop);
    },
  };
}
