/** What somebody can do about a condition that does not hold, by its reason; NAME and NS stand for the gateway's. */
const REMEDIES: ReadonlyMap<string, string> = new Map([
  ['Invalid', 'correct the field that the message names; what was in force before stays so until then'],
  ['NameConflict', 'delete or rename the objects that the message names, or give the gateway another name'],
  ['SecretNotFound', 'create the Secret, or the key of it, that the message names'],
  [
    'CertificateNotReady',
    'create the Secret of spec.tls.secretRef with tls.crt and tls.key, or look at its Certificate',
  ],
  ['ConfigTooLarge', 'take rules out, or serve some of the policies by a second gateway'],
  ['Progressing', 'wait; if nothing changes for minutes: kubectl describe pods -n NS -l postern.dev/gateway=NAME'],
  ['RolloutStuck', 'kubectl describe pods -n NS -l postern.dev/gateway=NAME says why the new pods do not start'],
  [
    'ConfigNotConfirmed',
    'kubectl logs -n NS -l postern.dev/gateway=NAME says what the pods object to, or whom they cannot reach',
  ],
  ['TargetNotFound', 'correct spec.targetRefs, or create the gateway in the same namespace'],
  ['ColumnNotFound', 'correct the columns that the message names, or create them in the database'],
  ['PartiallyProgrammed', 'see what the message says of each gateway'],
  ['Paused', 'when you are done: kubectl annotate pggw -n NS NAME postern.dev/paused-'],
  ['ApprovalsNotProtected', 'install the admission policy for approvals that comes with the chart'],
]);

export const UNSEEN = 'wait for the operator; if nothing changes: does it run, and does it watch this namespace?';

export function remedyFor(reason: string, namespace: string, gateway: string): string | null {
  const text = REMEDIES.get(reason);
  return text === undefined ? null : text.replaceAll('NAME', gateway).replaceAll('NS', namespace);
}
