import { afterEach, beforeEach, expect, test } from 'vitest';
import type { OwnedClient } from '../../operator/kube/client.ts';
import { Reflector, type ReflectorOptions } from '../../operator/kube/reflector.ts';
import type { KubeObject, StoreChange } from '../../operator/kube/types.ts';
import { type FakeApi, startFakeApi } from './api-server.ts';
import type { Breakage } from './api-watches.ts';
import { createFastClock, until } from './clocks.ts';
import { createLog, PODS, RULES, rule } from './objects.ts';

const SPEED = 50;
let api: FakeApi;
/** Its limits are those of a slower clock, so that a busy machine does not look like a dead peer; `quick` for those. */
let client: OwnedClient;
let quick: OwnedClient;
let log: ReturnType<typeof createLog>;
let running: Reflector[];

beforeEach(async () => {
  api = await startFakeApi({ clock: createFastClock(SPEED) });
  client = api.client({ clock: createFastClock(5) });
  quick = api.client();
  log = createLog();
  running = [];
});

afterEach(async () => {
  await Promise.all(running.map((reflector) => reflector.stop()));
  await client.close();
  await quick.close();
  await api.close();
});

interface Followed {
  readonly reflector: Reflector;
  readonly changes: StoreChange[];
  /** hasSynced and incomplete, each time they became others. */
  readonly health: [boolean, string | null][];
}

function follow(options: Partial<ReflectorOptions<KubeObject>> = {}): Followed {
  const reflector = new Reflector({
    client,
    resource: RULES,
    selection: { namespace: null },
    log,
    clock: api.clock,
    ...options,
  });
  const changes: StoreChange[] = [];
  const health: [boolean, string | null][] = [];
  reflector.subscribe((change) => changes.push(change));
  reflector.onHealth(() => health.push([reflector.store.hasSynced, reflector.store.incomplete]));
  running.push(reflector);
  reflector.start();
  return { reflector, changes, health };
}

async function watching(options: Partial<ReflectorOptions<KubeObject>> = {}): Promise<Followed> {
  const followed = follow(options);
  await until('it watches', () => followed.reflector.state === 'Watching');
  return followed;
}

const names = (objects: readonly KubeObject[]): string[] => objects.map(({ metadata }) => metadata.name).sort();
const requests = (verb: 'list' | 'watch'): FakeApi['seen'] =>
  api.seen.filter(({ query }) => (query.get('watch') === 'true') === (verb === 'watch'));
/** `+a`, `~a`, `-a`: what a change did. */
const told = (changes: readonly StoreChange[]): string[] =>
  changes.map(
    ({ old, current }) => `${old === null ? '+' : current === null ? '-' : '~'}${(current ?? old)!.metadata.name}`,
  );

test('starts empty and says so', async () => {
  api.inject({ on: 'list', act: 'silence' });
  const { reflector } = follow();
  await until('it lists', () => reflector.state === 'Listing');
  expect(reflector.store).toMatchObject({ hasSynced: false, incomplete: 'not listed yet' });
  expect(reflector.store.list()).toEqual([]);
});

test('lists all pages, then watches from there', async () => {
  for (let i = 0; i < 7; i++) api.put(RULES, rule(`r${i}`));
  const { reflector, changes, health } = await watching({ pageSize: 3 });
  expect(reflector.store).toMatchObject({ hasSynced: true, incomplete: null });
  expect(reflector.store.list()).toHaveLength(7);
  expect(changes.every(({ initial, old }) => initial && old === null)).toBe(true);
  expect(health).toEqual([[true, null]]);
  expect(requests('list')).toHaveLength(3);
  const [watch] = requests('watch');
  expect(watch!.query.get('resourceVersion')).toBe(api.objects(RULES).at(-1)!.metadata.resourceVersion);
  expect(Number(watch!.query.get('timeoutSeconds'))).toBeGreaterThanOrEqual(240);
  expect(Number(watch!.query.get('timeoutSeconds'))).toBeLessThanOrEqual(290);
});

