/** What a decision costs, without network and server: `node bench/decisions.ts`, and a section of `make bench`. */
import { type Analyzer, createAnalyzer } from '../gateway/analysis/analyzer.ts';
import { decide } from '../gateway/policy/decide.ts';
import { effectivePolicies } from '../gateway/policy/effective.ts';
import type { Analysis } from '../gateway/sql/facts.ts';
import { resolve } from '../gateway/sql/resolve.ts';
import type { ResolveEnvironment } from '../gateway/sql/resolve-environment.ts';
import { templateOf } from '../gateway/sql/template.ts';
import { policy, rule } from '../test/gateway/harness.ts';

/** One way to come to a decision. */
export interface DecisionCost {
  readonly name: string;
  readonly microseconds: number;
}

const ROUNDS = 5;
const TEXT = 'UPDATE pgbench_accounts SET abalance = abalance + -1234 WHERE aid = ';

const effective = effectivePolicies(
  [
    policy('bench', 'bench', 'bench', [
      rule('fix', { statements: ['Update'], relations: ['public.*'], reach: ['Keyed'] }),
      rule('never-unbounded', { action: 'Deny', statements: ['Update', 'Delete'], reach: ['Unbounded'] }),
    ]),
  ],
  'bench',
);
const environment: ResolveEnvironment = {
  catalog: {
    serverMajor: 18,
    relation: (schema, name) =>
      schema === 'public' ? { schema, name, kind: 'table', uniqueKeys: [['aid']] } : undefined,
    functions: () => [],
    functionByOid: () => undefined,
    userType: () => undefined,
    userTypeByOid: () => undefined,
    userOperators: () => [],
    userCasts: [],
    typesHeld: () => [],
  },
  searchPath: ['pg_catalog', 'public'],
  overlay: null,
  localNames: false,
};

function decideAll(analysis: Analysis): void {
  if (analysis.kind !== 'Statements') throw new Error(`not understood: ${JSON.stringify(analysis)}`);
  for (const raw of analysis.statements) {
    const resolution = resolve(raw, environment);
    const allowed = resolution.kind === 'Facts' && decide(effective, resolution.facts, 0).verdict === 'Allow';
    if (!allowed) throw new Error('the statement should be allowed');
  }
}

/** The fastest of some rounds: what the code costs, not what the machine did beside it. */
async function best(times: number, once: (i: number) => void | Promise<void>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    for (let i = 0; i < times; i++) {
      const pending = once(round * times + i);
      if (pending !== undefined) await pending;
    }
    least = Math.min(least, ((performance.now() - started) * 1000) / times);
  }
  return least;
}

async function costs(analyzer: Analyzer): Promise<DecisionCost[]> {
  const buffers = Array.from({ length: 1000 }, (_, i) => Buffer.from(`${TEXT}${i}`));
  const known = Buffer.from(`${TEXT}$1`);
  decideAll(await analyzer.analyze(known, 'bench'));
  decideAll(await analyzer.analyze(buffers[0]!, 'bench'));
  const now = (text: Buffer): Analysis => {
    const analysis = analyzer.analyze(text, 'bench');
    if (analysis instanceof Promise) throw new Error('not known');
    return analysis;
  };
  return [
    {
      name: 'cold: parsed by a worker',
      microseconds: await best(300, async (i) =>
        decideAll(await analyzer.analyze(Buffer.from(`${TEXT}${i} AND a${i} = 0`), 'bench')),
      ),
    },
    { name: 'cached by exact text', microseconds: await best(50_000, () => decideAll(now(known))) },
    {
      name: 'cached by template, literals new',
      microseconds: await best(50_000, (i) => decideAll(now(buffers[i % 1000]!))),
    },
    { name: 'facts alone, by template', microseconds: await best(50_000, (i) => void now(buffers[i % 1000]!)) },
    { name: 'lexing alone', microseconds: await best(50_000, (i) => void templateOf(buffers[i % 1000]!)) },
  ];
}

/** Of a statement of 70 bytes with two literals. */
export async function decisionCosts(): Promise<DecisionCost[]> {
  const analyzer = await createAnalyzer({ workers: 1, statementBytes: 131_072, watchdog: 5000, cacheBytes: 1 << 24 });
  try {
    return await costs(analyzer);
  } finally {
    await analyzer.close();
  }
}

if (import.meta.main) {
  for (const { name, microseconds } of await decisionCosts())
    console.log(`${microseconds.toFixed(2).padStart(10)} µs  ${name}`);
}
