import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MAX_DOWN_LINE } from '../../gateway/config/control.ts';
import { makeRevision } from '../../gateway/config/revision.ts';
import { issueAll } from '../../operator/control/certificate.ts';
import { nth, POD, published, SHORT, Stage, statusOf } from './kit.ts';

const WAIT = { timeout: 15_000, interval: 10 };

let stage: Stage;

beforeEach(async () => {
  stage = await new Stage().open();
});

afterEach(async () => {
  await stage.close();
});

/** Something that takes dials and does as it likes. */
async function impostor(onStream: (response: ServerResponse) => void): Promise<number> {
  const server = createServer({ key: stage.certificate.key, cert: stage.certificate.cert }, (request, response) => {
    request.resume();
    request.on('error', () => {});
    onStream(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stage.atEnd(async () => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

interface Wire {
  readonly port: number;
  dials(): number;
  cut(): void;
  mend(): void;
}

/** A wire to a port that can be cut so that neither end hears of it. */
async function wire(port: number): Promise<Wire> {
  let isCut = false;
  let dials = 0;
  const sockets: Socket[] = [];
  const server = createTcpServer((near) => {
    dials += 1;
    const far = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.push(from);
      from.on('error', () => {});
      from.on('data', (chunk) => {
        if (!isCut) to.write(chunk);
      });
      from.on('close', () => {
        if (!isCut) to.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stage.atEnd(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    dials: () => dials,
    cut: () => {
      isCut = true;
    },
    mend: () => {
      for (const socket of sockets.splice(0)) socket.destroy();
      isCut = false;
    },
  };
}

describe('a stream that ends', () => {
  it('is dialled again, and the newest document comes with it', async () => {
    const first = await stage.replica();
    first.documents.publish(published(nth(1), 1));
    const { client, config } = stage.gateway(first.server.port);
    await vi.waitFor(() => expect(config.sequence).toBe(1), WAIT);
    await first.server.close();
    await vi.waitFor(() => expect(client.open).toBe(0), WAIT);
    const second = await stage.replica({ port: first.server.port });
    second.documents.publish(published(nth(2), 2));
    await vi.waitFor(() => expect(second.report()).toMatchObject({ sequence: 2 }), WAIT);
    expect(config.current.document).toEqual(nth(2));
  });

  it('is noticed by both ends where no end was told of it', async () => {
    const replica = await stage.replica(SHORT);
    const cable = await wire(replica.server.port);
    const { client, logged } = stage.gateway(cable.port, SHORT);
    await vi.waitFor(() => expect(replica.report()).toBeDefined(), WAIT);
    cable.cut();
    await vi.waitFor(() => expect([client.open, replica.report()]).toEqual([0, undefined]), WAIT);
    expect(replica.metrics.counts.Silent).toBeGreaterThan(0);
    expect(logged.some((line) => line.includes('"reason":"silent"'))).toBe(true);
    cable.mend();
    await vi.waitFor(() => expect(replica.report()).toBeDefined(), WAIT);
  });

  it('is not ended by a pause of its own: neither end was silent', async () => {
    const replica = await stage.replica(SHORT);
    const { client, logged } = stage.gateway(replica.server.port, SHORT);
    await vi.waitFor(() => expect(replica.report()).toBeDefined(), WAIT);
    const until = performance.now() + 6 * SHORT.beat;
    while (performance.now() < until);
    await sleep(2 * SHORT.beat);
    expect([client.open, replica.metrics.counts.opened, logged.length]).toEqual([1, 1, 1]);
  });

  it('takes longer to come back with each failure, and says so once', async () => {
    const port = (await stage.replica()).server.port + 1;
    const { logged } = stage.gateway(port, { backoff: 20 });
    await sleep(1000);
    const warnings = logged.filter((line) => line.startsWith('no control stream'));
    const more = logged.filter((line) => line.startsWith('still no control stream'));
    expect(warnings).toHaveLength(1);
    // 20, 40, 80, … less a half at most: between five and seven dials in the first second.
    expect(more.length).toBeGreaterThanOrEqual(3);
    expect(more.length).toBeLessThanOrEqual(7);
  });
});

describe('an operator that is none', () => {
  it.each([
    ['garbage', (response: ServerResponse) => void response.write('hello\n')],
    ['a document of nothing', (response: ServerResponse) => void response.write('{"type":"Configuration"}\n')],
    ['a line without an end', (response: ServerResponse) => void response.write('x'.repeat(MAX_DOWN_LINE + 1))],
    ['bytes that are no text', (response: ServerResponse) => void response.write(Buffer.from([0xff, 0x0a]))],
    ['an error', (response: ServerResponse) => void response.writeHead(500).end()],
    ['another place', (response: ServerResponse) => void response.writeHead(307, { location: 'https://x/' }).end()],
    ['the end', (response: ServerResponse) => void response.end()],
    ['a broken connection', (response: ServerResponse) => response.destroy()],
  ])('answers %s: the gateway goes on, and dials again later', async (_name, answer) => {
    let dials = 0;
    const port = await impostor((response) => {
      dials += 1;
      answer(response);
    });
    const { config, results } = stage.gateway(port);
    // Nobody dials again who has not ended what he had.
    await vi.waitFor(() => expect(dials).toBeGreaterThan(1), WAIT);
    expect([config.current.document, results]).toEqual([nth(0), []]);
  });

  it('has a certificate for another name, or of another authority: it never sees the token', async () => {
    const { server, metrics } = await stage.replica();
    const { logged } = stage.gateway(server.port, { host: 'other.svc' });
    await vi.waitFor(
      () => expect(logged.some((line) => line.includes('ERR_TLS_CERT_ALTNAME_INVALID'))).toBe(true),
      WAIT,
    );
    await stage.writeCa((await issueAll(['x'], Date.now())).ca);
    const second = stage.gateway(server.port);
    await vi.waitFor(() => expect(second.logged.length).toBeGreaterThan(0), WAIT);
    expect([stage.cluster.reviews, metrics.counts.opened]).toEqual([[], undefined]);
  });

  it.each([
    ['an empty CA file', () => stage.writeCa('')],
    ['a CA file of nonsense', () => stage.writeCa('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')],
    ['an empty token', () => stage.writeToken('')],
    ['a token of two lines', () => stage.writeToken('a.b.c\nx-evil: 1')],
  ])('with %s nobody is dialled, until the file is good', async (_name, spoil) => {
    const { server, report } = await stage.replica();
    const cable = await wire(server.port);
    await spoil();
    const { logged } = stage.gateway(cable.port);
    await vi.waitFor(() => expect(logged.length).toBeGreaterThan(2), WAIT);
    expect(cable.dials()).toBe(0);
    await stage.writeCa(stage.certificate.ca);
    await stage.writeToken(stage.cluster.mint(POD));
    await vi.waitFor(() => expect(report()).toBeDefined(), WAIT);
  });
});

describe('a new token', () => {
  it('takes the place of the old one before that ends, and the pod is never missed', async () => {
    const { server, metrics, report } = await stage.replica({ beat: 600 });
    await stage.writeToken(stage.cluster.mint(POD, { seconds: 5 }));
    const { client } = stage.gateway(server.port, { beat: 600 });
    await vi.waitFor(() => expect(report()).toBeDefined(), WAIT);
    let missed = 0;
    server.reports.subscribe(() => {
      if (report() === undefined) missed += 1;
    });
    await stage.writeToken(stage.cluster.mint(POD));
    await vi.waitFor(() => expect(metrics.counts.opened).toBe(2), WAIT);
    await sleep(5500);
    expect([client.open, missed, metrics.counts.TokenExpired]).toEqual([1, 0, undefined]);
  });

  it('that is still being reviewed when the old one ends needs no third stream', async () => {
    const { server, metrics, report } = await stage.replica({ beat: 600 });
    await stage.writeToken(stage.cluster.mint(POD, { seconds: 4 }));
    const { client } = stage.gateway(server.port, { beat: 600 });
    await vi.waitFor(() => expect(report()).toBeDefined(), WAIT);
    const { promise, resolve } = Promise.withResolvers<void>();
    stage.cluster.answer = async () => {
      await promise;
      const status = statusOf(POD, 'postern-control');
      return { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', metadata: { name: '' }, status };
    };
    await stage.writeToken(stage.cluster.mint(POD));
    await vi.waitFor(() => expect(metrics.counts.TokenExpired).toBe(1), WAIT);
    await sleep(200);
    resolve();
    await vi.waitFor(() => expect(client.open).toBe(1), WAIT);
    await sleep(500);
    expect([client.open, metrics.counts.opened]).toEqual([1, 2]);
  });

  it('that comes too late: the stream ends with the old one and is back with the new one', async () => {
    const { server, metrics, report } = await stage.replica();
    await stage.writeToken(stage.cluster.mint(POD, { seconds: 2 }));
    stage.gateway(server.port);
    await vi.waitFor(() => expect(report()).toBeDefined(), WAIT);
    await vi.waitFor(() => expect(metrics.counts.TokenExpired).toBe(1), WAIT);
    await vi.waitFor(() => expect(report()).toBeUndefined(), WAIT);
    await stage.writeToken(stage.cluster.mint(POD));
    await vi.waitFor(() => expect(report()).toBeDefined(), WAIT);
  });
});

describe('documents', () => {
  it('of two replicas that disagree, the newer one counts, in whatever order they come', async () => {
    const leader = await stage.replica();
    const standby = await stage.replica({ host: '127.0.0.2', port: leader.server.port });
    leader.documents.publish(published(nth(8), 8));
    standby.documents.publish(published(nth(7), 7));
    const addresses = ['127.0.0.1', '127.0.0.2'];
    const { client, config, results } = stage.gateway(leader.server.port, { resolve: async () => addresses });
    await vi.waitFor(() => expect(client.open).toBe(2), WAIT);
    await vi.waitFor(() => expect(standby.report()).toMatchObject({ sequence: 8, refused: null }), WAIT);
    expect(leader.report()).toEqual(standby.report());
    for (let n = 9; n < 20; n++) {
      leader.documents.publish(published(nth(n), n));
      await vi.waitFor(() => expect(config.sequence).toBe(n), WAIT);
      // The standby's store lags behind.
      standby.documents.publish(published(nth(n - 1), n - 1));
    }
    standby.documents.publish(published(nth(20), 20));
    await vi.waitFor(() => expect(leader.report()).toMatchObject({ sequence: 20, refused: null }), WAIT);
    expect(results.filter(({ accepted }) => !accepted)).toEqual([]);
    const order = results.map(({ revision }) => revision);
    expect(order).toEqual([...new Set(order)]);
  });

  it('that are not good, not theirs, or not what they are said to be are refused, and that is told', async () => {
    const { server, documents, report } = await stage.replica();
    const { config } = stage.gateway(server.port);
    await vi.waitFor(() => expect(report()).toBeDefined(), WAIT);
    const other = published(nth(1, { gateway: { ...nth(1).gateway, name: 'billing' } }), 3);
    const bad = published({ ...nth(1), listeners: [] }, 1);
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024)).toString('base64');
    for (const [document, error] of [
      [bad, /^listeners: /],
      [{ ...published(nth(1), 2), document: published(nth(2), 2).document }, /^document: its bytes are not those/],
      [other, /^gateway: the document is for shop\/billing/],
      [{ revision: 'a'.repeat(64), sequence: 4, document: '' }, /^document: is empty/],
      [{ revision: 'b'.repeat(64), sequence: 5, document: bomb }, /^document: is larger than/],
    ] as const) {
      documents.publish(document);
      const refused = { revision: document.revision, errors: [expect.stringMatching(error)] };
      await vi.waitFor(() => expect(report()).toMatchObject({ refused, sequence: 0 }), WAIT);
      expect(report()?.revision).toBe(makeRevision(nth(0)).revision);
    }
    expect(config.current.document).toEqual(nth(0));
    documents.publish(published(nth(6), 6));
    await vi.waitFor(() => expect(report()).toMatchObject({ refused: null, sequence: 6 }), WAIT);
  });

  it('after the one that was streamed, an older one that is mounted changes nothing', async () => {
    const { server, documents, report } = await stage.replica();
    documents.publish(published(nth(2), 2));
    const { config } = stage.gateway(server.port, { start: nth(1), sequence: 1 });
    await vi.waitFor(() => expect(report()).toMatchObject({ sequence: 2 }), WAIT);
    const mounted = Buffer.from(published(nth(1), 1).document, 'base64');
    expect(config.offer(mounted, { sequence: 1 }).accepted).toBe(false);
    expect(config.current.document).toEqual(nth(2));
  });
});

describe('the operator’s name', () => {
  it('may have two addresses of one replica: both streams stay', async () => {
    const { server, metrics, report } = await stage.replica({ host: '0.0.0.0', beat: 200 });
    const { client } = stage.gateway(server.port, { resolve: async () => ['127.0.0.1', '127.0.0.2'], beat: 200 });
    await vi.waitFor(() => expect(client.open).toBe(2), WAIT);
    await sleep(1000);
    expect([client.open, metrics.counts.opened]).toEqual([2, 2]);
    expect(report()).toBeDefined();
  });

  it('is looked up again: replicas come and go, and what is connected stays when the name is lost', async () => {
    const one = await stage.replica();
    const two = await stage.replica({ host: '127.0.0.2', port: one.server.port });
    let answer: () => Promise<readonly string[]> = () =>
      Promise.reject(Object.assign(new Error(), { code: 'ENOTFOUND' }));
    const { client, logged } = stage.gateway(one.server.port, { resolve: () => answer() });
    await sleep(500);
    expect(logged.filter((line) => line.includes('ENOTFOUND'))).toHaveLength(1);
    answer = async () => ['127.0.0.1'];
    await vi.waitFor(() => expect(one.report()).toBeDefined(), WAIT);
    answer = async () => ['127.0.0.1', '127.0.0.2'];
    await vi.waitFor(() => expect(two.report()).toBeDefined(), WAIT);
    answer = () => Promise.reject(new Error('SERVFAIL'));
    await sleep(500);
    expect(client.open).toBe(2);
    answer = async () => ['127.0.0.1'];
    await two.server.close();
    await vi.waitFor(() => expect(client.open).toBe(1), WAIT);
    const after = logged.length;
    await sleep(700);
    expect(logged.slice(after).filter((line) => line.includes('127.0.0.2')).length).toBeLessThanOrEqual(3);
  });
});

describe('reports', () => {
  it('of sessions come together, four times a second', async () => {
    const { server, report } = await stage.replica({ beat: 60_000 });
    const { client, state } = stage.gateway(server.port, { beat: 60_000 });
    await vi.waitFor(() => expect(report()).toBeDefined(), WAIT);
    const seen = new Set<number>();
    const look = setInterval(() => seen.add(report()?.sessions ?? -1), 5);
    const from = performance.now();
    for (let i = 1; i <= 100; i++) {
      state.sessions = i;
      client.report(false);
      await sleep(5);
    }
    await vi.waitFor(() => expect(report()?.sessions).toBe(100), WAIT);
    clearInterval(look);
    const most = Math.ceil((performance.now() - from) / 250) + 2;
    expect(seen.size).toBeLessThanOrEqual(most);
  });

  it('the last one arrives before the stream is closed', async () => {
    const { server, report } = await stage.replica();
    const { client, state } = stage.gateway(server.port);
    await vi.waitFor(() => expect(report()).toBeDefined(), WAIT);
    const told: (readonly [number, boolean] | null)[] = [];
    server.reports.subscribe(() => {
      const last = report();
      told.push(last === undefined ? null : [last.sessions, last.draining]);
    });
    Object.assign(state, { sessions: 0, draining: true });
    await client.close();
    await vi.waitFor(() => expect(told).toEqual([[0, true], null]), WAIT);
  });
});
