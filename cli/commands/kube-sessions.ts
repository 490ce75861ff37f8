import type { OpenSession } from '../../gateway/telemetry/admin-socket.ts';
import type { Command } from '../command.ts';
import { KUBE_FLAGS, KUBE_OPTIONS, kubectlFor } from '../kube/kubectl.ts';
import { needPods } from '../kube/objects.ts';
import { askPods } from '../kube/pods.ts';
import { renderSessions } from '../local/render-sessions.ts';
import { noMore, readOutput, UsageError } from '../usage.ts';

export const SESSIONS: Command = {
  usage: `Usage: kubectl postern sessions GATEWAY [OPTIONS]

Lists the open sessions of all pods of a gateway: who, as which role, from where, since when, in which state. What their
statements say is not among it; it is in the audit log. "kubectl postern terminate" ends one.

${KUBE_FLAGS}  -o, --output FORMAT   text (default) or json

Exit code 1: a pod could not be asked; its sessions are missing.
`,
  options: { ...KUBE_OPTIONS, output: { type: 'string', short: 'o' } },
  async run({ values, positionals }) {
    const [name, ...more] = positionals;
    if (name === undefined) throw new UsageError('name the gateway; "kubectl postern status" lists them');
    noMore(more);
    const output = readOutput(values);
    const kubectl = kubectlFor(values);
    const pods = await needPods(kubectl, name);
    const heard = await askPods(kubectl, pods);
    const sessions: (OpenSession & { readonly pod: string })[] = [];
    const missing: string[] = [];
    for (const { metadata } of pods) {
      const answer = heard.get(metadata.uid)!;
      if (typeof answer === 'string') missing.push(`pod ${metadata.name} is missing here: ${answer}`);
      else sessions.push(...answer.sessions.map((one) => ({ pod: metadata.name, ...one })));
    }
    if (missing.length < pods.length)
      console.log(output === 'json' ? JSON.stringify(sessions, null, 2) : renderSessions(sessions, Date.now()));
    for (const text of missing) console.error(`kubectl postern: ${text}`);
    return missing.length === 0 ? 0 : 1;
  },
};
