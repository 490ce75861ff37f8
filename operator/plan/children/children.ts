import { childNames } from '../names.ts';
import type { Child, GatewayInput, Published } from '../types.ts';
import { child } from './child.ts';
import { configMap } from './config-map.ts';
import { networkPolicy } from './network-policy.ts';
import { autoscaler, disruptionBudget } from './scaling.ts';
import { services } from './services.ts';
import { workload } from './workload.ts';

/** Everything that makes a gateway run a document, in the order in which it is to be applied. */
export function children(
  { gateway, installation }: Pick<GatewayInput, 'gateway' | 'installation'>,
  publish: Published,
): readonly Child[] {
  const { document } = publish;
  return [
    child(gateway, 'v1', 'ServiceAccount', childNames(gateway).serviceAccount, {
      automountServiceAccountToken: false,
    }),
    configMap(gateway, publish, installation.control.ca),
    ...services(gateway, document),
    networkPolicy(gateway, document),
    workload(gateway, document, installation),
    disruptionBudget(gateway),
    ...autoscaler(gateway),
  ];
}
