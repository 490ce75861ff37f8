import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { type ClientOptions, createClient, type OwnedClient } from '../../operator/kube/client.ts';
import { createCredentials } from '../../operator/kube/credentials.ts';
import type { KubeMeta, KubeObject, Resource } from '../../operator/kube/types.ts';
import { createFaults, type Fault } from './api-faults.ts';
import { createApiStore, type Kept, keyOf } from './api-store.ts';
import { type Breakage, createWatches } from './api-watches.ts';
import { createFastClock, type FastClock } from './clocks.ts';

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: KubeObject | null;
  /** On the server's clock. */
  readonly at: number;
}

/** A Kubernetes API server in this process that fails as told. It knows no schema: every resource is served. */
export interface FakeApi {
  readonly url: URL;
  readonly clock: FastClock;
  readonly seen: readonly Seen[];
  client(options?: Partial<ClientOptions>): OwnedClient;
  /** As somebody else would: at once, without a request. */
  put(resource: Resource, object: KubeObject): KubeObject;
  remove(resource: Resource, namespace: string, name: string): void;
  objects(resource: Resource): readonly KubeObject[];
  inject(fault: Fault): void;
  clearFaults(): void;
  breakWatches(resource: Resource, how: Breakage): void;
  /** Open streams of watches. */
  watching(resource: Resource): number;
  bookmark(resource: Resource): void;
  /** Forgets what happened so far, and every continue token. */
  compact(resource: Resource): void;
  /** The kind's definition goes: objects deleted one by one, then 404; or it comes back. */
  setServed(resource: Resource, served: boolean): void;
  connections(): number;
  /** Kills the server; the promise's function starts it again on the same port, with no memory of what happened before. */
  kill(): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

interface Address {
  readonly kept: Kept;
  readonly namespace: string | null;
  readonly name: string | null;
  readonly status: boolean;
}

interface Exchange extends Address {
  readonly seen: Seen;
  readonly response: http.ServerResponse;
}

export interface FakeApiOptions {
  readonly clock?: FastClock;
  readonly tls?: { readonly key: string; readonly cert: string };
}

export async function startFakeApi(options: FakeApiOptions = {}): Promise<FakeApi> {
  const clock = options.clock ?? createFastClock(1);
  const seen: Seen[] = [];
  const sockets = new Set<Socket>();
  const watches = createWatches(clock.speed, () => store.version());
  const store = createApiStore((kept, happening) => watches.happened(kept, happening));
  const faults = createFaults();
  const pages = new Map<string, { readonly kept: Kept; readonly items: KubeObject[]; readonly version: number }>();
  let tokens = 0;

  const list = ({ kept, namespace, seen: { query }, response }: Exchange): void => {
    const token = query.get('continue');
    const page = token === null ? null : pages.get(token);
    if (page === undefined) return fail(response, 410, 'Expired', 'The provided continue parameter is too old');
    const all = page?.items ?? [...kept.objects.values()].filter((object) => isSelected(object, namespace, query));
    const version = page?.version ?? store.version();
    const limit = Number(query.get('limit') ?? 0) || all.length;
    const rest = all.slice(limit);
    let next = '';
    if (rest.length > 0) {
      tokens += 1;
      next = `token-${tokens}`;
      pages.set(next, { kept, items: rest, version });
    }
    send(response, 200, {
      kind: 'List',
      metadata: { resourceVersion: String(version), ...(next && { continue: next }) },
      // As built-in kinds come: without apiVersion and kind.
      items: all.slice(0, limit).map(({ apiVersion: _a, kind: _k, ...item }) => item),
    });
  };

  const watch = ({ kept, namespace, seen: { query }, response }: Exchange): void => {
    const from = Number(query.get('resourceVersion'));
    if (from < kept.compactedAt) return fail(response, 410, 'Expired', `too old resource version: ${from}`);
    watches.open({
      kept,
      response,
      from,
      timeout: Number(query.get('timeoutSeconds')) * 1000,
      selects: (object) => isSelected(object, namespace, query),
    });
  };

  const write = (exchange: Exchange): void => {
    const { kept, namespace, name, status, seen: request, response } = exchange;
    const key = keyOf({ name: name ?? request.body?.metadata.name ?? '', ...(namespace !== null && { namespace }) });
    const old = kept.objects.get(key);
    const refusal = refusalOf(request, old);
    if (refusal !== null) return fail(response, refusal[0], refusal[1], `told of ${key}`);
    if (request.method === 'DELETE') {
      store.remove(kept, key);
      return send(response, 200, { kind: 'Status', status: 'Success' });
    }
    const body = request.body!;
    const merged = request.method === 'PATCH' ? merge(old, body, status) : body;
    send(response, request.method === 'POST' ? 201 : 200, store.put(kept, merged));
  };

  const answer = (exchange: Exchange): void => {
    const { kept, namespace, name, seen: request, response } = exchange;
    if (kept.removed) return send(response, 404, '404 page not found');
    if (request.method !== 'GET') return write(exchange);
    if (name === null) return request.query.get('watch') === 'true' ? watch(exchange) : list(exchange);
    const object = kept.objects.get(keyOf({ name, ...(namespace === null ? {} : { namespace }) }));
    return object === undefined ? fail(response, 404, 'NotFound', `${name} not found`) : send(response, 200, object);
  };

  const handle = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const url = new URL(request.url!, 'http://api');
    const text = Buffer.concat(await Array.fromAsync(request)).toString();
    const { method = '', headers } = request;
    const body = text === '' ? null : (JSON.parse(text) as KubeObject);
    const one: Seen = { method, path: url.pathname, query: url.searchParams, headers, body, at: clock.now() };
    seen.push(one);
    const address = addressOf(url.pathname, (resource) => store.kept(resource));
    if (await faults.meet(one, address?.kept.resource ?? null, response)) return;
    if (address === null) return send(response, 404, '404 page not found');
    answer({ ...address, seen: one, response });
  };

