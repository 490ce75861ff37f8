import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { adopt } from '../../gateway/net/shared-reads.ts';

/** A client and its connection as a server accepts it: paused, as every socket here is until its session begins. */
async function accepted(): Promise<{ client: Socket; socket: Socket; connections: () => Promise<number> }> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect({ port: (server.address() as { port: number }).port, host: '127.0.0.1', allowHalfOpen: true });
  const [socket] = (await once(server, 'connection')) as [Socket];
  onTestFinished(() => {
    client.destroy();
    socket.destroy();
    server.close();
  });
  const connections = () => new Promise<number>((done) => server.getConnections((_, count) => done(count)));
  return { client, socket, connections };
}

function collect(socket: Socket): { readonly text: string } {
  const got = { text: '' };
  socket.on('data', (chunk: Buffer) => {
    got.text += chunk.toString('latin1');
  });
  return got;
}

describe('adopt', () => {
  test('an accepted connection is read into the shared buffer', async () => {
    const { client, socket } = await accepted();
    const address = [socket.remoteAddress, socket.remotePort];
    const adopted = adopt(socket);
    // Null would be right after a change of Node's inside, and a twentieth slower: decide then whether it is worth another way.
    expect(adopted).not.toBeNull();
    expect([adopted!.socket.remoteAddress, adopted!.socket.remotePort]).toEqual(address);
    const got = collect(adopted!.socket);
    client.write('one');
    adopted!.socket.resume();
    await vi.waitFor(() => expect(got.text).toBe('one'));
    adopted!.socket.pause();
    client.write('two');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(got.text).toBe('one');
    adopted!.socket.resume();
    await vi.waitFor(() => expect(got.text).toBe('onetwo'));
    const answer = collect(client);
    adopted!.socket.write('answer');
    await vi.waitFor(() => expect(answer.text).toBe('answer'));
  });

  test('what the old socket had read is handed over, and what comes then follows', async () => {
    const { client, socket } = await accepted();
    socket.on('data', () => socket.pause());
    socket.resume();
    client.write('a');
    await once(socket, 'data');
    // A paused stream reads on until its buffer is full.
    client.write('bc');
    await vi.waitFor(() => expect(socket.readableLength).toBe(2));
    socket.removeAllListeners('data');
    const adopted = adopt(socket)!;
    expect(adopted.rest.toString()).toBe('bc');
    const got = collect(adopted.socket);
    adopted.socket.resume();
    client.write('d');
    await vi.waitFor(() => expect(got.text).toBe('d'));
  });

  test('two sockets that read the same buffer keep their bytes apart', async () => {
    const pairs = [await accepted(), await accepted()];
    const sockets = pairs.map(({ socket }) => adopt(socket)!.socket);
    const chunks = sockets.map((socket) => {
      const list: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => list.push(chunk));
      socket.resume();
      return list;
    });
    const sent = pairs.map((_, i) => Buffer.alloc(300_000, i === 0 ? 'xy' : 'Z'));
    for (const [i, { client }] of pairs.entries()) client.write(sent[i]!);
    await vi.waitFor(() => {
      for (const [i, list] of chunks.entries()) expect(Buffer.concat(list).equals(sent[i]!)).toBe(true);
    });
  });

  test.each(['after', 'before', 'before, and the old socket has read it'])(
    'a client that said its last word is heard to the end: %s',
    async (when) => {
      const { client, socket } = await accepted();
      if (when.endsWith('it')) {
        socket.once('data', () => socket.pause());
        socket.resume();
        client.write('first');
        await once(socket, 'data');
      }
      if (when !== 'after') {
        client.end('last');
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      const { socket: heir, rest } = adopt(socket)!;
      const got = collect(heir);
      const ended = once(heir, 'end');
      heir.resume();
      if (when === 'after') client.end('last');
      await ended;
      expect(rest.toString() + got.text).toBe('last');
      const answer = collect(client);
      heir.end('answer');
      await once(client, 'close');
      expect(answer.text).toBe('answer');
    },
  );

  test('the end of the connection closes both, and the server counts it no more', async () => {
    const { client, socket, connections } = await accepted();
    const closed = once(socket, 'close');
    const { socket: heir } = adopt(socket)!;
    heir.on('error', () => {});
    expect(await connections()).toBe(1);
    heir.resume();
    client.resetAndDestroy();
    await closed;
    expect(heir.destroyed).toBe(true);
    expect(await connections()).toBe(0);
  });

  test('an answer that is still on its way stays with the socket it was given to', async () => {
    const { client, socket } = await accepted();
    const big = Buffer.alloc(16 << 20, 'x');
    socket.write(big);
    expect(adopt(socket)).toBeNull();
    let bytes = 0;
    client.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    await vi.waitFor(() => expect(bytes).toBe(big.length));
  });

  test('one that is gone is left as it is', async () => {
    const { socket } = await accepted();
    socket.destroy();
    expect(adopt(socket)).toBeNull();
  });
});
