import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { runProgram } from '../drivers/client-process.ts';

/** What the numbers depend on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly pgbench: string;
  readonly pgbouncer: string;
  /** Median time of one fdatasync after a write of 512 bytes, in milliseconds. */
  readonly fdatasyncMs: number;
}

export async function inspectMachine(): Promise<Machine> {
  const cpus = os.cpus();
  return {
    cpu: cpus[0]?.model.trim() ?? 'unknown',
    cores: cpus.length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: `${os.type()} ${os.release()}`,
    node: process.version,
    pgbench: await version('pgbench'),
    pgbouncer: await version('pgbouncer'),
    fdatasyncMs: await fdatasync(),
  };
}

async function version(program: string): Promise<string> {
  const env = { PATH: `${process.env.PATH}:/usr/sbin` };
  const { stdout } = await runProgram(program, ['--version'], { env }).catch(() => ({ stdout: 'not installed' }));
  return /\d+(\.\d+)+/.exec(stdout)?.[0] ?? stdout.trim();
}

async function fdatasync(): Promise<number> {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'postern-fdatasync-'));
  const file = await fs.open(path.join(directory, 'log'), 'a');
  const times: number[] = [];
  for (let i = 0; i < 200; i++) {
    await file.write(Buffer.alloc(512));
    const started = performance.now();
    await file.datasync();
    times.push(performance.now() - started);
  }
  await file.close();
  await fs.rm(directory, { recursive: true });
  return median(times);
}

/** The middle value; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
