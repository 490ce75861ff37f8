import { isObject, type Json } from '../operator/api/schemas.ts';

/** A statement as the record has it; what it leaves out is null. */
export interface RecordedStatement {
  readonly kind: 'Statement';
  /** Session and number: its outcome has the same. */
  readonly uid: string;
  readonly time: number;
  readonly gateway: string;
  readonly user: string;
  readonly groups: readonly string[];
  readonly database: string;
  readonly role: string;
  readonly text: string | null;
  readonly verdict: 'Allow' | 'Deny';
  /** `policy, rule`; null: no rule decided. */
  readonly by: string | null;
  /** null: the gateway refused it before it knew what it does. */
  readonly facts: RecordedFacts | null;
}

export interface RecordedFacts {
  readonly classes: readonly string[];
  readonly relations: readonly string[];
  /** `schema.name:kind` of those that are no ordinary tables. */
  readonly kinds: readonly string[];
  readonly functions: readonly string[];
  /** Names alone. */
  readonly settings: readonly string[];
}

/** How many rows a statement returned or changed. */
export interface RecordedOutcome {
  readonly kind: 'Outcome';
  readonly uid: string;
  readonly rows: number;
}

/** `Other`: a record of something else; `Foreign`: no record of ours, or not a whole one. */
export type Recorded = RecordedStatement | RecordedOutcome | { readonly kind: 'Other' } | { readonly kind: 'Foreign' };

const OTHER = { kind: 'Other' } as const;
const FOREIGN = { kind: 'Foreign' } as const;

/** Reads a line of a recorded log; whatever it holds, it is data. */
export function readRecord(line: string): Recorded {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return FOREIGN;
  }
  const metadata = at(value, 'metadata');
  if (at(at(metadata, 'product'), 'name') !== 'Postern') return FOREIGN;
  const own = at(at(value, 'unmapped'), 'postern');
  const session = at(at(at(value, 'actor'), 'session'), 'uid');
  const number = at(own, 'statement');
  switch (at(metadata, 'event_code')) {
    case 'intent':
    case 'prepare':
      if (typeof session !== 'string' || typeof number !== 'number' || !isObject(own)) return FOREIGN;
      // What is let pass when it is prepared is recorded again when it runs.
      if (at(metadata, 'event_code') === 'prepare' && at(at(own, 'decision'), 'verdict') !== 'Deny') return OTHER;
      return readStatement(value as Json, own, `${session}/${number}`) ?? FOREIGN;
    case 'outcome': {
      const rows = at(own, 'rows');
      if (typeof session !== 'string' || typeof number !== 'number' || typeof rows !== 'number') return FOREIGN;
      return { kind: 'Outcome', uid: `${session}/${number}`, rows };
    }
    default:
      return OTHER;
  }
}

function readStatement(value: Json, own: Json, uid: string): RecordedStatement | null {
  const user = at(value.actor, 'user');
  const groups = at(user, 'groups') ?? [];
  const [name, database, verdict] = [at(user, 'name'), at(value.database, 'name'), at(own.decision, 'verdict')];
  const { role, gateway } = own;
  if (typeof name !== 'string' || typeof database !== 'string' || typeof role !== 'string') return null;
  if (typeof gateway !== 'string' || typeof value.time !== 'number' || !Array.isArray(groups)) return null;
  if (verdict !== 'Allow' && verdict !== 'Deny') return null;
  const text = at(value.query_info, 'query_string');
  const [policy, rule] = [at(own.decision, 'policy'), at(own.decision, 'rule')];
  const classes = strings(own.classes);
  const facts = {
    classes,
    relations: strings(own.relations),
    kinds: strings(own.relation_kinds),
    functions: strings(own.functions),
    settings: strings(own.settings),
  };
  return {
    kind: 'Statement',
    uid,
    time: value.time,
    gateway,
    user: name,
    groups: strings(groups.map((group) => at(group, 'name'))),
    database,
    role,
    text: typeof text === 'string' ? text : null,
    verdict,
    by: typeof policy === 'string' ? `${policy}, rule ${String(rule)}` : null,
    facts: classes.length === 0 ? null : facts,
  };
}

function at(value: unknown, name: string): unknown {
  return isObject(value) ? value[name] : undefined;
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}
