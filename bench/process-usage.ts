import { execFileSync } from 'node:child_process';
import fs from 'node:fs/promises';

const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** CPU time that a process and all its threads have used, in seconds. Linux only. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await fs.readFile(`/proc/${pid}/stat`, 'utf8');
  // The second field is the command in parentheses and may hold spaces; utime and stime are the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident memory of a process, in bytes. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await fs.readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
}

/** Looks at a process's memory every few milliseconds while something runs. */
export async function peakWhile<T>(
  pid: number | undefined,
  everyMs: number,
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly peak: number }> {
  let peak = 0;
  const look = async () => {
    if (pid !== undefined) peak = Math.max(peak, await residentBytes(pid).catch(() => 0));
  };
  const timer = setInterval(() => void look(), everyMs);
  try {
    const result = await run();
    await look();
    return { result, peak };
  } finally {
    clearInterval(timer);
  }
}
