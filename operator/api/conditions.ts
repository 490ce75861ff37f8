/** metav1.Condition. */
export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly observedGeneration: number;
  readonly lastTransitionTime: string;
  readonly reason: Reason;
  readonly message: string;
}

/** Every reason that a condition of ours can have; docs/status.md says of each what to do. */
export const REASONS = [
  'Accepted',
  'ResolvedRefs',
  'Programmed',
  'Ready',
  'Invalid',
  'NameConflict',
  'SecretNotFound',
  'CertificateNotReady',
  'ConfigTooLarge',
  'Progressing',
  'RolloutStuck',
  'ConfigNotConfirmed',
  'TargetNotFound',
  'ColumnNotFound',
  'PartiallyProgrammed',
  'Paused',
  'IncompleteView',
  'ApplyFailed',
  'Shadow',
  'ApprovalsNotProtected',
  'Expired',
  'Withdrawn',
] as const;

export type Reason = (typeof REASONS)[number];
