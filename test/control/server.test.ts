import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MAX_UP_LINE } from '../../gateway/config/control.ts';
import { Outlet } from '../../operator/control/outlet.ts';
import { type FakePod, nth, POD, published, type Replica, SHORT, Stage, statusOf } from './kit.ts';
import { call, REPORT, tlsTo } from './raw.ts';

const WAIT = { timeout: 15_000, interval: 10 };
const OTHER: FakePod = { ...POD, name: 'billing-1', uid: 'uid-2', serviceAccount: 'billing', gateway: 'billing' };
const STRANGER: FakePod = { ...POD, name: 'web-1', uid: 'uid-3', serviceAccount: 'web', gateway: null };

let stage: Stage;

beforeEach(async () => {
  stage = await new Stage().open();
  for (const pod of [OTHER, STRANGER]) stage.cluster.pods.set(`${pod.namespace}/${pod.name}`, pod);
});

afterEach(async () => {
  await stage.close();
});

const at = ({ server }: Replica) => ({ port: server.port, ca: stage.certificate.ca });
const reports = ({ server }: Replica, gateway: string) => [...server.reports.of('shop', gateway).keys()];

const REFUSED: readonly (readonly [string, () => string | null, number])[] = [
  ['no token', () => null, 401],
  ['no token of a ServiceAccount', () => 'secret', 401],
  ['a token that nobody has made', () => `${stage.cluster.mint(POD)}x`, 401],
  ['a token for the API server', () => stage.cluster.mint(POD, { audience: 'https://kubernetes.default.svc' }), 401],
  ['a token that has expired', () => stage.cluster.mint(POD, { seconds: -1 }), 401],
  ['a pod that is no gateway', () => stage.cluster.mint(STRANGER), 403],
  ['a pod that is not there any more', () => stage.cluster.mint({ ...POD, name: 'orders-0' }), 403],
  ['a pod whose name another one has now', () => stage.cluster.mint({ ...POD, uid: 'uid-0' }), 403],
  [
    'a gateway’s pod with an account that is not the gateway’s',
    () => stage.cluster.mint({ ...POD, serviceAccount: 'web' }),
    403,
  ],
];

describe('who is let in', () => {
  it.each(REFUSED)('not %s', async (_name, token, status) => {
    const replica = await stage.replica();
    replica.documents.publish(published(nth(1), 1));
    const caller = await call(at(replica), token());
    expect(caller.status).toBe(status);
    caller.report();
    await caller.closed;
    expect([reports(replica, 'orders'), replica.metrics.counts.opened]).toEqual([[], undefined]);
  });

  it('a review that names no audience, no pod or two of them counts for nothing', async () => {
    const replica = await stage.replica();
    const good = statusOf(POD, 'postern-control');
    const user = good.user as { username: string; extra: Record<string, string[]> };
    const pod = 'authentication.kubernetes.io/pod-name';
    for (const status of [
      undefined,
      { ...good, audiences: undefined },
      { ...good, audiences: ['other'] },
      { ...good, authenticated: 'true' },
      { ...good, user: { ...user, username: 'system:node:one' } },
      { ...good, user: { username: user.username } },
      { ...good, user: { ...user, extra: { ...user.extra, [pod]: ['orders-1', 'billing-1'] } } },
    ]) {
      stage.cluster.answer = async (_token) => ({
        apiVersion: 'v1',
        kind: 'TokenReview',
        metadata: { name: '' },
        status,
      });
      expect((await call(at(replica), stage.cluster.mint(POD))).status).toBe(401);
    }
    stage.cluster.answer = async () => ({
      apiVersion: 'v1',
      kind: 'TokenReview',
      metadata: { name: '' },
      status: good,
    });
    expect((await call(at(replica), stage.cluster.mint(POD))).status).toBe(200);
  });

  it('nobody while the API server does not answer, and then everybody again', async () => {
    const replica = await stage.replica();
    const token = stage.cluster.mint(POD);
    stage.cluster.answer = () => Promise.reject(Object.assign(new Error('down'), { reason: 'Transport' }));
    expect((await call(at(replica), token)).status).toBe(503);
    stage.cluster.answer = null;
    expect((await call(at(replica), token)).status).toBe(200);
  });

  it('only on the one path, by POST', async () => {
    const replica = await stage.replica();
    const token = stage.cluster.mint(POD);
    expect((await call(at(replica), token, { path: '/' })).status).toBe(404);
    expect((await call(at(replica), token, { method: 'GET' })).status).toBe(405);
    expect(stage.cluster.reviews).toEqual([]);
  });

  it('a pod gets its own gateway’s document and speaks for that one alone, whatever it says', async () => {
    const replica = await stage.replica();
    replica.documents.publish(published(nth(1), 1));
    const billing = { namespace: 'shop', name: 'billing' };
    replica.documents.publish(published(nth(2), 2), { namespace: 'shop', gateway: 'billing' });
    const caller = await call(at(replica), stage.cluster.mint(OTHER));
    caller.report({ ...{ namespace: 'shop', gateway: 'orders', pod: 'orders-1', uid: 'uid-1' }, sessions: 9 });
    await vi.waitFor(() => expect(reports(replica, 'billing')).toEqual(['uid-2']), WAIT);
    expect(reports(replica, 'orders')).toEqual([]);
    replica.documents.publish(published(nth(3), 3));
    replica.documents.publish(published(nth(4), 4), { namespace: billing.namespace, gateway: billing.name });
    await vi.waitFor(
      () => expect(caller.received.filter(isConfiguration).map(({ sequence }) => sequence)).toEqual([2, 4]),
      WAIT,
    );
  });
});

