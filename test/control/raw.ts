import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { type GatewayReport, MAX_DOWN_LINE } from '../../gateway/config/control.ts';
import { encodeLine, LineReader, readDown } from '../../gateway/config/control-lines.ts';
import { HOST } from './kit.ts';

export const REPORT: GatewayReport = {
  type: 'Report',
  revision: '0'.repeat(64),
  sequence: 0,
  refused: null,
  sessions: 0,
  draining: false,
  unenforced: [],
  findings: [],
};

/** A caller that writes what it likes onto the connection. */
export interface RawCaller {
  readonly socket: TLSSocket;
  /** The answer's head, as far as it came. */
  readonly status: number;
  /** Messages so far. */
  readonly received: unknown[];
  /** One chunk of the request's body. */
  send(data: string | Buffer): void;
  report(change?: Partial<GatewayReport>): void;
  /** Resolves when the connection is closed. */
  readonly closed: Promise<void>;
}

export async function tlsTo(port: number, ca: string): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, ca, servername: HOST });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  return socket;
}

/** Opens a stream as the token's owner and reads the head of the answer. */
export async function call(
  { port, ca }: { readonly port: number; readonly ca: string },
  token: string | null,
  { method = 'POST', path = '/v1/control' } = {},
): Promise<RawCaller> {
  const socket = await tlsTo(port, ca);
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const authorization = token === null ? '' : `authorization: Bearer ${token}\r\n`;
  socket.write(`${method} ${path} HTTP/1.1\r\nhost: ${HOST}\r\n${authorization}transfer-encoding: chunked\r\n\r\n`);
  let head = '';
  const received: unknown[] = [];
  const lines = new LineReader(MAX_DOWN_LINE);
  let body: Buffer = Buffer.alloc(0);
  let answered = () => {};
  const answer = new Promise<void>((resolve) => {
    answered = resolve;
  });
  socket.on('close', () => answered());
  socket.on('data', (chunk: Buffer) => {
    body = Buffer.concat([body, chunk]);
    if (head === '') {
      const end = body.indexOf('\r\n\r\n');
      if (end === -1) return;
      head = body.subarray(0, end).toString();
      body = body.subarray(end + 4);
      answered();
    }
    for (let chunked = takeChunk(body); chunked !== null && head.includes(' 200 '); chunked = takeChunk(body)) {
      body = chunked.rest;
      received.push(...lines.push(chunked.data).map(readDown));
    }
  });
  await answer;
  const send = (data: string | Buffer) => {
    const bytes = Buffer.from(data);
    socket.write(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]));
  };
  const report = (change: Partial<GatewayReport> = {}) => send(encodeLine({ ...REPORT, ...change }));
  return { socket, status: Number(head.split(' ')[1] ?? 0), received, send, report, closed };
}

function takeChunk(bytes: Buffer): { readonly data: Buffer; readonly rest: Buffer } | null {
  const end = bytes.indexOf('\r\n');
  if (end === -1) return null;
  const length = Number.parseInt(bytes.subarray(0, end).toString(), 16);
  if (bytes.length < end + 2 + length + 2) return null;
  return { data: bytes.subarray(end + 2, end + 2 + length), rest: bytes.subarray(end + 2 + length + 2) };
}