  const listener = (request: http.IncomingMessage, response: http.ServerResponse): void =>
    void handle(request, response).catch(() => response.destroy());
  const server = options.tls === undefined ? http.createServer(listener) : https.createServer(options.tls, listener);
  server.on(options.tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const scheme = options.tls === undefined ? 'http' : 'https';
  const url = new URL(`${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const access = { server: url, proxy: null, tls: {}, headers: { authorization: 'Bearer test' } };

  return {
    url,
    clock,
    seen,
    client: (more) => createClient({ credentials: createCredentials(async () => access, clock), clock, ...more }),
    put: (resource, object) => store.put(store.kept(resource), object),
    remove: (resource, namespace, name) => store.remove(store.kept(resource), keyOf({ namespace, name })),
    objects: (resource) => [...store.kept(resource).objects.values()],
    inject: faults.add,
    clearFaults: faults.clear,
    breakWatches: (resource, how) => watches.break(store.kept(resource), how),
    watching: (resource) => watches.count(store.kept(resource)),
    bookmark: (resource) => watches.bookmark(store.kept(resource)),
    compact: (resource) => {
      const kept = store.kept(resource);
      store.forget(kept);
      for (const [token, page] of pages) if (page.kept === kept) pages.delete(token);
    },
    setServed: (resource, served) => {
      const kept = store.kept(resource);
      if (!served) for (const key of [...kept.objects.keys()]) store.remove(kept, key);
      kept.removed = !served;
      store.forget(kept);
      watches.break(kept, 'close');
    },
    connections: () => sockets.size,
    kill: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
      return async () => {
        store.forget();
        server.listen(Number(url.port), '127.0.0.1');
        await once(server, 'listening');
      };
    },
    close: async () => {
      watches.close();
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

const PATH = /^\/(?:api|apis\/([^/]+))\/v\d\w*(?:\/namespaces\/([^/]+))?\/([^/]+)(?:\/([^/]+))?(\/status)?$/;

function addressOf(path: string, keptOf: (resource: Pick<Resource, 'group' | 'plural'>) => Kept): Address | null {
  const match = PATH.exec(path);
  if (match === null) return null;
  const [, group = '', namespace = null, plural = '', name = null, status] = match;
  const decode = (part: string | null): string | null => (part === null ? null : decodeURIComponent(part));
  return {
    kept: keptOf({ group, plural }),
    namespace: decode(namespace),
    name: decode(name),
    status: status !== undefined,
  };
}

/** Why a write is refused: status and reason. */
function refusalOf({ method, body, query }: Seen, old: KubeObject | undefined): [number, string] | null {
  if (method === 'PATCH') return query.get('fieldManager') === null ? [400, 'BadRequest'] : null;
  if (method === 'POST') return old === undefined ? null : [409, 'AlreadyExists'];
  if (old === undefined) return [404, 'NotFound'];
  const { uid, resourceVersion } = old.metadata;
  const { preconditions, metadata } = (body ?? {}) as { preconditions?: { uid?: string }; metadata?: KubeMeta };
  if (method === 'DELETE') return (preconditions?.uid ?? uid) === uid ? null : [409, 'Conflict'];
  return metadata?.resourceVersion === resourceVersion ? null : [409, 'Conflict'];
}

/** Apply without managers: what is given replaces what was, the rest stays; status by its own way alone. */
function merge(old: KubeObject | undefined, given: KubeObject, status: boolean): KubeObject {
  if (status) return { ...(old ?? given), status: given.status };
  return { ...old, ...given, metadata: { ...old?.metadata, ...given.metadata } };
}

/** Label selectors of the form `name=value,…`. */
function isSelected({ metadata }: KubeObject, namespace: string | null, query: URLSearchParams): boolean {
  if (namespace !== null && metadata.namespace !== namespace) return false;
  const wanted = (query.get('labelSelector') ?? '').split(',').filter((part) => part !== '');
  return wanted.every((part) => {
    const [name = '', value = ''] = part.split('=');
    return metadata.labels?.[name] === value;
  });
}

function fail(response: http.ServerResponse, code: number, reason: string, message: string): void {
  send(response, code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message });
}

function send(response: http.ServerResponse, code: number, body: object | string): void {
  if (response.destroyed) return;
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}
