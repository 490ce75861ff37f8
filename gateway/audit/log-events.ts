import type { Identity } from '../identity/identity.ts';
import { type Draft, draftOf, endpoint } from './line.ts';
import type { AuthenticationEvent } from './record.ts';
import { type LogIdentity, userOf } from './session-events.ts';

/** Numbers of auth_protocol_id: OAUTH 2.0, Other. */
function authProtocol(identity: Identity | null): Readonly<Record<string, unknown>> {
  if (identity === null) {
    return {};
  }
  return identity.method === 'Certificate'
    ? { auth_protocol: 'Certificate', auth_protocol_id: 99 }
    : { auth_protocol: 'OAUTH 2.0', auth_protocol_id: 6 };
}

/** Authentication [3002] in category Identity & Access Management [3]. */
export function authenticationEvent(log: LogIdentity, event: AuthenticationEvent, time: number): Draft {
  const failed = event.outcome !== 'Success';
  const { identity } = event;
  return draftOf('authentication', log.log, {
    activity_id: 1,
    activity_name: 'Logon',
    ...authProtocol(identity),
    category_uid: 3,
    class_name: 'Authentication',
    class_uid: 3002,
    is_remote: true,
    service: { name: `${log.gateway}/${event.listener}` },
    severity_id: failed ? 2 : 1,
    src_endpoint: endpoint(event.client.address, event.client.port),
    status: failed ? 'Failure' : 'Success',
    ...(failed ? { status_code: event.outcome } : {}),
    ...(event.message === null ? {} : { status_detail: event.message.toWellFormed() }),
    status_id: failed ? 2 : 1,
    time,
    type_uid: 300201,
    unmapped: {
      postern: {
        gateway: log.gateway,
        ...(identity === null ? {} : { issuer: identity.issuer.toWellFormed(), method: identity.method }),
        listener: event.listener,
        pod: log.pod,
        ...(event.database === null ? {} : { requested_database: event.database.toWellFormed() }),
        ...(event.user === null ? {} : { requested_user: event.user.toWellFormed() }),
      },
    },
    // Nobody is known before the sign-in has succeeded: the start-up parameter `user` asks for a role.
    user: identity === null ? { name: '', type: 'Unknown', type_id: 0 } : userOf(identity),
  });
}

export interface RevisionEvent {
  readonly revision: string;
  readonly previous: string | null;
  readonly error: string | null;
}

/** Entity Management [3004], Update: the configuration in force changed, or a new one was rejected. */
export function revisionEvent(log: LogIdentity, event: RevisionEvent, time: number): Draft {
  const failed = event.error !== null;
  return draftOf('revision', log.log, {
    activity_id: 3,
    activity_name: 'Update',
    category_uid: 3,
    class_name: 'Entity Management',
    class_uid: 3004,
    entity: { name: log.gateway, type: 'Configuration', uid: event.revision },
    severity_id: failed ? 3 : 1,
    status: failed ? 'Failure' : 'Success',
    ...(event.error === null ? {} : { status_detail: event.error.toWellFormed() }),
    status_id: failed ? 2 : 1,
    time,
    type_uid: 300403,
    unmapped: {
      postern: {
        gateway: log.gateway,
        pod: log.pod,
        ...(event.previous === null ? {} : { previous: event.previous }),
        revision: event.revision,
      },
    },
  });
}

/** What happened to the log itself. */
export type LogEvent =
  | {
      readonly code: 'log_start';
      readonly durability: string;
      readonly on_failure: string;
      readonly recording: string;
      readonly redaction: { readonly literals: string; readonly parameters: string };
    }
  | { readonly code: 'log_stop' }
  /** Bytes after the last whole record, found when the log was opened and kept in `file`. */
  | { readonly code: 'log_repair'; readonly bytes: number; readonly file: string; readonly missing: number }
  /** Records could not be had for `duration` milliseconds. */
  | {
      readonly code: 'log_gap';
      readonly duration: number;
      readonly reason: string;
      readonly refused: number;
      readonly unrecorded: number;
      readonly lost: number;
    };

const LOG_ACTIVITY: Record<
  LogEvent['code'],
  { readonly id: number; readonly name: string; readonly severity: number }
> = {
  log_start: { id: 6, name: 'Start', severity: 1 },
  log_stop: { id: 7, name: 'Stop', severity: 1 },
  log_repair: { id: 99, name: 'Repair', severity: 3 },
  log_gap: { id: 99, name: 'Gap', severity: 4 },
};

/** Event Log Activity [1008] in category System Activity [1]. */
export function logEvent(log: LogIdentity, event: LogEvent, time: number): Draft {
  const { code, ...fields } = event;
  const activity = LOG_ACTIVITY[code];
  return draftOf(code, log.log, {
    activity_id: activity.id,
    activity_name: activity.name,
    category_uid: 1,
    class_name: 'Event Log Activity',
    class_uid: 1008,
    log_name: log.log,
    log_provider: 'Postern',
    severity_id: activity.severity,
    time,
    type_uid: 100800 + activity.id,
    unmapped: { postern: { ...fields, gateway: log.gateway, pod: log.pod } },
  });
}
