import type { ConfigDocument } from '../../../gateway/config/document.ts';
import { childNames, selectorLabels } from '../names.ts';
import type { Child, GatewayInput } from '../types.ts';
import { child } from './child.ts';

/** Where replicas ask each other about CancelRequests. */
export const PEERS_PORT = 6433;
/** Metrics and health. */
export const ADMIN_PORT = 9090;

/** The Service that clients connect to, and the headless one by which replicas find each other. */
export function services(gateway: GatewayInput['gateway'], { listeners }: ConfigDocument): readonly Child[] {
  const { service, peers } = childNames(gateway);
  const selector = selectorLabels(gateway.metadata.name);
  // By name: while a listener moves to another port, pods from before are still reached at theirs.
  const port = (name: string, number: number) => ({ name, port: number, protocol: 'TCP', targetPort: name });
  return [
    child(gateway, 'v1', 'Service', service, {
      spec: { type: 'ClusterIP', selector, ports: listeners.map(({ name, port: number }) => port(name, number)) },
    }),
    child(gateway, 'v1', 'Service', peers, {
      spec: {
        clusterIP: 'None',
        // A pod that drains still has sessions to cancel.
        publishNotReadyAddresses: true,
        selector,
        ports: [port('peers', PEERS_PORT)],
      },
    }),
  ];
}
