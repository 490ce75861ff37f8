import { lookup } from 'node:dns/promises';
import { createServer, connect as dial, type Socket } from 'node:net';
import type { HostPort } from '../config/document.ts';
import { ProtocolError } from '../wire/errors.ts';
import { encodeCancelRequest, readOpening } from '../wire/opening.ts';
import { ByteSource } from './byte-source.ts';
import type { CancelOutcome, CancelRegistry } from './cancel.ts';
import { listenError, type RunningListener } from './listener.ts';
import type { Opened } from './opening.ts';
import { finish } from './refusal.ts';

/** Milliseconds for one exchange with a peer. */
const PEER_TIMEOUT = 3_000;
/** Offers under way at once; more are dropped. A CancelRequest is best effort by definition. */
const MAX_OFFERS = 32;
/** Peers that one request is offered to at most. */
const MAX_PEERS = 256;
/** Connections on the peers port at once. */
const MAX_PEER_CONNECTIONS = 256;

export interface PeersOptions {
  /** Other replicas' peers ports; a name that resolves to several addresses (headless Service) stands for all. */
  readonly peers: readonly HostPort[];
  readonly count: (outcome: CancelOutcome) => void;
  /** Milliseconds that a peer has. */
  readonly timeout?: number;
}

/** Offers CancelRequests that nobody knows here to the gateway's other replicas. */
export class Peers {
  readonly #options: PeersOptions;
  #offers = 0;

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** Resolves when every peer that could be reached has dealt with the request. Never rejects. */
  async offer(processId: number, secretKey: Buffer): Promise<void> {
    const { peers, count, timeout = PEER_TIMEOUT } = this.#options;
    if (peers.length === 0) return;
    if (this.#offers >= MAX_OFFERS) return count('OfferDropped');
    this.#offers += 1;
    try {
      const packet = encodeCancelRequest(processId, secretKey);
      const addresses = (await Promise.all(peers.map(resolve))).flat().slice(0, MAX_PEERS);
      const sent = await Promise.all(addresses.map((address) => send(address, packet, timeout)));
      count(sent.some((ok) => ok) ? 'Offered' : 'OfferFailed');
    } finally {
      this.#offers -= 1;
    }
  }
}

async function resolve({ host, port }: HostPort): Promise<HostPort[]> {
  try {
    const found = await lookup(host, { all: true });
    return found.map(({ address }) => ({ host: address, port }));
  } catch {
    return [];
  }
}

/** Whether the peer took the packet and closed, which it does when it has dealt with it. */
function send(address: HostPort, packet: Buffer, timeout: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = dial({ ...address, noDelay: true });
    const timer = setTimeout(() => socket.destroy(), timeout);
    let ended = false;
    socket.on('error', () => {});
    socket.on('end', () => {
      ended = true;
    });
    socket.on('close', () => {
      clearTimeout(timer);
      done(ended);
    });
    socket.resume();
    socket.write(packet);
  });
}

/**
 * Deals with a client's CancelRequest: here, or else at the peers. Then ends its connection, which is what the client
 * waits for. Never rejects.
 */
export async function answerCancel(
  { processId, secretKey, socket }: Extract<Opened, { kind: 'Cancel' }>,
  { registry, peers }: { readonly registry: CancelRegistry; readonly peers: Pick<Peers, 'offer'> },
): Promise<void> {
  const known = await registry.cancel(processId, secretKey);
  if (!known && registry.mayAsk(socket.remoteAddress ?? '')) await peers.offer(processId, secretKey);
  finish(socket);
}

export interface PeersListenOptions {
  readonly host: string;
  readonly port: number;
  readonly registry: Pick<CancelRegistry, 'cancel'>;
  /** Milliseconds that a peer has for its packet. */
  readonly timeout?: number;
}

/** Serves the peers port: CancelRequests, looked up here and never offered on. */
export async function listenForPeers(options: PeersListenOptions): Promise<RunningListener> {
  const server = createServer({ noDelay: true }, (socket) => void serve(socket, options));
  server.maxConnections = MAX_PEER_CONNECTIONS;
  await new Promise<void>((listening, reject) => {
    server.once('error', (error) => reject(listenError(error, options)));
    server.listen(options.port, options.host, listening);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : options.port;
  return { port, close: () => void server.close() };
}

async function serve(socket: Socket, { registry, timeout = PEER_TIMEOUT }: PeersListenOptions): Promise<void> {
  const source = new ByteSource(socket);
  const signal = AbortSignal.timeout(timeout);
  try {
    for (;;) {
      const packet = readOpening(source.bytes);
      if (packet.kind === 'CancelRequest') await registry.cancel(packet.processId, packet.secretKey);
      if (packet.kind !== 'NeedMore' || (await source.more(signal)) !== 'More') break;
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  } finally {
    source.detach();
    socket.end();
    socket.destroySoon();
  }
}
