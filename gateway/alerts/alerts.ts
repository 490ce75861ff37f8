import type { OutcomeRecord, SessionContext, StatementRecord } from '../audit/record.ts';
import type { ConfigDocument, SecretSource } from '../config/document.ts';
import type { Decision } from '../policy/decision.ts';
import { Delivery, type DeliveryMetrics } from './delivery.ts';
import { type AlertEvent, cutEvent, type Origin, statementEvent } from './event.ts';
import { readReceiver } from './receiver.ts';

export interface AlertMetrics extends DeliveryMetrics {
  /** `Denied`: any denial; `Rule`: a rule with `alert`; `Cut`: a limit was reached while it ran. */
  raised(reason: 'Denied' | 'Rule' | 'Cut'): void;
  /** Registers how many wait to be delivered. */
  waiting(read: () => number): void;
}

export interface AlertsOptions {
  /** As of now: where alerts go may change at any time. */
  readonly document: () => ConfigDocument;
  readonly secrets: SecretSource;
  readonly log: { warn(fields: object, message: string): void; info(fields: object, message: string): void };
  readonly metrics: AlertMetrics;
  readonly now: () => number;
  readonly random: () => number;
}

export interface Alerts {
  /** Looks at each record of a session. */
  session(context: SessionContext): (record: StatementRecord) => void;
  /** Delivers what waits, for so many milliseconds at most. */
  close(patience: number): Promise<void>;
}

/** Outcomes under which a limit of a policy has cut a result or undone a write. */
const LIMITS: ReadonlySet<string | null> = new Set(['42501', '53400']);

export function createAlerts(options: AlertsOptions): Alerts {
  const { document, secrets, log, metrics, now } = options;
  const receiver = () => {
    const alerts = document().audit.alerts;
    return alerts === null ? 'no receiver is configured any more' : readReceiver(secrets, alerts.secret);
  };
  const delivery = new Delivery({ receiver, log, metrics, now, random: options.random });
  metrics.waiting(() => delivery.size);
  const send = (context: SessionContext, render: (origin: Origin) => AlertEvent): void => {
    const { gateway, audit } = document();
    if (audit.alerts !== null) delivery.push(render({ gateway, context, time: now() }));
  };
  return {
    close: (patience) => delivery.close(patience),
    session(context) {
      // What follows a denied statement in its string is recorded with the same decision: one alert is enough.
      let last: Decision | null = null;
      return (record) => {
        if (record.kind === 'outcome') {
          if (!isCut(record)) return;
          metrics.raised('Cut');
          return send(context, (origin) => cutEvent(origin, record));
        }
        const { decision } = record;
        const reason = reasonOf(decision, record.kind);
        const inString = record.kind === 'intent' && record.protocol === 'Simple';
        if (reason === null || (inString && decision === last)) return;
        last = decision.verdict === 'Deny' ? decision : null;
        metrics.raised(reason);
        if (decision.alert === true) log.warn(fieldsOf(context, record.statement, decision), 'a rule raised an alert');
        send(context, (origin) => statementEvent(origin, record, document().audit));
      };
    },
  };
}

function isCut({ status, sqlstate }: OutcomeRecord): boolean {
  return status === 'Cancelled' && LIMITS.has(sqlstate);
}

/** A statement that passes is told of when it runs, not when it is prepared. */
function reasonOf(decision: Decision, kind: 'prepare' | 'intent'): 'Denied' | 'Rule' | null {
  if (decision.verdict === 'Allow') return decision.alert === true && kind === 'intent' ? 'Rule' : null;
  if (decision.alert) return 'Rule';
  return decision.asServer === true ? null : 'Denied';
}

function fieldsOf({ id, identity, database, role }: SessionContext, statement: number, decision: Decision): object {
  const { policy, rule } = decision.by ?? { policy: null, rule: null };
  return { user: identity.username, database, role, session: id, statement, verdict: decision.verdict, policy, rule };
}
