import type { GatewayReport } from '../../gateway/config/control.ts';

/** A gateway pod as the API server's TokenReview names it. */
export interface ReportingPod {
  readonly namespace: string;
  /** Name of its gateway. */
  readonly gateway: string;
  readonly pod: string;
  readonly uid: string;
}

type Reported = ReportingPod & { readonly report: GatewayReport };

/** What the connected gateway pods said last; a pod whose stream ended is not in here. */
export interface Reports {
  /** By uid of the pod. */
  of(namespace: string, gateway: string): ReadonlyMap<string, Reported>;
  /**
   * Calls back with the gateway whose reports changed in anything but the number of sessions, or ended. The last session
   * of a pod that drains counts as well.
   */
  subscribe(listener: (namespace: string, gateway: string) => void): void;
}

/** News of one pod that are told at once, and milliseconds in which another one is allowed. */
const BURST = 20;
const PER_NEWS = 2_000;

/** How much a pod has told, and what of it waits. */
interface Pace {
  /** When all that was told will be allowed. */
  allowed: number;
  waiting: NodeJS.Timeout | null;
}

const NONE: ReadonlyMap<string, Reported> = new Map();

/**
 * Keeps the reports of all streams. Each piece of news is worth a look at the gateway, and may change the status of all
 * that is attached: a pod that says something else at each beat is heard, but not at once (test: "a pod that never says the
 * same twice").
 */
export class ReportBook implements Reports {
  readonly #gateways = new Map<string, Map<string, Reported>>();
  readonly #listeners: ((namespace: string, gateway: string) => void)[] = [];
  /** By uid of the pod. */
  readonly #paces = new Map<string, Pace>();

  of(namespace: string, gateway: string): ReadonlyMap<string, Reported> {
    return this.#gateways.get(`${namespace}/${gateway}`) ?? NONE;
  }

  subscribe(listener: (namespace: string, gateway: string) => void): void {
    this.#listeners.push(listener);
  }

  put(pod: ReportingPod, report: GatewayReport): void {
    const key = `${pod.namespace}/${pod.gateway}`;
    const pods = this.#gateways.get(key) ?? new Map<string, Reported>();
    this.#gateways.set(key, pods);
    const before = pods.get(pod.uid)?.report;
    pods.set(pod.uid, { ...pod, report });
    if (before === undefined || gist(before) !== gist(report)) this.#tellInTurn(pod);
  }

  remove(pod: ReportingPod): void {
    const key = `${pod.namespace}/${pod.gateway}`;
    const pods = this.#gateways.get(key);
    if (pods?.delete(pod.uid) !== true) return;
    if (pods.size === 0) this.#gateways.delete(key);
    this.#tellInTurn(pod);
    // Who comes back at once goes on where it was.
    const now = performance.now();
    for (const [uid, { allowed, waiting }] of this.#paces)
      if (waiting === null && allowed <= now) this.#paces.delete(uid);
  }

  #tellInTurn(pod: ReportingPod): void {
    const now = performance.now();
    const pace = this.#paces.get(pod.uid) ?? { allowed: now, waiting: null };
    this.#paces.set(pod.uid, pace);
    // What waits is told with all that is known by then.
    if (pace.waiting !== null) return;
    pace.allowed = Math.max(pace.allowed, now) + PER_NEWS;
    const wait = pace.allowed - now - BURST * PER_NEWS;
    if (wait <= 0) return this.#tell(pod);
    const tell = (): void => {
      pace.waiting = null;
      this.#tell(pod);
    };
    pace.waiting = setTimeout(tell, wait).unref();
  }

  #tell({ namespace, gateway }: ReportingPod): void {
    for (const listener of this.#listeners) listener(namespace, gateway);
  }
}

/** What of a report is worth a look at the gateway. */
function gist({ sessions, ...rest }: GatewayReport): string {
  return JSON.stringify({ ...rest, drained: rest.draining && sessions === 0 });
}
