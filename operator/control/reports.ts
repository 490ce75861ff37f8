import type { GatewayReport } from '../../gateway/config/control.ts';

/** A gateway pod as the API server's TokenReview names it. */
export interface ReportingPod {
  readonly namespace: string;
  /** Name of its gateway. */
  readonly gateway: string;
  readonly pod: string;
  readonly uid: string;
}

/** What the connected gateway pods said last; a pod whose stream ended is not in here. */
export interface Reports {
  /** By uid of the pod. */
  of(namespace: string, gateway: string): ReadonlyMap<string, ReportingPod & { readonly report: GatewayReport }>;
  /** Calls back with the gateway whose reports changed in anything but the number of sessions, or ended. */
  subscribe(listener: (namespace: string, gateway: string) => void): void;
}
