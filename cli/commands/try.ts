import type { Command } from '../command.ts';
import { files, MANIFEST_OPTIONS, MANIFESTS } from '../manifest-options.ts';
import { loadProposal } from '../project.ts';
import { renderReport } from '../render-try.ts';
import { tryProposal } from '../try-proposal.ts';
import { CommandError, noMore, one, readOutput, report, UsageError } from '../usage.ts';

export const TRY: Command = {
  usage: `Usage: postern try -f FILE|DIR [-f …] --log FILE|DIR [OPTIONS]

Replays the statements of a recorded log against proposed policies, and says for whom and for what the verdict would be
another one. What a statement does is taken from its record, as names meant it then.

${MANIFESTS}      --log FILE|DIR    The recorded log: a segment, or a directory with them (--data of the gateway)
      --server          Ask the gateway's database what the names of recorded texts mean now
  -o, --output FORMAT   text (default) or json

The PostgresGateway may be left out: then all AccessPolicies count, or with --gateway those for that one.
Exit codes: 0 nothing would change, 1 something would, 2 it cannot be said.
`,
  options: {
    ...MANIFEST_OPTIONS,
    log: { type: 'string' },
    server: { type: 'boolean' },
    output: { type: 'string', short: 'o' },
  },
  async run({ values, positionals }) {
    noMore(positionals);
    const log = one(values, 'log');
    const output = readOutput(values);
    if (log === null) throw new UsageError('name the recorded log with --log');
    const server = values.has('server');
    const proposal = loadProposal(files(values), one(values, 'gateway'), server);
    if (!proposal.ok) {
      report(proposal.errors);
      return 2;
    }
    const found = await tryProposal(log, proposal, server);
    if (found.statements === 0) throw new CommandError(`${log}: there is no statement of a gateway in it`);
    console.log(output === 'json' ? JSON.stringify(found, null, 2) : renderReport(found));
    return found.changes.length === 0 ? 0 : 1;
  },
  failed: 2,
};
