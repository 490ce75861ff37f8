import { canonicalJson } from '../config/canonical.ts';
import type { Audit } from '../config/document.ts';
import type { Decision } from '../policy/decision.ts';
import type { Facts, FunctionUse, RelationUse } from '../sql/facts.ts';
import { type Draft, draftOf, endpoint, METADATA_TAIL, metadataHead, quote } from './line.ts';
import { type Activity, activityOf, CONNECT, DISCONNECT } from './ocsf.ts';
import { renderParameters } from './parameters.ts';
import type { IntentRecord, OutcomeRecord, PrepareRecord, SessionContext, SessionEndReason } from './record.ts';
import { type TextOmitted, textOmitted } from './text.ts';

/** What all events of one log have in common. */
export interface LogIdentity {
  readonly log: string;
  /** `namespace/name` of the gateway. */
  readonly gateway: string;
  readonly pod: string;
}

/** Datastore Activity, up to and from `metadata`: the members of a line in canonical order. */
const CLASS = '"category_uid":6,"class_name":"Datastore Activity","class_uid":6005,';

/** `schema.name:verb:reach`. */
export function relation(use: RelationUse): string {
  const reach = use.reach === null ? '' : `:${use.reach}`;
  return `${use.schema}.${use.name}:${use.verb}${reach}`.toWellFormed();
}

export function candidates(use: FunctionUse): readonly string[] {
  return use.candidates.length === 0 ? [`${use.schema}.${use.name}`] : use.candidates;
}

const NO_FACTS = { classes: '', functions: '', relations: '', settings: '' };
const renderedFacts = new WeakMap<Facts, typeof NO_FACTS>();

