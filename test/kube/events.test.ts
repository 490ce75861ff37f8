import { afterEach, beforeEach, expect, test } from 'vitest';
import { EventRecorder, type EventText } from '../../operator/kube/events.ts';
import type { KubeObject } from '../../operator/kube/types.ts';
import { createManualClock, type ManualClock, settle } from './clocks.ts';
import { createMemoryApi, type MemoryApi } from './memory-api.ts';
import { createLog, EVENTS, rule } from './objects.ts';

let clock: ManualClock;
let api: MemoryApi;
let log: ReturnType<typeof createLog>;
let recorder: EventRecorder;

beforeEach(() => {
  clock = createManualClock();
  api = createMemoryApi(clock);
  log = createLog();
  recorder = new EventRecorder({
    client: api.client(),
    controller: 'example.com/operator',
    instance: 'operator-0',
    log,
    clock,
  });
});

afterEach(() => recorder.stop());

const object = (name = 'one', uid = 'u1'): KubeObject => {
  const { metadata, ...rest } = rule(name, { large: true });
  return { ...rest, metadata: { ...metadata, uid, resourceVersion: '5' } };
};
const text = (note = 'it is done', more: Partial<EventText> = {}): EventText => ({
  type: 'Normal',
  reason: 'Programmed',
  action: 'Publish',
  note,
  ...more,
});
const written = (): readonly KubeObject[] => api.objects(EVENTS);

test('writes an event as events.k8s.io/v1 wants it', async () => {
  recorder.record(object(), text());
  await settle();
  expect(written()).toEqual([
    {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: expect.objectContaining({ name: expect.stringMatching(/^one\.[0-9a-f]{16}$/), namespace: 'shop' }),
      eventTime: '2030-01-01T00:00:00.000000Z',
      reportingController: 'example.com/operator',
      reportingInstance: 'operator-0',
      regarding: { apiVersion: 'example.com/v1', kind: 'Rule', name: 'one', namespace: 'shop', uid: 'u1' },
      type: 'Normal',
      reason: 'Programmed',
      action: 'Publish',
      note: 'it is done',
    },
  ]);
});

test('the same again is counted, and the count written once a minute', async () => {
  recorder.record(object(), text());
  await settle();
  for (let i = 0; i < 100; i++) {
    await clock.pass(500);
    recorder.record(object(), text());
  }
  expect(api.seen).toHaveLength(1);
  await clock.pass(10_000);
  expect(api.seen).toHaveLength(2);
  expect(written()).toHaveLength(1);
  expect(written()[0]).toMatchObject({
    eventTime: '2030-01-01T00:00:00.000000Z',
    series: { count: 101, lastObservedTime: '2030-01-01T00:00:50.000000Z' },
  });
  await clock.pass(600_000);
  expect(api.seen).toHaveLength(2);
});

test('what happens again after ten minutes is a new event', async () => {
  recorder.record(object(), text());
  await clock.pass(600_000);
  recorder.record(object(), text());
  await clock.pass(60_000);
  expect(written()).toHaveLength(2);
  expect(written()[1]).not.toHaveProperty('series');
});

test('another object, reason, type, action or note is another event', async () => {
  recorder.record(object(), text());
  recorder.record(object('one', 'u2'), text());
  recorder.record(object('two', 'u3'), text());
  recorder.record(object(), text('other'));
  recorder.record(object(), text(undefined, { reason: 'Other' }));
  recorder.record(object(), text(undefined, { action: 'Other' }));
  recorder.record(object(), text(undefined, { type: 'Warning' }));
  await settle();
  expect(written()).toHaveLength(7);
});

test('one object cannot have the word for ever', async () => {
  for (let i = 0; i < 200; i++) recorder.record(object('noisy', 'u1'), text(`note ${i}`));
  recorder.record(object('quiet', 'u2'), text());
  await clock.pass(120_000);
  const of = (name: string): number =>
    written().filter(({ regarding }) => (regarding as { name: string }).name === name).length;
  expect([of('noisy'), of('quiet')]).toEqual([25, 1]);
});

