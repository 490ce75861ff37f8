import type { GatewayReport } from './config/control.ts';
import type { ConfigDocument, SecretSource } from './config/document.ts';
import { missingSecrets } from './config/secret-uses.ts';

/** Milliseconds for which an answer is kept: reports are many, and each look reads files. */
const KEEP = 1000;

export interface SecretCheck {
  /** What is missing now of the Secrets that the configuration names. */
  findings(): GatewayReport['findings'];
  /**
   * Why this gateway should not be sent anybody yet; null: it may. Once everything has been there it stays so: a Secret
   * that goes away later takes its own role or issuer with it, not the pods for all the others.
   */
  notReady(): string | null;
}

export function checkSecrets(
  document: () => ConfigDocument,
  secrets: SecretSource,
  monotonic: () => number,
): SecretCheck {
  let kept: { readonly of: ConfigDocument; readonly at: number; readonly found: GatewayReport['findings'] } | null =
    null;
  let wasComplete = false;
  const findings = (): GatewayReport['findings'] => {
    const present = document();
    if (kept === null || kept.of !== present || monotonic() - kept.at >= KEEP)
      kept = { of: present, at: monotonic(), found: look(present, secrets) };
    return kept.found;
  };
  return {
    findings,
    notReady() {
      if (wasComplete) return null;
      const [first] = findings();
      wasComplete = first === undefined;
      return first === undefined ? null : `${first.path}: ${first.message}`;
    },
  };
}

function look(document: ConfigDocument, secrets: SecretSource): GatewayReport['findings'] {
  const { namespace } = document.gateway;
  return missingSecrets(document, secrets).map(({ path, secret, missing, isThere }) => ({
    kind: 'Secret',
    namespace,
    name: secret,
    path,
    message: isThere ? `Secret ${secret} lacks ${missing.join(', ')}` : `Secret ${secret} is missing`,
  }));
}
