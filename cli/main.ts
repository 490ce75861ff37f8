#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { text as readAll } from 'node:stream/consumers';
import { AuditError } from '../gateway/audit/errors.ts';
import { ListenError } from '../gateway/net/listener.ts';
import { didYouMean } from '../operator/api/closest.ts';
import { dev, report } from './dev.ts';
import { explain } from './explain.ts';
import { loadProject, loadProposal } from './project.ts';
import { renderExplanation } from './render-explain.ts';
import { renderReport } from './render-try.ts';
import { tryProposal } from './try-proposal.ts';
import { askForUnmatched } from './unmatched.ts';
import { all, type Call, CommandError, type Options, one, readCall, readPort, UsageError } from './usage.ts';

const HELP = `postern: an identity-aware gateway for PostgreSQL

Usage: postern COMMAND [OPTIONS]

Commands:
  dev       Run a gateway from manifests on 127.0.0.1
  validate  Check manifests
  explain   Say what a gateway would decide about SQL, and why
  try       Replay a recorded log against proposed policies

"postern COMMAND --help" says more. "postern --version" prints the version.
Exit codes: 0 done, 1 refused (bad manifests, denied SQL), 2 the call is wrong.
`;

const MANIFESTS = `  -f, --file FILE|DIR   Manifests: a YAML file, or a directory with them; can be repeated
      --gateway NAME    Which PostgresGateway, where there are several
`;
const MANIFEST_OPTIONS = {
  file: { type: 'string', short: 'f', multiple: true },
  gateway: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

interface Command {
  readonly usage: string;
  readonly options: Options;
  run(call: Call): Promise<number>;
  /** Exit code for what goes wrong and is explained in full; 1 unless given. */
  readonly failed?: number;
}

const DEV: Command = {
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
    return await dev({
      files: files(values),
      gateway: one(values, 'gateway'),
      data: one(values, 'data'),
      ports: new Map(all(values, 'port').map(readListenerPort)),
      adminPort: readPort(one(values, 'admin-port') ?? '0', 'admin-port'),
    });
  },
};

const VALIDATE: Command = {
  usage: `Usage: postern validate -f FILE|DIR [-f …] [OPTIONS]

Checks manifests as the API server and the operator would, and says every problem with file, line and field.

${MANIFESTS}      --server          Ask the gateway's server as well: databases, roles, relations and functions that it lacks
`,
  options: { ...MANIFEST_OPTIONS, server: { type: 'boolean' } },
  async run({ values, positionals }) {
    noMore(positionals);
    const project = loadProject(files(values), one(values, 'gateway'));
    if (!project.ok) return report(project.errors);
    if (values.has('server')) {
      if (project.missing.length > 0) return report(project.missing);
      const unmatched = await askForUnmatched(project.document, project.secrets);
      if (unmatched.length > 0) return report(unmatched.map(project.say));
    }
    const { gateway, policies, masks, listeners } = project.document;
    const counts = [count(listeners, 'listener'), count(policies, 'policy')];
    if (masks.length > 0) counts.push(count(masks, 'masking rule'));
    console.log(`PostgresGateway ${gateway.namespace}/${gateway.name} is good: ${counts.join(', ')}`);
    for (const notice of project.unenforced) console.error(notice);
    for (const missing of project.missing) console.error(`${missing}: it has to be in the cluster`);
    return 0;
  },
};