test('asks for 500 objects a page', async () => {
  await watching();
  expect(requests('list')[0]!.query.get('limit')).toBe('500');
});

test('tells additions, changes and deletions with what was before', async () => {
  api.put(RULES, rule('a', { v: 1 }));
  const { reflector, changes } = await watching();
  api.put(RULES, rule('a', { v: 2 }));
  api.put(RULES, rule('b'));
  api.remove(RULES, 'shop', 'a');
  await until('all have come', () => changes.length === 4);
  expect(told(changes)).toEqual(['+a', '~a', '+b', '-a']);
  expect(changes.map(({ initial }) => initial)).toEqual([true, false, false, false]);
  expect(changes[1]).toMatchObject({ old: { spec: { v: 1 } }, current: { spec: { v: 2 } } });
  expect(changes[3]).toMatchObject({ old: { spec: { v: 2 } }, current: null });
  expect(names(reflector.store.list())).toEqual(['b']);
});

test('a selection is followed in and out', async () => {
  const labelled = (app: string): KubeObject => ({
    ...rule('a'),
    metadata: { name: 'a', namespace: 'shop', labels: { app } },
  });
  api.put(RULES, labelled('x'));
  const { changes } = await watching({ selection: { namespace: 'shop', labelSelector: 'app=y' } });
  api.put(RULES, labelled('y'));
  api.put(RULES, labelled('z'));
  await until('both have come', () => changes.length === 2);
  expect(told(changes)).toEqual(['+a', '-a']);
});

test('managedFields are not kept; what else is kept is up to the owner', async () => {
  const metadata = { name: 'a', namespace: 'shop', managedFields: [{ manager: 'x' }], labels: { l: 'v' } };
  api.put(RULES, { ...rule('a'), metadata, data: 'large' });
  const { reflector } = await watching({ transform: ({ data: _, ...rest }) => rest as KubeObject });
  api.put(RULES, { ...rule('b'), metadata: { ...metadata, name: 'b' }, data: 'large' });
  await until('both are there', () => reflector.store.list().length === 2);
  for (const kept of reflector.store.list()) {
    expect(kept.metadata).toMatchObject({ labels: { l: 'v' } });
    expect(kept.metadata).not.toHaveProperty('managedFields');
    expect(kept).not.toHaveProperty('data');
  }
});

test('indexes follow every change', async () => {
  const indexes = { target: ({ spec }: KubeObject) => (spec as { targets: string[] }).targets };
  api.put(RULES, rule('a', { targets: ['x', 'y'] }));
  const { reflector, changes } = await watching({ indexes });
  const at = (value: string): string[] => names(reflector.store.byIndex('target', value));
  expect([at('x'), at('y'), at('z')]).toEqual([['a'], ['a'], []]);
  api.put(RULES, rule('a', { targets: ['y', 'z'] }));
  api.put(RULES, rule('b', { targets: ['z'] }));
  await until('both have come', () => changes.length === 3);
  expect([at('x'), at('y'), at('z')]).toEqual([[], ['a'], ['a', 'b']]);
  api.remove(RULES, 'shop', 'a');
  await until('it is gone', () => changes.length === 4);
  expect([at('y'), at('z')]).toEqual([[], ['b']]);
  expect(() => reflector.store.byIndex('nothing', 'x')).toThrow('there is no index nothing');
});

/** While nobody watches: b goes, c changes, d comes, e goes and comes back as another. */
async function miss(): Promise<void> {
  api.put(RULES, rule('c', { v: 2 }));
  api.remove(RULES, 'shop', 'b');
  api.put(RULES, rule('d'));
  api.remove(RULES, 'shop', 'e');
  api.put(RULES, rule('e'));
}

