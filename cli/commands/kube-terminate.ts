import type { Command } from '../command.ts';
import { explainExec } from '../kube/failures.ts';
import { KUBE_FLAGS, KUBE_OPTIONS, kubectlFor } from '../kube/kubectl.ts';
import { needPods } from '../kube/objects.ts';
import { askPods, localCommand } from '../kube/pods.ts';
import { CommandError, UsageError } from '../usage.ts';

export const TERMINATE: Command = {
  usage: `Usage: kubectl postern terminate GATEWAY SESSION … [OPTIONS]

Ends sessions of a gateway, by their ids, in whatever state they are: the client gets 57P01, the statement that runs is
cancelled, the audit record says Terminated.

${KUBE_FLAGS}`,
  options: KUBE_OPTIONS,
  async run({ values, positionals }) {
    const [name, ...ids] = positionals;
    if (name === undefined || ids.length === 0)
      throw new UsageError('name the gateway and the sessions; "kubectl postern sessions" lists them');
    const kubectl = kubectlFor(values);
    const pods = await needPods(kubectl, name);
    const heard = await askPods(kubectl, pods);
    for (const id of ids) {
      const pod = pods.find(({ metadata }) => {
        const answer = heard.get(metadata.uid);
        return typeof answer === 'object' && answer.sessions.some((session) => session.id === id);
      });
      if (pod === undefined)
        throw new CommandError(`gateway ${name} has no session ${id}${unasked([...heard.values()])}`);
      const { code, err } = await kubectl.exec(pod.metadata, localCommand('terminate', id));
      if (code !== 0) throw new CommandError(`pod ${pod.metadata.name}: ${explainExec(err)}`);
      console.log(`terminated ${id}`);
    }
    return 0;
  },
};

function unasked(heard: readonly unknown[]): string {
  const reasons = heard.filter((answer) => typeof answer === 'string');
  return reasons.length === 0 ? '' : `, as far as its pods could be asked: ${reasons.join('; ')}`;
}
