import { encodeBind, encodeExecute, encodeParse, encodeQuery, encodeSync } from '../gateway/wire/frontend.ts';
import { WireClient } from '../test/kit/wire-client.ts';
import type { Contender } from './contenders.ts';

const END = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

/** A session that only counts what comes, so that the reader's own work does not hide the proxy's. */
export async function open(contender: Contender): Promise<WireClient> {
  const client = await WireClient.connect({ port: contender.port, timeoutMs: 60_000 });
  const { user, password } = contender.name === 'direct' ? { user: 'bench_raw', password: '' } : contender;
  const last = (await client.login({ user, password })).at(-1);
  if (last?.name !== 'ReadyForQuery') throw new Error(`${contender.name} refused the login: ${last?.body.toString()}`);
  client.socket.removeAllListeners('data');
  return client;
}

/** How long a statement's result took to arrive, and its bytes. */
export interface Read {
  readonly seconds: number;
  readonly bytes: number;
}

/** Runs a statement and reads its result to the end, as text by a simple query or as binary by the extended one. */
export function read(client: WireClient, sql: string, format: 'text' | 'binary'): Promise<Read> {
  const text = Buffer.from(sql);
  const messages =
    format === 'text'
      ? [encodeQuery(text)]
      : [
          encodeParse({ statement: '', text, parameterTypes: [] }),
          encodeBind({ portal: '', statement: '', formats: [], parameters: [], resultFormats: [1] }),
          encodeExecute('', 0),
          encodeSync(),
        ];
  return new Promise((resolve, reject) => {
    const started = performance.now();
    let bytes = 0;
    let tail: Buffer = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      bytes += chunk.length;
      tail =
        chunk.length >= END.length ? chunk.subarray(-END.length) : Buffer.concat([tail, chunk]).subarray(-END.length);
      if (!tail.equals(END)) return;
      client.socket.off('data', onData).off('close', onClose);
      resolve({ seconds: (performance.now() - started) / 1000, bytes });
    };
    const onClose = () => reject(new Error('the connection ended before the result did'));
    client.socket.on('data', onData).on('close', onClose);
    client.socket.write(Buffer.concat(messages));
  });
}