function isConfiguration(message: unknown): message is { readonly type: string; readonly sequence: number } {
  return (message as { type?: unknown } | null)?.type === 'Configuration';
}

describe('what tokens cost', () => {
  it('a good one is asked about once in a while, however often its pod dials', async () => {
    let now = Date.now();
    const replica = await stage.replica({ now: () => now });
    const token = stage.cluster.mint(POD);
    for (let i = 0; i < 5; i++) expect((await call(at(replica), token)).status).toBe(200);
    expect(stage.cluster.reviews).toHaveLength(1);
    now += 31_000;
    expect((await call(at(replica), token)).status).toBe(200);
    expect(stage.cluster.reviews).toHaveLength(2);
  });

  it('an address whose tokens are all rejected is soon not asked about, and later again', async () => {
    let now = Date.now();
    const replica = await stage.replica({ now: () => now });
    const tokens = Array.from({ length: 30 }, () => stage.cluster.mint(POD, { audience: 'other' }));
    const statuses: number[] = [];
    for (const token of tokens) statuses.push((await call(at(replica), token)).status);
    expect(statuses.filter((status) => status === 401)).toHaveLength(10);
    expect(statuses.filter((status) => status === 503)).toHaveLength(20);
    expect(stage.cluster.reviews).toHaveLength(10);
    expect(replica.metrics.counts).toMatchObject({ Rejected: 10, Limited: 20 });
    now += 60_000;
    expect((await call(at(replica), stage.cluster.mint(POD))).status).toBe(200);
  });

  it('many at once are asked about a few at a time, one and the same once', async () => {
    const replica = await stage.replica({ pending: { pendingPerAddress: 100 } });
    let answer = () => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    stage.cluster.answer = async () => {
      await answered;
      return {
        apiVersion: 'v1',
        kind: 'TokenReview',
        metadata: { name: '' },
        status: statusOf(POD, 'postern-control'),
      };
    };
    const same = stage.cluster.mint(POD);
    const tokens = [
      ...Array.from({ length: 10 }, () => same),
      ...Array.from({ length: 50 }, () => stage.cluster.mint(POD)),
    ];
    const calls = tokens.map(async (token) => (await call(at(replica), token)).status);
    await vi.waitFor(() => expect(replica.metrics.counts.Busy).toBe(43), WAIT);
    answer();
    const statuses = await Promise.all(calls);
    expect(statuses.filter((status) => status === 200).length).toBe(17);
    expect(stage.cluster.reviews.length).toBe(8);
  });
});

