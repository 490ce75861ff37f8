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

const NONE: ReadonlyMap<string, Reported> = new Map();

/** Keeps the reports of all streams. */
export class ReportBook implements Reports {
  readonly #gateways = new Map<string, Map<string, Reported>>();
  readonly #listeners: ((namespace: string, gateway: string) => void)[] = [];

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
    if (before === undefined || gist(before) !== gist(report)) this.#tell(pod);
  }

  remove(pod: ReportingPod): void {
    const key = `${pod.namespace}/${pod.gateway}`;
    const pods = this.#gateways.get(key);
    if (pods?.delete(pod.uid) !== true) return;
    if (pods.size === 0) this.#gateways.delete(key);
    this.#tell(pod);
  }

  #tell({ namespace, gateway }: ReportingPod): void {
    for (const listener of this.#listeners) listener(namespace, gateway);
  }
}

/** What of a report is worth a look at the gateway. */
function gist({ sessions, ...rest }: GatewayReport): string {
  return JSON.stringify({ ...rest, drained: rest.draining && sessions === 0 });
}
