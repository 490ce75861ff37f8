import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Delivery, type DeliveryOptions } from '../../gateway/alerts/delivery.ts';
import { readReceiver } from '../../gateway/alerts/receiver.ts';
import { createCertificateAuthority } from '../kit/tls.ts';
import { isSigned, KEY, type ReceiverServer, startReceiver, status, WRITTEN_KEY } from './server.ts';

let server: ReceiverServer;
let secret: Record<string, string>;
const lines: string[] = [];
const counts = { delivered: 0, failed: 0, dropped: 0 };
const open: Delivery[] = [];

beforeEach(async () => {
  server = await startReceiver();
  secret = { url: server.url, key: WRITTEN_KEY };
  lines.length = 0;
  Object.assign(counts, { delivered: 0, failed: 0, dropped: 0 });
});
afterEach(async () => {
  for (const delivery of open.splice(0)) await delivery.close(0);
  await server.close();
});

const source = {
  read: (_secret: string, key: string) => (secret[key] === undefined ? undefined : Buffer.from(secret[key])),
};

function start(bounds: DeliveryOptions['bounds'] = {}): Delivery {
  const say = (fields: object, message: string) => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const delivery = new Delivery({
    receiver: () => readReceiver(source, 'hook'),
    log: { warn: say, info: say },
    metrics: {
      delivered: () => void counts.delivered++,
      failed: () => void counts.failed++,
      dropped(by) {
        counts.dropped += by;
      },
    },
    now: Date.now,
    random: () => 0.5,
    bounds: { firstRetry: 20, longestRetry: 100, attempt: 300, ...bounds },
  });
  open.push(delivery);
  return delivery;
}

const event = (id: string) => ({ id, body: JSON.stringify({ specversion: '1.0', id, data: { text: 'ä' } }) });
const ids = () => server.received.map(({ headers }) => headers['webhook-id']);
const arrived = () => expect.poll(() => counts.delivered, { timeout: 5000 });

test('an event is signed, typed and sent once', async () => {
  secret.token = 'bearer-of-mine';
  start().push(event('a-1'));
  await arrived().toBe(1);
  const [got] = server.received;
  expect(got!.headers).toMatchObject({
    'content-type': 'application/cloudevents+json; charset=utf-8',
    'webhook-id': 'a-1',
    authorization: 'Bearer bearer-of-mine',
  });
  expect(Math.abs(Number(got!.headers['webhook-timestamp']) - Date.now() / 1000)).toBeLessThan(5);
  expect(isSigned(got!)).toBe(true);
  expect(isSigned({ ...got!, body: `${got!.body} ` })).toBe(false);
  expect(isSigned(got!, Buffer.alloc(32, 8))).toBe(false);
  expect(got!.event).toEqual({ specversion: '1.0', id: 'a-1', data: { text: 'ä' } });
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(ids()).toEqual(['a-1']);
});

describe('a receiver that', () => {
  test('fails and recovers gets the same event again, and the trouble is logged once', async () => {
    server.answer = (response, count) => status(count < 4 ? 500 : 200)(response, count);
    start().push(event('a-1'));
    await arrived().toBe(1);
    expect(new Set(server.received.map(({ body }) => body)).size).toBe(1);
    expect(ids()).toEqual(['a-1', 'a-1', 'a-1', 'a-1']);
    expect(counts).toEqual({ delivered: 1, failed: 3, dropped: 0 });
    expect(lines.filter((line) => line.startsWith('alerts cannot be delivered'))).toHaveLength(1);
    expect(lines.at(-1)).toContain('alerts are delivered again');
  });

  test('is not there, and then is', async () => {
    const { port } = server;
    await server.close();
    const delivery = start();
    delivery.push(event('a-1'));
    await expect.poll(() => counts.failed).toBeGreaterThan(1);
    expect(lines[0]).toContain('ECONNREFUSED');
    server = await startReceiver();
    expect(server.port).not.toBe(port);
    secret.url = server.url; // a Secret that is changed counts at once
    await arrived().toBe(1);
  });

  test('hangs is given up on after a time, and holds up no other event', async () => {
    server.answer = (response, count) => (count === 1 ? undefined : status(200)(response, count));
    const delivery = start();
    for (const id of ['hangs', 'b', 'c', 'd']) delivery.push(event(id));
    await arrived().toBe(3);
    expect(counts.failed).toBe(0);
    await arrived().toBe(4);
    expect(ids().filter((id) => id === server.received[0]!.headers['webhook-id'])).toHaveLength(2);
    expect(lines[0]).toContain('it did not answer in time');
  });

  test('is slow gets several at a time, and no more than four', async () => {
    let [now, most] = [0, 0];
    server.answer = (response) => {
      most = Math.max(most, ++now);
      setTimeout(() => {
        now -= 1;
        response.writeHead(200).end();
      }, 50);
    };
    const delivery = start();
    for (let i = 0; i < 20; i++) delivery.push(event(`e-${i}`));
    await arrived().toBe(20);
    expect(most).toBe(4);
    expect(new Set(ids()).size).toBe(20);
  });

  test('refuses one event for ever still gets the others', async () => {
    server.answer = (response, count) =>
      status(server.received[count - 1]!.headers['webhook-id'] === 'poison' ? 400 : 200)(response, count);
    const delivery = start();
    for (const id of ['poison', 'b', 'c', 'd', 'e', 'f']) delivery.push(event(id));
    await arrived().toBe(5);
    expect(delivery.size).toBe(1);
  });

  test('asks to wait is not asked before', async () => {
    server.answer = (response, count) => status(count === 1 ? 429 : 200, { 'retry-after': '1' })(response, count);
    const began = Date.now();
    start({ longestRetry: 5000 }).push(event('a-1'));
    await arrived().toBe(1);
    expect(Date.now() - began).toBeGreaterThan(990);
  });

  test('redirects is not followed', async () => {
    const other = await startReceiver();
    server.answer = status(307, { location: other.url });
    start().push(event('a-1'));
    await expect.poll(() => counts.failed).toBeGreaterThan(1);
    expect(other.received).toHaveLength(0);
    await other.close();
  });

  test('has failed for too long: the event is given up, counted and logged', async () => {
    server.answer = status(503);
    start({ giveUp: 50 }).push(event('a-1'));
    await expect.poll(() => counts.dropped).toBe(1);
  });
});

