import { expect, test } from 'vitest';
import type { AccessRequest } from '../../operator/api/types.generated.ts';
import { planRequest } from '../../operator/plan/request.ts';
import { request } from '../operator/manifests.ts';
import { MINUTE, NOW } from './kit.ts';

const soon = { expiresAt: '2026-11-26T09:15:00Z' };

test.each<[string, object, readonly string[], number | null]>([
  [
    'waits: nobody can approve',
    soon,
    ['Pending True ApprovalsNotProtected: nobody can approve in this version: decisions are kept and do not count'],
    15 * MINUTE,
  ],
  [
    'without an end waits for ever',
    {},
    ['Pending True ApprovalsNotProtected: nobody can approve in this version: decisions are kept and do not count'],
    null,
  ],
  [
    'is over at its end',
    { expiresAt: '2026-11-26T09:00:00Z' },
    ['Pending False Expired: nobody has decided in time', 'Expired True Expired: nobody has decided in time'],
    null,
  ],
  [
    'is over when it is withdrawn, even after its end',
    { expiresAt: '2026-11-26T08:00:00Z', withdrawn: true },
    [
      'Pending False Withdrawn: the requester no longer wants it',
      'Withdrawn True Withdrawn: the requester no longer wants it',
    ],
    null,
  ],
  [
    'is not approved by what cannot be known to be authentic',
    {
      ...soon,
      decisions: [
        {
          issuer: 'corp',
          approver: 'bob',
          as: { group: 'dba' },
          verdict: 'Approve',
          channel: 'Cli',
          authTime: '2026-11-26T08:59:00Z',
        },
      ],
    },
    ['Pending True ApprovalsNotProtected: nobody can approve in this version: decisions are kept and do not count'],
    15 * MINUTE,
  ],
])('a request %s', (_name, spec, expected, requeueAfter) => {
  const planned = planRequest({ request: request('r', spec), now: NOW });
  const said = planned.status.conditions!.map(
    ({ type, status, reason, message }) => `${type} ${status} ${reason}: ${message}`,
  );
  expect(said).toEqual(expected);
  expect(planned.requeueAfter).toBe(requeueAfter);
});

test('the same again is the same status', () => {
  const first = request('r', soon);
  const { status } = planRequest({ request: first, now: NOW });
  const again: AccessRequest = { ...first, status };
  expect(planRequest({ request: again, now: NOW + MINUTE }).status).toEqual(status);
});

test('an end that the API server takes and nobody can read has come: nothing is looked at again and again', () => {
  const one = request('access');
  const odd: AccessRequest = { ...one, spec: { ...one.spec, expiresAt: '2026-12-31T00:00:00+99:99' } };
  const { status, requeueAfter } = planRequest({ request: odd, now: NOW });
  expect(requeueAfter).toBeNull();
  expect(status.conditions?.map(({ type, status: is }) => `${type} ${is}`)).toEqual(['Pending False', 'Expired True']);
});
