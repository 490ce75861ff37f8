#!/usr/bin/env node
/** The `postern` command. Exit codes: 0 done, 1 the input is not good, 2 the call is not. */
import { parseArgs } from 'node:util';
import { ListenError } from '../gateway/net/listener.ts';
import { dev, report } from './dev.ts';
import { loadProject } from './project.ts';

const HELP = `postern: an identity-aware gateway for PostgreSQL

  postern dev -f FILE|DIR [-f …] [--gateway NAME] [--data DIR] [--port LISTENER=PORT …] [--admin-port PORT]
      Runs a gateway from manifests on 127.0.0.1; reloads when they change; SIGTERM drains.
  postern validate -f FILE|DIR [-f …] [--gateway NAME]
      Checks manifests and says every problem with file, line and field.
`;

const OPTIONS = {
  file: { type: 'string', short: 'f', multiple: true },
  gateway: { type: 'string' },
  data: { type: 'string' },
  port: { type: 'string', multiple: true },
  'admin-port': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

class UsageError extends Error {}

function readPorts(pairs: readonly string[]): Map<string, number> {
  return new Map(
    pairs.map((pair) => {
      const match = /^([^=]+)=(\d{1,5})$/.exec(pair);
      if (match === null || Number(match[2]) > 65_535) throw new UsageError(`--port ${pair}: write LISTENER=PORT`);
      return [match[1]!, Number(match[2])];
    }),
  );
}

async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  const [command, ...rest] = positionals;
  if (values.help === true || command === 'help') {
    console.log(HELP);
    return 0;
  }
  if (command !== 'dev' && command !== 'validate')
    throw new UsageError(command === undefined ? 'a command is needed' : `unknown command "${command}"`);
  if (rest.length > 0) throw new UsageError(`unexpected argument "${rest[0]}"`);
  const files = values.file ?? [];
  if (files.length === 0) throw new UsageError('name the manifests with -f');
  const gateway = values.gateway ?? null;
  if (command === 'dev') {
    return await dev({
      files,
      gateway,
      data: values.data ?? null,
      ports: readPorts(values.port ?? []),
      adminPort: Number(values['admin-port'] ?? 0),
    });
  }
  const project = loadProject(files, gateway);
  if (!project.ok) return report(project.errors);
  console.log(
    `${project.document.gateway.name}: ${project.document.policies.length} policies, ${project.document.listeners.length} listeners: good`,
  );
  return 0;
}

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  const usage =
    error instanceof UsageError || (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS') === true;
  console.error(`postern: ${(error as Error).message}`);
  if (usage) console.error('see postern --help');
  else if (!(error instanceof ListenError)) console.error((error as Error).stack);
  process.exitCode = usage ? 2 : 1;
}
if (process.exitCode !== undefined && process.argv[2] === 'dev') process.exit();
