import type { GatewayReport } from './config/control.ts';
import type { ConfigSource } from './config/source.ts';
import { unenforced } from './config/unenforced.ts';
import { type ControlAddress, ControlClient, type ControlLog } from './control/client.ts';
import type { Sessions } from './sessions.ts';

export interface ReportingParts {
  readonly config: ConfigSource;
  readonly sessions: Sessions;
  readonly log: ControlLog;
  readonly phase: () => 'Serving' | 'Draining' | 'Drained';
  readonly findings: () => GatewayReport['findings'];
}

/** Connects the gateway to the operator: documents in force come from there, what became of them is told there. */
export function connectOperator(address: ControlAddress, parts: ReportingParts): ControlClient {
  const { config, sessions, log, phase, findings } = parts;
  const client = new ControlClient({
    ...address,
    log,
    report: () => ({
      type: 'Report',
      revision: config.current.revision,
      sequence: config.sequence,
      refused: config.refused,
      sessions: sessions.size,
      draining: phase() !== 'Serving',
      unenforced: unenforced(config.current.document),
      findings: findings(),
    }),
    onConfiguration({ revision, sequence, document }) {
      // The record of revisions is closed once nobody is left whom they concern.
      if (phase() === 'Drained') return;
      config.offer(Buffer.from(document, 'base64'), { revision, sequence });
      client.report(true);
    },
  });
  config.subscribe(() => client.report(true));
  sessions.subscribe(() => client.report(false));
  return client;
}
