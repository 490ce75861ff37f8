import { type Clock, sleep, systemClock } from './clock.ts';
import type { Credentials } from './credentials.ts';
import { KubeError, messageOf, transportError } from './errors.ts';
import { createTokenBucket } from './token-bucket.ts';
import { type Call, createTransport, nameOf, type Stream, type Transport } from './transport.ts';
import type {
  ApplyOptions,
  CallOptions,
  KubeClient,
  KubeObject,
  ListPage,
  ObjectKey,
  Resource,
  Selection,
  WatchEvent,
  WatchOptions,
} from './types.ts';
import { createLineSplitter, parseWatchEvent } from './watch-lines.ts';

export interface ClientOptions {
  readonly credentials: Credentials;
  readonly clock?: Clock;
  /** What stands before the slash is the field manager of all that is not applied. */
  readonly userAgent?: string;
  /** Writes a second, and how many may be saved up; a lease is renewed without asking. */
  readonly writes?: { readonly rate: number; readonly burst: number };
  readonly counted?: (code: string, method: string, host: string) => void;
}

/** A client whose connections somebody must close. */
export interface OwnedClient extends KubeClient {
  close(): Promise<void>;
}

const TIMEOUT = 30_000;
/** Longer than the API server itself takes before it gives a list up. */
const LIST_TIMEOUT = 70_000;
/** etcd holds no object over 1.5 MiB; managedFields and escapes may multiply that. */
const LONGEST_LINE = 16 * 2 ** 20;

export function createClient(options: ClientOptions): OwnedClient {
  const clock = options.clock ?? systemClock;
  const transport = createTransport({
    credentials: options.credentials,
    clock,
    userAgent: options.userAgent ?? 'postern',
    counted: options.counted ?? (() => {}),
  });
  const bucket = createTokenBucket({ rate: 50, burst: 100, ...options.writes, clock });
  const read = (path: string, how: CallOptions = {}): Call => ({
    method: 'GET',
    path,
    timeout: how.timeout ?? TIMEOUT,
    signal: how.signal,
  });
  const write = async (call: Omit<Call, 'timeout'>, how: CallOptions = {}): Promise<KubeObject> => {
    if (how.urgent !== true) await sleep(clock, bucket.reserve(), how.signal);
    const full = { ...call, timeout: how.timeout ?? TIMEOUT, signal: how.signal };
    return parseObject(full, await transport.exchange(full));
  };
  const apply = (suffix: string) => (resource: Resource, object: KubeObject, how: ApplyOptions) =>
    write(
      {
        method: 'PATCH',
        path: pathOf(resource, object.metadata.namespace ?? null, object.metadata.name) + suffix,
        query: { fieldManager: how.fieldManager, force: String(how.force) },
        body: object,
        contentType: 'application/apply-patch+yaml',
      },
      how,
    );

  return {
    get: async (key, how) => {
      const call = read(pathOfKey(key), how);
      return parseObject(call, await transport.exchange(call));
    },
    listPage: async (resource, selection, { limit, continue: token, signal }) => {
      const query = { limit: String(limit), ...(token === null ? {} : { continue: token }), ...selectors(selection) };
      const path = pathOf(resource, selection.namespace);
      const call: Call = { method: 'GET', path, query, timeout: LIST_TIMEOUT, signal };
      return parsePage(call, resource, await transport.exchange(call));
    },
    watch: (resource, selection, how) => watch(transport, clock, watchCall(resource, selection, how), how),
    apply: apply(''),
    applyStatus: apply('/status'),
    create: (resource, object, how) =>
      write({ method: 'POST', path: pathOf(resource, object.metadata.namespace ?? null), body: object }, how),
    update: (resource, object, how) => {
      const path = pathOf(resource, object.metadata.namespace ?? null, object.metadata.name);
      return write({ method: 'PUT', path, body: object }, how);
    },
    delete: async (key, { uid, ...how } = {}) => {
      const preconditions = uid === undefined ? {} : { preconditions: { uid } };
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background', ...preconditions };
      await write({ method: 'DELETE', path: pathOfKey(key), body }, how).catch(unlessAbsent);
    },
    raw: (path, how) => transport.exchange(read(path, how)),
    close: () => transport.close(),
  };
}

