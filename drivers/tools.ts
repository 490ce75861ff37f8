import { runProgram } from './client-process.ts';

/** A program that a driver needs. */
export interface Tool {
  readonly command: string;
  /** Arguments with which it must succeed; default: --version. */
  readonly probe?: readonly string[];
  /** Debian's packages that bring it. */
  readonly apt: readonly string[];
}

/** Makes sure that every tool works, installing it where we are root on Debian; rejects with the tool's name. */
export async function findTools(tools: readonly Tool[]): Promise<void> {
  for (const tool of tools) {
    if (await works(tool)) continue;
    const installed = process.getuid?.() === 0 && (await install(tool));
    if (!installed || !(await works(tool))) {
      throw new Error(
        `${tool.command} is missing: install ${tool.apt.join(' ')} (Debian's name) or your system's package`,
      );
    }
  }
}

async function works(tool: Tool): Promise<boolean> {
  try {
    return (await run(tool.command, tool.probe ?? ['--version'])) === 0;
  } catch {
    return false;
  }
}

async function install(tool: Tool): Promise<boolean> {
  const get = ['-o', 'DPkg::Lock::Timeout=120', '-y', '-qq'];
  try {
    await run('apt-get', ['update', '-qq']);
    return (await run('apt-get', [...get, 'install', '--no-install-recommends', ...tool.apt])) === 0;
  } catch {
    return false;
  }
}

async function run(command: string, args: readonly string[]): Promise<number | null> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } as Record<string, string>;
  return (await runProgram(command, args, { env, timeoutMs: 900_000 })).code;
}