describe('a caller that means no good', () => {
  it('says nothing at all: TCP alone, TLS alone, half a head', async () => {
    const replica = await stage.replica({ pending: { patience: 200 } });
    const plain = connectTcp({ host: '127.0.0.1', port: replica.server.port }).on('error', () => {});
    const tls = await tlsTo(replica.server.port, stage.certificate.ca);
    const half = await tlsTo(replica.server.port, stage.certificate.ca);
    half.write('POST /v1/control HTTP/1.1\r\nhost: x\r\n');
    await Promise.all([plain, tls, half].map((socket) => once(socket, 'close')));
    expect(replica.metrics.counts.dropped).toBe(3);
  });

  it('opens more connections than one address may have, and others still get in', async () => {
    const replica = await stage.replica({ pending: { pendingPerAddress: 5, patience: 60_000 } });
    const sockets = Array.from({ length: 20 }, () => connectTcp({ host: '127.0.0.1', port: replica.server.port }));
    for (const socket of sockets) socket.on('error', () => {});
    await vi.waitFor(() => expect(sockets.filter(({ closed }) => closed)).toHaveLength(15), WAIT);
    for (const socket of sockets) socket.destroy();
    await vi.waitFor(async () => expect((await call(at(replica), stage.cluster.mint(POD))).status).toBe(200), WAIT);
  });

  it.each([
    ['a line without an end', 'x'.repeat(MAX_UP_LINE + 1), 'Garbage'],
    ['what is not JSON', 'hello\n', 'Garbage'],
    ['a report of nonsense', `${JSON.stringify({ ...REPORT, sessions: 'many' })}\n`, 'Garbage'],
    ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x0a]), 'Garbage'],
    ['reports without a pause', `${JSON.stringify(REPORT)}\n`.repeat(60), 'TooFast'],
  ])('sends %s', async (_name, data, why) => {
    const replica = await stage.replica();
    const caller = await call(at(replica), stage.cluster.mint(POD));
    caller.report();
    await vi.waitFor(() => expect(reports(replica, 'orders')).toHaveLength(1), WAIT);
    caller.send(data);
    await caller.closed;
    expect(replica.metrics.counts[why]).toBe(1);
    expect(reports(replica, 'orders')).toEqual([]);
  });

  it('says nothing after the opening, or drips a line', async () => {
    const replica = await stage.replica(SHORT);
    const silent = await call(at(replica), stage.cluster.mint(POD));
    const dripping = await call(at(replica), stage.cluster.mint(OTHER));
    const drip = setInterval(() => dripping.send('x'), SHORT.beat / 4);
    await Promise.all([silent.closed, dripping.closed]);
    clearInterval(drip);
    expect(replica.metrics.counts.Silent).toBe(2);
  });

  it('does not read: its stream ends', async () => {
    const replica = await stage.replica({ beat: 500 });
    const caller = await call(at(replica), stage.cluster.mint(POD));
    caller.socket.pause();
    const talk = setInterval(() => caller.report(), SHORT.beat);
    // As large as documents come: the kernel's buffers take a few.
    for (let n = 1; n <= 20; n++) {
      const document = `${n}`.padEnd(1_500_000, 'x');
      replica.documents.publish({ revision: `${n}`.padStart(64, '0'), sequence: n, document });
      await sleep(1);
    }
    await vi.waitFor(() => expect(replica.metrics.counts.Slow).toBe(1), WAIT);
    clearInterval(talk);
    expect(reports(replica, 'orders')).toEqual([]);
  });

  it('does not read: little is kept for it, and when it reads again it gets what is newest', () => {
    let held = 0;
    const taken: Buffer[] = [];
    let go: () => void = () => {};
    const reader: Writable = new Writable({
      highWaterMark: 1,
      write(chunk: Buffer, _encoding, done) {
        held = Math.max(held, reader.writableLength);
        taken.push(chunk);
        go = done;
      },
    });
    const outlet = new Outlet(reader);
    const document = (n: number) => Buffer.from(`${String(n).padEnd(1_000_000, 'x')}\n`);
    for (let n = 1; n <= 50; n++) outlet.send(document(n));
    outlet.beat(Buffer.from('beat\n'));
    expect([outlet.tick(), outlet.tick(), held]).toEqual([1, 2, 65_536]);
    return vi.waitFor(() => {
      go();
      expect(outlet.isBlocked).toBe(false);
      expect(Buffer.concat(taken).toString()).toBe(`${document(1)}${document(50)}`);
    }, WAIT);
  });
});

