import { expect, test } from 'vitest';
import type { Condition } from '../../operator/api/conditions.ts';
import { flux, health, kustomized, scripts } from './health.ts';

const KINDS = ['PostgresGateway', 'AccessPolicy', 'MaskingRule'];

type Known = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;
const condition = (type: string, status: Known['status'], reason: Known['reason'], message = ''): Known => ({
  type,
  status,
  reason,
  message,
});
const object = (conditions: readonly Known[] | null, observedGeneration = 2) => ({
  metadata: { generation: 2 },
  ...(conditions === null ? {} : { status: { observedGeneration, conditions } }),
});

test('there is one script, for each kind that people write', () => {
  expect(Object.keys(scripts)).toEqual(KINDS.map((kind) => `resource.customizations.health.postern.dev_${kind}`));
  expect(new Set(Object.values(scripts)).size).toBe(1);
  const { current, failed } = flux.healthCheckExprs[0];
  expect(flux.healthCheckExprs).toEqual(
    KINDS.map((kind) => ({ apiVersion: 'postern.dev/v1alpha1', kind, current, failed })),
  );
});

test.each<[string, object, string, string]>([
  ['new: no status', object(null), 'Progressing', 'The operator has not seen this generation yet'],
  [
    'edited: the status is of the generation before',
    object([condition('Ready', 'True', 'Programmed')], 1),
    'Progressing',
    'The operator has not seen this generation yet',
  ],
  ['seen, and not judged', object([]), 'Progressing', 'The operator has not judged it yet'],
  [
    'unknown',
    object([condition('Ready', 'Unknown', 'Progressing', 'Waiting for pods')]),
    'Progressing',
    'Waiting for pods',
  ],
  [
    'ready',
    object([condition('Accepted', 'True', 'Accepted'), condition('Ready', 'True', 'Programmed', 'All pods run it')]),
    'Healthy',
    'All pods run it',
  ],
  ['a policy that only records', object([condition('Ready', 'True', 'Shadow')]), 'Healthy', ''],
  [
    'pods have not confirmed for a minute',
    object([condition('Ready', 'False', 'ConfigNotConfirmed', 'orders-1 has not')]),
    'Degraded',
    'orders-1 has not',
  ],
  ['a certificate that is on its way', object([condition('Ready', 'False', 'CertificateNotReady')]), 'Progressing', ''],
  [
    'a gateway that comes later in the same sync',
    object([condition('Ready', 'False', 'TargetNotFound')]),
    'Progressing',
    '',
  ],
  [
    'invalid',
    object([
      condition('Accepted', 'False', 'Invalid'),
      condition('Ready', 'False', 'Invalid', 'spec.role: no such role'),
    ]),
    'Degraded',
    'spec.role: no such role',
  ],
  ['stuck', object([condition('Ready', 'False', 'RolloutStuck')]), 'Degraded', ''],
  [
    'an operator that cannot do its work, also on a generation that it has not got to',
    object([condition('Ready', 'True', 'Ready'), condition('Stalled', 'True', 'ApplyFailed', 'exceeded quota')], 1),
    'Degraded',
    'exceeded quota',
  ],
  [
    'a name in a policy that the database lacks: in force all the same',
    object([condition('Ready', 'True', 'Ready'), condition('ResolvedRefs', 'False', 'TargetNotFound')]),
    'Healthy',
    '',
  ],
  [
    'a rule that this gateway cannot enforce',
    object([condition('Ready', 'False', 'PartiallyProgrammed')]),
    'Degraded',
    '',
  ],
  [
    'paused while ready',
    object([condition('Ready', 'True', 'Programmed'), condition('Accepted', 'True', 'Paused', 'postern.dev/paused')]),
    'Suspended',
    'postern.dev/paused',
  ],
])('%s', (_, given, status, message) => {
  expect(health(given)).toEqual({ status, message });
  // Flux knows nothing of pausing.
  if (status !== 'Suspended') expect(kustomized(given)).toBe(status);
});
