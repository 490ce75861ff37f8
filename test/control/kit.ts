import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { canonicalJson } from '../../gateway/config/canonical.ts';
import { CONTROL_AUDIENCE, type GatewayReport } from '../../gateway/config/control.ts';
import type { ConfigDocument } from '../../gateway/config/document.ts';
import { makeRevision } from '../../gateway/config/revision.ts';
import { ConfigSource, type OfferResult } from '../../gateway/config/source.ts';
import { ControlClient, type ControlOptions } from '../../gateway/control/client.ts';
import { type Issued, issueAll, serviceNames } from '../../operator/control/certificate.ts';
import type { Documents, Pods, PublishedDocument } from '../../operator/control/inputs.ts';
import { type ControlServer, type ControlServerOptions, startControlServer } from '../../operator/control/server.ts';
import type { KubeObject } from '../../operator/kube/types.ts';
import { exampleDocument } from '../config/fixture.ts';

export const HOST = 'postern-control.postern.svc';
export const NAMES = serviceNames('postern-control', 'postern');
const GATEWAY = { namespace: 'shop', gateway: 'orders' } as const;
/** For tests that wait for three missed ones; a busy machine misses so short ones now and then by itself. */
export const SHORT = { beat: 100 } as const;
const BEAT = 1000;

export interface FakePod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly serviceAccount: string;
  /** null: a pod that is no gateway's. */
  readonly gateway: string | null;
}

export const POD: FakePod = {
  namespace: 'shop',
  name: 'orders-1',
  uid: 'uid-1',
  serviceAccount: 'orders',
  gateway: 'orders',
};

let minted = 0;

/** What an API server, a ConfigMap store and a pod store would know. */
export class FakeCluster {
  readonly pods = new Map<string, FakePod>();
  readonly reviews: string[] = [];
  /** How TokenReviews are answered in place of the usual way. */
  answer: ((token: string) => Promise<KubeObject>) | null = null;
  readonly #tokens = new Map<string, { readonly pod: FakePod; readonly audience: string }>();
  readonly #gone: ((namespace: string, pod: string) => void)[] = [];

  constructor(...pods: readonly FakePod[]) {
    for (const pod of pods) this.pods.set(`${pod.namespace}/${pod.name}`, pod);
  }

  /** A token of a pod, as the kubelet would put it there. */
  mint(pod: FakePod, { seconds = 3600, audience = CONTROL_AUDIENCE } = {}): string {
    minted += 1;
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const token = `${part({ alg: 'none' })}.${part({ exp: Math.floor(Date.now() / 1000) + seconds, jti: minted })}.c2ln`;
    this.#tokens.set(token, { pod, audience });
    return token;
  }

  /** The pod is gone, or another one now. */
  change(pod: FakePod, now: FakePod | null): void {
    const key = `${pod.namespace}/${pod.name}`;
    if (now === null) this.pods.delete(key);
    else this.pods.set(key, now);
    for (const listener of this.#gone) listener(pod.namespace, pod.name);
  }

  readonly kube = {
    create: async (_resource: unknown, object: KubeObject): Promise<KubeObject> => {
      const { token, audiences } = object.spec as { token: string; audiences: string[] };
      this.reviews.push(token);
      if (this.answer !== null) return await this.answer(token);
      const known = this.#tokens.get(token);
      const authenticated = known !== undefined && audiences.includes(known.audience);
      return { ...object, status: authenticated ? statusOf(known.pod, known.audience) : { authenticated: false } };
    },
  };

  readonly podStore: Pods = {
    find: (namespace, name, uid) => {
      const pod = this.pods.get(`${namespace}/${name}`);
      if (pod === undefined || pod.uid !== uid || pod.gateway === null) return null;
      return { gateway: pod.gateway, serviceAccount: pod.gateway };
    },
    subscribe: (listener) => {
      this.#gone.push(listener);
      return () => void this.#gone.splice(this.#gone.indexOf(listener), 1);
    },
  };
}

export function statusOf(pod: FakePod, audience: string): Record<string, unknown> {
  return {
    authenticated: true,
    audiences: [audience],
    user: {
      username: `system:serviceaccount:${pod.namespace}:${pod.serviceAccount}`,
      extra: {
        'authentication.kubernetes.io/pod-name': [pod.name],
        'authentication.kubernetes.io/pod-uid': [pod.uid],
      },
    },
  };
}

/** The ConfigMaps of one replica's store. */
export class FakeDocuments implements Documents {
  readonly #current = new Map<string, PublishedDocument>();
  readonly #listeners: ((namespace: string, gateway: string) => void)[] = [];

  current(namespace: string, gateway: string): PublishedDocument | null {
    return this.#current.get(`${namespace}/${gateway}`) ?? null;
  }

  subscribe(listener: (namespace: string, gateway: string) => void): () => void {
    this.#listeners.push(listener);
    return () => void this.#listeners.splice(this.#listeners.indexOf(listener), 1);
  }

