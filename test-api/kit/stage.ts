import type { ApiServerAddress } from './api-server.ts';
import { Fleet } from './fleet.ts';
import { type Http, openHttp } from './http.ts';
import { type Installation, install } from './install.ts';
import { apply, collection, createNamespace, pathOf } from './objects.ts';
import { type OperatorOptions, type OperatorProcess, startOperator } from './operator-process.ts';
import { until } from './until.ts';

type Json = Record<string, unknown>;

// biome-ignore lint/suspicious/noExplicitAny: objects as the API server gives them
type Any = any;

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
}

export interface StageOptions {
  readonly api: ApiServerAddress;
  /** Namespaces that the operator watches; it lives in `postern-` and the first of them. */
  readonly namespaces: readonly [string, ...string[]];
  /** It watches all others as well. */
  readonly everywhere?: boolean;
  /** Pods that make nothing of new documents while this says so. */
  readonly deaf?: () => boolean;
  /** Workloads whose pods do not get on while this says so. */
  readonly stuck?: (kind: string) => boolean;
}

/** Operators, a fleet that plays the cluster, and one namespace in which a test works. */
export class Stage {
  readonly http: Http;
  readonly installation: Installation;
  readonly fleet: Fleet;
  readonly #options: StageOptions;
  #operators: OperatorProcess[] = [];

  private constructor(options: StageOptions) {
    const { api, namespaces, everywhere, deaf, stuck } = options;
    this.#options = options;
    this.http = openHttp(api.url, api.ca, api.adminToken);
    this.installation = { namespace: `postern-${namespaces[0]}`, watched: everywhere === true ? [] : namespaces };
    this.fleet = new Fleet({
      http: this.http,
      namespaces,
      operator: this.installation.namespace,
      ports: () => this.#operators.map(({ controlPort }) => controlPort),
      ...(deaf !== undefined && { deaf }),
      ...(stuck !== undefined && { stuck }),
    });
  }

  static async open(options: StageOptions): Promise<Stage> {
    const stage = new Stage(options);
    for (const namespace of options.namespaces) await createNamespace(stage.http, namespace);
    await install(stage.http, stage.installation);
    await stage.fleet.start();
    return stage;
  }

  get namespace(): string {
    return this.#options.namespaces[0];
  }

  /** Starts an operator more. */
  async operator(options: Partial<OperatorOptions> = {}): Promise<OperatorProcess> {
    const { api } = this.#options;
    const { http: admin, installation } = this;
    const operator = await startOperator({ api, admin, installation, ...options });
    this.#operators.push(operator);
    const forget = (): void => {
      this.#operators = this.#operators.filter((each) => each !== operator);
    };
    return {
      ...operator,
      stop: () => operator.stop().finally(forget),
      kill: () => operator.kill().finally(forget),
    };
  }

  /** An object as the tests write them, in this namespace. */
  here(object: Json, name?: string): Json {
    const metadata = object.metadata as Json;
    return { ...object, metadata: { ...metadata, namespace: this.namespace, ...(name !== undefined && { name }) } };
  }

  async apply(...objects: readonly Json[]): Promise<void> {
    for (const object of objects) await apply(this.http, object);
  }

  get(object: Json): Promise<Any> {
    return this.http.must(pathOf(object));
  }

  async list(apiVersion: string, kind: string): Promise<Any[]> {
    return (await this.http.must(collection(apiVersion, kind, this.namespace))).items;
  }

  async condition(object: Json, type: string): Promise<Condition | undefined> {
    const { status } = await this.get(object);
    return status?.conditions?.find((each: Condition) => each.type === type);
  }

  /** Waits until a condition of an object has this status for its present generation, and this reason. */
  async becomes(object: Json, type: string, status: string, reason?: string, milliseconds = 30_000): Promise<Any> {
    return await until(
      async () => {
        const live = await this.get(object);
        const found = live.status?.conditions?.find((each: Condition) => each.type === type);
        const matches = found?.status === status && (reason === undefined || found.reason === reason);
        return matches && found.observedGeneration === live.metadata.generation && live;
      },
      async () => {
        const logs = await Promise.all(this.#operators.map((operator) => operator.log()));
        return `${JSON.stringify((await this.get(object)).status, null, 1)}\n${logs.join('\n')}`;
      },
      milliseconds,
    );
  }

  /** Events about an object, as `Type Reason: note`. */
  async events(object: Json): Promise<readonly string[]> {
    const { name } = object.metadata as { readonly name: string };
    const items = await this.list('events.k8s.io/v1', 'Event');
    return items
      .filter(({ regarding }) => regarding?.name === name && regarding?.kind === object.kind)
      .map(({ type, reason, note }) => `${type} ${reason}: ${note}`);
  }

  async close(): Promise<void> {
    await this.fleet.stop();
    await Promise.all(this.#operators.map((operator) => operator.kill()));
    await this.http.close();
  }
}
