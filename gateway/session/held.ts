import type { Judged, Need } from './judged.ts';
import type { Names } from './names.ts';
import { type Refusal, SQLSTATE, serverDenial } from './refusal.ts';

const HELD: Refusal = {
  code: SQLSTATE.tooLarge,
  message: 'the prepared statements and cursors of this session have grown beyond 32 MiB',
  hint: 'Close those that are not needed any more (DEALLOCATE, CLOSE, or Close in the protocol).',
};

/** Why nothing more may be prepared or opened in this session for now; null: it may. Class Any is no exception. */
export function tooMuchHeld(names: Names): Need | Refusal | null {
  if (!names.isFull) return null;
  // Answers that are still to come let go of what was replaced.
  return names.mayEmpty ? { kind: 'Answers' } : HELD;
}

/** The judgement that says so. */
export function heldDenied(raw: Judged['raw']): Judged {
  return { raw, facts: null, decision: serverDenial(HELD.message), refusal: HELD };
}