const GONE: readonly [string, (api: FakeApi) => void][] = [
  ['as a status', (fake) => fake.breakWatches(RULES, 'reset')],
  ['as an event', (fake) => fake.breakWatches(RULES, 'gone')],
];

test.each(GONE)('410 %s: lists anew and tells true differences alone', async (_, interrupt) => {
  for (const name of ['a', 'b', 'c', 'e']) api.put(RULES, rule(name, { v: 1 }));
  const { reflector, changes, health } = await watching();
  const kept = reflector.store.get('shop', 'a');
  changes.length = 0;
  api.breakWatches(RULES, 'silence');
  await miss();
  api.compact(RULES);
  interrupt(api);
  await until('it has listed again', () => requests('list').length === 2 && reflector.state === 'Watching');
  expect(told(changes).sort()).toEqual(['+d', '-b', '~c', '~e']);
  expect(changes.every(({ initial }) => !initial)).toBe(true);
  expect(reflector.store.get('shop', 'a')).toBe(kept);
  expect(names(reflector.store.list())).toEqual(['a', 'c', 'd', 'e']);
  expect(health.at(-1)).toEqual([true, null]);
});

const LISTS: readonly [string, Parameters<FakeApi['inject']>[0]['act']][] = [
  ['expired token', { status: 410, reason: 'Expired' }],
  ['500', { status: 500 }],
  ['reset', 'reset'],
  ['half a page', 'half'],
  ['silence', 'silence'],
  ['garbage', { status: 200, body: '{"items":[' }],
];

test.each(LISTS)('a list that fails on page 3 by %s begins anew and shows nothing of the half', async (_, act) => {
  for (let i = 0; i < 9; i++) api.put(RULES, rule(`r${i}`));
  api.inject({ on: 'list', skip: 2, act });
  const { reflector, changes, health } = follow({ pageSize: 2, client: act === 'silence' ? quick : client });
  await until('it has failed', () => health.length === 1);
  expect(health[0]![1]).toContain('list rules: ');
  expect([reflector.store.hasSynced, changes.length]).toEqual([false, 0]);
  await until('it watches', () => reflector.state === 'Watching');
  expect(reflector.store.list()).toHaveLength(9);
  expect(requests('list')).toHaveLength(3 + 5);
  expect(health.at(-1)).toEqual([true, null]);
});

test('a list without an end ends', async () => {
  const page = { items: [], metadata: { resourceVersion: '1', continue: 'same' } };
  api.inject({ on: 'list', times: 2, act: { status: 200, body: JSON.stringify(page) } });
  const { reflector } = await watching();
  expect(reflector.store.hasSynced).toBe(true);
  expect(requests('list')).toHaveLength(3);
});

test('429 with Retry-After: not asked before', async () => {
  api.inject({ on: 'list', act: { status: 429, headers: { 'retry-after': '20' } } });
  api.inject({ on: 'watch', act: { status: 429, headers: { 'retry-after': '20' } } });
  const { health } = await watching();
  const [list, again] = requests('list');
  const [watch, once] = requests('watch');
  expect(again!.at - list!.at).toBeGreaterThanOrEqual(20_000);
  expect(once!.at - watch!.at).toBeGreaterThanOrEqual(20_000);
  expect(health.map(([, why]) => why)).toEqual([
    'list rules: TooManyRequests: told to 429',
    null,
    'watch rules: TooManyRequests: told to 429',
  ]);
});

test('a burst of failures: tried again later each time, never given up', async () => {
  api.inject({ on: 'list', times: 4, act: { status: 429 } });
  api.inject({ on: 'list', times: 3, act: { status: 500 } });
  api.inject({ on: 'list', times: 2, act: 'reset' });
  await watching();
  const gaps = requests('list').map(({ at }, i, all) => (i === 0 ? 0 : at - all[i - 1]!.at));
  expect(gaps).toHaveLength(10);
  // A timer never fires early; how late depends on the machine.
  [800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000].forEach((least, i) => {
    expect(gaps[i + 1]).toBeGreaterThanOrEqual(least * 0.98);
  });
});

