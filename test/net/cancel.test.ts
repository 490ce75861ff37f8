import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { type CancelOutcome, CancelRegistry } from '../../gateway/net/cancel.ts';
import type { RunningListener } from '../../gateway/net/listener.ts';
import { answerCancel, listenForPeers, Peers } from '../../gateway/net/peers.ts';
import { encodeCancelRequest, encodeSSLRequest } from '../../gateway/wire/opening.ts';
import { RawClient, startDoor, startup } from './support.ts';

interface Replica {
  readonly registry: CancelRegistry;
  readonly outcomes: CancelOutcome[];
  advance(milliseconds: number): void;
}

function replica(): Replica {
  const outcomes: CancelOutcome[] = [];
  let now = 0;
  const registry = new CancelRegistry({ now: () => now, count: (outcome) => void outcomes.push(outcome) });
  const advance = (milliseconds: number): void => {
    now += milliseconds;
  };
  return { registry, outcomes, advance };
}

/** Registers a session and tells how often it was cancelled. */
function session({ registry }: Replica, processId: number, secretKey: Buffer) {
  const counter = { cancelled: 0, unregister: () => {} };
  counter.unregister = registry.register(processId, secretKey, async () => void counter.cancelled++);
  return counter;
}

describe('the registry', () => {
  test('two sessions with the same process ID on different servers: the key tells them apart', async () => {
    const here = replica();
    const [a, b] = [Buffer.from('aaaa'), randomBytes(32)];
    const first = session(here, 7, a);
    const second = session(here, 7, b);
    expect(await here.registry.cancel(7, b)).toBe(true);
    expect([first.cancelled, second.cancelled]).toEqual([0, 1]);
    expect(await here.registry.cancel(7, a)).toBe(true);
    expect([first.cancelled, second.cancelled]).toEqual([1, 1]);
  });

  test.each([
    ['a guessed key', 7, Buffer.from('aaab')],
    ['a prefix of the key', 7, Buffer.from('aaa')],
    ['the key and more', 7, Buffer.from('aaaaa')],
    ['an empty key', 7, Buffer.alloc(0)],
    ['the key of another process ID', 8, Buffer.from('aaaa')],
  ])('%s cancels nothing', async (_name, processId, key) => {
    const here = replica();
    const only = session(here, 7, Buffer.from('aaaa'));
    expect(await here.registry.cancel(processId, key)).toBe(false);
    expect(only.cancelled).toBe(0);
    expect(here.outcomes).toEqual(['Unknown']);
  });

  test('a session that has ended is not cancelled, and a later one with its process ID is', async () => {
    const here = replica();
    const key = Buffer.from('aaaa');
    const first = session(here, 7, key);
    first.unregister();
    expect(await here.registry.cancel(7, key)).toBe(false);
    const second = session(here, 7, key);
    first.unregister();
    expect(await here.registry.cancel(7, key)).toBe(true);
    expect([first.cancelled, second.cancelled]).toEqual([0, 1]);
  });

  test('the key is copied: what the caller does with its bytes later does not matter', async () => {
    const here = replica();
    const key = Buffer.from('aaaa');
    session(here, 7, key);
    key.fill(0);
    expect(await here.registry.cancel(7, Buffer.from('aaaa'))).toBe(true);
  });

  test('a request has been dealt with when the server has dealt with it', async () => {
    const here = replica();
    let deal = (): void => {};
    here.registry.register(7, Buffer.from('aaaa'), () => new Promise((resolve) => (deal = resolve)));
    const order: string[] = [];
    const cancelled = here.registry.cancel(7, Buffer.from('aaaa')).then(() => order.push('answered'));
    await setImmediate();
    order.push('dealt with');
    deal();
    await cancelled;
    expect(order).toEqual(['dealt with', 'answered']);
  });

  test('unknown requests are limited by address, and the limit recovers', () => {
    const here = replica();
    const flood = Array.from({ length: 25 }, () => here.registry.mayAsk('10.0.0.1'));
    expect(flood.filter(Boolean).length).toBe(20);
    expect(here.registry.mayAsk('10.0.0.2')).toBe(true);
    here.advance(1_000);
    expect(Array.from({ length: 6 }, () => here.registry.mayAsk('10.0.0.1')).filter(Boolean).length).toBe(5);
    expect(here.outcomes.filter((outcome) => outcome === 'RateLimited').length).toBe(6);
  });

  test('a clock that is set back blocks nobody', () => {
    const here = replica();
    here.advance(3_600_000);
    here.registry.mayAsk('10.0.0.1');
    here.advance(-3_600_000);
    here.registry.mayAsk('10.0.0.1');
    expect(here.registry.mayAsk('10.0.0.1')).toBe(true);
  });

  test('addresses are forgotten in the end', () => {
    const here = replica();
    for (let i = 0; i < 20; i++) here.registry.mayAsk('first');
    for (let i = 0; i < 10_000; i++) here.registry.mayAsk(`other ${i}`);
    expect(here.registry.mayAsk('first')).toBe(true);
  });
});

