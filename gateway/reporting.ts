import type { ConfigSource } from './config/source.ts';
import { unenforced } from './config/unenforced.ts';
import { type ControlAddress, ControlClient } from './control/client.ts';
import { Findings } from './findings.ts';
import type { GatewayParts } from './gateway.ts';

/** Serving, on the way out with sessions, without any. */
export type Phase = 'Serving' | 'Draining' | 'Drained';

/** The gateway's side of its operator. */
export interface OperatorLink {
  /** Control streams that are open. */
  readonly open: number;
  /** The gateway is on its way out. */
  retire(): void;
  /** Says the last of it. */
  close(): Promise<void>;
}

/** Without an operator nothing is told. */
const ALONE: OperatorLink = { open: 0, retire() {}, async close() {} };

/** Connects the gateway to the operator: documents come from there, what became of them is told there. */
export function connectOperator(
  address: ControlAddress | null,
  config: ConfigSource,
  { sessions, catalog, upstream, secrets, revision, log }: GatewayParts,
  phase: () => Phase,
): OperatorLink {
  if (address === null) return ALONE;
  const findings = new Findings({ revision, catalog, upstream, onChange: () => client.report(false) });
  const client: ControlClient = new ControlClient({
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
      // Secrets first: long reports are cut.
      findings: [...secrets.findings(), ...findings.current],
    }),
    onConfiguration({ revision, sequence, document }) {
      // The record of revisions is closed once nobody is left whom they concern.
      if (phase() === 'Drained') return;
      config.offer(Buffer.from(document, 'base64'), { revision, sequence });
      client.report(true);
    },
  });
  config.subscribe(() => {
    client.report(true);
    findings.onRevision();
  });
  sessions.subscribe(() => client.report(false));
  catalog.subscribe(() => findings.onCatalog());
  return {
    get open() {
      return client.open;
    },
    retire() {
      findings.close();
      client.report(true);
    },
    close: () => client.close(),
  };
}
