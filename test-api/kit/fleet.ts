import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { GatewayReport } from '../../gateway/config/control.ts';
import { parseDocument } from '../../gateway/config/load.ts';
import { unenforced } from '../../gateway/config/unenforced.ts';
import { ControlClient } from '../../gateway/control/client.ts';
import type { Http } from './http.ts';
import { collection, merge } from './objects.ts';

// biome-ignore lint/suspicious/noExplicitAny: objects as the API server gives them
type Any = any;

export interface FleetOptions {
  readonly http: Http;
  readonly namespaces: readonly string[];
  /** The operator's own namespace. */
  readonly operator: string;
  /** Control ports of the operators that run; asked again and again. */
  readonly ports: () => readonly number[];
  /** How many documents a pod takes in before it ignores further ones; default: all. */
  readonly deaf?: () => boolean;
  /** Workloads whose pods do not get on; default: none. */
  readonly stuck?: (kind: string) => boolean;
}

const WORKLOADS = ['Deployment', 'StatefulSet'] as const;

/**
 * Plays what a cluster does with the operator's Deployments and StatefulSets: makes pods of them, as ready as pods get, each with a
 * stream to every operator over which it confirms what it is sent. The pods are objects, and the gateway's own client.
 */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #pods = new Map<string, SimulatedPod>();
  #directory = '';
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  async start(): Promise<this> {
    this.#directory = await mkdtemp(path.join(os.tmpdir(), 'postern-fleet-'));
    void this.#again();
    return this;
  }

  /** Those of one gateway. */
  pods(gateway: string): readonly SimulatedPod[] {
    return [...this.#pods.values()].filter((pod) => pod.gateway === gateway);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const pod of this.#pods.values()) pod.close();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #again(): Promise<void> {
    // While the API server is away a cluster does nothing either.
    await this.#work().catch(() => undefined);
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#again(), 100);
  }

  async #work(): Promise<void> {
    const { http, namespaces } = this.#options;
    for (const pod of this.#pods.values()) pod.follow(this.#options.ports());
    for (const namespace of namespaces) {
      const lists = await Promise.all(
        WORKLOADS.map(async (kind) =>
          (await http.must(collection('apps/v1', kind, namespace))).items.map((item: Any) => ({ kind, ...item })),
        ),
      );
      const ours: Any[] = lists.flat().filter(({ metadata }) => metadata.labels?.['postern.dev/gateway'] !== undefined);
      await each(ours, (workload) => this.#roll(workload));
      const there = new Set(ours.map(({ metadata }: Any) => metadata.uid));
      for (const pod of this.#pods.values())
        if (pod.namespace === namespace && !there.has(pod.workload)) await this.#remove(pod);
    }
  }

  /** One step of a rollout: new pods first, the old ones go when those are there. */
  async #roll({ kind, metadata, spec, status }: Any): Promise<void> {
    if (this.#options.stuck?.(kind) === true) return;
    const template = createHash('sha256').update(JSON.stringify(spec.template)).digest('hex').slice(0, 8);
    const all = [...this.#pods.values()].filter(({ workload }) => workload === metadata.uid);
    const fresh = all.filter((pod) => pod.template === template);
    for (let i = fresh.length; i < spec.replicas; i++) await this.#add(metadata, withClaims(spec), template);
    for (const pod of all.filter((each) => each.template !== template)) await this.#remove(pod);
    for (const pod of fresh.slice(spec.replicas)) await this.#remove(pod);
    const counts = { replicas: spec.replicas, updatedReplicas: spec.replicas, readyReplicas: spec.replicas };
    const wanted = { observedGeneration: metadata.generation, ...counts };
    const current = Object.entries(wanted).every(([name, value]) => (status?.[name] ?? 0) === value);
    const path = `${collection('apps/v1', kind, metadata.namespace)}/${metadata.name}/status`;
    if (!current) await merge(this.#options.http, path, { status: { ...wanted, availableReplicas: spec.replicas } });
  }

  async #add(workload: Any, template: Any, hash: string): Promise<void> {
    const { http, operator } = this.#options;
    const { namespace } = workload;
    const name = `${workload.name.slice(0, 40)}-${hash}-${Math.random().toString(36).slice(2, 7)}`;
    const pods = collection('v1', 'Pod', namespace);
    const metadata = { ...template.metadata, name, namespace };
    const made = await http.must(pods, { method: 'POST', body: { ...template, metadata } });
    const running = { running: { startedAt: new Date().toISOString() } };
    const container = { name: 'gateway', ready: true, started: true, state: running, restartCount: 0 };
    await merge(http, `${pods}/${name}/status`, {
      status: {
        phase: 'Running',
        conditions: [{ type: 'Ready', status: 'True' }],
        containerStatuses: [{ ...container, image: 'postern:test', imageID: 'none' }],
      },
    });
    const audience = { audiences: ['postern-control'], expirationSeconds: 3600 };
    const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name, uid: made.metadata.uid };
    const account = `${collection('v1', 'ServiceAccount', namespace)}/${template.spec.serviceAccountName}`;
    const { status } = await http.must(`${account}/token`, {
      method: 'POST',
      body: { spec: { ...audience, boundObjectRef } },
    });
    const gateway = template.metadata.labels['postern.dev/gateway'];
    const config = template.spec.volumes.find((volume: Any) => volume.configMap !== undefined).configMap.name;
    const mounted = await http.must(`${collection('v1', 'ConfigMap', namespace)}/${config}`);
    const files = { ca: path.join(this.#directory, `${name}.ca`), token: path.join(this.#directory, `${name}.token`) };
    await writeFile(files.ca, mounted.data['control-ca.crt']);
    await writeFile(files.token, status.token);
    const pod = new SimulatedPod({
      name,
      namespace,
      gateway,
      workload: workload.uid,
      template: hash,
      files,
      host: `postern-control.${operator}.svc`,
      deaf: this.#options.deaf ?? (() => false),
      mounted: {
        document: mounted.binaryData['config.json.gz'],
        sequence: Number(mounted.data.sequence),
      },
    });
    this.#pods.set(name, pod);
    pod.follow(this.#options.ports());
  }

  async #remove(pod: SimulatedPod): Promise<void> {
    this.#pods.delete(pod.name);
    pod.close();
    const path = `${collection('v1', 'Pod', pod.namespace)}/${pod.name}?gracePeriodSeconds=0`;
    await this.#options.http.ask(path, { method: 'DELETE' });
  }
}

/** The template of a pod, with a volume for each claim that a StatefulSet makes. */
function withClaims({ template, volumeClaimTemplates = [] }: Any): Any {
  const claims = volumeClaimTemplates.map(({ metadata }: Any) => ({ name: metadata.name, emptyDir: {} }));
  return { ...template, spec: { ...template.spec, volumes: [...template.spec.volumes, ...claims] } };
}

/** Several at a time, as controllers do. */
async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}

interface PodOptions {
  readonly name: string;
  readonly namespace: string;
  readonly gateway: string;
  readonly workload: string;
  readonly template: string;
  readonly files: { readonly ca: string; readonly token: string };
  readonly host: string;
  readonly deaf: () => boolean;
  readonly mounted: { readonly document: string; readonly sequence: number };
}

const SILENT = { info() {}, warn() {}, debug() {} };

class SimulatedPod {
  readonly name: string;
  readonly namespace: string;
  readonly gateway: string;
  readonly workload: string;
  readonly template: string;
  readonly #options: PodOptions;
  readonly #clients = new Map<number, ControlClient>();
  /** Revisions that were in force, the present one last. */
  readonly revisions: string[] = [];
  #report: GatewayReport;

  constructor(options: PodOptions) {
    const { name, namespace, gateway, workload, template, mounted } = options;
    this.#options = options;
    this.name = name;
    this.namespace = namespace;
    this.gateway = gateway;
    this.workload = workload;
    this.template = template;
    this.#report = this.#take(mounted.document, mounted.sequence)!;
  }

  /** What is in force says. */
  get report(): GatewayReport {
    return this.#report;
  }

  /** Streams that are open. */
  get open(): number {
    return [...this.#clients.values()].reduce((total, { open }) => total + open, 0);
  }

  follow(ports: readonly number[]): void {
    for (const [port, client] of this.#clients) {
      if (ports.includes(port)) continue;
      this.#clients.delete(port);
      void client.close();
    }
    for (const port of ports) if (!this.#clients.has(port)) this.#clients.set(port, this.#dial(port));
  }

  close(): void {
    this.follow([]);
  }

  #dial(port: number): ControlClient {
    const { host, files, deaf } = this.#options;
    const client: ControlClient = new ControlClient({
      host,
      port,
      ...files,
      log: SILENT,
      interval: 1_000,
      backoff: 100,
      resolve: async () => ['127.0.0.1'],
      report: () => this.#report,
      onConfiguration: ({ document, sequence }) => {
        if (sequence < this.#report.sequence || deaf()) return;
        const next = this.#take(document, sequence);
        if (next === null) return;
        this.#report = next;
        for (const each of this.#clients.values()) each.report(true);
      },
    });
    return client;
  }

  #take(document: string, sequence: number): GatewayReport | null {
    const loaded = parseDocument(Buffer.from(document, 'base64'));
    if (!loaded.ok) throw new Error(`the operator made a document that is not good: ${loaded.errors.join(', ')}`);
    const { revision } = loaded.revision;
    if (this.revisions.at(-1) !== revision) this.revisions.push(revision);
    return {
      type: 'Report',
      revision,
      sequence,
      refused: null,
      sessions: 0,
      draining: false,
      unenforced: unenforced(loaded.revision.document),
      findings: [],
    };
  }
}
