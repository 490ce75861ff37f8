import { AuditError } from '../../gateway/audit/errors.ts';
import { ListenError } from '../../gateway/net/listener.ts';
import type { Command } from '../command.ts';
import { dev } from '../dev.ts';
import { files, MANIFEST_OPTIONS, MANIFESTS } from '../manifest-options.ts';
import { all, CommandError, noMore, one, readPort, UsageError } from '../usage.ts';

export const DEV: Command = {
  usage: `Usage: postern dev -f FILE|DIR [-f …] [OPTIONS]

Runs a gateway from manifests on 127.0.0.1: PostgresGateway, AccessPolicies, and the Secrets that they name. Prints one
line per listener when it is ready, reloads when the files change, drains on SIGTERM and SIGINT.

${MANIFESTS}      --data DIR        Where the audit log is kept; a temporary directory unless given
      --port NAME=PORT  Port of a listener in place of the manifest's; 0: any free one; can be repeated
      --admin-port PORT Port of /livez, /readyz and /metrics; any free one unless given
`,
  options: {
    ...MANIFEST_OPTIONS,
    data: { type: 'string' },
    port: { type: 'string', multiple: true },
    'admin-port': { type: 'string' },
  },
  async run({ values, positionals }) {
    noMore(positionals);
    const options = {
      files: files(values),
      gateway: one(values, 'gateway'),
      data: one(values, 'data'),
      ports: new Map(all(values, 'port').map(readListenerPort)),
      adminPort: readPort(one(values, 'admin-port') ?? '0', 'admin-port'),
    };
    try {
      return await dev(options);
    } catch (error) {
      if (error instanceof ListenError || error instanceof AuditError) throw new CommandError(error.message);
      throw error;
    }
  },
};

function readListenerPort(pair: string): [string, number] {
  const [name, port, ...more] = pair.split('=');
  if (name === undefined || port === undefined || name === '' || more.length > 0)
    throw new UsageError(`--port ${pair}: write LISTENER=PORT`);
  return [name, readPort(port, 'port')];
}
