import type { IdentityLimits, Policy, Rule, SessionLimits } from '../../gateway/config/document.ts';
import type { Identity } from '../../gateway/identity/identity.ts';
import { effectivePolicies, selectPolicies } from '../../gateway/policy/effective.ts';
import type { StatementClass } from '../../gateway/sql/classes.ts';
import type { Facts, RelationUse } from '../../gateway/sql/facts.ts';

export const NOON = Date.UTC(2026, 10, 24, 12); // a Tuesday

export const ANN: Identity = {
  username: 'ann',
  groups: ['analysts'],
  issuer: 'corp',
  method: 'Token',
  expiresAt: NOON + 3_600_000,
  subject: 'ann',
  credentialId: null,
};

const FREE: SessionLimits = {
  maxAge: null,
  idle: null,
  statementTimeout: null,
  rows: null,
  readOnly: false,
  settings: [],
};

export function rule(name: string, parts: Partial<Rule>): Rule {
  const open = { relations: null, functions: [], reach: null, maxRows: null, message: null, alert: false };
  return { name, action: 'Allow', statements: [], ...open, ...parts };
}

const UNLIMITED: IdentityLimits = { sessions: null, statementsPerMinute: null, rowsPerDay: null, bytesPerDay: null };

type Parts = Partial<Omit<Policy, 'session' | 'limits'>> & {
  readonly session?: Partial<SessionLimits>;
  readonly limits?: Partial<IdentityLimits>;
};

export function policy(name: string, rules: readonly Rule[], parts: Parts = {}): Policy {
  const { session, limits, ...rest } = parts;
  return {
    namespace: 'shop',
    name,
    mode: 'Enforce',
    subjects: [{ group: 'analysts' }],
    databases: [],
    role: 'reader',
    rules,
    window: null,
    expiresAt: null,
    ...rest,
    session: { ...FREE, ...session },
    limits: { ...UNLIMITED, ...limits },
  };
}

export function use(verb: StatementClass, relation: string, reach: RelationUse['reach'] = null): RelationUse {
  const [schema, name] = relation.split('.') as [string, string];
  return { schema, name, kind: 'table', verb, reach };
}

export function facts(primary: StatementClass, parts: Partial<Facts> = {}): Facts {
  return { primary, classes: [], relations: [], functions: [], settings: [], readOnly: false, unknown: [], ...parts };
}

export const select = (relation: string): Facts =>
  facts('Select', { relations: [use('Select', relation)], readOnly: true });

export const inForce = (policies: readonly Policy[], role = 'reader', now = NOON) =>
  effectivePolicies(selectPolicies(policies, ANN, 'shop', now), role);
