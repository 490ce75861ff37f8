import { afterEach, beforeEach, expect, test } from 'vitest';
import type { OwnedClient } from '../../operator/kube/client.ts';
import { systemClock } from '../../operator/kube/clock.ts';
import { createCredentials } from '../../operator/kube/credentials.ts';
import { KubeError } from '../../operator/kube/errors.ts';
import { fence } from '../../operator/kube/fence.ts';
import type { KubeErrorReason, ObjectKey, WatchEvent } from '../../operator/kube/types.ts';
import { createCertificateAuthority } from '../kit/tls.ts';
import type { Act } from './api-faults.ts';
import { type FakeApi, startFakeApi } from './api-server.ts';
import { createFastClock, until } from './clocks.ts';
import { PODS, RULES, rule } from './objects.ts';

let api: FakeApi;
let client: OwnedClient;

beforeEach(async () => {
  api = await startFakeApi({ clock: createFastClock(50) });
  client = api.client();
});

afterEach(async () => {
  await client.close();
  await api.close();
});

const key = (name: string): ObjectKey => ({ resource: RULES, namespace: 'shop', name });
const APPLY = { fieldManager: 'postern', force: true };
const SHOP = { namespace: 'shop' };

async function failure(promise: Promise<unknown>): Promise<KubeError> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(KubeError);
  return error as KubeError;
}

/** All events of a watch, and how it ended. */
async function follow(options: { idle?: number; signal?: AbortSignal } = {}): Promise<{
  events: WatchEvent[];
  ended: Promise<KubeError | null>;
}> {
  const events: WatchEvent[] = [];
  const { promise: open, resolve: opened } = Promise.withResolvers<void>();
  const run = async (): Promise<void> => {
    const signal = options.signal ?? new AbortController().signal;
    const idle = options.idle ?? 295_000;
    const how = { resourceVersion: '0', timeoutSeconds: 290, idle, signal, opened };
    for await (const event of client.watch(RULES, SHOP, how)) events.push(event);
  };
  const ended = run().then(
    () => null,
    (error: KubeError) => error,
  );
  await Promise.race([open, ended]);
  return { events, ended };
}

test('applies exactly the fields given, as a server-side apply', async () => {
  const applied = await client.apply(RULES, rule('one', { size: 3 }), { fieldManager: 'postern', force: false });
  expect(applied.metadata.uid).toBeDefined();
  const [request] = api.seen;
  expect(request).toMatchObject({
    method: 'PATCH',
    path: '/apis/example.com/v1/namespaces/shop/rules/one',
    body: rule('one', { size: 3 }),
    headers: { 'content-type': 'application/apply-patch+yaml', 'user-agent': 'postern', authorization: 'Bearer test' },
  });
  expect(Object.fromEntries(request!.query)).toEqual({ fieldManager: 'postern', force: 'false' });
});

test('a status is applied to the subresource and to nothing else', async () => {
  await client.create(RULES, rule('one', { size: 3 }));
  await client.applyStatus(RULES, { ...rule('one', { size: 9 }), status: { ready: true } }, APPLY);
  expect(await client.get(key('one'))).toMatchObject({ spec: { size: 3 }, status: { ready: true } });
});

test('an update of what has changed meanwhile is a Conflict', async () => {
  const first = await client.create(RULES, rule('one', { size: 1 }));
  const second = await client.update(RULES, { ...first, spec: { size: 2 } });
  expect(second.metadata.resourceVersion).not.toBe(first.metadata.resourceVersion);
  expect((await failure(client.update(RULES, { ...first, spec: { size: 3 } }))).reason).toBe('Conflict');
  expect((await failure(client.create(RULES, rule('one')))).reason).toBe('AlreadyExists');
});

