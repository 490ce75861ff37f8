import { draft, no, timed, type Verdict, yes } from './conditions.ts';
import type { RequestInput, RequestPlan } from './types.ts';

/**
 * The state of an AccessRequest. Decisions count only while a ValidatingAdmissionPolicy makes them authentic; this
 * version knows of none, so that a request waits until it expires or is withdrawn.
 */
export function planRequest({ request, now }: RequestInput): RequestPlan {
  const { metadata, spec, status } = request;
  // The API server takes times that are none, such as with the offset +99:99: they have come.
  const expires = spec.expiresAt === undefined ? null : Date.parse(spec.expiresAt) || 0;
  const generation = metadata.generation ?? 1;
  const [type, verdict] = stateOf(spec.withdrawn, expires, now);
  const conditions: [string, Verdict][] =
    type === 'Pending'
      ? [[type, verdict]]
      : [
          ['Pending', no(verdict.reason, verdict.message)],
          [type, verdict],
        ];
  return {
    status: {
      observedGeneration: generation,
      conditions: timed(
        conditions.map(([name, said]) => draft(name, said, generation)),
        status?.conditions,
        now,
      ),
    },
    requeueAfter: type === 'Pending' && expires !== null ? expires - now : null,
  };
}

function stateOf(withdrawn: boolean, expires: number | null, now: number): [string, Verdict] {
  if (withdrawn) return ['Withdrawn', yes('Withdrawn', 'the requester no longer wants it')];
  if (expires !== null && expires <= now) return ['Expired', yes('Expired', 'nobody has decided in time')];
  const message = 'nobody can approve in this version: decisions are kept and do not count';
  return ['Pending', yes('ApprovalsNotProtected', message)];
}
