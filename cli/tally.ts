import type { Decision } from '../gateway/policy/decision.ts';
import type { RecordedStatement } from './recorded.ts';

export type ChangeKind = 'NewlyDenied' | 'NewlyAllowed';

/** Statements that would meet the same other verdict for the same reason. */
export interface Change {
  readonly change: ChangeKind;
  readonly user: string;
  readonly role: string;
  readonly database: string;
  /** `policy, rule`; null: no rule decided. */
  readonly before: string | null;
  readonly after: string | null;
  /** What the client would be told; null: it would be let pass. */
  readonly message: string | null;
  readonly classes: readonly string[];
  readonly relations: readonly string[];
  readonly count: number;
  /** The first of them. */
  readonly example: { readonly uid: string; readonly time: string; readonly text: string | null };
}

export interface Report {
  /** Records of statements, whatever could be said of them. */
  readonly statements: number;
  readonly users: number;
  readonly from: string | null;
  readonly to: string | null;
  readonly newlyDenied: number;
  readonly newlyAllowed: number;
  readonly stillAllowed: number;
  readonly stillDenied: number;
  /** Those of which nothing can be said, by reason. */
  readonly skipped: Readonly<Record<string, number>>;
  /** Lines that are no whole records of a gateway. */
  readonly foreignLines: number;
  /** Most first. */
  readonly changes: readonly Change[];
}

/** Counts what would change. */
export class Tally {
  readonly #changes = new Map<string, Omit<Change, 'count'> & { count: number }>();
  readonly #skipped = new Map<string, number>();
  readonly #users = new Set<string>();
  readonly #still = { Allow: 0, Deny: 0 };
  #from = Number.POSITIVE_INFINITY;
  #to = Number.NEGATIVE_INFINITY;
  #foreign = 0;

  foreign(): void {
    this.#foreign += 1;
  }

  skip(reason: string): void {
    this.#skipped.set(reason, (this.#skipped.get(reason) ?? 0) + 1);
  }

  add(statement: RecordedStatement, decision: Decision): void {
    this.#users.add(statement.user);
    this.#from = Math.min(this.#from, statement.time);
    this.#to = Math.max(this.#to, statement.time);
    if (decision.verdict === statement.verdict) this.#still[decision.verdict] += 1;
    else this.#change(statement, decision);
  }

  report(): Report {
    const changes = [...this.#changes.values()].sort((a, b) => b.count - a.count);
    const sum = (kind: ChangeKind) =>
      changes.reduce((all, { change, count }) => (change === kind ? all + count : all), 0);
    const [newlyDenied, newlyAllowed] = [sum('NewlyDenied'), sum('NewlyAllowed')];
    const skipped = [...this.#skipped.values()].reduce((all, count) => all + count, 0);
    return {
      statements: newlyDenied + newlyAllowed + this.#still.Allow + this.#still.Deny + skipped,
      users: this.#users.size,
      from: Number.isFinite(this.#from) ? new Date(this.#from).toISOString() : null,
      to: Number.isFinite(this.#to) ? new Date(this.#to).toISOString() : null,
      newlyDenied,
      newlyAllowed,
      stillAllowed: this.#still.Allow,
      stillDenied: this.#still.Deny,
      skipped: Object.fromEntries(this.#skipped),
      foreignLines: this.#foreign,
      changes,
    };
  }

  #change(statement: RecordedStatement, decision: Decision): void {
    const { user, role, database, uid, time, text, by, facts } = statement;
    const denied = decision.verdict === 'Deny';
    const after = decision.by === null ? null : `${decision.by.policy}, rule ${decision.by.rule}`;
    const group = {
      change: denied ? ('NewlyDenied' as const) : ('NewlyAllowed' as const),
      user,
      role,
      database,
      before: by,
      after,
      message: denied ? decision.message : null,
      classes: facts?.classes ?? [],
      relations: facts?.relations ?? [],
    };
    const key = JSON.stringify(group);
    const known = this.#changes.get(key);
    if (known === undefined)
      this.#changes.set(key, { ...group, count: 1, example: { uid, time: new Date(time).toISOString(), text } });
    else known.count += 1;
  }
}
