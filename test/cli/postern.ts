import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

export const MAIN = new URL('../../cli/main.ts', import.meta.url).pathname;

/** Runs a program of ours to its end; `node`: flags of Node itself. */
export async function run(
  program: string,
  args: readonly string[],
  input = '',
  { env = process.env, node = [] }: { readonly env?: NodeJS.ProcessEnv; readonly node?: readonly string[] } = {},
): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [...node, program, ...args], { stdio: ['pipe', 'pipe', 'pipe'], env });
  child.stdin.end(input);
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: child.exitCode!, out, err };
}

/** Runs the command to its end. */
export async function postern(args: readonly string[], input = ''): ReturnType<typeof run> {
  return await run(MAIN, args, input);
}
