import type { Policy, Rule, Subject } from '../../gateway/config/document.ts';
import type { AccessPolicy } from '../api/types.generated.ts';
import { type Problem, type Report, refOf } from './problems.ts';
import { parseDuration, parseSize } from './quantities.ts';
import { remember } from './remember.ts';
import { refuseUnavailableRule } from './unavailable.ts';

type Spec = AccessPolicy['spec'];

/** Compiles an AccessPolicy; what is wrong with it beyond its schema goes to `problems`. */
export function compilePolicy(manifest: AccessPolicy, roles: readonly string[], problems: Problem[]): Policy {
  const { policy, wrong } = compileAlone(manifest);
  const { role } = policy;
  if (role !== null && !roles.includes(role)) {
    const message = `"${role}" is not a role of the gateway; its spec.upstream.roles are: ${roles.join(', ')}`;
    problems.push({ object: refOf(manifest), path: 'spec.role', message });
  }
  problems.push(...wrong);
  return policy;
}

/** What a policy is, whatever the gateway. */
const compileAlone = remember((manifest: AccessPolicy) => {
  const wrong: Problem[] = [];
  const report: Report = (path, message) => void wrong.push({ object: refOf(manifest), path, message });
  const policy = compileManifest(manifest, report);
  return { policy, wrong };
});

function compileManifest({ spec, metadata }: AccessPolicy, report: Report): Policy {
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    mode: spec.mode,
    subjects: spec.subjects.map(compileSubject),
    databases: spec.databases ?? [],
    role: spec.role ?? null,
    rules: spec.rules.map((rule, i) =>
      compileRule(rule, (field, message) => report(`spec.rules[${i}].${field}`, message)),
    ),
    session: compileSession(spec.session),
    limits: compileLimits(spec.limits),
    window: spec.window === undefined ? null : compileWindow(spec.window, report),
    expiresAt: spec.expiresAt === undefined ? null : compileTime(spec.expiresAt, report),
  };
}

export function compileSubject({ user, group, serviceAccount }: Spec['subjects'][number]): Subject {
  if (user !== undefined) return { user };
  if (group !== undefined) return { group };
  return { user: `system:serviceaccount:${serviceAccount!.namespace}:${serviceAccount!.name}` };
}

function compileRule(rule: Spec['rules'][number], report: Report): Rule {
  refuseUnavailableRule(rule, report);
  return {
    name: rule.name,
    action: rule.action === 'Deny' ? 'Deny' : 'Allow',
    statements: rule.statements,
    relations: rule.relations ?? null,
    functions: rule.functions ?? [],
    reach: rule.reach ?? null,
    maxRows: rule.maxRows ?? null,
    message: rule.message ?? null,
    alert: rule.alert,
  };
}

function compileSession(spec: Spec['session']): Policy['session'] {
  const time = (text: string | undefined): number | null => (text === undefined ? null : parseDuration(text));
  return {
    maxAge: time(spec.maxAge),
    idle: time(spec.idle),
    statementTimeout: time(spec.statementTimeout),
    rows: spec.rows ?? null,
    readOnly: spec.readOnly,
    settings: (spec.settings ?? []).map((name) => name.toLowerCase()),
  };
}

function compileLimits({ sessions, statementsPerMinute, rowsPerDay, bytesPerDay }: Spec['limits']): Policy['limits'] {
  return {
    sessions: sessions ?? null,
    statementsPerMinute: statementsPerMinute ?? null,
    rowsPerDay: rowsPerDay ?? null,
    bytesPerDay: bytesPerDay === undefined ? null : parseSize(bytesPerDay),
  };
}

/** The API server takes offsets that do not exist, such as +99:99. */
function compileTime(text: string, report: Report): number | null {
  const time = Date.parse(text);
  // A document knows no time before 1970; that one has passed as well.
  if (!Number.isNaN(time)) return Math.max(0, time);
  report('spec.expiresAt', `"${text}" is not a time such as 2026-12-31T00:00:00Z`);
  return null;
}

const WEEK = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] as const;

function compileWindow({ days, from, to, timeZone }: NonNullable<Spec['window']>, report: Report): Policy['window'] {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone });
  } catch {
    report('spec.window.timeZone', `"${timeZone}" is not a time zone such as Europe/Berlin`);
  }
  return { days: days ?? WEEK, from, to, timeZone };
}