test('all objects together are written at a rate', async () => {
  for (let i = 0; i < 200; i++) recorder.record(object(`o${i}`, `u${i}`), text());
  await settle();
  expect(api.seen).toHaveLength(50);
  await clock.pass(10_000);
  expect(api.seen).toHaveLength(100);
  await clock.pass(60_000);
  expect(api.seen).toHaveLength(200);
});

test('one is written at a time', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  api.inject('apply', { until: promise });
  recorder.record(object('one', 'u1'), text());
  recorder.record(object('two', 'u2'), text());
  await clock.pass(10_000);
  expect(api.seen).toHaveLength(1);
  resolve();
  await settle();
  expect(written()).toHaveLength(2);
});

test('a failure that may pass is tried again, a few times; what is refused is dropped', async () => {
  api.inject('apply', { status: 500 });
  api.inject('apply', 'reset');
  recorder.record(object(), text());
  await clock.pass(60_000);
  expect([api.seen.length, written().length]).toEqual([3, 1]);

  api.inject('apply', { status: 503 }, 100);
  recorder.record(object(), text('never written'));
  await clock.pass(600_000);
  expect([api.seen.length, written().length]).toEqual([3 + 4, 1]);
  api.clearFaults();

  api.inject('apply', { status: 403 });
  recorder.record(object(), text('forbidden'));
  recorder.record(object(), text('allowed'));
  await clock.pass(600_000);
  expect(written().map(({ note }) => note)).toEqual(['it is done', 'allowed']);
  expect(log.lines.map(({ level }) => level)).toEqual(['debug', 'debug']);
});

test('a server that answers nothing harms nobody', async () => {
  api.inject('apply', 'silence', 1000);
  for (let i = 0; i < 5000; i++) recorder.record(object(`o${i}`, `u${i}`), text());
  await clock.pass(3_600_000);
  await recorder.stop();
  expect(clock.pending).toBe(0);
});

test('a thousand events are remembered, not more', async () => {
  recorder.record(object('first', 'u'), text());
  await clock.pass(1000);
  for (let i = 0; i < 1000; i++) recorder.record(object(`o${i}`, `u${i}`), text());
  recorder.record(object('first', 'u'), text());
  await clock.pass(300_000);
  const first = written().filter(({ metadata }) => metadata.name.startsWith('first.'));
  expect(first).toHaveLength(2);
});

const NOTES: readonly [string, string, number][] = [
  ['just so long', 'x'.repeat(1024), 1024],
  ['too long', 'x'.repeat(1025), 1024],
  ['cut in a character', `${'x'.repeat(1019)}€€€`, 1022],
  ['of four bytes each', '𝄞'.repeat(400), 1023],
];

test.each(NOTES)('a note %s', async (_, note, bytes) => {
  recorder.record(object(), text(note));
  await settle();
  const kept = written()[0]!.note as string;
  expect(Buffer.byteLength(kept)).toBe(bytes);
  expect(kept).not.toContain('\ufffd');
  expect(note.startsWith(kept.replace(/…$/, ''))).toBe(true);
});

test('names stay names: long ones are cut, objects without a namespace are told of in default', async () => {
  recorder.record(object(`${'a'.repeat(229)}.${'b'.repeat(23)}`), text());
  const { namespace: _, ...metadata } = object('cluster', 'u9').metadata;
  recorder.record({ ...object('cluster', 'u9'), metadata }, text());
  await settle();
  for (const { metadata } of written()) {
    expect(metadata.name).toMatch(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);
    expect(metadata.name).not.toMatch(/[.-]\./);
    expect(metadata.name.length).toBeLessThanOrEqual(253);
  }
  expect(written()[1]!.metadata.namespace).toBe('default');
});