describe('what ends a stream', () => {
  it('its token, in mid-stream', async () => {
    const replica = await stage.replica(SHORT);
    const caller = await call(at(replica), stage.cluster.mint(POD, { seconds: 2 }));
    const talk = setInterval(() => caller.report(), SHORT.beat);
    await caller.closed;
    clearInterval(talk);
    expect(replica.metrics.counts.TokenExpired).toBe(1);
  });

  it('the end of its pod, or another pod of that name: at once, with its report', async () => {
    const replica = await stage.replica();
    for (const now of [null, { ...POD, uid: 'uid-9' }, { ...POD, gateway: 'billing' }]) {
      stage.cluster.change(POD, POD);
      const caller = await call(at(replica), stage.cluster.mint(POD));
      caller.report();
      await vi.waitFor(() => expect(reports(replica, 'orders')).toHaveLength(1), WAIT);
      stage.cluster.change(POD, now);
      expect(reports(replica, 'orders')).toEqual([]);
      await caller.closed;
    }
    expect(replica.metrics.counts.PodGone).toBe(3);
  });

  it('not a second stream of the same pod, nor the end of the first: the pod is never missed', async () => {
    const replica = await stage.replica();
    const first = await call(at(replica), stage.cluster.mint(POD));
    first.report({ sessions: 1 });
    await vi.waitFor(() => expect(replica.report()?.sessions).toBe(1), WAIT);
    const known: number[] = [];
    const { reports: book } = replica.server;
    book.subscribe((namespace, gateway) => known.push(book.of(namespace, gateway).size));
    const second = await call(at(replica), stage.cluster.mint(POD));
    second.report({ sessions: 2, draining: true });
    await vi.waitFor(() => expect(replica.report()?.sessions).toBe(2), WAIT);
    first.socket.write('0\r\n\r\n');
    await first.closed;
    expect([replica.report()?.sessions, known]).toEqual([2, [1]]);
    second.socket.write('0\r\n\r\n');
    await second.closed;
    expect([replica.report(), known]).toEqual([undefined, [1, 0]]);
  });

  it('more streams than a pod has a use for: the oldest one goes', async () => {
    const replica = await stage.replica();
    const token = stage.cluster.mint(POD);
    const callers = [];
    for (let i = 0; i < 6; i++) callers.push(await call(at(replica), token));
    await Promise.all(callers.slice(0, 2).map(({ closed }) => closed));
    expect(replica.metrics.counts).toMatchObject({ opened: 6, Replaced: 2 });
    expect(callers.map(({ socket }) => socket.destroyed)).toEqual([true, true, false, false, false, false]);
  });

  it('a farewell takes the report away at once, a lost connection a beat later', async () => {
    const replica = await stage.replica({ beat: 400 });
    const polite = await call(at(replica), stage.cluster.mint(POD));
    polite.report();
    await vi.waitFor(() => expect(replica.report()).toBeDefined(), WAIT);
    polite.socket.write('0\r\n\r\n');
    await polite.closed;
    expect(replica.report()).toBeUndefined();
    const lost = await call(at(replica), stage.cluster.mint(POD));
    lost.report();
    await vi.waitFor(() => expect(replica.report()).toBeDefined(), WAIT);
    lost.socket.destroy();
    await vi.waitFor(() => expect(replica.metrics.counts.Lost).toBe(1), WAIT);
    expect(replica.report()).toBeDefined();
    await vi.waitFor(() => expect(replica.report()).toBeUndefined(), WAIT);
  });
});

describe('Reports', () => {
  it('tell of a change, of the last session of a pod that drains, and of the end; not of sessions', async () => {
    const replica = await stage.replica({ beat: 60_000 });
    const told: number[] = [];
    replica.server.reports.subscribe(() => told.push(replica.report()?.sessions ?? -1));
    const caller = await call(at(replica), stage.cluster.mint(POD));
    const say = async (change: Partial<typeof REPORT>) => {
      caller.report(change);
      await vi.waitFor(() => expect(replica.report()).toEqual({ ...REPORT, ...change }), WAIT);
    };
    await say({ sessions: 1 });
    await say({ sessions: 2 });
    await say({ sessions: 3, revision: '1'.repeat(64) });
    await say({ sessions: 2, revision: '1'.repeat(64), draining: true });
    await say({ sessions: 1, revision: '1'.repeat(64), draining: true });
    await say({ sessions: 0, revision: '1'.repeat(64), draining: true });
    caller.socket.write('0\r\n\r\n');
    await caller.closed;
    expect(told).toEqual([1, 3, 2, 0, -1]);
  });
});
