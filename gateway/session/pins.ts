import { PINS_QUESTION } from '../catalog/questions.ts';
import type { RawStatement } from '../sql/facts.ts';
import { ask } from './asking.ts';
import type { Pins } from './environment.ts';
import type { Need } from './judged.ts';
import type { SessionState } from './state.ts';

/*
 * What policies hold a session to is told to the server as well: with the start-up packet, and here when a policy comes to
 * hold it closer. (What a policy loosens the client may loosen for itself.) In a transaction it waits for its end: facts
 * refuse what writes all the same.
 */

/** What has to be told to the server before the next statement; null: nothing, or not now. */
export function pinsNeeded(s: SessionState): Need | null {
  const { effective } = s.env.policies(s.now);
  if (effective === s.pinnedFor || s.askFailed !== null) return null;
  if (holds(s.pins ?? s.env.pinned, effective.session)) {
    s.pinnedFor = effective;
    return null;
  }
  return s.transaction === 'I' && !s.pipelineOpen ? { kind: 'Pins' } : null;
}

/** Whether what the server has been told is as close as what is wanted. */
function holds(told: Pins, wanted: Pins): boolean {
  if (wanted.readOnly && !told.readOnly) return false;
  if (wanted.statementTimeout === null) return true;
  return told.statementTimeout !== null && told.statementTimeout <= wanted.statementTimeout;
}

export function askPins(s: SessionState): void {
  const { readOnly, statementTimeout } = s.env.policies(s.now).effective.session;
  const parameters = [readOnly ? 'on' : '', statementTimeout === null ? '' : String(statementTimeout)];
  ask(s, { sql: PINS_QUESTION, parameters }, () => {
    s.pins = { readOnly, statementTimeout };
  });
}

/** RESET and its kin bring back what the session began with. */
export function forgetPins(s: SessionState, raw: RawStatement): void {
  const resets = raw.settings.some(({ kind }) => kind === 'Reset' || kind === 'ResetAll');
  if (!resets && !raw.effects.some((effect) => effect.kind === 'Discard')) return;
  s.pins = null;
  s.pinnedFor = null;
}