describe('peers', () => {
  const running: RunningListener[] = [];

  async function listening(options: Partial<Parameters<typeof listenForPeers>[0]> = {}) {
    const there = replica();
    const listener = await listenForPeers({ host: '127.0.0.1', port: 0, registry: there.registry, ...options });
    running.push(listener);
    return { ...there, port: listener.port };
  }

  function offering(...ports: number[]) {
    const outcomes: CancelOutcome[] = [];
    const peers = ports.map((port) => ({ host: '127.0.0.1', port }));
    return { outcomes, peers: new Peers({ peers, count: (outcome) => void outcomes.push(outcome) }) };
  }

  afterEach(() => {
    for (const each of running.splice(0)) each.close();
  });

  test('a CancelRequest reaches the replica that knows the session, and that one alone acts', async () => {
    const [first, second] = [await listening(), await listening()];
    const key = randomBytes(32);
    const theirs = session(second, 7, key);
    const here = offering(first.port, second.port);
    await here.peers.offer(7, key);
    expect(theirs.cancelled).toBe(1);
    expect([first.outcomes, second.outcomes, here.outcomes]).toEqual([['Unknown'], ['Cancelled'], ['Offered']]);
  });

  test('a name that resolves to several addresses stands for all of them', async () => {
    const there = await listening();
    const key = randomBytes(4);
    const theirs = session(there, 7, key);
    const peers = new Peers({ peers: [{ host: 'localhost', port: there.port }], count: () => {} });
    await peers.offer(7, key);
    expect(theirs.cancelled).toBe(1);
  });

  test('peers that are gone, silent or unresolvable do no harm', async () => {
    const silent = net.createServer((socket) => void socket.on('error', () => {}));
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    const there = await listening();
    const theirs = session(there, 7, Buffer.from('aaaa'));
    const peers = new Peers({
      peers: [
        { host: 'nowhere.invalid', port: 1 },
        { host: '127.0.0.1', port: 1 },
        { host: '127.0.0.1', port: (silent.address() as net.AddressInfo).port },
        { host: '127.0.0.1', port: there.port },
      ],
      count: () => {},
      timeout: 150,
    });
    await peers.offer(7, Buffer.from('aaaa'));
    expect(theirs.cancelled).toBe(1);
    silent.close();
  });

  test('nobody there: counted', async () => {
    const here = offering(1);
    await here.peers.offer(7, Buffer.from('aaaa'));
    expect(here.outcomes).toEqual(['OfferFailed']);
    const alone = offering();
    await alone.peers.offer(7, Buffer.from('aaaa'));
    expect(alone.outcomes).toEqual([]);
  });

  test('only so many offers at once', async () => {
    const there = await listening();
    const here = offering(there.port);
    await Promise.all(Array.from({ length: 40 }, () => here.peers.offer(7, Buffer.from('aaaa'))));
    expect(here.outcomes.filter((outcome) => outcome === 'OfferDropped').length).toBe(8);
    expect(there.outcomes.length).toBe(32);
  });

  test.each([
    ['SSLRequest', encodeSSLRequest()],
    ['a start-up packet', startup()],
    ['garbage', randomBytes(40).fill(0xff, 0, 4)],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    [
      'a request without a key',
      Buffer.concat([Buffer.from([0, 0, 0, 12]), encodeCancelRequest(7, Buffer.alloc(4)).subarray(4, 12)]),
    ],
  ])('the peers port closes on %s without an answer', async (_name, bytes) => {
    const there = await listening();
    const client = await RawClient.connect(there.port);
    client.write(bytes);
    expect((await client.rest()).length).toBe(0);
    expect(there.outcomes).toEqual([]);
  });

  test('the peers port takes a request byte by byte and closes on silence', async () => {
    const there = await listening({ timeout: 150 });
    const theirs = session(there, 7, Buffer.from('aaaa'));
    const silent = await RawClient.connect(there.port);
    const client = await RawClient.connect(there.port);
    for (const byte of encodeCancelRequest(7, Buffer.from('aaaa'))) client.write(Buffer.from([byte]));
    await client.rest();
    expect(theirs.cancelled).toBe(1);
    expect((await silent.rest()).length).toBe(0);
  });

  test('a client’s CancelRequest through another replica: dealt with when the connection ends', async () => {
    const there = await listening();
    const key = randomBytes(32);
    const theirs = session(there, 7, key);
    const here = replica();
    const { peers } = offering(there.port);
    const door = await startDoor({
      onOpened: (opened) =>
        opened.kind === 'Cancel' ? answerCancel(opened, { registry: here.registry, peers }) : null,
    });
    const cancel = async (secretKey: Buffer): Promise<void> => {
      const client = await RawClient.connect(door.port);
      client.write(encodeCancelRequest(7, secretKey));
      expect((await client.rest()).length).toBe(0);
    };
    await cancel(randomBytes(32));
    expect([theirs.cancelled, there.outcomes]).toEqual([0, ['Unknown']]);
    await cancel(key);
    expect([theirs.cancelled, here.outcomes]).toEqual([1, ['Unknown', 'Unknown']]);
    const ours = session(here, 7, Buffer.from('ours'));
    await cancel(Buffer.from('ours'));
    expect([ours.cancelled, there.outcomes.length]).toEqual([1, 2]);
    for (let i = 0; i < 30; i++) await cancel(randomBytes(4));
    expect(there.outcomes.length).toBe(20);
    door.close();
  });
});
