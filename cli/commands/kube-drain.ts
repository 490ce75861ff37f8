import type { PostgresGateway } from '../../operator/api/types.generated.ts';
import type { Command } from '../command.ts';
import { drainPods } from '../kube/drain.ts';
import { KUBE_FLAGS, KUBE_OPTIONS, type Kubectl, kubectlFor } from '../kube/kubectl.ts';
import { gatewayOf, noSuchGateway, type Pod, podsOf, RESOURCES } from '../kube/objects.ts';
import { CommandError, noMore, one, UsageError } from '../usage.ts';

export const DRAIN: Command = {
  usage: `Usage: kubectl postern drain GATEWAY|POD [OPTIONS]

Drains a pod, or the pods of a gateway one after another. A pod becomes unready, takes no new sessions when nobody is sent
to it any more, ends each session as soon as it is in no transaction, the rest at spec.limits.drain, and starts anew; its
audit log stays with it. The next one follows when as many pods are ready as before. Where both a gateway and a pod have
the name, the gateway is meant; pod/NAME means the pod.

${KUBE_FLAGS}      --timeout TIME    How long to wait for a ready replacement, such as 90s; 10m unless given
`,
  options: { ...KUBE_OPTIONS, timeout: { type: 'string' } },
  async run({ values, positionals }) {
    const [name, ...more] = positionals;
    if (name === undefined) throw new UsageError('name the gateway or the pod; "kubectl postern status" lists them');
    noMore(more);
    const timeout = readTimeout(one(values, 'timeout') ?? '10m');
    const kubectl = kubectlFor(values);
    await drainPods({ kubectl, ...(await choose(kubectl, name)), timeout, say: (text) => console.log(text) });
    return 0;
  },
};

async function choose(kubectl: Kubectl, name: string): Promise<{ gateway: string; pods: readonly Pod[] }> {
  const [kind, named] = name.startsWith('pod/') ? ['pod', name.slice('pod/'.length)] : ['any', name];
  if (kind === 'any' && (await kubectl.get<PostgresGateway>(RESOURCES.gateways, named)) !== undefined) {
    const pods = await podsOf(kubectl, named);
    if (pods.length === 0) throw new CommandError(`gateway ${named} has no pods: there is nothing to drain`);
    return { gateway: named, pods };
  }
  const pod = await kubectl.get<Pod>('pods', named);
  if (pod === undefined && kind === 'pod') throw new CommandError(`no pod ${named} in this namespace`);
  if (pod === undefined) throw new CommandError(`${await noSuchGateway(kubectl, named)}; nor is there a pod ${named}`);
  const gateway = gatewayOf(pod);
  if (gateway === undefined) throw new CommandError(`pod ${named} is not a gateway's`);
  return { gateway, pods: [pod] };
}

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 };

function readTimeout(text: string): number {
  const [, count, unit] = /^(\d{1,5})([smh])$/.exec(text) ?? [];
  if (count === undefined) throw new UsageError(`--timeout ${text}: write it as 90s, 10m or 1h`);
  return Number(count) * UNITS[unit!]!;
}
