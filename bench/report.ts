import type { DecisionCost } from './decisions.ts';
import { type Machine, median } from './machine.ts';
import type { IdleMemory, WideValue } from './memory.ts';
import type { Options } from './options.ts';
import type { Sample } from './pgbench.ts';

/** One bulk read. */
export interface BulkRead {
  readonly contender: string;
  readonly format: 'text' | 'binary';
  readonly rows: number;
  readonly seconds: number;
  readonly bytes: number;
}

/** Everything one run measured. */
export interface Results {
  readonly machine: Machine;
  readonly options: Options;
  readonly samples: readonly Sample[];
  readonly bulk: readonly BulkRead[];
  readonly wide: readonly WideValue[];
  readonly idle: readonly IdleMemory[];
  readonly decisions: readonly DecisionCost[];
}

const MIB = 1_048_576;

/** The page of results, in Markdown. */
export function renderPage(results: Results, date: Date): string {
  return `${[
    '# Benchmarks',
    'Made by `make bench` and published as it came out. Ratios say more than absolute numbers: client, proxy and server share the same cores.',
    setup(results, date),
    '## What we aim for',
    goals(results),
    ...['select-only', 'tpcb-like'].flatMap((script) => [`## pgbench ${script}`, transactions(results, script)]),
    '## Durability and TLS',
    "Prepared, 16 clients. `gateway` is durability Written without TLS; `gateway-synced` waits for the disk before each transaction's statements reach the server; `gateway-tls` is Written with TLS between client and gateway.",
    beside(results),
    '## Decisions',
    decisionTable(results),
    '## Bulk read',
    bulkTable(results),
    '## One wide value',
    wideTable(results),
    '## Idle sessions',
    idleTable(results),
  ].join('\n\n')}\n`;
}

function setup({ machine, options }: Results, date: Date): string {
  return [
    `- ${date.toISOString().slice(0, 10)}; ${machine.cores} cores of ${machine.cpu}, ${machine.memoryGiB} GiB, ${machine.kernel}`,
    `- PostgreSQL 18 (fsync off) on loopback, pgbench ${machine.pgbench} (scale ${options.scale}), PgBouncer ${machine.pgbouncer} in session mode, Node ${machine.node}`,
    `- ${options.rounds} interleaved rounds of ${options.seconds} s each, after ${options.warmUp} s of each protocol; medians, of ratios those of each round. One fdatasync takes ${machine.fdatasyncMs.toFixed(2)} ms (median)`,
    '- The gateway decides every statement by two policies and writes its audit log; no TLS unless said.',
  ].join('\n');
}

type Row = readonly (string | number)[];

function table(head: readonly string[], rows: readonly Row[]): string {
  const line = (cells: Row) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, column) => (column === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n');
}

interface Key {
  readonly contender: string;
  readonly script: string;
  readonly protocol: string;
  readonly clients: number;
}

function of(samples: readonly Sample[], key: Key, pick: (sample: Sample) => number | null): number {
  return median(
    samplesOf(samples, key)
      .map(pick)
      .filter((value) => value !== null),
  );
}

/** What was measured there, in the order of the rounds. */
function samplesOf(samples: readonly Sample[], key: Key): readonly Sample[] {
  return samples.filter((it) => Object.entries(key).every(([name, value]) => it[name as keyof Key] === value));
}

/** How much as many transactions the gateway does as a peer: of each round, whose noise both have met; their median. */
function ratio(samples: readonly Sample[], peer: string, where: Omit<Key, 'contender'>): number {
  const theirs = samplesOf(samples, { contender: peer, ...where });
  // More of ours come later, beside other gateways.
  const ours = samplesOf(samples, { contender: 'gateway', ...where }).slice(0, theirs.length);
  return median(ours.map(({ tps }, round) => tps / theirs[round]!.tps));
}

function show(value: number | undefined, digits: number, unit = ''): string {
  return value === undefined || !Number.isFinite(value) ? '–' : `${value.toFixed(digits)}${unit}`;
}

function transactions({ samples }: Results, script: string): string {
  const pairs = new Map(samples.map(({ protocol, clients }) => [`${protocol} ${clients}`, { protocol, clients }]));
  const rows = [...pairs.values()].map(({ protocol, clients }) => {
    const where = { script, protocol, clients };
    const at = (contender: string, pick: (sample: Sample) => number | null) =>
      of(samples, { contender, ...where }, pick);
    const [direct, bouncer, gate] = ['direct', 'pgbouncer', 'gateway'].map((name) => at(name, ({ tps }) => tps)) as [
      number,
      number,
      number,
    ];
    return [
      `${protocol}, ${clients}`,
      show(direct, 0),
      show(bouncer, 0),
      show(gate, 0),
      show(ratio(samples, 'pgbouncer', where), 2),
      show(ratio(samples, 'direct', where), 2),
      show(
        at('direct', (it) => it.latencyMs),
        2,
      ),
      show(
        at('gateway', (it) => it.latencyMs),
        2,
      ),
      show(
        at('pgbouncer', (it) => it.cpuMicroseconds),
        0,
      ),
      show(
        at('gateway', (it) => it.cpuMicroseconds),
        0,
      ),
      show(at('gateway', (it) => it.peakBytes) / MIB, 0),
    ];
  });
  const head = [
    'protocol, clients',
    'direct tps',
    'PgBouncer tps',
    'gateway tps',
    'gateway / PgBouncer',
    'gateway / direct',
  ];
  const costs = ['direct ms', 'gateway ms', 'PgBouncer CPU µs/tx', 'gateway CPU µs/tx', 'gateway peak MiB'];
  return table([...head, ...costs], rows);
}

function beside({ samples, machine }: Results): string {
  const names = ['gateway', 'gateway-synced', 'gateway-tls'];
  const rows = names.flatMap((contender) =>
    ['select-only', 'tpcb-like'].map((script) => {
      const key = { contender, script, protocol: 'prepared', clients: 16 };
      return [
        `${contender}, ${script}`,
        show(
          of(samples, key, ({ tps }) => tps),
          0,
        ),
        show(
          of(samples, key, ({ latencyMs }) => latencyMs),
          2,
        ),
        show(
          of(samples, key, ({ cpuMicroseconds }) => cpuMicroseconds),
          0,
        ),
      ];
    }),
  );
  const note = `One fdatasync takes ${machine.fdatasyncMs.toFixed(2)} ms on this machine.`;
  return `${table(['', 'tps', 'latency ms', 'CPU µs/tx'], rows)}\n\n${note}`;
}

function bulkSeconds({ bulk }: Results, contender: string, format: string): number {
  return median(bulk.filter((it) => it.contender === contender && it.format === format).map(({ seconds }) => seconds));
}

function bulkTable(results: Results): string {
  const rows = ['text', 'binary'].flatMap((format) => {
    const first = results.bulk.find((it) => it.format === format);
    return [...new Set(results.bulk.map(({ contender }) => contender))].map((contender) => {
      const seconds = bulkSeconds(results, contender, format);
      const rate = (first?.bytes ?? 0) / MIB / seconds;
      return [
        `${contender}, ${format}`,
        show(seconds * 1000, 0),
        show(rate, 0),
        show(bulkSeconds(results, 'direct', format) / seconds, 2),
      ];
    });
  });
  const count = results.bulk[0]?.rows.toLocaleString('en-US') ?? 0;
  return `${count} rows by a reader that only counts bytes.\n\n${table(['', 'ms', 'MiB/s', 'speed / direct'], rows)}`;
}

/** Milliseconds, and bytes by which the proxy has grown (NaN: there is none): the medians. */
function wideOf({ wide }: Results, contender: string): { readonly milliseconds: number; readonly growth: number } {
  const own = wide.filter((it) => it.contender === contender);
  return {
    milliseconds: median(own.map(({ seconds }) => seconds * 1000)),
    growth: median(own.map(({ growthBytes }) => growthBytes ?? Number.NaN)),
  };
}

function wideTable(results: Results): string {
  const contenders = new Map(results.wide.map(({ contender, megabytes }) => [contender, megabytes]));
  const rows = [...contenders].map(([contender, megabytes]) => {
    const { milliseconds, growth } = wideOf(results, contender);
    return [contender, megabytes, show(milliseconds, 0), show(growth / MIB, 1)];
  });
  return table(['', 'MiB', 'ms', 'memory growth of the proxy, MiB'], rows);
}

function idleTable({ idle }: Results): string {
  const rows = idle.map(({ contender, sessions, emptyBytes, idleBytes }) => [
    contender,
    sessions,
    show(emptyBytes / MIB, 0),
    show(idleBytes / MIB, 0),
    show((idleBytes - emptyBytes) / sessions / 1024, 0),
  ]);
  return table(['', 'sessions', 'before, MiB', 'with them, MiB', 'KiB each'], rows);
}

function decisionTable({ decisions }: Results): string {
  const rows = decisions.map(({ name, microseconds }) => [name, show(microseconds, 2)]);
  return `A statement of 70 bytes with two literals, without network and server.\n\n${table(['', 'µs'], rows)}`;
}

function goals(results: Results): string {
  const beside = (script: string, protocol: string) =>
    ratio(results.samples, 'pgbouncer', { script, protocol, clients: 16 });
  const bulk = bulkSeconds(results, 'direct', 'text') / bulkSeconds(results, 'gateway', 'text');
  const idle = (results.idle.find(({ contender }) => contender === 'gateway')?.idleBytes ?? Number.NaN) / MIB;
  const growth = wideOf(results, 'gateway').growth / MIB;
  const verdict = (good: boolean) => (good ? 'yes' : '**no**');
  return table(
    ['goal', 'measured', 'reached'],
    [
      ...['prepared', 'simple'].flatMap((protocol) =>
        ['select-only', 'tpcb-like'].map((script) => [
          `≥ 0.6 × PgBouncer, ${script}, ${protocol}, 16 clients`,
          show(beside(script, protocol), 2),
          verdict(beside(script, protocol) >= 0.6),
        ]),
      ),
      ['bulk read ≥ 0.8 × direct (text)', show(bulk, 2), verdict(bulk >= 0.8)],
      [
        `memory with ${results.options.idleSessions} idle sessions < 200 MiB`,
        show(idle, 0, ' MiB'),
        verdict(idle < 200),
      ],
      ['a value of 60 MiB is not buffered whole (growth < 30 MiB)', show(growth, 1, ' MiB'), verdict(growth < 30)],
    ],
  );
}
