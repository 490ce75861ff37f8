import { createHash } from 'node:crypto';
import { type Clock, sleep, systemClock } from './clock.ts';
import { KubeError, messageOf } from './errors.ts';
import type { Log } from './log.ts';
import { microTime } from './micro-time.ts';
import { createTokenBucket, type TokenBucket } from './token-bucket.ts';
import type { KubeClient, KubeErrorReason, KubeObject, Resource } from './types.ts';
import { WorkQueue } from './workqueue.ts';

/** What to tell of an object: `action` is what was being done, `reason` what came of it, both in UpperCamelCase. */
export interface EventText {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly action: string;
  readonly note: string;
}

export interface RecorderOptions {
  readonly client: KubeClient;
  /** A qualified name such as `example.com/operator`, and which process of it. */
  readonly controller: string;
  readonly instance: string;
  readonly log: Log;
  readonly clock?: Clock;
}

/** The same event, however often it happened. */
interface Series {
  readonly name: string;
  readonly regarding: KubeObject;
  readonly text: EventText;
  readonly first: string;
  last: string;
  count: number;
  /** On the monotonic clock; null: never. */
  seenAt: number;
  writtenAt: number | null;
  failures: number;
}

const EVENTS: Resource = { group: 'events.k8s.io', version: 'v1', kind: 'Event', plural: 'events', namespaced: true };
const LONGEST_NOTE = 1024;
/** An event that happens again after so long is a new one. */
const FORGOTTEN = 600_000;
/** How often the count of one event is written. */
const REPEAT = 60_000;
/** For all together, and for one object: new events only. */
const ALL = { rate: 5, burst: 50 };
const ONE = { rate: 1 / 300, burst: 25 };
/** Events and objects remembered at a time. */
const MOST = 1_000;
const ATTEMPTS = 4;
/** Those failures may pass; what was refused for another reason is dropped. */
const PASSING: readonly KubeErrorReason[] = ['Transport', 'Server', 'TooManyRequests', 'Unauthorized'];

/**
 * Writes events, one at a time and never in anybody's way: the same event is counted, not written again; what is too
 * much, or cannot be written, is dropped.
 */
export class EventRecorder {
  readonly #options: RecorderOptions;
  readonly #clock: Clock;
  /** By key, the ones seen longest ago first. */
  readonly #series = new Map<string, Series>();
  readonly #objects = new Map<string, TokenBucket>();
  readonly #bucket: TokenBucket;
  readonly #queue: WorkQueue;
  readonly #ended = new AbortController();
  readonly #writer: Promise<void>;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#bucket = createTokenBucket({ ...ALL, clock: this.#clock });
    this.#queue = new WorkQueue({ clock: this.#clock });
    this.#writer = this.#write();
  }

  record(regarding: KubeObject, text: EventText): void {
    const { uid, name, namespace } = regarding.metadata;
    const object = uid ?? `${regarding.kind}/${namespace ?? ''}/${name}`;
    const key = JSON.stringify([object, text.type, text.reason, text.action, text.note]);
    const now = this.#clock.now();
    const known = this.#series.get(key);
    this.#series.delete(key);
    const old = known !== undefined && now - known.seenAt < FORGOTTEN ? known : null;
    if (old === null && !this.#allowed(object)) return;
    const series = old ?? this.#begin(key, regarding, text);
    series.count += 1;
    series.seenAt = now;
    series.last = microTime(this.#clock.wall());
    this.#series.set(key, series);
    forgetOldest(this.#series);
    const due = series.writtenAt === null ? 0 : Math.max(0, series.writtenAt + REPEAT - now);
    if (due === 0) this.#queue.add(key);
    else this.#queue.addAfter(key, due);
  }

  /** What is not written yet is dropped. */
  async stop(): Promise<void> {
    this.#ended.abort();
    this.#queue.stop();
    await this.#writer;
  }

  #allowed(object: string): boolean {
    const bucket = this.#objects.get(object) ?? createTokenBucket({ ...ONE, clock: this.#clock });
    this.#objects.delete(object);
    this.#objects.set(object, bucket);
    forgetOldest(this.#objects);
    return bucket.take();
  }

  #begin(key: string, regarding: KubeObject, text: EventText): Series {
    const time = microTime(this.#clock.wall());
    const hash = createHash('sha256').update(`${key} ${this.#options.instance} ${time}`).digest('hex').slice(0, 16);
    const { apiVersion, kind, metadata } = regarding;
    const { name, namespace, uid } = metadata;
    return {
      // Cut so that what is before the point still ends as a name may.
      name: `${name.slice(0, 230).replace(/[^a-z0-9]+$/, '')}.${hash}`,
      // Only what the event says of it: the object itself may be large.
      regarding: { apiVersion, kind, metadata: { name, ...(namespace && { namespace }), ...(uid && { uid }) } },
      text: { ...text, note: cut(text.note) },
      first: time,
      last: time,
      count: 0,
      seenAt: 0,
      writtenAt: null,
      failures: 0,
    };
  }

  async #write(): Promise<void> {
    for (let key = await this.#queue.take(); key !== null; key = await this.#queue.take()) {
      await sleep(this.#clock, this.#bucket.reserve(), this.#ended.signal);
      const series = this.#series.get(key);
      if (series !== undefined && !this.#ended.signal.aborted) await this.#apply(key, series);
      this.#queue.done(key);
    }
  }

  async #apply(key: string, series: Series): Promise<void> {
    try {
      const options = { fieldManager: 'postern', force: true, signal: this.#ended.signal };
      await this.#options.client.apply(EVENTS, this.#object(series), options);
      series.writtenAt = this.#clock.now();
      series.failures = 0;
      this.#queue.forget(key);
    } catch (error) {
      series.failures += 1;
      const again = error instanceof KubeError && PASSING.includes(error.reason) && series.failures < ATTEMPTS;
      if (again) this.#queue.retry(key, error.retryAfter ?? 0);
      else this.#drop(key, series, error);
    }
  }

  #drop(key: string, { regarding, text }: Series, error: unknown): void {
    this.#series.delete(key);
    this.#queue.forget(key);
    const { kind, metadata } = regarding;
    const fields = { kind, namespace: metadata.namespace, name: metadata.name, event: text.reason };
    this.#options.log.debug({ ...fields, error: messageOf(error) }, 'An event was not written');
  }

  /** The whole event each time: where the API server has forgotten the first, it comes anew with its count. */
  #object(series: Series): KubeObject {
    const { controller, instance } = this.#options;
    const { apiVersion, kind, metadata } = series.regarding;
    const repeated = series.count > 1;
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: series.name, namespace: metadata.namespace ?? 'default' },
      eventTime: series.first,
      reportingController: controller,
      reportingInstance: instance.slice(0, 128),
      regarding: { apiVersion, kind, ...metadata },
      ...series.text,
      ...(repeated ? { series: { count: series.count, lastObservedTime: series.last } } : {}),
    };
  }
}

function forgetOldest(map: Map<string, unknown>): void {
  if (map.size > MOST) map.delete(map.keys().next().value!);
}

/** At most 1024 bytes of UTF-8, no character in halves. */
function cut(note: string): string {
  const bytes = Buffer.from(note);
  if (bytes.length <= LONGEST_NOTE) return note;
  const end = Buffer.from('…');
  let length = LONGEST_NOTE - end.length;
  while (length > 0 && (bytes[length]! & 0xc0) === 0x80) length -= 1;
  return Buffer.concat([bytes.subarray(0, length), end]).toString();
}
