import { once } from 'node:events';
import net from 'node:net';

/** A relay between gateway and server that keeps what passes. */
export interface Recorder {
  readonly port: number;
  /** Where it relays to; set before the first connection. */
  target: number;
  /** Forgets what has passed so far and follows the newest connection from now on. */
  follow(): void;
  /** What the gateway has sent since. */
  sent(): Buffer;
  close(): void;
}

export async function startRecorder(): Promise<Recorder> {
  const sockets = new Set<net.Socket>();
  let newest: { chunks: Buffer[] } = { chunks: [] };
  let followed = newest;
  const server = net.createServer((inner) => {
    const outer = net.connect({ host: '127.0.0.1', port: recorder.target });
    const connection = { chunks: [] as Buffer[] };
    newest = connection;
    for (const socket of [inner, outer]) {
      sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)));
      socket.setNoDelay(true);
    }
    inner.on('data', (chunk) => connection.chunks.push(chunk));
    inner.pipe(outer);
    outer.pipe(inner);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const recorder: Recorder = {
    port: (server.address() as net.AddressInfo).port,
    target: 0,
    follow() {
      followed = newest;
      followed.chunks.length = 0;
    },
    sent: () => Buffer.concat(followed.chunks),
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  return recorder;
}
