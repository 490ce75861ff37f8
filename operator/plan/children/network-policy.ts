import type { ConfigDocument } from '../../../gateway/config/document.ts';
import { selectorLabels } from '../names.ts';
import type { Child, GatewayInput } from '../types.ts';
import { child } from './child.ts';
import { ADMIN_PORT, PEERS_PORT } from './services.ts';

/**
 * Who may reach the pods: the listeners whom spec.network.from names (everybody where it is absent), peers their own
 * kind only, metrics and health every pod of the cluster.
 *
 * What the pods may reach is left open. Such rules hold for addresses and ports of pods, behind Services: neither those
 * of the database nor those of an issuer can be told from the manifest (a Service's port is often not its pods'), and
 * the address of the alerts' receiver is in a Secret. A policy of one's own that selects the pods narrows it, as ours
 * opens nothing.
 */
export function networkPolicy(gateway: GatewayInput['gateway'], { listeners }: ConfigDocument): Child {
  const { name } = gateway.metadata;
  const podSelector = { matchLabels: selectorLabels(name) };
  const ports = (...numbers: readonly number[]) => numbers.map((port) => ({ port, protocol: 'TCP' }));
  const clients = ports(...listeners.map(({ port }) => port));
  const from = gateway.spec.network?.from;
  // An empty `from` would mean everybody: nobody is the absence of the rule.
  const toListeners = from === undefined ? [{ ports: clients }] : from.length === 0 ? [] : [{ from, ports: clients }];
  return child(gateway, 'networking.k8s.io/v1', 'NetworkPolicy', name, {
    spec: {
      podSelector,
      policyTypes: ['Ingress'],
      ingress: [
        ...toListeners,
        { from: [{ podSelector }], ports: ports(PEERS_PORT) },
        { from: [{ namespaceSelector: {} }], ports: ports(ADMIN_PORT) },
      ],
    },
  });
}
