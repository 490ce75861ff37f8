import type { GatewayReport } from '../../gateway/config/control.ts';
import type { ConfigDocument } from '../../gateway/config/document.ts';
import type { Condition } from '../api/conditions.ts';
import type { AccessPolicy, AccessRequest, MaskingRule, PostgresGateway } from '../api/types.generated.ts';
import type { ClusterIssuer } from './gateway.ts';

/** A Kubernetes object to apply: exactly the fields that the operator wants to own. */
export interface Child {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences: readonly unknown[];
  };
  readonly [field: string]: unknown;
}

/** How the operator was installed: what all its gateways share. */
export interface Installation {
  readonly image: string;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  readonly imagePullSecrets: readonly string[];
  /** The headless Service of the operator's control port, as `host:port`, and the CA of its certificate in PEM. */
  readonly control: { readonly address: string; readonly ca: string };
}

/** A pod of the gateway's workload, and what it reported over the control stream (null: no stream). */
export interface PodView {
  readonly name: string;
  readonly uid: string;
  readonly ready: boolean;
  readonly terminating: boolean;
  /** Its container runs and has passed its startup probe: it may have sessions. */
  readonly started: boolean;
  /** Its annotation SHAPE_ANNOTATION; null: none. */
  readonly shape: string | null;
  /** Reasons that containers wait for: `CreateContainerConfigError`, `ImagePullBackOff`; with the kubelet's message. */
  readonly waiting: readonly { readonly reason: string; readonly message: string }[];
  readonly report: GatewayReport | null;
}

/** What a gateway's ConfigMap holds. */
export interface Published {
  readonly document: ConfigDocument;
  readonly revision: string;
  /** Data key SEQUENCE_KEY. Stays while the revision does; a new revision has max(this + 1, what any pod has + 1, now). */
  readonly sequence: number;
}

/** Everything that decides what is done about one gateway. Gathered from caches alone; nothing else reaches the plan. */
export interface GatewayInput {
  /** With the status as it stands: `lastTransitionTime` survives where a condition's status does not change. */
  readonly gateway: PostgresGateway & { readonly metadata: { readonly uid: string } };
  /** Those whose targetRefs name the gateway; as the API server returns them. */
  readonly policies: readonly AccessPolicy[];
  readonly maskingRules: readonly MaskingRule[];
  readonly clusterIssuer: ClusterIssuer | null;
  readonly installation: Installation;
  /** The document in the live ConfigMap with its sequence (0: none that can be read); null: none yet, or not readable. */
  readonly published: Published | null;
  /** Documents that were published before, which pods may still run; as many as the process remembers. */
  readonly earlier: readonly { readonly document: ConfigDocument; readonly revision: string }[];
  /** Those of `childKeys(gateway)` that are there and belong to somebody else: `Deployment/orders`. */
  readonly foreign: readonly string[];
  /** The live workload; null: none yet. */
  readonly workload: {
    readonly generation: number;
    readonly observedGeneration: number;
    /** spec.replicas: what an autoscaler has asked for, if there is one. */
    readonly wanted: number;
    /** status.replicas. */
    readonly replicas: number;
    readonly updatedReplicas: number;
    readonly progressDeadlineExceeded: boolean;
  } | null;
  /** Whether the HorizontalPodAutoscaler is there. */
  readonly autoscaled: boolean;
  readonly pods: readonly PodView[];
  /** Since when this operator hears gateways, in milliseconds since the epoch: right after that, silence says nothing. */
  readonly listeningSince: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** What one gateway makes of an object attached to it. */
export interface Attachment {
  readonly kind: 'AccessPolicy' | 'MaskingRule';
  readonly namespace: string;
  readonly name: string;
  readonly generation: number;
  readonly conditions: readonly Omit<Condition, 'lastTransitionTime'>[];
  /** What the live database says against it, by the field concerned. */
  readonly findings: readonly { readonly path: string; readonly message: string }[];
}

export interface GatewayPlan {
  /** What is to exist; empty while Accepted is False for a reason that forbids to touch anything (paused, name conflict). */
  readonly children: readonly Child[];
  /**
   * To be applied before `children`, by a field manager of its own (`postern-replicas`): the number of pods as it is. An
   * autoscaler takes over here, and a number that nobody owns would fall to one until it has acted.
   */
  readonly handover: (Pick<Child, 'apiVersion' | 'kind' | 'spec'> & { readonly metadata: object }) | null;
  /** Kinds and names of ours that may be pruned when they are not in `children`; false: leave all that is there. */
  readonly prune: boolean;
  /** What the ConfigMap among `children` holds; null: there is none among them. */
  readonly publish: Published | null;
  readonly status: NonNullable<PostgresGateway['status']>;
  readonly attachments: readonly Attachment[];
  /** Milliseconds until the plan should be made anew though nothing changes; null: only on change. */
  readonly requeueAfter: number | null;
  /** Events worth telling, on the gateway; emitted when (reason, message) is new. */
  readonly events: readonly {
    readonly type: 'Normal' | 'Warning';
    readonly reason: string;
    readonly message: string;
  }[];
}

/** What decides the status of an AccessPolicy or a MaskingRule: the gateways it names and what they made of it. */
export interface AttachedInput {
  readonly object: AccessPolicy | MaskingRule;
  /** By name of the gateway; null: there is no such gateway. undefined (absent): not planned yet. */
  readonly gateways: ReadonlyMap<string, Attachment | null>;
  readonly now: number;
}

export interface RequestInput {
  readonly request: AccessRequest;
  readonly now: number;
}

export interface RequestPlan {
  readonly status: NonNullable<AccessRequest['status']>;
  readonly requeueAfter: number | null;
}