  publish(
    document: PublishedDocument,
    { namespace, gateway } = GATEWAY as { namespace: string; gateway: string },
  ): void {
    this.#current.set(`${namespace}/${gateway}`, document);
    for (const listener of this.#listeners) listener(namespace, gateway);
  }
}

/** The n-th document of a gateway; all differ. */
export function nth(n: number, change: Partial<ConfigDocument> = {}): ConfigDocument {
  return exampleDocument({ tracing: { endpoint: `http://collector-${n}:4318` }, ...change });
}

export function published(document: ConfigDocument, sequence: number): PublishedDocument {
  const bytes = gzipSync(canonicalJson(document));
  return { revision: makeRevision(document).revision, sequence, document: bytes.toString('base64') };
}

export const SILENT_LOG = { info() {}, warn() {}, error() {}, debug() {} };

/** Counts what a server would show at /metrics. */
export class FakeMetrics {
  readonly counts: Record<string, number> = {};
  readonly seconds: number[] = [];
  readonly #count = (name: string) => {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  };
  readonly streamOpened = () => this.#count('opened');
  readonly streamEnded = (why: string) => this.#count(why);
  readonly review = (outcome: string) => this.#count(outcome);
  readonly pushed = () => this.#count('pushed');
  readonly propagated = (seconds: number) => void this.seconds.push(seconds);
  readonly dropped = () => this.#count('dropped');
}

export interface Replica {
  readonly server: ControlServer;
  readonly documents: FakeDocuments;
  readonly metrics: FakeMetrics;
  /** What this replica knows of the example gateway's only pod. */
  report(): GatewayReport | undefined;
}

/** Runs what a test needs and ends it all at its end. */
export class Stage {
  readonly cluster: FakeCluster;
  certificate!: Issued;
  directory!: string;
  readonly #closing: (() => Promise<unknown>)[] = [];

  constructor(cluster = new FakeCluster(POD)) {
    this.cluster = cluster;
  }

  async open(): Promise<this> {
    this.certificate = await issueAll(NAMES, Date.now());
    this.directory = await mkdtemp(path.join(tmpdir(), 'postern-control-'));
    await this.writeToken(this.cluster.mint(POD));
    await this.writeCa(this.certificate.ca);
    return this;
  }

  async close(): Promise<void> {
    for (const close of this.#closing.reverse()) await close();
    await rm(this.directory, { recursive: true, force: true });
  }

  atEnd(close: () => Promise<unknown>): void {
    this.#closing.push(close);
  }

  writeToken(token: string): Promise<void> {
    return writeFile(path.join(this.directory, 'token'), `${token}\n`);
  }

  writeCa(pem: string): Promise<void> {
    return writeFile(path.join(this.directory, 'ca.crt'), pem);
  }

  /** A replica of the operator that gateways can dial. */
  async replica(
    options: Partial<ControlServerOptions> = {},
    certificate: Issued | null = this.certificate,
  ): Promise<Replica> {
    const documents = new FakeDocuments();
    const metrics = new FakeMetrics();
    const server = await startControlServer({
      port: 0,
      host: '127.0.0.1',
      kube: this.cluster.kube,
      documents,
      pods: this.cluster.podStore,
      metrics,
      log: SILENT_LOG,
      beat: BEAT,
      ...options,
    });
    this.atEnd(() => server.close());
    if (certificate !== null) server.use(certificate);
    const report = () => server.reports.of(GATEWAY.namespace, GATEWAY.gateway).get(POD.uid)?.report;
    return { server, documents, metrics, report };
  }

  /** A gateway's end of the stream around a configuration of its own, with nothing else of a gateway. */
  gateway(
    port: number,
    options: Partial<ControlOptions> & { readonly start?: ConfigDocument; sequence?: number } = {},
  ): Dialler {
    const { start = nth(0), sequence = 0, ...rest } = options;
    const config = new ConfigSource(makeRevision(start), sequence);
    const results: OfferResult[] = [];
    const logged: string[] = [];
    config.subscribe((result) => results.push(result));
    const state = { sessions: 0, draining: false };
    const note = (fields: Readonly<Record<string, unknown>>, message: string) =>
      void logged.push(`${message} ${JSON.stringify(fields)}`);
    const client = new ControlClient({
      host: HOST,
      port,
      ca: path.join(this.directory, 'ca.crt'),
      token: path.join(this.directory, 'token'),
      log: { info: note, warn: note, debug: note },
      beat: BEAT,
      interval: 200,
      backoff: 20,
      resolve: async () => ['127.0.0.1'],
      report: () => ({
        type: 'Report',
        revision: config.current.revision,
        sequence: config.sequence,
        refused: config.refused,
        ...state,
        unenforced: [],
        findings: [],
      }),
      onConfiguration({ document, revision, sequence }) {
        config.offer(Buffer.from(document, 'base64'), { revision, sequence });
        client.report(true);
      },
      ...rest,
    });
    this.atEnd(() => client.close());
    return { client, config, results, logged, state };
  }
}

export interface Dialler {
  readonly client: ControlClient;
  readonly config: ConfigSource;
  readonly results: OfferResult[];
  readonly logged: string[];
  readonly state: { sessions: number; draining: boolean };
}
