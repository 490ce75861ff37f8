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
  /** The two ends of what is relayed now: towards who connected, and towards the target. */
  readonly ends: ReadonlySet<Ends>;
  close(): void;
}

interface Ends {
  readonly inner: net.Socket;
  readonly outer: net.Socket;
}

export async function startRecorder(): Promise<Recorder> {
  const ends = new Set<Ends>();
  let newest: { chunks: Buffer[] } = { chunks: [] };
  let followed = newest;
  const server = net.createServer((inner) => {
    const outer = net.connect({ host: '127.0.0.1', port: recorder.target });
    const connection = { chunks: [] as Buffer[] };
    newest = connection;
    const pair = { inner, outer };
    ends.add(pair);
    for (const socket of [inner, outer]) {
      // A socket that is closed, by whomever, closes the other.
      socket.on('error', () => {}).on('close', () => end(pair));
      socket.setNoDelay(true);
    }
    inner.on('data', (chunk) => connection.chunks.push(chunk));
    inner.pipe(outer);
    outer.pipe(inner);
  });
  const end = (pair: Ends) => {
    ends.delete(pair);
    pair.inner.destroy();
    pair.outer.destroy();
  };
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const recorder: Recorder = {
    port: (server.address() as net.AddressInfo).port,
    target: 0,
    follow() {
      followed = newest;
      followed.chunks.length = 0;
    },
    ends,
    sent: () => Buffer.concat(followed.chunks),
    close() {
      server.close();
      for (const pair of ends) end(pair);
    },
  };
  return recorder;
}
