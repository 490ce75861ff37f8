/**
 * Direct, PgBouncer and the gateway side by side: `node bench/run.ts [--quick] [--seconds=N] [--rounds=N]
 * [--without=NAME,…]`. A full run writes docs/benchmarks.md; raw rows always go to bench/results/.
 */
import fs from 'node:fs/promises';
import { findTools } from '../drivers/tools.ts';
import { type Postgres, startPostgres } from '../test/kit/postgres.ts';
import { BENCH_ROLE, type Contender, direct, gateway, pgbouncer } from './contenders.ts';
import { decisionCosts } from './decisions.ts';
import { inspectMachine } from './machine.ts';
import { type IdleMemory, idleMemory, type WideValue, wideValue } from './memory.ts';
import { readOptions } from './options.ts';
import { initialize, type Protocol, pgbench, type Sample, type Script } from './pgbench.ts';
import { open, read } from './raw-read.ts';
import { type BulkRead, type Results, renderPage } from './report.ts';

const BULK_ROWS = 200_000;
const WIDE_MEGABYTES = 60;
const SCRIPTS: readonly Script[] = ['select-only', 'tpcb-like'];
const PROTOCOLS: readonly Protocol[] = ['simple', 'extended', 'prepared'];

const options = readOptions(process.argv.slice(2));
if (process.platform !== 'linux') throw new Error('the benchmark reads /proc: it runs on Linux only');
await findTools([
  { command: 'pgbench', apt: ['postgresql'] },
  { command: 'pgbouncer', apt: ['pgbouncer'] },
]);

const postgres = await startPostgres({
  config: { max_connections: '1200', shared_buffers: '256MB', max_wal_size: '4GB' },
  hba: ['host all bench_raw 127.0.0.1/32 trust'],
  initSql: `CREATE ROLE ${BENCH_ROLE.name} LOGIN PASSWORD '${BENCH_ROLE.password}'; CREATE ROLE bench_raw LOGIN IN ROLE bench;
    GRANT CREATE ON SCHEMA public TO bench; CREATE SCHEMA reporting`,
});
const contenders: Contender[] = [];
try {
  await measure(postgres);
} finally {
  for (const contender of contenders) await contender.stop();
  await postgres.stop();
}

async function measure(server: Postgres): Promise<void> {
  await start('direct', async () => direct(server));
  await initialize(contenders[0]!, options.scale);
  await server.query(`CREATE TABLE bulk AS SELECT n AS id, md5(n::text) AS name, n * 1.25 AS price, now() + n * interval '1 s' AS at,
    'some text of a row that is neither short nor long ' || n AS note FROM generate_series(1, ${BULK_ROWS}) n;
    GRANT SELECT ON bulk TO bench`);
  await server.query('VACUUM ANALYZE bulk');
  await start('pgbouncer', () => pgbouncer(server));
  await start('gateway', () => gateway('gateway', server, 'Written', false));
  const main = [...contenders];
  // Before any load: what it leaves behind shows in the greatest memory of the runs.
  const idle: IdleMemory[] = [];
  for (const contender of main) {
    if (contender.pid !== undefined) idle.push(await idleMemory(contender, contender.pid, options.idleSessions));
  }
  const samples = await transactions(main);
  const bulk = [...(await bulkReads(main, 'text')), ...(await bulkReads(main, 'binary'))];
  const wide: WideValue[] = [];
  // Several: what the garbage collector has not looked at yet is in each of them, more or less of it.
  for (let turn = 0; turn < 2 + options.rounds; turn++)
    for (const contender of main) wide.push(await wideValue(contender, WIDE_MEGABYTES));
  await start('gateway-synced', () => gateway('gateway-synced', server, 'Synced', false));
  await start('gateway-tls', () => gateway('gateway-tls', server, 'Written', true));
  const beside = contenders.filter(({ name }) => !['pgbouncer', 'direct'].includes(name));
  samples.push(...(await extras(beside)));
  const decisions = await decisionCosts();
  await publish({ machine: await inspectMachine(), options, samples, bulk, wide, idle, decisions });
}

async function start(name: string, make: () => Promise<Contender>): Promise<void> {
  if (options.without.has(name)) return;
  console.error(`starting ${name}`);
  contenders.push(await make());
}

/** Rounds in which the contenders take turns (A B C, A B C), so that a noisy minute hits all of them. */
async function transactions(main: readonly Contender[]): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (const protocol of PROTOCOLS)
    for (const contender of main)
      await pgbench(contender, { script: 'select-only', protocol, clients: 16, seconds: options.warmUp });
  for (let round = 1; round <= options.rounds; round++) {
    for (const script of SCRIPTS) {
      for (const protocol of PROTOCOLS) {
        for (const clients of options.clients) {
          for (const contender of main) samples.push(await sample(contender, script, protocol, clients, round));
        }
      }
    }
  }
  return samples;
}

/** What durability Synced and TLS cost, at 16 clients prepared. */
async function extras(beside: readonly Contender[]): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    for (const script of SCRIPTS) {
      for (const contender of beside) samples.push(await sample(contender, script, 'prepared', 16, round));
    }
  }
  return samples;
}

async function sample(
  contender: Contender,
  script: Script,
  protocol: Protocol,
  clients: number,
  round: number,
): Promise<Sample> {
  const result = await pgbench(contender, { script, protocol, clients, seconds: options.seconds });
  const what = `${round}/${options.rounds} ${script} ${protocol} ${clients} clients ${contender.name}`;
  console.error(`${what}: ${result.tps.toFixed(0)} tps`);
  return result;
}

async function bulkReads(main: readonly Contender[], format: 'text' | 'binary'): Promise<BulkRead[]> {
  const reads: BulkRead[] = [];
  for (let turn = 0; turn < 3 + 2 * options.rounds; turn++) {
    for (const contender of main) {
      const client = await open(contender);
      const { seconds, bytes } = await read(client, 'SELECT id, name, price, at, note FROM bulk', format);
      client.destroy();
      reads.push({ contender: contender.name, format, rows: BULK_ROWS, seconds, bytes });
    }
  }
  return reads;
}

/** What `make scale` and `make e2e` measured is written by hand into the last part of the page. */
async function measuredElsewhere(file: string): Promise<string> {
  const old = await fs.readFile(file, 'utf8');
  const start = old.indexOf('\n## On Kubernetes');
  return start === -1 ? '' : old.slice(start);
}

async function publish(results: Results): Promise<void> {
  await fs.mkdir('bench/results', { recursive: true });
  const rows = [
    ...results.samples.map((row) => ({ kind: 'pgbench', ...row })),
    ...results.bulk.map((row) => ({ kind: 'bulk', ...row })),
    ...results.wide.map((row) => ({ kind: 'wide', ...row })),
    ...results.idle.map((row) => ({ kind: 'idle', ...row })),
    ...results.decisions.map((row) => ({ kind: 'decision', ...row })),
    { kind: 'machine', ...results.machine },
  ];
  const now = new Date();
  const file = `bench/results/${now.toISOString().replaceAll(':', '-')}.jsonl`;
  await fs.writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const page = renderPage(results, now);
  if (options.page !== null) await fs.writeFile(options.page, page + (await measuredElsewhere(options.page)));
  console.log(page);
  console.error(`raw rows: ${file}`);
}
