import type { GatewayReport } from '../../gateway/config/control.ts';
import { encodeLine } from '../../gateway/config/control-lines.ts';
import type { ControlLog, ControlMetrics, Documents, Pods, PublishedDocument, StreamEnd } from './inputs.ts';
import type { ReportBook, ReportingPod } from './reports.ts';
import type { ControlStream } from './stream.ts';

export interface StreamsOptions {
  readonly documents: Documents;
  readonly pods: Pods;
  readonly reports: ReportBook;
  readonly metrics: ControlMetrics;
  readonly log: ControlLog;
  readonly monotonic: () => number;
  /** Milliseconds for which the report of a lost stream still counts: the pod dials again. */
  readonly grace: number;
}

/** What a stream's creator hands over: the stream tells of its reports and its end through these. */
export interface StreamEvents {
  readonly onReport: (report: GatewayReport) => void;
  readonly onEnd: (why: StreamEnd, detail: string | null) => void;
}

interface Entry {
  readonly pod: ReportingPod;
  readonly serviceAccount: string;
  readonly stream: ControlStream;
  /** The document that was sent last, and when; confirmed: the gateway has said so. */
  sent: { readonly document: PublishedDocument; readonly at: number; confirmed: boolean } | null;
  reported: boolean;
}

/** Streams of one pod: it may know this replica by two addresses, and open one with a new token before it ends another. */
const PER_POD = 4;

/** All open streams: what is published goes to those of its gateway, and whose pod is gone ends. */
export class Streams {
  readonly #options: StreamsOptions;
  readonly #entries = new Set<Entry>();
  readonly #leaving = new Map<string, NodeJS.Timeout>();
  /** The last document of each gateway as a line that all its streams share. */
  readonly #lines = new Map<string, { readonly document: PublishedDocument; readonly line: Buffer }>();
  readonly #unsubscribe: readonly (() => void)[];

  constructor(options: StreamsOptions) {
    this.#options = options;
    this.#unsubscribe = [
      options.documents.subscribe((namespace, gateway) => this.#publish(namespace, gateway)),
      options.pods.subscribe((namespace, pod) => this.#checkPod(namespace, pod)),
    ];
  }

  /** A stream of a pod that was let in. */
  add(pod: ReportingPod, serviceAccount: string, create: (events: StreamEvents) => ControlStream): void {
    const { metrics, log } = this.#options;
    const stream: ControlStream = create({
      onReport: (report) => this.#onReport(entry, report),
      onEnd: (why, detail) => this.#onEnd(entry, why, detail),
    });
    const entry: Entry = { pod, serviceAccount, stream, sent: null, reported: false };
    this.#entries.add(entry);
    const others = this.#of(pod);
    if (others.length > PER_POD) others[0]!.stream.end('Replaced');
    metrics.streamOpened();
    log.info(fieldsOf(pod), 'a gateway has opened its control stream');
    this.#push(entry, this.#options.documents.current(pod.namespace, pod.gateway));
  }

  close(): void {
    for (const end of this.#unsubscribe) end();
    for (const { stream } of [...this.#entries]) stream.end('Stopping');
    for (const timer of this.#leaving.values()) clearTimeout(timer);
  }

  #publish(namespace: string, gateway: string): void {
    const entries = [...this.#entries].filter(({ pod }) => pod.namespace === namespace && pod.gateway === gateway);
    if (entries.length === 0) return;
    const document = this.#options.documents.current(namespace, gateway);
    for (const entry of entries) this.#push(entry, document);
  }

  #push(entry: Entry, document: PublishedDocument | null): void {
    const { metrics, monotonic } = this.#options;
    if (document === null || isSame(entry.sent?.document, document)) return;
    entry.sent = { document, at: monotonic(), confirmed: false };
    entry.stream.push(this.#lineOf(`${entry.pod.namespace}/${entry.pod.gateway}`, document));
    metrics.pushed();
  }

  #lineOf(gateway: string, document: PublishedDocument): Buffer {
    const known = this.#lines.get(gateway);
    if (known !== undefined && isSame(known.document, document)) return known.line;
    const { revision, sequence, document: bytes } = document;
    const line = encodeLine({ type: 'Configuration', revision, sequence, document: bytes });
    this.#lines.set(gateway, { document, line });
    return line;
  }

  #checkPod(namespace: string, name: string): void {
    for (const { pod, serviceAccount, stream } of [...this.#entries]) {
      if (pod.namespace !== namespace || pod.pod !== name) continue;
      const found = this.#options.pods.find(namespace, name, pod.uid);
      if (found?.gateway !== pod.gateway || found.serviceAccount !== serviceAccount) stream.end('PodGone');
    }
  }

  #onReport(entry: Entry, report: GatewayReport): void {
    this.#stay(entry.pod.uid);
    const { sent } = entry;
    if (sent !== null && !sent.confirmed && sent.document.revision === report.revision) {
      sent.confirmed = true;
      // What a gateway runs when it dials came to it in another way.
      if (entry.reported) this.#options.metrics.propagated((this.#options.monotonic() - sent.at) / 1000);
    }
    entry.reported = true;
    this.#options.reports.put(entry.pod, report);
  }

  #onEnd(entry: Entry, why: StreamEnd, detail: string | null): void {
    const { reports, metrics, log, grace } = this.#options;
    const { pod } = entry;
    metrics.streamEnded(why);
    log.info({ ...fieldsOf(pod), why, detail }, 'the control stream of a gateway has ended');
    this.#entries.delete(entry);
    this.#forget(pod);
    if (this.#of(pod).length > 0) return;
    this.#stay(pod.uid);
    const leave = () => {
      this.#leaving.delete(pod.uid);
      reports.remove(pod);
    };
    if (why === 'Lost' || why === 'TokenExpired') this.#leaving.set(pod.uid, setTimeout(leave, grace).unref());
    else leave();
  }

  /** Its streams, the oldest one first. */
  #of({ uid }: ReportingPod): readonly Entry[] {
    return [...this.#entries].filter(({ pod }) => pod.uid === uid);
  }

  #stay(uid: string): void {
    clearTimeout(this.#leaving.get(uid));
    this.#leaving.delete(uid);
  }

  /** The line of a gateway without streams is not kept. */
  #forget({ namespace, gateway }: ReportingPod): void {
    for (const { pod } of this.#entries) if (pod.namespace === namespace && pod.gateway === gateway) return;
    this.#lines.delete(`${namespace}/${gateway}`);
  }
}

function fieldsOf({ namespace, gateway, pod }: ReportingPod): Record<string, unknown> {
  return { namespace, gateway, pod };
}

function isSame(a: PublishedDocument | undefined, b: PublishedDocument): boolean {
  return a !== undefined && a.revision === b.revision && a.sequence === b.sequence;
}
