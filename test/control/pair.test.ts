import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nth, POD, published, Stage } from './kit.ts';

const WAIT = { timeout: 15_000, interval: 10 };

describe('a gateway and an operator', () => {
  let stage: Stage;

  beforeEach(async () => {
    stage = await new Stage().open();
  });

  afterEach(async () => {
    await stage.close();
  });

  it('a document reaches the gateway at the opening and with each change, and is confirmed', async () => {
    const { server, documents, metrics, report } = await stage.replica();
    documents.publish(published(nth(1), 10));
    const { config } = stage.gateway(server.port);
    await vi.waitFor(() => expect(report()?.revision).toBe(published(nth(1), 10).revision), WAIT);
    expect(config.current.document).toEqual(nth(1));
    documents.publish(published(nth(2), 11));
    await vi.waitFor(
      () => expect(report()).toMatchObject({ revision: published(nth(2), 11).revision, sequence: 11 }),
      WAIT,
    );
    expect(metrics.counts).toMatchObject({ opened: 1, pushed: 2, Accepted: 1 });
    expect(metrics.seconds).toHaveLength(2);
    const listed = server.reports.of(POD.namespace, 'orders').get(POD.uid);
    expect(listed).toMatchObject({ namespace: 'shop', gateway: 'orders', pod: 'orders-1', uid: 'uid-1' });
  });

  it('published to enforced and confirmed: how long it takes', async () => {
    const { server, documents, metrics, report } = await stage.replica();
    const { config } = stage.gateway(server.port);
    await vi.waitFor(() => expect(report()).toBeDefined(), WAIT);
    const taken: number[] = [];
    let from = 0;
    config.subscribe(() => taken.push(performance.now() - from));
    for (let n = 1; n <= 100; n++) {
      const document = published(nth(n), n);
      from = performance.now();
      documents.publish(document);
      await vi.waitFor(() => expect(config.sequence).toBe(n), { timeout: 15_000, interval: 1 });
    }
    await vi.waitFor(() => expect(report()?.sequence).toBe(100), WAIT);
    expect(taken).toHaveLength(100);
    expect(metrics.counts).toMatchObject({ opened: 1 });
    const sorted = taken.sort((a, b) => a - b).map((milliseconds) => `${milliseconds.toFixed(1)} ms`);
    const confirmed = metrics.seconds.map((seconds) => seconds * 1000).sort((a, b) => a - b);
    console.log(`published to enforced, 100 documents: median ${sorted[50]}, worst ${sorted.at(-1)}`);
    console.log(`to confirmed, of the first ones: ${confirmed[0]?.toFixed(1)} ms`);
  });
});