/** `/apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME`, with what there is of it. */
function pathOf(resource: Resource, namespace: string | null, name?: string): string {
  const root = resource.group === '' ? ['api'] : ['apis', resource.group];
  const scope = namespace === null ? [] : ['namespaces', namespace];
  const parts = [...root, resource.version, ...scope, resource.plural, ...(name === undefined ? [] : [name])];
  return `/${parts.map(encodeURIComponent).join('/')}`;
}

function pathOfKey(key: ObjectKey): string {
  return pathOf(key.resource, key.namespace, key.name);
}

function selectors({ labelSelector, fieldSelector }: Selection): Record<string, string> {
  return {
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  };
}

function watchCall(resource: Resource, selection: Selection, how: WatchOptions): Call {
  const query = {
    watch: 'true',
    allowWatchBookmarks: 'true',
    resourceVersion: how.resourceVersion,
    timeoutSeconds: String(how.timeoutSeconds),
    ...selectors(selection),
  };
  return { method: 'GET', path: pathOf(resource, selection.namespace), query, timeout: TIMEOUT, signal: how.signal };
}

async function* watch(transport: Transport, clock: Clock, call: Call, how: WatchOptions): AsyncGenerator<WatchEvent> {
  const stream = await transport.open(call);
  try {
    how.opened?.();
    for await (const line of lines(stream, clock, call, how.idle)) {
      if (line !== '') yield parsed(call, () => parseWatchEvent(line));
    }
  } catch (error) {
    throw transportError(nameOf(call), error);
  } finally {
    stream.close();
  }
}

/** The lines of a stream, which is cut when nothing comes for so long. */
async function* lines(stream: Stream, clock: Clock, call: Call, idle: number): AsyncGenerator<string> {
  const splitter = createLineSplitter(LONGEST_LINE);
  const silent = (): void => stream.cut(new KubeError('Transport', nameOf(call), `silent for ${idle / 1000} s`));
  let cancel = clock.after(idle, silent);
  try {
    for await (const chunk of stream.body) {
      cancel();
      yield* parsed(call, () => splitter.push(chunk));
      cancel = clock.after(idle, silent);
    }
    splitter.end();
  } finally {
    cancel();
  }
}

function parseObject(call: Call, body: Buffer): KubeObject {
  return parsed(call, () => {
    const object = JSON.parse(body.toString('utf8')) as KubeObject | null;
    if (typeof object !== 'object' || object === null) throw new Error('not an object');
    return object;
  });
}

/** Items of built-in kinds come without their kind. */
function parsePage(call: Call, resource: Resource, body: Buffer): ListPage {
  return parsed(call, () => {
    const list = JSON.parse(body.toString('utf8')) as Partial<{
      items: readonly KubeObject[] | null;
      metadata: { resourceVersion?: string; continue?: string };
    }> | null;
    const resourceVersion = list?.metadata?.resourceVersion;
    if (typeof resourceVersion !== 'string' || resourceVersion === '')
      throw new Error('a list without resourceVersion');
    if (list?.items !== null && !Array.isArray(list?.items)) throw new Error('a list without items');
    const apiVersion = resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
    const items = (list?.items ?? []).map((item) => {
      if (typeof item?.metadata?.name !== 'string') throw new Error('an item without a name');
      return { ...item, apiVersion, kind: resource.kind };
    });
    return { items, resourceVersion, continue: list?.metadata?.continue || null };
  });
}

/** Runs a parser; what it throws becomes an answer that is none. */
function parsed<R>(call: Call, parse: () => R): R {
  try {
    return parse();
  } catch (error) {
    throw new KubeError('Server', nameOf(call), `not an answer of the Kubernetes API: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function unlessAbsent(error: unknown): void {
  if (!(error instanceof KubeError && error.reason === 'NotFound')) throw error;
}
