import type { Reason } from '../../operator/api/conditions.ts';

/**
 * What somebody can do about a condition that does not hold, by its reason; null: the reason is none to do anything. NAME
 * and NS stand for the gateway's.
 */
const REMEDIES: Readonly<Record<Reason, string | null>> = {
  Accepted: null,
  ResolvedRefs: null,
  Programmed: null,
  Ready: null,
  Invalid: 'correct the field that the message names; what was in force before stays so until then',
  NameConflict: 'delete or rename the objects that the message names, or give the gateway another name',
  SecretNotFound: 'create the Secret, or the key of it, that the message names',
  CertificateNotReady:
    'create the Secret of spec.tls.secretRef with tls.crt and tls.key, or look at the Certificate that makes it',
  ConfigTooLarge: 'take rules out, or serve some of the policies by a second gateway',
  Progressing: 'wait; if nothing changes for minutes: kubectl describe pods -n NS -l postern.dev/gateway=NAME',
  RolloutStuck: 'kubectl describe pods -n NS -l postern.dev/gateway=NAME says why the new pods do not start',
  ConfigNotConfirmed:
    'kubectl logs -n NS -l postern.dev/gateway=NAME says what the pods object to, or whom they cannot reach',
  TargetNotFound: 'correct spec.targetRefs, or create the gateway in the same namespace',
  ColumnNotFound: 'correct the columns that the message names, or create them in the database',
  PartiallyProgrammed: 'see what the message says of each gateway',
  Paused: 'when you are done: kubectl annotate pggw -n NS NAME postern.dev/paused-',
  IncompleteView:
    'see that the CRDs of Postern are there and that the operator may list their objects; its log says which',
  ApplyFailed: 'see what the message says that the API server refuses: rights, a quota, an admission policy',
  Shadow: null,
  ApprovalsNotProtected: 'install the admission policy for approvals that comes with the chart',
  Expired: null,
  Withdrawn: null,
};

export const UNSEEN = 'wait for the operator; if nothing changes: does it run, and does it watch this namespace?';

/** For a reason of whatever version of the operator; null: there is none. */
export function remedyFor(reason: string, namespace: string, gateway: string): string | null {
  const text = Object.hasOwn(REMEDIES, reason) ? REMEDIES[reason as Reason] : null;
  return text?.replaceAll('NAME', gateway).replaceAll('NS', namespace) ?? null;
}