const EXPLAIN: Command = {
  usage: `Usage: postern explain -f FILE|DIR [-f …] --as USER [OPTIONS] SQL

Says what the gateway would decide about each statement of SQL at the beginning of a session: the facts, every rule that
matches in the order in which they are looked at, the verdict and why. "-" in place of SQL reads standard input.

${MANIFESTS}      --as USER         The user name, as the issuer gives it
      --group GROUP     A group of the user; can be repeated
      --role ROLE       The database role to ask for (the user parameter); the first offered one unless given
      --database NAME   The database; the role's own unless given
      --server          Ask the gateway's database what names mean; else they are taken for granted
  -o, --output FORMAT   text (default) or json

Exit code 1: a statement would be denied.
`,
  options: {
    ...MANIFEST_OPTIONS,
    as: { type: 'string' },
    group: { type: 'string', multiple: true },
    role: { type: 'string' },
    database: { type: 'string' },
    server: { type: 'boolean' },
    // As it was called at first.
    live: { type: 'boolean' },
    output: { type: 'string', short: 'o' },
  },
  async run({ values, positionals }) {
    const [sql, ...more] = positionals;
    const user = one(values, 'as');
    const output = readOutput(values);
    if (user === null) throw new UsageError('say with --as whose statement it is');
    if (sql === undefined) throw new UsageError('give the SQL, in quotes, or - for standard input');
    noMore(more);
    const server = values.has('server') || values.has('live');
    const project = loadProject(files(values), one(values, 'gateway'));
    if (!project.ok) return report(project.errors);
    if (server && project.missing.length > 0) return report(project.missing);
    const options = {
      user,
      groups: all(values, 'group'),
      role: one(values, 'role'),
      database: one(values, 'database'),
      server,
    };
    const explanation = await explain(
      project.document,
      project.secrets,
      sql === '-' ? await readAll(process.stdin) : sql,
      options,
    );
    console.log(output === 'json' ? JSON.stringify(explanation, null, 2) : renderExplanation(explanation, options));
    const allowed =
      explanation.kind === 'Statements' && explanation.statements.every(({ decision }) => decision.verdict === 'Allow');
    return allowed ? 0 : 1;
  },
};

const TRY: Command = {
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

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['dev', DEV],
  ['validate', VALIDATE],
  ['explain', EXPLAIN],
  ['try', TRY],
]);

function files(values: Call['values']): readonly string[] {
  const given = all(values, 'file');
  if (given.length === 0) throw new UsageError('name the manifests with -f');
  return given;
}

function readOutput(values: Call['values']): 'text' | 'json' {
  const output = one(values, 'output') ?? 'text';
  if (output !== 'text' && output !== 'json') throw new UsageError(`--output ${output}: text or json`);
  return output;
}

function noMore(positionals: readonly string[]): void {
  if (positionals.length > 0) throw new UsageError(`unexpected argument "${positionals[0]}"`);
}

function readListenerPort(pair: string): [string, number] {
  const [name, port, ...more] = pair.split('=');
  if (name === undefined || port === undefined || name === '' || more.length > 0)
    throw new UsageError(`--port ${pair}: write LISTENER=PORT`);
  return [name, readPort(port, 'port')];
}

function count(list: readonly unknown[], what: string): string {
  if (list.length === 1) return `1 ${what}`;
  return `${list.length} ${what.replace(/y$/, 'ie')}s`;
}

async function run(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === '--version' || name === 'version') {
    console.log(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version);
    return 0;
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const about = COMMANDS.get(rest[0] ?? '');
    console.log(about?.usage ?? HELP);
    return name === undefined ? 2 : 0;
  }
  const command = COMMANDS.get(name);
  if (command === undefined) throw new UsageError(`unknown command "${name}"${didYouMean(name, COMMANDS.keys())}`);
  const call = readCall(rest, command.options);
  if (call.values.has('help')) {
    console.log(command.usage);
    return 0;
  }
  try {
    return await command.run(call);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    console.error(`postern: ${error.message}`);
    return command.failed ?? 1;
  }
}

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  const { message, stack } = error as Error;
  console.error(`postern: ${message}`);
  if (error instanceof UsageError) console.error('See postern --help.');
  else if (!(error instanceof ListenError || error instanceof AuditError || error instanceof CommandError))
    console.error(stack);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
// What is still open (a parser's thread, a socket that lingers) must not keep the command.
process.exit();
