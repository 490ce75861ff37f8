import { canonicalJson } from '../config/canonical.ts';
import type { Audit } from '../config/document.ts';
import type { Decision } from '../policy/decision.ts';
import type { Facts, FunctionUse, RelationUse } from '../sql/facts.ts';
import { METADATA_TAIL, metadataHead, quote } from './line.ts';
import { activityOf } from './ocsf.ts';
import type { IntentRecord, PrepareRecord } from './record.ts';
import { type TextOmitted, textOmitted } from './text.ts';

/** Datastore Activity, up to and from `metadata`: the members of a line in canonical order. */
export const CLASS = '"category_uid":6,"class_name":"Datastore Activity","class_uid":6005,';

/** Members that are the same in every statement of a session, each with its comma. */
export interface Constant {
  /** The session's id. */
  readonly session: string;
  readonly log: string;
  readonly audit: Pick<Audit, 'redaction' | 'recording'>;
  readonly actor: string;
  readonly endpoints: string;
  readonly source: string;
  readonly gateway: string;
  readonly pod: string;
  readonly role: string;
}

/** A statement's record but for what differs each time it runs, in the order of the line, and what it was made of. */
export interface StatementParts {
  readonly facts: Facts | null;
  readonly decision: Decision;
  readonly revision: string;
  readonly protocol: string;
  readonly applicationName: string;
  readonly omitted: TextOmitted | null;
  /** Of the record that was rendered last, and `query` with it: `withText` puts another in its place. */
  text: string;
  /** Up to the record's place. */
  readonly head: Buffer;
  /** From there to the statement's number; null: the text is omitted, and with it that number. */
  query: Buffer | string | null;
  /** Up to the time. */
  readonly beforeTime: Buffer;
  /** Up to the parameters. */
  readonly beforeParameters: Buffer;
  /** Up to the statement's number. */
  readonly beforeStatement: Buffer;
  readonly tail: Buffer;
}

/** What a record says of how the statement came. */
interface Manner {
  /** The member `prepared` with its comma; empty: none. */
  readonly prepared: string;
  readonly protocol: string;
  readonly applicationName: string;
}

export function renderStatement(
  constant: Constant,
  record: PrepareRecord | IntentRecord,
  { prepared, protocol, applicationName }: Manner,
): StatementParts {
  const { kind, decision, facts, revision, text } = record;
  const { log, audit, actor, endpoints, source, gateway, pod, role } = constant;
  const omitted = textOmitted(text, facts, audit);
  const { classes, functions, relations, settings } = factsOf(facts);
  const { id, name } = activityOf(facts?.primary ?? 'Unknown');
  const denied = decision.verdict === 'Deny';
  const action = denied ? '"action":"Denied","action_id":2' : '"action":"Allowed","action_id":1';
  const app = applicationName === '' ? '' : `"app_name":${quote(applicationName)},`;
  const policy = decision.by === null ? '' : `,"policy":{"name":${quote(decision.by.policy)}}`;
  const authorization = `"authorizations":[{"decision":"${decision.verdict}"${policy}}]`;
  const severity = denied ? (decision.alert ? 3 : 2) : 1;
  const status = denied ? '"status":"Failure","status_id":2,' : '';
  const beforeTime = `"severity_id":${severity},${source}${status}"time":`;
  return {
    facts,
    decision,
    revision,
    protocol,
    applicationName,
    omitted,
    text,
    head: Buffer.from(
      `{${action},"activity_id":${id},"activity_name":"${name}","actor":{${app}${authorization},${actor}${endpoints}${metadataHead(kind, log)}`,
    ),
    query: omitted === null ? Buffer.from(queryOf(constant, text)) : null,
    beforeTime: Buffer.from(omitted === null ? `"},${beforeTime}` : `${METADATA_TAIL},${beforeTime}`),
    beforeParameters: Buffer.from(
      `,"type_id":1,"type_uid":${600500 + id},"unmapped":{"postern":{${classes}"decision":${decisionOf(decision, omitted === null)},${functions}${gateway}`,
    ),
    beforeStatement: Buffer.from(
      `${pod}${prepared}"protocol":"${protocol}",${relations}"revision":${quote(revision)},${role}${settings}"statement":`,
    ),
    tail: Buffer.from(omitted === null ? '}}}' : `,"text_omitted":"${omitted}"}}}`),
  };
}

function queryOf({ session }: Constant, text: string): string {
  return `${METADATA_TAIL},"query_info":{"query_string":${quote(text)},"uid":"${session}/`;
}

/** Puts another text into the record of a statement of which nothing else differs; false: that cannot be done. */
export function withText(constant: Constant, parts: StatementParts, text: string): boolean {
  if (text === parts.text) return true;
  if (textOmitted(text, parts.facts, constant.audit) !== parts.omitted) return false;
  // Texts that come once are not worth a buffer.
  if (parts.omitted === null) parts.query = queryOf(constant, text);
  parts.text = text;
  return true;
}

/** `schema.name:verb:reach`. */
export function relation(use: RelationUse): string {
  const reach = use.reach === null ? '' : `:${use.reach}`;
  return `${use.schema}.${use.name}:${use.verb}${reach}`.toWellFormed();
}

/** `schema.name:kind` of what is no ordinary table. */
function kinds(relations: readonly RelationUse[]): readonly string[] {
  const told = relations
    .filter(({ kind }) => kind !== 'table')
    .map(({ schema, name, kind }) => `${schema}.${name}:${kind}`);
  return [...new Set(told)];
}

export function candidates(use: FunctionUse): readonly string[] {
  return use.candidates.length === 0 ? [`${use.schema}.${use.name}`] : use.candidates;
}

const NO_FACTS = { classes: '', functions: '', relations: '', settings: '' };

/** The members that facts give, each with its comma. */
function factsOf(facts: Facts | null): typeof NO_FACTS {
  if (facts === null) {
    return NO_FACTS;
  }
  const list = (name: string, values: readonly string[]): string =>
    values.length === 0 ? '' : `"${name}":${JSON.stringify(values.map((value) => value.toWellFormed()))},`;
  const settings = facts.settings.flatMap((change) => ('name' in change ? [change.name] : []));
  return {
    classes: list('classes', [...new Set([facts.primary, ...facts.classes])]),
    functions: list('functions', facts.functions.flatMap(candidates)),
    relations: `${list('relation_kinds', kinds(facts.relations))}${list('relations', facts.relations.map(relation))}`,
    settings: list('settings', settings),
  };
}

/** The decision as it stands under `unmapped.postern`; words that may quote the text only where the text is shown. */
function decisionOf(decision: Decision, quoted: boolean): string {
  if (decision.verdict === 'Allow' && decision.shadow.length === 0) {
    const by = decision.by;
    const alert = decision.alert === true ? '"alert":true,' : '';
    return by === null
      ? `{${alert}"verdict":"Allow"}`
      : `{${alert}"policy":${quote(by.policy)},"rule":${quote(by.rule)},"verdict":"Allow"}`;
  }
  return canonicalJson({
    ...(decision.by === null ? {} : { policy: decision.by.policy, rule: decision.by.rule }),
    ...(decision.alert === true ? { alert: true } : {}),
    ...(decision.verdict === 'Deny' && quoted ? { message: decision.message.toWellFormed() } : {}),
    ...(decision.verdict === 'Deny' && quoted && decision.detail !== null
      ? { detail: decision.detail.toWellFormed() }
      : {}),
    ...(decision.shadow.length === 0
      ? {}
      : { shadow: decision.shadow.map(({ policy, rule, verdict }) => ({ policy, rule, verdict })) }),
    verdict: decision.verdict,
  });
}
