import type { Policy, Rule, Subject, Window } from '../../gateway/config/document.ts';
import { type Fields, fields, items, type Manifest, number, type Problem, refOf, string, strings } from './problems.ts';
import { parseDuration } from './quantities.ts';

/** Compiles an AccessPolicy; what is wrong with it goes to `problems`. */
export function compilePolicy(manifest: Manifest, roles: readonly string[], problems: Problem[]): Policy {
  const report = (path: string, message: string): void =>
    void problems.push({ object: refOf(manifest), path, message });
  const { spec, metadata } = manifest;
  const role = string(spec.role);
  if (role !== null && !roles.includes(role)) {
    report('spec.role', `"${role}" is not a role of the gateway; its spec.upstream.roles are: ${roles.join(', ')}`);
  }
  const rules = items(spec.rules).map((rule, i) =>
    compileRule(rule, (field, message) => report(`spec.rules[${i}].${field}`, message)),
  );
  if (role === null && rules.some(({ action }) => action === 'Allow'))
    report('spec.role', 'a policy that allows something needs a role');
  const expiresAt = string(spec.expiresAt);
  const expires = expiresAt === null ? null : Date.parse(expiresAt);
  if (Number.isNaN(expires)) report('spec.expiresAt', 'must be a time such as 2027-01-31T00:00:00Z');
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    mode: spec.mode === 'Audit' ? 'Audit' : 'Enforce',
    subjects: items(spec.subjects)
      .map(subject)
      .filter((found) => found !== null),
    databases: strings(spec.databases),
    role,
    rules,
    session: session(fields(spec.session), (field, message) => report(`spec.session.${field}`, message)),
    window:
      spec.window === undefined
        ? null
        : window(fields(spec.window), (message) => report('spec.window.timeZone', message)),
    expiresAt: expires,
  };
}

function subject(spec: Fields): Subject | null {
  if (typeof spec.user === 'string') return { user: spec.user };
  if (typeof spec.group === 'string') return { group: spec.group };
  const account = fields(spec.serviceAccount);
  return account.name === undefined
    ? null
    : { user: `system:serviceaccount:${String(account.namespace)}:${String(account.name)}` };
}

type Report = (field: string, message: string) => void;

const WITH_REACH = new Set(['Insert', 'Update', 'Delete', 'Merge', 'Truncate']);

function compileRule(spec: Fields, report: Report): Rule {
  const statements = strings(spec.statements);
  const reach = spec.reach === undefined ? null : (strings(spec.reach) as Rule['reach']);
  if (spec.action === 'RequireApproval')
    report('action', 'RequireApproval is not available in this version: nobody can approve yet');
  if (spec.maxRows !== undefined) report('maxRows', 'maxRows is not available in this version: remove it');
  if (statements.includes('Any') && (statements.length > 1 || spec.action !== 'Allow')) {
    report('statements', 'Any stands alone, in a rule with action Allow');
  }
  const others = statements.filter((cls) => !WITH_REACH.has(cls));
  if (reach !== null && others.length > 0) {
    report(
      'reach',
      `speaks of Insert, Update, Delete, Merge and Truncate; put ${others.join(', ')} into a rule of their own`,
    );
  }
  const relations = spec.relations === undefined ? null : strings(spec.relations);
  for (const pattern of relations ?? []) {
    if (!/^("(?:[^"]|"")+"|[^".]+)\.("(?:[^"]|"")+"|[^".]+)$/.test(pattern))
      report('relations', `"${pattern}" has no schema: write schema.name`);
  }
  return {
    name: String(spec.name),
    action: spec.action === 'Deny' ? 'Deny' : 'Allow',
    statements,
    relations,
    functions: strings(spec.functions),
    reach,
    message: string(spec.message),
    alert: spec.alert === true,
  };
}

function session(spec: Fields, report: Report): Policy['session'] {
  const time = (name: string): number | null => {
    const text = string(spec[name]);
    if (text === null) return null;
    const parsed = parseDuration(text);
    if (parsed === undefined) report(name, `"${text}" is not a duration such as 30s, 15m or 12h`);
    return parsed ?? 0;
  };
  return {
    maxAge: time('maxAge'),
    idle: time('idle'),
    statementTimeout: time('statementTimeout'),
    rows: spec.rows === undefined ? null : number(spec.rows, 0),
    readOnly: spec.readOnly === true,
    settings: strings(spec.settings).map((name) => name.toLowerCase()),
  };
}

function window(spec: Fields, report: (message: string) => void): Window {
  const timeZone = string(spec.timeZone) ?? 'UTC';
  try {
    new Intl.DateTimeFormat('en-US', { timeZone });
  } catch {
    report(`"${timeZone}" is not a time zone such as Europe/Berlin`);
  }
  const days = strings(spec.days);
  return {
    days: (days.length > 0 ? days : ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']) as Window['days'],
    from: string(spec.from) ?? '00:00',
    to: string(spec.to) ?? '24:00',
    timeZone,
  };
}
