import { text as readAll } from 'node:stream/consumers';
import type { Command } from '../command.ts';
import { explain } from '../explain.ts';
import { KUBE_FLAGS, KUBE_OPTIONS, kubectlFor } from '../kube/kubectl.ts';
import { loadFromCluster } from '../kube/project.ts';
import { allowed, renderExplanation } from '../render-explain.ts';
import { all, noMore, one, readOutput, report, UsageError } from '../usage.ts';

export const EXPLAIN: Command = {
  usage: `Usage: kubectl postern explain GATEWAY --user USER [OPTIONS] SQL

Says what a gateway would decide about each statement of SQL at the beginning of a session, by the AccessPolicies and
MaskingRules that are in the cluster: the facts, every rule that matches, the verdict and why. "-" in place of SQL reads
standard input. No database is asked.

${KUBE_FLAGS}      --user USER       The user name, as the issuer gives it (of the person who asks, not of the kubeconfig)
      --group GROUP     A group of the user; can be repeated
      --role ROLE       The database role to ask for (the user parameter); the first offered one unless given
      --database NAME   The database; the role's own unless given
  -o, --output FORMAT   text (default) or json

Exit code 1: a statement would be denied.
`,
  options: {
    ...KUBE_OPTIONS,
    user: { type: 'string' },
    group: { type: 'string', multiple: true },
    role: { type: 'string' },
    database: { type: 'string' },
    output: { type: 'string', short: 'o' },
  },
  async run({ values, positionals }) {
    const [name, sql, ...more] = positionals;
    const user = one(values, 'user');
    const output = readOutput(values);
    if (name === undefined) throw new UsageError('name the gateway; "kubectl postern status" lists them');
    if (user === null) throw new UsageError('say with --user whose statement it is');
    if (sql === undefined) throw new UsageError('give the SQL, in quotes, or - for standard input');
    noMore(more);
    const text = sql === '-' ? await readAll(process.stdin) : sql;
    const project = await loadFromCluster(kubectlFor(values), name);
    if (!project.ok) return report(project.errors);
    const options = {
      user,
      groups: all(values, 'group'),
      role: one(values, 'role'),
      database: one(values, 'database'),
      server: false,
    };
    const explanation = await explain(project.document, project.secrets, text, options);
    const shown = renderExplanation(explanation, options, 'as no database was asked');
    console.log(output === 'json' ? JSON.stringify(explanation, null, 2) : shown);
    return allowed(explanation) ? 0 : 1;
  },
};
