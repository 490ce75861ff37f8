import { runProgram } from '../drivers/client-process.ts';
import type { Contender } from './contenders.ts';
import { cpuSeconds, peakWhile } from './process-usage.ts';

export type Script = 'select-only' | 'tpcb-like';
export type Protocol = 'simple' | 'extended' | 'prepared';

/** One run's result. */
export interface Sample {
  readonly contender: string;
  readonly script: Script;
  readonly protocol: Protocol;
  readonly clients: number;
  readonly tps: number;
  readonly latencyMs: number;
  /** CPU time of the proxy for one transaction; null without a proxy. */
  readonly cpuMicroseconds: number | null;
  /** Greatest resident memory of the proxy; null without a proxy. */
  readonly peakBytes: number | null;
}

/** Runs pgbench once. */
export async function pgbench(
  contender: Contender,
  run: { readonly script: Script; readonly protocol: Protocol; readonly clients: number; readonly seconds: number },
): Promise<Sample> {
  const { pid } = contender;
  const builtin = ['-n', '-b', run.script, '-M', run.protocol, '-T', String(run.seconds)];
  const args = [...builtin, '-c', String(run.clients), '-j', String(Math.min(2, run.clients))];
  const before = pid === undefined ? 0 : await cpuSeconds(pid);
  const { result: output, peak } = await peakWhile(pid, 200, () => runPgbench(contender, args));
  const cpu = pid === undefined ? 0 : (await cpuSeconds(pid)) - before;
  const transactions = number(output, /number of transactions actually processed: (\d+)/);
  return {
    contender: contender.name,
    script: run.script,
    protocol: run.protocol,
    clients: run.clients,
    tps: number(output, /tps = ([\d.]+)/),
    latencyMs: number(output, /latency average = ([\d.]+) ms/),
    cpuMicroseconds: pid === undefined ? null : (cpu / transactions) * 1e6,
    peakBytes: pid === undefined ? null : peak,
  };
}

/** Creates pgbench's tables. */
export async function initialize(contender: Contender, scale: number): Promise<void> {
  await runPgbench(contender, ['-i', '-q', '-s', String(scale)]);
}

async function runPgbench(contender: Contender, args: readonly string[]): Promise<string> {
  const env = {
    PGHOST: '127.0.0.1',
    PGPORT: String(contender.port),
    PGUSER: contender.user,
    PGPASSWORD: contender.password,
    PGDATABASE: 'postgres',
    PGSSLMODE: contender.tls ? 'require' : 'disable',
    PGGSSENCMODE: 'disable',
  };
  const { code, stdout, stderr } = await runProgram('pgbench', args, { env, timeoutMs: 600_000 });
  if (code !== 0) throw new Error(`pgbench ${args.join(' ')} through ${contender.name} failed:\n${stderr}`);
  return stdout;
}

function number(output: string, pattern: RegExp): number {
  const found = pattern.exec(output)?.[1];
  if (found === undefined) throw new Error(`pgbench did not print ${pattern}:\n${output}`);
  return Number(found);
}