test('a delete is bound to the uid, and what is not there needs none', async () => {
  const { metadata } = await client.create(RULES, rule('one'));
  expect((await failure(client.delete(key('one'), { uid: 'another' }))).reason).toBe('Conflict');
  expect(api.objects(RULES)).toHaveLength(1);
  await client.delete(key('one'), { uid: metadata.uid! });
  await client.delete(key('one'));
  expect(api.objects(RULES)).toHaveLength(0);
  expect(api.seen.at(-1)?.body).toMatchObject({ propagationPolicy: 'Background' });
});

test('lists in pages; items of built-in kinds get their kind', async () => {
  for (const name of ['a', 'b', 'c']) {
    api.put(PODS, { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'shop', labels: { app: name } } });
  }
  const first = await client.listPage(PODS, { namespace: null }, { limit: 2, continue: null });
  expect(first.items.map(({ kind, apiVersion, metadata }) => [kind, apiVersion, metadata.name])).toEqual([
    ['Pod', 'v1', 'a'],
    ['Pod', 'v1', 'b'],
  ]);
  const second = await client.listPage(PODS, { namespace: null }, { limit: 2, continue: first.continue });
  expect(second).toMatchObject({ continue: null, resourceVersion: first.resourceVersion });
  expect(second.items).toHaveLength(1);
  const chosen = await client.listPage(
    PODS,
    { namespace: 'shop', labelSelector: 'app=b' },
    { limit: 5, continue: null },
  );
  expect(chosen.items.map(({ metadata }) => metadata.name)).toEqual(['b']);
});

test('names go into paths encoded', async () => {
  await failure(client.get({ resource: RULES, namespace: 'shop', name: 'a/../b?c' }));
  expect(api.seen[0]?.path).toBe('/apis/example.com/v1/namespaces/shop/rules/a%2F..%2Fb%3Fc');
});

const FAILURES: readonly {
  readonly name: string;
  readonly act: Act;
  readonly reason: KubeErrorReason;
  readonly retryAfter?: number;
}[] = [
  { name: '401', act: { status: 401 }, reason: 'Unauthorized' },
  { name: '403', act: { status: 403 }, reason: 'Forbidden' },
  { name: '404 of a proxy', act: { status: 404, body: '404 page not found' }, reason: 'NotFound' },
  { name: '409', act: { status: 409, reason: 'Conflict' }, reason: 'Conflict' },
  { name: '409 AlreadyExists', act: { status: 409, reason: 'AlreadyExists' }, reason: 'AlreadyExists' },
  { name: '410', act: { status: 410 }, reason: 'Gone' },
  { name: '413', act: { status: 413 }, reason: 'Invalid' },
  { name: '422', act: { status: 422, reason: 'Invalid' }, reason: 'Invalid' },
  { name: '429', act: { status: 429, headers: { 'retry-after': '7' } }, reason: 'TooManyRequests', retryAfter: 7000 },
  {
    name: '429 with the time in its details',
    act: { status: 429, details: { retryAfterSeconds: 3 } },
    reason: 'TooManyRequests',
    retryAfter: 3000,
  },
  { name: '500', act: { status: 500 }, reason: 'Server' },
  { name: '502 of a proxy', act: { status: 502, body: '<html>' }, reason: 'Server' },
  { name: '200 that is no JSON', act: { status: 200, body: '<html>' }, reason: 'Server' },
  { name: '200 that is null', act: { status: 200, body: 'null' }, reason: 'Server' },
  { name: 'redirect', act: { status: 302, headers: { location: '/elsewhere' } }, reason: 'Server' },
  { name: 'reset', act: 'reset', reason: 'Transport' },
  { name: 'half an answer', act: 'half', reason: 'Transport' },
  { name: 'silence', act: 'silence', reason: 'Transport' },
];

