import { readFileSync } from 'node:fs';
import { didYouMean } from '../operator/api/closest.ts';
import { type Call, CommandError, type Options, readCall, UsageError } from './usage.ts';

export interface Command {
  readonly usage: string;
  readonly options: Options;
  run(call: Call): Promise<number>;
  /** Exit code for what goes wrong and is explained in full; 1 unless given. */
  readonly failed?: number;
}

/** Commands under one name; each is loaded only when it is called: `postern local` shares the gateway's memory. */
export interface Program {
  readonly name: string;
  readonly help: string;
  readonly commands: Readonly<Record<string, Program | (() => Promise<Command>)>>;
}

/** Runs what the process was called with, and ends it. */
export async function runProgram(program: Program): Promise<never> {
  try {
    process.exitCode = await run(program, process.argv.slice(2));
  } catch (error) {
    const { message, stack } = error as Error;
    console.error(`${program.name}: ${message}`);
    if (error instanceof UsageError) console.error(`See ${program.name} --help.`);
    else if (!(error instanceof CommandError)) console.error(stack);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
  // What is still open (a parser's thread, a socket that lingers) must not keep the command.
  process.exit();
}

async function run(program: Program, args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === '--version' || name === 'version') {
    console.log(version());
    return 0;
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    console.log(await help(program, rest));
    return name === undefined ? 2 : 0;
  }
  const found = Object.hasOwn(program.commands, name) ? program.commands[name] : undefined;
  if (found === undefined)
    throw new UsageError(`unknown command "${name}"${didYouMean(name, Object.keys(program.commands))}`);
  return typeof found === 'function' ? await runCommand(program, await found(), rest) : await run(found, rest);
}

async function runCommand(program: Program, command: Command, args: readonly string[]): Promise<number> {
  const call = readCall(args, command.options);
  if (call.values.has('help')) {
    console.log(command.usage);
    return 0;
  }
  try {
    return await command.run(call);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    console.error(`${program.name}: ${error.message}`);
    return command.failed ?? 1;
  }
}

/** What is known of a command, or of all where none of that name is. */
async function help(program: Program, names: readonly string[]): Promise<string> {
  const [name, ...rest] = names;
  const found = name === undefined ? undefined : program.commands[name];
  if (found === undefined) return program.help;
  return typeof found === 'function' ? (await found()).usage : await help(found, rest);
}

function version(): string {
  return JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;
}