const LOST: readonly Breakage[] = ['reset', 'half', 'truncate', 'close', 'error'];

test.each(LOST)('a watch that ends by %s goes on from where it was', async (how) => {
  const { reflector, changes } = await watching();
  api.put(RULES, rule('a'));
  await until('the first has come', () => changes.length === 1);
  api.breakWatches(RULES, how);
  api.put(RULES, rule('b'));
  api.put(RULES, rule('c'));
  await until('the others have come', () => changes.length === 3);
  expect(told(changes)).toEqual(['+a', '+b', '+c']);
  expect(requests('list')).toHaveLength(1);
  expect(reflector.state).toBe('Watching');
});

test('a peer that falls silent is left, and what it kept back is heard from the next', async () => {
  const { changes } = await watching({ client: quick });
  api.breakWatches(RULES, 'silence');
  api.put(RULES, rule('a'));
  await until('it has come', () => changes.length === 1, 15_000);
  const [first, second] = requests('watch');
  const limit = Number(first!.query.get('timeoutSeconds')) * 1000 + 5000;
  expect(second!.at - first!.at).toBeGreaterThanOrEqual(limit);
  expect(requests('list')).toHaveLength(1);
});

test('garbage in a watch: incomplete until a new list', async () => {
  const { reflector, changes, health } = await watching();
  api.breakWatches(RULES, 'garbage');
  api.put(RULES, rule('a'));
  await until('it watches again', () => requests('watch').length === 2 && reflector.state === 'Watching');
  expect(told(changes)).toEqual(['+a']);
  expect(requests('list')).toHaveLength(2);
  expect(health[1]![1]).toContain('watch rules: Server: not an answer of the Kubernetes API');
  expect(health[2]).toEqual([true, null]);
});

test('bookmarks move the position: what was compacted since does not matter', async () => {
  const { reflector, changes } = await watching();
  api.put(PODS, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'shop' } });
  api.compact(RULES);
  api.bookmark(RULES);
  api.put(RULES, rule('a'));
  await until('it has come', () => changes.length === 1);
  api.breakWatches(RULES, 'reset');
  await until('it watches again', () => requests('watch').length === 2 && reflector.state === 'Watching');
  expect(requests('list')).toHaveLength(1);
});

test('a bookmark alone moves the position', async () => {
  const { reflector } = await watching();
  api.put(PODS, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'shop' } });
  api.bookmark(RULES);
  await new Promise((resolve) => setTimeout(resolve, 20));
  api.breakWatches(RULES, 'reset');
  await until('it watches again', () => requests('watch').length === 2 && reflector.state === 'Watching');
  expect(Number(requests('watch')[1]!.query.get('resourceVersion'))).toBe(101);
});

test('a lost connection leaves the store whole; a failed attempt does not, until a watch has stood', async () => {
  api.put(RULES, rule('a'));
  const { reflector, health } = await watching();
  const { promise, resolve } = Promise.withResolvers<void>();
  api.inject({ on: 'watch', act: { until: promise } });
  api.inject({ on: 'watch', times: 2, act: { status: 503 } });
  api.breakWatches(RULES, 'reset');
  await until('it tries again', () => requests('watch').length === 2);
  expect(reflector.store.incomplete).toBeNull();
  resolve();
  await until('it watches', () => reflector.state === 'Watching');
  expect(health).toHaveLength(1);
  api.breakWatches(RULES, 'reset');
  await until('an attempt has failed', () => health.length === 2);
  expect(health[1]).toEqual([true, 'watch rules: Server: told to 503']);
  expect(names(reflector.store.list())).toEqual(['a']);
  await until('it watches again', () => requests('watch').length === 5 && reflector.state === 'Watching');
  expect(reflector.store.incomplete).not.toBeNull();
  await until('it has stood', () => reflector.store.incomplete === null);
  expect(health).toHaveLength(3);
});

