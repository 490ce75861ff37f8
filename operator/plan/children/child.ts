import { labels } from '../names.ts';
import type { Child, GatewayInput } from '../types.ts';

/** A child of a gateway: named, labelled and owned. */
export function child(
  gateway: GatewayInput['gateway'],
  apiVersion: string,
  kind: string,
  name: string,
  fields: Readonly<Record<string, unknown>>,
): Child {
  const { namespace, name: owner, uid } = gateway.metadata;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      namespace,
      labels: labels(owner),
      // Without blockOwnerDeletion, for which some clusters want a right on the owner's finalizers.
      ownerReferences: [{ apiVersion: gateway.apiVersion, kind: gateway.kind, name: owner, uid, controller: true }],
    },
    ...fields,
  };
}
