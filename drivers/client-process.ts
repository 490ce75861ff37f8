import { spawn } from 'node:child_process';
import type { Login, Target } from './target.ts';

/** How a program ended, and all it printed. */
export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** libpq's environment for one login; the token is the password. */
export function libpqEnvironment(target: Target, login: Login): Record<string, string> {
  return {
    PGHOST: target.host,
    PGPORT: String(target.port),
    PGDATABASE: target.database,
    PGUSER: login.user,
    PGPASSWORD: login.token,
    PGSSLMODE: 'verify-full',
    PGSSLROOTCERT: target.caFile,
    PGCONNECT_TIMEOUT: '15',
    PSQLRC: '/dev/null',
    PAGER: '',
    LC_ALL: 'C.UTF-8',
  };
}

/** What to run besides the arguments. */
export interface RunOptions {
  readonly env: Record<string, string>;
  readonly input?: string;
  /** Sends SIGINT after so many milliseconds. */
  readonly interruptAfter?: number;
  readonly cwd?: string;
  /** Default: two minutes. */
  readonly timeoutMs?: number;
}

/** Runs a program to its end; rejects only when it cannot be started. */
export function runProgram(command: string, args: readonly string[], options: RunOptions): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { PATH: process.env.PATH, ...options.env },
      timeout: options.timeoutMs ?? 120_000,
      ...(options.cwd !== undefined && { cwd: options.cwd }),
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
    const interrupt = options.interruptAfter;
    const timer = interrupt === undefined ? undefined : setTimeout(() => child.kill('SIGINT'), interrupt);
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
  });
}
