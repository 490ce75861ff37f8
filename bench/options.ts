/** How long and what to measure. */
export interface Options {
  readonly rounds: number;
  /** Of one pgbench run. */
  readonly seconds: number;
  /** Seconds of each protocol before anything counts: a compiler learns from what runs. */
  readonly warmUp: number;
  readonly clients: readonly number[];
  readonly scale: number;
  readonly idleSessions: number;
  /** Names of the contenders to leave out. */
  readonly without: ReadonlySet<string>;
  /** Where the page goes; null: only print it. */
  readonly page: string | null;
}

const FULL = { rounds: 11, seconds: 2, warmUp: 4, clients: [1, 16, 64], scale: 10, idleSessions: 500 } as const;
const QUICK = { rounds: 1, seconds: 3, warmUp: 1, clients: [1, 16, 64], scale: 2, idleSessions: 100 } as const;

/** Reads `--quick`, `--seconds=N`, `--rounds=N`, `--without=NAME,…`; a quick run never overwrites the page. */
export function readOptions(args: readonly string[]): Options {
  const value = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
  const quick = args.includes('--quick');
  const base = quick ? QUICK : FULL;
  const without = new Set((value('without') ?? '').split(',').filter((name) => name !== ''));
  const partial = quick || without.size > 0;
  return {
    ...base,
    rounds: Number(value('rounds') ?? base.rounds),
    seconds: Number(value('seconds') ?? base.seconds),
    without,
    page: partial ? null : 'docs/benchmarks.md',
  };
}
