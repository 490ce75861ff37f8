import { canonicalJson } from '../config/canonical.ts';
import type { Audit } from '../config/document.ts';
import type { Facts } from '../sql/facts.ts';
import { type Draft, draftOf, endpoint, METADATA_TAIL, metadataHead, quote } from './line.ts';
import { type Part, PLACE } from './line-buffer.ts';
import { type Activity, activityOf, CONNECT, DISCONNECT } from './ocsf.ts';
import { renderParameters } from './parameters.ts';
import type { IntentRecord, OutcomeRecord, PrepareRecord, SessionContext, SessionEndReason } from './record.ts';
import { CLASS, type Constant, renderStatement, type StatementParts, withText } from './statement-parts.ts';
import type { TextOmitted } from './text.ts';

/** What all events of one log have in common. */
export interface LogIdentity {
  readonly log: string;
  /** `namespace/name` of the gateway. */
  readonly gateway: string;
  readonly pod: string;
}

/** Rendered intents kept in a session, oldest forgotten first. */
const MAX_RENDERED = 64;
/** Longest text kept so: a session of long texts would else hold a hundred megabytes. */
const MAX_RENDERED_TEXT = 4096;

interface OutcomeParts {
  readonly head: Buffer;
  readonly status: Buffer;
  readonly time: Buffer;
  readonly bytes: Buffer;
  readonly tail: Buffer;
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

const DURATION = Buffer.from(',"duration":');
const STATEMENT = Buffer.from(',"statement":');

/** Milliseconds with three decimals. */
function fine(milliseconds: number): number {
  return Math.floor(milliseconds * 1000) / 1000;
}

/** Renders the events of one session; everything that does not change in it is rendered once. */
export class SessionEvents {
  readonly #log: LogIdentity;
  readonly #context: SessionContext;
  readonly #audit: Pick<Audit, 'redaction' | 'recording'>;
  readonly #constant: Constant;
  readonly #outcomeActor: string;
  readonly #outcomeMetadata: Buffer;
  /** By what was found out about the statement: texts of one template share that. */
  readonly #intents = new Map<Facts, StatementParts>();
  readonly #outcomes = new Map<OutcomeRecord['status'], Map<Activity, OutcomeParts>>();
  readonly #tags = new Map<string, Buffer>();

