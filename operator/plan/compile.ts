import type { ConfigDocument } from '../../gateway/config/document.ts';
import type { AccessPolicy, MaskingRule, PostgresGateway } from '../api/types.generated.ts';
import {
  type ClusterIssuer,
  compileAudit,
  compileIdentity,
  compileLimits,
  compileTls,
  compileUpstream,
} from './gateway.ts';
import { compileMask } from './mask.ts';
import { compilePolicy } from './policy.ts';
import { type Problem, type Report, refOf } from './problems.ts';
import { refuseUnavailable } from './unavailable.ts';

/** Everything that may be attached to one gateway, as the API server returns it: valid, and with its defaults. */
export interface PlanInput {
  readonly gateway: PostgresGateway;
  readonly policies: readonly AccessPolicy[];
  readonly maskingRules: readonly MaskingRule[];
  /** null: not known. */
  readonly clusterIssuer: ClusterIssuer | null;
  /** Pods that share the gateway's limits on connections; at least 1. */
  readonly pods: number;
}

/** A problem leaves the whole gateway without a document: to drop one policy might drop its Deny rules. */
export type Plan =
  | { readonly document: ConfigDocument; readonly problems: readonly [] }
  | { readonly document: null; readonly problems: readonly Problem[] };

/** Compiles manifests into the configuration document; pure, and the same for any order of arrival. */
export function compile(input: PlanInput): Plan {
  const problems: Problem[] = [];
  const { gateway } = input;
  const { spec } = gateway;
  const report: Report = (path, message) => problems.push({ object: refOf(gateway), path, message });
  const policies = input.policies.filter((policy) => targets(policy, gateway)).sort(byName);
  const masks = input.maskingRules.filter((rule) => targets(rule, gateway)).sort(byName);
  refuseUnavailable(spec, report);
  const roles = spec.upstream.roles.map(({ name }) => name);
  const document: ConfigDocument = {
    schemaVersion: 1,
    gateway: refOf(gateway),
    objects: [gateway, ...policies, ...masks].map(refOf).sort((a, b) => order(key(a), key(b))),
    listeners: spec.listeners.map(({ name, port, authentication }) => ({ name, port, authentication })),
    tls: compileTls(spec.tls),
    upstream: compileUpstream(spec.upstream),
    identity: compileIdentity(spec.identity, input.clusterIssuer, report),
    limits: compileLimits(spec.limits, input.pods),
    audit: compileAudit(spec.audit),
    policies: policies.map((policy) => compilePolicy(policy, roles, problems)),
    masks: masks.map(compileMask),
    tracing: spec.telemetry?.traces ?? null,
  };
  return problems.length === 0 ? { document, problems: [] } : { document: null, problems };
}

export function targets({ metadata, spec }: AccessPolicy | MaskingRule, gateway: PostgresGateway): boolean {
  return (
    metadata.namespace === gateway.metadata.namespace &&
    spec.targetRefs.some(({ name }) => name === gateway.metadata.name)
  );
}

function key({ kind, namespace, name }: ConfigDocument['gateway']): string {
  return `${kind}/${namespace}/${name}`;
}

export function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function byName(a: AccessPolicy | MaskingRule, b: AccessPolicy | MaskingRule): number {
  return order(`${a.metadata.namespace}/${a.metadata.name}`, `${b.metadata.namespace}/${b.metadata.name}`);
}
