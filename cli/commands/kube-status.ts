import type { AccessPolicy, MaskingRule, PostgresGateway } from '../../operator/api/types.generated.ts';
import type { Command } from '../command.ts';
import { KUBE_FLAGS, KUBE_OPTIONS, type Kubectl, kubectlFor } from '../kube/kubectl.ts';
import { gatewayOf, needGateway, type Pod, podsOf, RESOURCES } from '../kube/objects.ts';
import { askPods } from '../kube/pods.ts';
import { renderDetails, renderSummary } from '../kube/render-status.ts';
import { type GatewayStatus, judgeAll, type Seen, strays } from '../kube/status.ts';
import { printable } from '../table.ts';
import { noMore, readOutput, UsageError } from '../usage.ts';

export const STATUS: Command = {
  usage: `Usage: kubectl postern status [NAME] [OPTIONS]

Says of each PostgresGateway, or of one, whether it is ready: its conditions, what each pod runs, the AccessPolicies and
MaskingRules that name it and whether they are in force, and what to do where something is not.

${KUBE_FLAGS}  -A, --all-namespaces  All namespaces; then details only of those that are not ready, and no others' pods are asked
  -o, --output FORMAT   text (default) or json

Exit codes: 0 all are ready and everything attached is in force, 1 not so, 2 it cannot be said.
`,
  options: {
    ...KUBE_OPTIONS,
    'all-namespaces': { type: 'boolean', short: 'A' },
    output: { type: 'string', short: 'o' },
  },
  failed: 2,
  async run({ values, positionals }) {
    const [name, ...more] = positionals;
    noMore(more);
    const all = values.has('all-namespaces');
    if (all && name !== undefined) throw new UsageError('a NAME is of one namespace: leave out -A');
    const output = readOutput(values);
    const kubectl = kubectlFor(values);
    const seen = await look(kubectl, name ?? null, all);
    const gateways = judgeAll(seen, await askPods(kubectl, all ? troubled(seen) : seen.pods));
    const lost = name === undefined ? strays(seen).map(({ object, target }) => sayStray(object, target)) : [];
    console.log(output === 'json' ? JSON.stringify({ gateways, strays: lost }, null, 2) : render(gateways, lost, all));
    return gateways.length > 0 && gateways.every(({ ready }) => ready) && lost.length === 0 ? 0 : 1;
  },
};

async function look(kubectl: Kubectl, name: string | null, all: boolean): Promise<Seen> {
  const gateways =
    name === null
      ? await kubectl.list<PostgresGateway>(RESOURCES.gateways, { all })
      : [await needGateway(kubectl, name)];
  const [policies, masks, pods] = await Promise.all([
    kubectl.list<AccessPolicy>(RESOURCES.policies, { all }),
    kubectl.list<MaskingRule>(RESOURCES.masks, { all }),
    podsOf(kubectl, name, all),
  ]);
  return { gateways, attached: [...policies, ...masks], pods };
}

/** Pods of gateways that are not ready: to ask each of a whole cluster would take long, and more rights than most have. */
function troubled(seen: Seen): readonly Pod[] {
  const bad = judgeAll(seen, new Map()).filter(({ ready }) => !ready);
  return seen.pods.filter((pod) =>
    bad.some(({ namespace, name }) => pod.metadata.namespace === namespace && gatewayOf(pod) === name),
  );
}

function sayStray({ kind, metadata }: AccessPolicy | MaskingRule, target: string): string {
  return `${kind} ${metadata.namespace}/${metadata.name} is in force nowhere: there is no PostgresGateway ${target}`;
}

function render(gateways: readonly GatewayStatus[], lost: readonly string[], all: boolean): string {
  if (gateways.length === 0)
    return [`no PostgresGateway ${all ? 'in this cluster' : 'in this namespace'}`, ...lost].join('\n');
  const detailed = all ? gateways.filter(({ ready }) => !ready) : gateways;
  return [renderSummary(gateways), ...detailed.map(renderDetails), ...lost.map(printable)].join('\n\n');
}