test('more than may wait are dropped at once, counted, and logged without one line each', async () => {
  server.answer = () => {};
  const delivery = start({ waiting: 10 });
  const began = performance.now();
  for (let i = 0; i < 100_000; i++) delivery.push(event(`e-${i}`));
  expect(performance.now() - began).toBeLessThan(2000);
  expect(delivery.size).toBe(10);
  expect(counts.dropped).toBe(99_990);
  expect(lines.length).toBeLessThan(5);
});

describe('at the end', () => {
  test('what waits is tried once more, and delivered', async () => {
    server.answer = status(500);
    const delivery = start({ firstRetry: 60_000, longestRetry: 60_000 });
    for (let i = 0; i < 9; i++) delivery.push(event(`e-${i}`));
    await expect.poll(() => counts.failed).toBe(9);
    server.answer = status(200);
    await delivery.close(2000);
    expect(counts).toMatchObject({ delivered: 9, dropped: 0 });
    delivery.push(event('late'));
    expect(counts.dropped).toBe(1);
  });

  test('it does not take longer than it may, and what is lost is said', async () => {
    server.answer = () => {};
    const delivery = start({ attempt: 60_000 });
    for (let i = 0; i < 9; i++) delivery.push(event(`e-${i}`));
    const began = Date.now();
    await delivery.close(200);
    expect(Date.now() - began).toBeLessThan(1500);
    expect(counts.dropped).toBe(9);
    expect(lines.join('\n')).toContain('alerts were dropped');
  });
});

test('https, with authorities of its own; a server that they do not vouch for gets nothing', async () => {
  const authority = await createCertificateAuthority();
  const pair = await authority.server(['127.0.0.1', 'localhost']);
  const secure = await startReceiver({ key: pair.keyPem, cert: pair.certPem });
  secret = { url: secure.url.replace('127.0.0.1', 'localhost'), key: WRITTEN_KEY };
  const delivery = start();
  delivery.push(event('a-1'));
  await expect.poll(() => counts.failed).toBeGreaterThan(0);
  expect(secure.received).toHaveLength(0);
  secret['ca.crt'] = authority.caPem;
  await arrived().toBe(1);
  expect(isSigned(secure.received[0]!)).toBe(true);
  await secure.close();
});

describe('a Secret', () => {
  test.each([
    ['without url', { url: undefined }, 'key url is missing'],
    ['with a word for url', { url: 'nowhere' }, 'key url is no URL'],
    ['with plain http to elsewhere', { url: 'http://example.com/x' }, 'key url must begin with https://'],
    ['with plain http to a name like loopback', { url: 'http://127.0.0.1.example.com/' }, 'must begin with https://'],
    ['with another scheme', { url: 'file:///etc/passwd' }, 'must begin with https://'],
    ['with a password in it', { url: 'https://me:hunter2@example.com/' }, 'must hold no password'],
    ['without key', { key: undefined }, 'key key is missing'],
    ['with a short key', { key: `whsec_${Buffer.alloc(8).toString('base64')}` }, 'must be whsec_ and 24 to 64 bytes'],
    ['with a plain key', { key: 'hunter2-hunter2-hunter2-hunter2' }, 'must be whsec_'],
    ['with a token of two lines', { token: 'a\r\nx-evil: 1' }, 'key token must be one word'],
  ])('%s is said without quoting it', (_name, change, expected) => {
    secret = { url: 'https://example.com/', key: WRITTEN_KEY, ...change } as Record<string, string>;
    const problem = readReceiver(source, 'hook');
    expect(problem).toContain(`Secret hook: `);
    expect(problem).toContain(expected);
    expect(problem).not.toContain('hunter2');
  });

  test.each(['http://localhost:1/x', 'http://[::1]:1/', 'http://127.8.8.8/', 'https://example.com/a?b=c'])(
    'with %s is good',
    (url) => {
      secret = { url, key: `${WRITTEN_KEY}\n` };
      expect(readReceiver(source, 'hook')).toMatchObject({ key: KEY, token: null, ca: null });
    },
  );
});

test('no secret and no address beyond the host is logged', async () => {
  secret = { url: `${server.url}?access=path-secret`, key: WRITTEN_KEY, token: 'token-secret' };
  server.answer = status(500);
  const delivery = start();
  delivery.push(event('a-1'));
  await expect.poll(() => counts.failed).toBeGreaterThan(1);
  await delivery.close(0);
  const said = lines.join('\n');
  for (const word of ['path-secret', 'token-secret', WRITTEN_KEY, WRITTEN_KEY.slice(6)])
    expect(said).not.toContain(word);
});