/** The members that facts give, each with its comma; rendered once for facts that a cache hands out again. */
function factsOf(facts: Facts | null): typeof NO_FACTS {
  if (facts === null) {
    return NO_FACTS;
  }
  const known = renderedFacts.get(facts);
  if (known !== undefined) {
    return known;
  }
  const list = (name: string, values: readonly string[]): string =>
    values.length === 0 ? '' : `"${name}":${JSON.stringify(values.map((value) => value.toWellFormed()))},`;
  const settings = facts.settings.flatMap((change) => ('name' in change ? [change.name] : []));
  const rendered = {
    classes: list('classes', [...new Set([facts.primary, ...facts.classes])]),
    functions: list('functions', facts.functions.flatMap(candidates)),
    relations: list('relations', facts.relations.map(relation)),
    settings: list('settings', settings),
  };
  renderedFacts.set(facts, rendered);
  return rendered;
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

const OUTCOME_STATUS: Record<OutcomeRecord['status'], string> = {
  Completed: '"status":"Success",',
  Failed: '"status":"Failure",',
  Denied: '"status":"Failure",',
  Cancelled: '"status":"Cancelled",',
  Abandoned: '"status":"Abandoned",',
  Skipped: '"status":"Skipped",',
  Unknown: '"status":"Unknown",',
};

const OUTCOME_STATUS_ID: Record<OutcomeRecord['status'], number> = {
  Completed: 1,
  Failed: 2,
  Denied: 2,
  Cancelled: 99,
  Abandoned: 99,
  Skipped: 99,
  Unknown: 0,
};

/** Renders the events of one session; everything that does not change in it is rendered once. */
export class SessionEvents {
  readonly #log: LogIdentity;
  readonly #context: SessionContext;
  readonly #audit: Pick<Audit, 'redaction' | 'recording'>;
  readonly #actorTail: string;
  readonly #outcomeActor: string;
  readonly #endpoints: string;
  readonly #source: string;
  readonly #common: string;
  readonly #tail: string;
  #appName = '';
  #appNameJson = '';

  constructor(log: LogIdentity, context: SessionContext, audit: Pick<Audit, 'redaction' | 'recording'>) {
    this.#log = log;
    this.#context = context;
    this.#audit = audit;
    const { identity, client, server } = context;
    const session = canonicalJson(this.#session());
    this.#actorTail = `"session":${session},"user":${canonicalJson(this.#user())}},${CLASS}`;
    this.#outcomeActor = `"actor":{"session":{"uid":${quote(context.id)}},"user":{"name":${quote(identity.username)}}},${CLASS}`;
    this.#endpoints = `"database":{"name":${quote(context.database)},"type":"Relational","type_id":1},"dst_endpoint":${canonicalJson(endpoint(server.address, server.port))},`;
    this.#source = `"src_endpoint":${canonicalJson(endpoint(client.address, client.port))},`;
    this.#common = `"gateway":${quote(log.gateway)},`;
    this.#tail = `"role":${quote(context.role)},`;
  }

  start(time: number): Draft {
    const { identity, server, tls } = this.#context;
    return draftOf('session_start', this.#log.log, {
      ...this.#whole(CONNECT, time),
      severity_id: 1,
      status: 'Success',
      status_id: 1,
      unmapped: {
        postern: {
          gateway: this.#log.gateway,
          listener: this.#context.listener,
          method: identity.method,
          pod: this.#log.pod,
          role: this.#context.role,
          server_pid: server.pid,
          server_version: server.version,
          ...(tls === null ? {} : { tls: { cipher: tls.cipher, version: tls.version } }),
        },
      },
    });
  }

  /** `duration` in milliseconds, `statements` as counted in the session. */
  end(time: number, reason: SessionEndReason, duration: number, statements: number): Draft {
    return draftOf('session_end', this.#log.log, {
      ...this.#whole(DISCONNECT, time),
      duration: Math.round(duration),
      severity_id: 1,
      unmapped: {
        postern: {
          duration,
          gateway: this.#log.gateway,
          pod: this.#log.pod,
          reason,
          role: this.#context.role,
          statements,
        },
      },
    });
  }

  prepare(record: PrepareRecord, time: number): Draft {
    const omitted = textOmitted(record.text, record.facts, this.#audit);
    const name = record.name === '' ? '' : `"prepared":${quote(record.name)},`;
    return this.#statement('prepare', record, time, omitted, {
      parameters: '',
      beforeProtocol: name,
      protocol: 'Extended',
      appName: this.#context.applicationName,
    });
  }

  intent(record: IntentRecord, time: number): Draft {
    const omitted = textOmitted(record.text, record.facts, this.#audit);
    return this.#statement('intent', record, time, omitted, {
      parameters: this.#parameters(record, omitted),
      beforeProtocol: '',
      protocol: record.protocol,
      appName: record.applicationName,
    });
  }

  /** `duration` in milliseconds from the intent; null: no intent of that number is open. */
  outcome(record: OutcomeRecord, time: number, activity: Activity, duration: number | null): Draft {
    const whole = duration === null ? '' : `"duration":${Math.round(duration)},`;
    const fine = duration === null ? '' : `"duration":${duration},`;
    const code = record.sqlstate === null ? '' : `"status_code":${quote(record.sqlstate)},`;
    const tag = record.tag === null ? '' : `,"tag":${quote(record.tag)}`;
    return {
      before: `{"activity_id":${activity.id},"activity_name":"${activity.name}",${this.#outcomeActor}${this.#endpoints}${whole}${metadataHead('outcome', this.#log.log)}`,
      after: `${METADATA_TAIL},"severity_id":1,${this.#source}${OUTCOME_STATUS[record.status]}${code}"status_id":${OUTCOME_STATUS_ID[record.status]},"time":${time},"type_id":1,"type_uid":${600500 + activity.id},"unmapped":{"postern":{"bytes":${record.bytes},${fine}${this.#common}"outcome":"${record.status}","pod":${quote(this.#log.pod)},${this.#tail}"rows":${record.rows},"statement":${record.statement}${tag}}}}`,
    };
  }

  #session(): Readonly<Record<string, unknown>> {
    const { id, identity } = this.#context;
    return { expiration_time: identity.expiresAt, is_remote: true, issuer: identity.issuer.toWellFormed(), uid: id };
  }

  #user(): Readonly<Record<string, unknown>> {
    return userOf(this.#context.identity);
  }

  /** The members of a whole event but for status and unmapped. */
  #whole(activity: Activity, time: number): Readonly<Record<string, unknown>> {
    const { applicationName, client, server, database } = this.#context;
    return {
      activity_id: activity.id,
      activity_name: activity.name,
      actor: {
        ...(applicationName === '' ? {} : { app_name: applicationName.toWellFormed() }),
        session: this.#session(),
        user: this.#user(),
      },
      category_uid: 6,
      class_name: 'Datastore Activity',
      class_uid: 6005,
      database: { name: database.toWellFormed(), type: 'Relational', type_id: 1 },
      dst_endpoint: endpoint(server.address, server.port),
      src_endpoint: endpoint(client.address, client.port),
      time,
      type_id: 1,
      type_uid: 600500 + activity.id,
    };
  }

  #app(name: string): string {
    if (name !== this.#appName) {
      this.#appName = name;
      this.#appNameJson = name === '' ? '' : `"app_name":${quote(name)},`;
    }
    return this.#appNameJson;
  }

  #parameters(record: IntentRecord, omitted: TextOmitted | null): string {
    const count = record.parameters.length;
    if (count === 0) {
      return '';
    }
    // A statement that may carry a credential may carry it as a parameter.
    if (this.#audit.redaction.parameters === 'Omit' || omitted === 'Secret' || omitted === 'Recording') {
      return `"parameter_count":${count},`;
    }
    return `"parameter_count":${count},"parameters":${renderParameters(record.parameters)},`;
  }

  #statement(
    code: 'prepare' | 'intent',
    record: PrepareRecord | IntentRecord,
    time: number,
    omitted: TextOmitted | null,
    parts: { parameters: string; beforeProtocol: string; protocol: string; appName: string },
  ): Draft {
    const { decision, statement } = record;
    const facts = factsOf(record.facts);
    const activity = activityOf(record.facts?.primary ?? 'Unknown');
    const denied = decision.verdict === 'Deny';
    const by = decision.by;
    const policy = by === null ? '' : `,"policy":{"name":${quote(by.policy)}}`;
    const query =
      omitted === null
        ? `"query_info":{"query_string":${quote(record.text)},"uid":"${this.#context.id}/${statement}"},`
        : '';
    const severity = denied ? (decision.alert ? 3 : 2) : 1;
    const status = denied ? '"status":"Failure","status_id":2,' : '';
    return {
      before: `{"action":"${denied ? 'Denied' : 'Allowed'}","action_id":${denied ? 2 : 1},"activity_id":${activity.id},"activity_name":"${activity.name}","actor":{${this.#app(parts.appName)}"authorizations":[{"decision":"${decision.verdict}"${policy}}],${this.#actorTail}${this.#endpoints}${metadataHead(code, this.#log.log)}`,
      after: `${METADATA_TAIL},${query}"severity_id":${severity},${this.#source}${status}"time":${time},"type_id":1,"type_uid":${600500 + activity.id},"unmapped":{"postern":{${facts.classes}"decision":${decisionOf(decision, omitted === null)},${facts.functions}${this.#common}${parts.parameters}"pod":${quote(this.#log.pod)},${parts.beforeProtocol}"protocol":"${parts.protocol}",${facts.relations}"revision":${quote(record.revision)},${this.#tail}${facts.settings}"statement":${statement}${omitted === null ? '' : `,"text_omitted":"${omitted}"`}}}}`,
    };
  }
}

/** An OCSF user: name, groups, the issuer's `sub`, the credential's own id. */
export function userOf(identity: SessionContext['identity']): Readonly<Record<string, unknown>> {
  return {
    ...(identity.credentialId === null ? {} : { credential_uid: identity.credentialId.toWellFormed() }),
    groups: identity.groups.map((name) => ({ name: name.toWellFormed() })),
    name: identity.username.toWellFormed(),
    uid: identity.subject.toWellFormed(),
  };
}
