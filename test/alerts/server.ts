import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';

export const KEY = Buffer.alloc(32, 7);
export const WRITTEN_KEY = `whsec_${KEY.toString('base64')}`;

/** What a receiver got. */
export interface Received {
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  readonly event: Record<string, unknown> & { readonly data: Record<string, unknown> };
}

export type Answer = (response: ServerResponse, count: number) => void;

export interface ReceiverServer {
  readonly port: number;
  readonly url: string;
  readonly received: Received[];
  answer: Answer;
  close(): Promise<void>;
}

export const status =
  (code: number, headers: Readonly<Record<string, string>> = {}): Answer =>
  (response) =>
    void response.writeHead(code, headers).end();

/** A real HTTP server that keeps what it gets and answers as a test wants it. */
export async function startReceiver(tls: { key: string; cert: string } | null = null): Promise<ReceiverServer> {
  const received: Received[] = [];
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('error', () => {});
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8');
      received.push({ headers: request.headers, body, event: JSON.parse(body) });
      receiver.answer(response, received.length);
    });
  };
  const server = tls === null ? createServer(listener) : createSecureServer(tls, listener);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const receiver: ReceiverServer = {
    port,
    url: `${tls === null ? 'http' : 'https'}://127.0.0.1:${port}/hook`,
    received,
    answer: status(204),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return receiver;
}

/** As a receiver checks it by the Standard Webhooks specification. */
export function isSigned({ headers, body }: Received, key = KEY): boolean {
  const content = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  return headers['webhook-signature'] === `v1,${createHmac('sha256', key).update(content).digest('base64')}`;
}