test('a watch that opens and fails, again and again, never looks whole', async () => {
  const { health } = await watching();
  const broken = { status: 200, body: '{"type":"ERROR","object":{"code":500,"message":"storage is gone"}}\n' };
  api.inject({ on: 'watch', times: 4, act: broken });
  api.breakWatches(RULES, 'close');
  await until('all attempts are over', () => requests('watch').length === 6);
  await until('it has stood', () => health.length === 3);
  expect(health[1]![1]).toBe('watch rules: Server: storage is gone');
});

test('a watch ended in order is opened anew, with no list', async () => {
  const { reflector } = await watching();
  await new Promise((resolve) => setTimeout(resolve, 6000 / SPEED));
  api.breakWatches(RULES, 'close');
  await until('it watches again', () => requests('watch').length === 2 && reflector.state === 'Watching');
  expect(requests('list')).toHaveLength(1);
});

test('a server that ends each watch at once is not asked without pause', async () => {
  api.inject({ on: 'watch', times: 3, act: { status: 200, body: '' } });
  const { health } = await watching();
  const at = requests('watch').map((request) => request.at);
  expect(at[1]! - at[0]!).toBeGreaterThanOrEqual(780);
  expect(at[2]! - at[1]!).toBeGreaterThanOrEqual(1580);
  expect(health).toEqual([[true, null]]);
});

test('403 for one kind: that store is incomplete and keeps its objects, others go on', async () => {
  api.put(RULES, rule('a'));
  const rules = await watching();
  const pods = await watching({ resource: PODS });
  api.inject({ on: 'watch', resource: RULES, times: 3, act: { status: 403 } });
  api.breakWatches(RULES, 'close');
  await until('it is incomplete', () => rules.reflector.store.incomplete !== null);
  expect(rules.reflector.store.incomplete).toBe('watch rules: Forbidden: told to 403');
  expect(names(rules.reflector.store.list())).toEqual(['a']);
  api.put(PODS, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'shop' } });
  await until('the pod has come', () => pods.changes.length === 1);
  expect(pods.reflector.store.incomplete).toBeNull();
  await until('it is allowed again', () => rules.reflector.store.incomplete === null);
  expect(told(rules.changes)).toEqual(['+a']);
});

test('403 from the start: never synced, and it says why', async () => {
  api.inject({ on: 'list', times: 2, act: { status: 403 } });
  const { reflector, health } = follow();
  await until('it is refused', () => health.length === 1);
  expect(reflector.store).toMatchObject({ hasSynced: false, incomplete: 'list rules: Forbidden: told to 403' });
  await until('it is allowed', () => reflector.store.hasSynced);
});

test('a kind that is removed leaves an incomplete store, and is followed anew when it is back', async () => {
  api.put(RULES, rule('a', { v: 1 }));
  api.put(RULES, rule('b', { v: 1 }));
  const { reflector, changes } = await watching();
  // The connection is lost before the objects are deleted: nobody tells of that.
  api.breakWatches(RULES, 'silence');
  api.setServed(RULES, false);
  api.breakWatches(RULES, 'reset');
  await until('it is incomplete', () => reflector.store.incomplete !== null);
  expect(reflector.store.incomplete).toContain('rules: NotFound: 404 page not found');
  expect(names(reflector.store.list())).toEqual(['a', 'b']);
  api.setServed(RULES, true);
  api.put(RULES, rule('a', { v: 2 }));
  await until('it is whole', () => reflector.store.incomplete === null);
  expect(told(changes)).toEqual(['+a', '+b', '-b', '~a']);
});

test('a position that is refused again and again is given up for a list', async () => {
  const { reflector, health } = await watching();
  api.inject({ on: 'watch', times: 7, act: { status: 504, reason: 'Timeout' } });
  api.breakWatches(RULES, 'silence');
  api.put(RULES, rule('a'));
  api.breakWatches(RULES, 'reset');
  await until('it has listed', () => requests('list').length === 2, 20_000);
  await until('it watches', () => reflector.state === 'Watching');
  expect(names(reflector.store.list())).toEqual(['a']);
  expect(health.at(-1)).toEqual([true, null]);
});

