import { type Analyzer, createAnalyzer } from '../gateway/analysis/analyzer.ts';
import type { Policy } from '../gateway/config/document.ts';
import type { Decision } from '../gateway/policy/decision.ts';
import { effectivePolicies, pickRole, selectPolicies } from '../gateway/policy/effective.ts';
import type { Facts, RawStatement } from '../gateway/sql/facts.ts';
import { identityOf } from './explain.ts';
import { decideAs } from './judge.ts';
import { findSegments, readLines } from './log-lines.ts';
import { type RecordedStatement, readRecord } from './recorded.ts';
import { factsOfRecord } from './recorded-facts.ts';
import { type Report, Tally } from './tally.ts';

export interface TryOptions {
  readonly policies: readonly Policy[];
  /** `namespace/name` of the gateway whose records count; null: every one. */
  readonly gateway: string | null;
  /** Asks a database what names mean now; null: what the records say is taken. */
  readonly resolve: ((database: string, raw: RawStatement) => Promise<Facts>) | null;
  readonly statementBytes: number;
}

/** What a statement would meet under the proposed policies; a string: why that cannot be said. */
type Tried = { readonly decision: Decision; readonly bounded: boolean } | string;

/** Replays the statements of a recorded log against proposed policies. */
export async function tryPolicies(path: string, options: TryOptions): Promise<Report> {
  const { statementBytes } = options;
  const analyzer = await createAnalyzer({ workers: 1, statementBytes, watchdog: 5000, cacheBytes: 64 << 20 });
  try {
    const replay = new Replay(analyzer, options);
    for (const file of findSegments(path)) {
      for await (const line of readLines(file)) await replay.take(line);
    }
    return replay.end();
  } finally {
    await analyzer.close();
  }
}

class Replay {
  readonly #analyzer: Analyzer;
  readonly #options: TryOptions;
  readonly #tally = new Tally();
  /** Statements whose rows decide: their outcome is still to come. */
  readonly #bounded = new Map<string, { readonly statement: RecordedStatement; readonly decision: Decision }>();

  constructor(analyzer: Analyzer, options: TryOptions) {
    this.#analyzer = analyzer;
    this.#options = options;
  }

  async take(line: string | null): Promise<void> {
    const record = line === null ? ({ kind: 'Foreign' } as const) : readRecord(line);
    switch (record.kind) {
      case 'Foreign':
        return this.#tally.foreign();
      case 'Other':
        return;
      case 'Outcome': {
        const waiting = this.#bounded.get(record.uid);
        this.#bounded.delete(record.uid);
        if (waiting !== undefined) this.#tally.add(waiting.statement, afterRows(waiting.decision, record.rows));
        return;
      }
      case 'Statement':
        return await this.#statement(record);
    }
  }

  end(): Report {
    for (const { statement, decision } of this.#bounded.values()) this.#tally.add(statement, decision);
    return this.#tally.report();
  }

  async #statement(statement: RecordedStatement): Promise<void> {
    const { gateway } = this.#options;
    if (gateway !== null && statement.gateway !== gateway) return this.#tally.skip(`of gateway ${statement.gateway}`);
    const tried = await this.#try(statement);
    if (typeof tried === 'string') return this.#tally.skip(tried);
    if (tried.bounded) this.#bounded.set(statement.uid, { statement, decision: tried.decision });
    else this.#tally.add(statement, tried.decision);
  }

  async #try(statement: RecordedStatement): Promise<Tried> {
    const { policies } = this.#options;
    const { time, user, groups, database, role } = statement;
    const identity = identityOf(user, groups);
    const picked = pickRole(policies, identity, { user: role, database }, time);
    const raw = await this.#read(statement);
    if (raw === 'several') return 'their text holds several statements';
    const facts = await this.#facts(statement, raw);
    if (typeof facts === 'string') return facts;
    if (!picked.ok) return { decision: notLetIn(user, role), bounded: false };
    const effective = effectivePolicies(selectPolicies(policies, identity, database, time), role);
    return decideAs(effective, facts, raw, time);
  }

  /** What the text says; null: there is none, or it is not understood. */
  async #read({ text }: RecordedStatement): Promise<RawStatement | null | 'several'> {
    if (text === null) return null;
    const analysis = await this.#analyzer.analyze(Buffer.from(text), 'try');
    if (analysis.kind !== 'Statements') return null;
    return analysis.statements.length > 1 ? 'several' : (analysis.statements[0] ?? null);
  }

  async #facts(statement: RecordedStatement, raw: RawStatement | null): Promise<Facts | string> {
    const { database, facts, verdict, by } = statement;
    const { resolve } = this.#options;
    // What was prepared before is in the record alone.
    const named = raw?.effects.some(({ kind }) => kind === 'Execute' || kind === 'Fetch') === true;
    if (resolve !== null && raw !== null && !named) return await resolve(database, raw);
    if (facts === null) return raw === null ? 'the gateway itself refused them' : 'nothing is recorded of what they do';
    // Nothing else may have been wrong with it.
    if (raw === null && facts.settings.length > 0 && verdict === 'Deny' && by === null)
      return 'they change settings whose values are not recorded';
    return factsOfRecord(facts, raw);
  }
}

function notLetIn(user: string, role: string): Decision {
  const message = `no AccessPolicy offers ${user} the role ${role} any more`;
  return { verdict: 'Deny', by: null, message, detail: null, hint: '', alert: false, shadow: [] };
}

/** What `maxRows` makes of a statement that has changed so many rows. */
function afterRows(decision: Decision, rows: number): Decision {
  if (decision.verdict === 'Deny' || decision.maxRows === undefined || rows <= decision.maxRows.rows) return decision;
  const { policy, rule, rows: most } = decision.maxRows;
  const message = `it changed ${rows} rows, ${most} would be allowed (maxRows)`;
  return { verdict: 'Deny', by: { policy, rule }, message, detail: null, hint: '', alert: false, shadow: [] };
}
