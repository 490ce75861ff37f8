import type { IntentRecord, OutcomeRecord, PrepareRecord, SessionContext } from '../audit/record.ts';
import { candidates, relation } from '../audit/statement-parts.ts';
import { textOmitted } from '../audit/text.ts';
import type { Audit, ObjectRef } from '../config/document.ts';
import type { Decision } from '../policy/decision.ts';
import type { Facts } from '../sql/facts.ts';

/** An alert as a CloudEvents 1.0 event in its JSON format; rendered when it is raised, sent as it is until it has arrived. */
export interface AlertEvent {
  /** Stable: the same event never has another. */
  readonly id: string;
  readonly body: string;
}

/** What alerts of one session have in common. */
export interface Origin {
  readonly gateway: ObjectRef;
  readonly context: SessionContext;
  /** Milliseconds since the epoch. */
  readonly time: number;
}

/** Longest text of a statement that is told, in UTF-16 code units. */
const MAX_TEXT = 4096;
/** Members of a list that are told. */
const MAX_LISTED = 100;

type Statement = PrepareRecord | IntentRecord;

/** A denial, or a statement that was let pass by a rule with `alert`. */
export function statementEvent(origin: Origin, record: Statement, audit: Audit): AlertEvent {
  const { decision, statement } = record;
  const denied = decision.verdict === 'Deny';
  return render(origin, `dev.postern.statement.${denied ? 'denied' : 'alert'}.v1`, `${statement}`, {
    ...whoAndWhere(origin.context),
    statement,
    verdict: decision.verdict,
    alert: decision.alert === true,
    policy: decision.by?.policy ?? null,
    rule: decision.by?.rule ?? null,
    ...whatItDoes(record.facts),
    ...words(decision, record, audit),
    revision: record.revision,
  });
}

/** A result that was cut, or a write that was undone, at a limit of a policy. */
export function cutEvent(origin: Origin, { statement, sqlstate, rows }: OutcomeRecord): AlertEvent {
  const data = { ...whoAndWhere(origin.context), statement, sqlstate, rows };
  return render(origin, 'dev.postern.statement.cut.v1', `${statement}-cut`, data);
}

function render(origin: Origin, type: string, number: string, data: Readonly<Record<string, unknown>>): AlertEvent {
  const { gateway, context, time } = origin;
  const id = `${context.id}-${number}`;
  const body = JSON.stringify({
    specversion: '1.0',
    id,
    source: `/postern/${gateway.namespace}/${gateway.name}`,
    type,
    subject: `sessions/${context.id}`,
    time: new Date(time).toISOString(),
    datacontenttype: 'application/json',
    data,
  });
  return { id, body };
}

function whoAndWhere(context: SessionContext): Readonly<Record<string, unknown>> {
  const { identity, database, role, client, applicationName, id } = context;
  return {
    user: identity.username,
    groups: identity.groups.slice(0, MAX_LISTED),
    issuer: identity.issuer,
    session: id,
    database,
    role,
    client: client.address,
    application: applicationName,
  };
}

function whatItDoes(facts: Facts | null): Readonly<Record<string, unknown>> {
  if (facts === null) return { classes: [], relations: [], functions: [] };
  return {
    classes: [...new Set([facts.primary, ...facts.classes])],
    relations: facts.relations.map(relation).slice(0, MAX_LISTED),
    functions: facts.functions.flatMap(candidates).slice(0, MAX_LISTED),
  };
}

/** The text, if it is asked for and the record shows it; what may quote it, only with it. */
function words(decision: Decision, record: Statement, audit: Audit): Readonly<Record<string, unknown>> {
  const omitted = textOmitted(record.text, record.facts, audit);
  const shown = audit.alerts?.statements === 'Keep' && omitted === null;
  // A message that names a policy is made of names and of the policy's own words; others may quote the statement.
  const message = decision.verdict === 'Deny' && (shown || (decision.by !== null && omitted === null));
  return {
    ...(message ? { message: decision.message } : {}),
    ...(shown
      ? { text: record.text.slice(0, MAX_TEXT).toWellFormed(), textTruncated: record.text.length > MAX_TEXT }
      : {}),
  };
}