test('the API server restarts: incomplete while it is away, then everything that happened', async () => {
  for (const name of ['a', 'b', 'c', 'e']) api.put(RULES, rule(name, { v: 1 }));
  const { reflector, changes } = await watching();
  changes.length = 0;
  const start = await api.kill();
  await until('it is incomplete', () => reflector.store.incomplete !== null);
  expect(reflector.store.incomplete).toContain('watch rules: Transport: connect ECONNREFUSED');
  await miss();
  await start();
  await until('it is whole', () => reflector.store.incomplete === null);
  expect(told(changes).sort()).toEqual(['+d', '-b', '~c', '~e']);
});

test('a handler that throws, at once or later, harms nobody', async () => {
  const reflector = new Reflector({ client, resource: RULES, selection: { namespace: null }, log, clock: api.clock });
  running.push(reflector);
  const seen: string[] = [];
  reflector.subscribe(() => {
    throw new Error('first');
  });
  reflector.subscribe((async () => {
    throw new Error('second');
  }) as () => void);
  reflector.onHealth(() => {
    throw new Error('third');
  });
  reflector.subscribe(({ current }) => seen.push(current!.metadata.name));
  api.put(RULES, rule('a'));
  reflector.start();
  await until('it watches', () => reflector.state === 'Watching');
  api.put(RULES, rule('b'));
  await until('both have come', () => seen.length === 2);
  expect(seen).toEqual(['a', 'b']);
  await until('all are logged', () => log.lines.filter(({ level }) => level === 'error').length === 5);
});

test('what an index cannot take makes the store incomplete, not wrong; mended, it is whole', async () => {
  const indexes = { target: ({ spec }: KubeObject) => (spec as { targets: string[] }).targets.map(String) };
  api.put(RULES, rule('a', { targets: ['x'] }));
  const { reflector, health } = await watching({ indexes });
  api.put(RULES, rule('b', { targets: null }));
  await until('it is incomplete', () => reflector.store.incomplete !== null);
  expect(names(reflector.store.list())).toEqual(['a']);
  api.put(RULES, rule('b', { targets: ['x'] }));
  api.compact(RULES);
  await until('it is whole', () => health.length >= 3 && reflector.store.incomplete === null);
  expect(names(reflector.store.byIndex('target', 'x'))).toEqual(['a', 'b']);
});

test('now and then a list checks what the watch told', async () => {
  const listed: (number | null)[] = [];
  const fast = createFastClock(20_000);
  const hooks = { listed: (_: unknown, missed: number | null) => listed.push(missed), failed: () => {} };
  const { reflector } = follow({ clock: fast, hooks });
  await until('it watches', () => reflector.state === 'Watching');
  await new Promise((resolve) => setTimeout(resolve, 100));
  api.breakWatches(RULES, 'silence');
  api.put(RULES, rule('a'));
  api.breakWatches(RULES, 'close');
  await until('it has listed', () => listed.length === 2);
  expect(listed).toEqual([null, 1]);
  expect(names(reflector.store.list())).toEqual(['a']);
});

test('stopped, it leaves nothing behind', async () => {
  const { reflector } = await watching();
  const other = follow({ resource: PODS });
  api.inject({ on: 'list', act: { status: 429, headers: { 'retry-after': '3000' } } });
  await Promise.all([reflector.stop(), other.reflector.stop()]);
  await until('the streams are closed', () => api.watching(RULES) + api.watching(PODS) === 0);
  const before = api.seen.length;
  api.put(RULES, rule('a'));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(api.seen).toHaveLength(before);
  expect(reflector.store.list()).toEqual([]);
});
