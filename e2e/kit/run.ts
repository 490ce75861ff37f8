import { type ChildProcess, spawn } from 'node:child_process';

export interface RunOptions {
  readonly input?: string | Buffer;
  readonly cwd?: string;
  /** Milliseconds; default: two minutes. */
  readonly timeout?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** A command that did not end with 0: the message shows the call and all that it said. */
export class CommandError extends Error {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;

  constructor(call: string, code: number | string, stdout: string, stderr: string) {
    super(`${call}\nended with ${code}:\n${stderr.trim()}\n${stdout.trim().slice(-4000)}`.trimEnd());
    this.code = code;
    this.stdout = stdout;
    this.stderr = stderr;
  }
}

/** Runs a program to its end; gives what it wrote, or throws a CommandError. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { input, cwd, timeout = 120_000, env = {} } = options;
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => {}); // it may end without having read everything
  child.stdin.end(input ?? '');
  return outcome(child, `${command} ${args.join(' ')}`, timeout);
}

async function outcome(child: ChildProcess, call: string, timeout: number): Promise<string> {
  let [stdout, stderr] = ['', ''];
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), timeout);
  const code = await new Promise<number | string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (status, signal) => resolve(status ?? `${signal} after ${timeout} ms at most`));
  });
  clearTimeout(timer);
  if (code !== 0) throw new CommandError(call, code, stdout, stderr);
  return stdout;
}

/** Fails with the names of the programs that are not there. */
export async function requireTools(names: readonly string[]): Promise<void> {
  const missing: string[] = [];
  for (const name of names) await run('which', [name]).catch(() => missing.push(name));
  if (missing.length > 0) throw new Error(`not on PATH: ${missing.join(', ')}; the end-to-end tests need them`);
}