test.each(FAILURES)('$name is told as $reason, and the next call is served', async ({ act, reason, retryAfter }) => {
  api.put(RULES, rule('one'));
  api.inject({ on: 'get', act });
  for (const on of ['list', 'watch', 'apply'] as const) api.inject({ on, act });
  const error = await failure(client.get(key('one')));
  expect(error).toMatchObject({ reason, retryAfter: retryAfter ?? null });
  expect(error.request).toBe('GET /apis/example.com/v1/namespaces/shop/rules/one');
  expect((await failure(client.listPage(RULES, SHOP, { limit: 5, continue: null }))).reason).toBe(reason);
  expect(await failure(client.apply(RULES, rule('one'), APPLY))).toMatchObject({
    reason,
    retryAfter: retryAfter ?? null,
  });
  if (typeof act === 'string' || !('status' in act) || act.status !== 200) {
    expect((await (await follow()).ended)?.reason).toBe(reason);
  }
  expect(await client.get(key('one'))).toMatchObject({ metadata: { name: 'one' } });
});

test('what an apply was refused for is told field by field', async () => {
  const causes = [{ field: 'spec.size', reason: 'FieldValueInvalid', message: 'must be positive' }];
  api.inject({ on: 'apply', act: { status: 422, reason: 'Invalid', details: { causes } } });
  expect(await failure(client.apply(RULES, rule('one'), APPLY))).toMatchObject({ message: 'told to 422', causes });
});

test('nobody listens: Transport', async () => {
  await api.close();
  expect((await failure(client.get(key('one')))).reason).toBe('Transport');
  api = await startFakeApi();
});

test('a caller can give any call up, also one that waits for its turn to write', async () => {
  const stop = new AbortController();
  api.inject({ on: 'get', act: 'silence' });
  const running = failure(client.get(key('one'), { signal: stop.signal }));
  const slow = api.client({ writes: { rate: 0.001, burst: 0 } });
  const waiting = failure(slow.apply(RULES, rule('one'), { ...APPLY, signal: stop.signal }));
  await until('the call has come', () => api.seen.length === 1);
  stop.abort();
  expect([(await running).message, (await waiting).message]).toEqual(['given up', 'given up']);
  expect(api.objects(RULES)).toEqual([]);
  await slow.close();
});

test('a fence lets no call begin and gives up those under way', async () => {
  const stop = new AbortController();
  const fenced = fence(client, stop.signal);
  api.inject({ on: 'apply', act: 'silence' });
  const running = failure(fenced.apply(RULES, rule('one'), APPLY));
  await until('the call has come', () => api.seen.length === 1);
  stop.abort();
  await running;
  const calls = [
    () => fenced.get(key('one')),
    () => fenced.listPage(RULES, SHOP, { limit: 1, continue: null }),
    () => fenced.apply(RULES, rule('one'), APPLY),
    () => fenced.applyStatus(RULES, rule('one'), APPLY),
    () => fenced.create(RULES, rule('one')),
    () => fenced.update(RULES, rule('one')),
    () => fenced.delete(key('one')),
    () => fenced.raw('/version'),
  ];
  for (const call of calls) expect((await failure(call())).message).toBe('given up');
  expect(api.seen).toHaveLength(1);
});

test('writes wait for their turn, in their order', async () => {
  const slow = api.client({ writes: { rate: 0.1, burst: 2 } });
  const began = api.clock.now();
  await Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => slow.apply(RULES, rule(name), APPLY)));
  expect(api.seen.map(({ path }) => path.at(-1)).slice(2)).toEqual(['c', 'd', 'e']);
  expect(api.seen.at(-1)!.at - began).toBeGreaterThan(29_000);
  await slow.close();
});

test('urgent writes and reads do not wait for the others', async () => {
  const slow = api.client({ writes: { rate: 0.000_001, burst: 0 } });
  void slow.apply(RULES, rule('one'), APPLY).catch(() => {});
  await slow.create(RULES, rule('urgent'), { urgent: true });
  await slow.get(key('urgent'));
  expect(api.seen.map(({ method }) => method)).toEqual(['POST', 'GET']);
  await slow.close();
});

test('requests are counted as client-go counts them', async () => {
  const counts: string[] = [];
  const counting = api.client({ counted: (...labels) => counts.push(labels.join(' ')) });
  await counting.create(RULES, rule('one'));
  await failure(counting.get(key('two')));
  api.inject({ on: 'get', act: 'reset' });
  await failure(counting.get(key('two')));
  expect(counts).toEqual([`201 POST ${api.url.host}`, `404 GET ${api.url.host}`, `<error> GET ${api.url.host}`]);
  await counting.close();
});