  constructor(log: LogIdentity, context: SessionContext, audit: Pick<Audit, 'redaction' | 'recording'>) {
    this.#log = log;
    this.#context = context;
    this.#audit = audit;
    const { identity, client, server } = context;
    this.#constant = {
      session: context.id,
      log: log.log,
      audit,
      actor: `"session":${canonicalJson(this.#session())},"user":${canonicalJson(this.#user())}},${CLASS}`,
      endpoints: `"database":{"name":${quote(context.database)},"type":"Relational","type_id":1},"dst_endpoint":${canonicalJson(endpoint(server.address, server.port))},`,
      source: `"src_endpoint":${canonicalJson(endpoint(client.address, client.port))},`,
      gateway: `"gateway":${quote(log.gateway)},`,
      pod: `"pod":${quote(log.pod)},`,
      role: `"role":${quote(context.role)},`,
    };
    this.#outcomeActor = `"actor":{"session":{"uid":${quote(context.id)}},"user":{"name":${quote(identity.username)}}},${CLASS}`;
    this.#outcomeMetadata = Buffer.from(`,${metadataHead('outcome', log.log)}`);
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
          duration: fine(duration),
          gateway: this.#log.gateway,
          pod: this.#log.pod,
          reason,
          role: this.#context.role,
          statements,
        },
      },
    });
  }

  prepare(record: PrepareRecord): Draft {
    const prepared = record.name === '' ? '' : `"prepared":${quote(record.name)},`;
    const parts = renderStatement(this.#constant, record, {
      prepared,
      protocol: 'Extended',
      applicationName: this.#context.applicationName,
    });
    return this.#line(parts, record, '');
  }

  intent(record: IntentRecord): Draft {
    const parts = this.#intentParts(record);
    return this.#line(parts, record, this.#parameters(record, parts.omitted));
  }

  /** A statement that is run again has all but a few members in common with the time before. */
  #intentParts(record: IntentRecord): StatementParts {
    const { text, facts, decision, revision, protocol, applicationName } = record;
    const known = facts === null ? undefined : this.#intents.get(facts);
    const same =
      known !== undefined &&
      known.decision === decision &&
      known.revision === revision &&
      known.protocol === protocol &&
      known.applicationName === applicationName;
    const kept = facts !== null && text.length <= MAX_RENDERED_TEXT;
    if (same && kept && withText(this.#constant, known, text)) return known;
    const parts = renderStatement(this.#constant, record, { prepared: '', protocol, applicationName });
    if (kept) {
      if (known === undefined && this.#intents.size >= MAX_RENDERED)
        this.#intents.delete(this.#intents.keys().next().value!);
      this.#intents.set(facts, parts);
    }
    return parts;
  }

  outcome(record: OutcomeRecord): Draft {
    const { head, status, time, bytes, tail } = this.#outcomeParts(activityOf(record.primary), record.status);
    const code = record.sqlstate === null ? '' : `"status_code":${quote(record.sqlstate)},`;
    const end = record.tag === null ? '}}}' : this.#tag(record.tag);
    // Lists that do not grow: they would be made larger than they need to be.
    return [
      head,
      Math.round(record.duration),
      this.#outcomeMetadata,
      PLACE,
      status,
      code,
      time,
      record.time,
      bytes,
      record.bytes,
      DURATION,
      fine(record.duration),
      tail,
      record.rows,
      STATEMENT,
      record.statement,
      end,
    ];
  }

  /** What does not change in the outcomes of one activity and status. */
  #outcomeParts(activity: Activity, status: OutcomeRecord['status']): OutcomeParts {
    const ofStatus = this.#outcomes.get(status) ?? new Map<Activity, OutcomeParts>();
    const known = ofStatus.get(activity);
    if (known !== undefined) return known;
    const parts = this.#renderOutcome(activity, status);
    this.#outcomes.set(status, ofStatus.set(activity, parts));
    return parts;
  }

  #renderOutcome(activity: Activity, status: OutcomeRecord['status']): OutcomeParts {
    const { endpoints, source, gateway, pod, role } = this.#constant;
    return {
      head: Buffer.from(
        `{"activity_id":${activity.id},"activity_name":"${activity.name}",${this.#outcomeActor}${endpoints}"duration":`,
      ),
      status: Buffer.from(`${METADATA_TAIL},"severity_id":1,${source}${OUTCOME_STATUS[status]}`),
      time: Buffer.from(`"status_id":${OUTCOME_STATUS_ID[status]},"time":`),
      bytes: Buffer.from(`,"type_id":1,"type_uid":${600500 + activity.id},"unmapped":{"postern":{"bytes":`),
      tail: Buffer.from(`,${gateway}"outcome":"${status}",${pod}${role}"rows":`),
    };
  }

  /** The end of an outcome; the same few tags come again and again. */
  #tag(tag: string): Part {
    const known = this.#tags.get(tag);
    if (known !== undefined) return known;
    const end = Buffer.from(`,"tag":${quote(tag)}}}}`);
    if (this.#tags.size < MAX_RENDERED) this.#tags.set(tag, end);
    return end;
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

  #line(parts: StatementParts, { statement, time }: PrepareRecord | IntentRecord, parameters: string): Draft {
    const { head, query, beforeTime, beforeParameters, beforeStatement, tail } = parts;
    const number = query === null ? '' : statement;
    return [
      head,
      PLACE,
      query ?? '',
      number,
      beforeTime,
      time,
      beforeParameters,
      parameters,
      beforeStatement,
      statement,
      tail,
    ];
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