test('connections are used again', async () => {
  for (let i = 0; i < 20; i++) await client.create(RULES, rule(`r${i}`));
  // The next call may begin just before the connection of the last one is free.
  expect(api.connections()).toBeLessThanOrEqual(3);
});

test('a watch tells events in order, whatever the borders of chunks cut through', async () => {
  const { events, ended } = await follow();
  api.put(RULES, rule('ä', { text: '€𝄞'.repeat(5000) }));
  api.put(RULES, rule('ä', { text: 'x' }));
  api.bookmark(RULES);
  api.remove(RULES, 'shop', 'ä');
  await until('all have come', () => events.length === 4);
  api.breakWatches(RULES, 'close');
  expect(await ended).toBeNull();
  expect(events.map(({ type }) => type)).toEqual(['ADDED', 'MODIFIED', 'BOOKMARK', 'DELETED']);
  expect((events[0]!.object as { spec?: unknown }).spec).toEqual({ text: '€𝄞'.repeat(5000) });
  expect(Object.fromEntries(api.seen[0]!.query)).toMatchObject({ allowWatchBookmarks: 'true', timeoutSeconds: '290' });
});

test.each([
  ['reset', 'Transport'],
  ['half', 'Transport'],
  ['truncate', 'Transport'],
  ['garbage', 'Server'],
  ['silence', 'Transport'],
] as const)('a watch that ends by %s ends with an error of class %s', async (how, reason) => {
  const { events, ended } = await follow({ idle: 20_000 });
  api.put(RULES, rule('one'));
  await until('the event has come', () => events.length === 1);
  api.breakWatches(RULES, how);
  api.put(RULES, rule('two'));
  expect((await ended)?.reason).toBe(reason);
  expect(events).toHaveLength(1);
  // A stream that the server ended leaves a connection that can be used again.
  const left = how === 'truncate' || how === 'garbage' ? 1 : 0;
  await until('the connection is closed', () => api.connections() <= left);
});

test('an ERROR event is told, not thrown', async () => {
  const { events, ended } = await follow();
  api.breakWatches(RULES, 'gone');
  expect(await ended).toBeNull();
  expect(events).toMatchObject([{ type: 'ERROR', object: { code: 410, reason: 'Expired' } }]);
});

test('a watch that nobody reads any more closes its connection', async () => {
  const stop = new AbortController();
  const { ended } = await follow({ signal: stop.signal });
  stop.abort();
  expect((await ended)?.message).toBe('given up');
  await until('the connection is closed', () => api.connections() === 0);
  const how = { resourceVersion: '0', timeoutSeconds: 290, idle: 295_000, signal: new AbortController().signal };
  api.put(RULES, rule('one'));
  for await (const event of client.watch(RULES, SHOP, how)) {
    expect(event.type).toBe('ADDED');
    break;
  }
  await until('the connection is closed', () => api.connections() === 0);
});

test('speaks TLS to a server it can verify, with the certificate of the day', async () => {
  const [old, next] = [await createCertificateAuthority('old'), await createCertificateAuthority('next')];
  const { keyPem, certPem } = await next.server(['127.0.0.1']);
  const secure = await startFakeApi({ tls: { key: keyPem, cert: certPem } });
  let ca = old.caPem;
  const read = async () => ({ server: secure.url, proxy: null, tls: { ca }, headers: {} });
  const credentials = createCredentials(read, systemClock);
  const tls = api.client({ credentials });
  const error = await failure(tls.get(key('one')));
  expect([error.reason, secure.seen.length]).toEqual(['Transport', 0]);
  ca = next.caPem;
  credentials.refused();
  expect((await failure(tls.get(key('one')))).reason).toBe('NotFound');
  await tls.close();
  await secure.close();
});
