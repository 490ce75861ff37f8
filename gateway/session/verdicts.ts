import type { RawStatement } from '../sql/facts.ts';
import { isQuiet } from './effects.ts';
import { auditDenied, type Judgement, judge } from './judge.ts';
import type { Judged, Verdict } from './judged.ts';
import type { SessionState } from './state.ts';

/**
 * A verdict as of now. A refusal does not last: it may hang on what could not be asked, a catalogue that cannot be read or
 * a transaction that is aborted.
 */
export function verdictOf(s: SessionState, raw: RawStatement | null, judged: Judged): Verdict {
  const lasts = judged.refusal === null;
  return {
    judged,
    effective: s.env.policies(s.now).effective,
    catalog: lasts ? s.env.catalog() : null,
    epoch: lasts ? s.settings.epoch : Number.NaN,
    quiet: raw !== null && isQuiet(raw, judged.facts),
  };
}

/**
 * Whether nothing has changed that a verdict hung on: it outlives tokens, policies, settings and what names mean. What
 * uses the session's own names, which come and go, is judged each time; so are changes of settings, by what those are.
 */
export function isFresh(s: SessionState, raw: RawStatement, verdict: Verdict | null): verdict is Verdict {
  if (verdict === null) return false;
  const { effective, timed } = s.env.policies(s.now);
  return (
    !timed &&
    verdict.effective === effective &&
    isSteady(raw) &&
    verdict.catalog === s.env.catalog() &&
    verdict.epoch === s.settings.epoch
  );
}

/** Judges a statement that comes as a text, by what was decided before where that holds. */
export function judgeText(s: SessionState, raw: RawStatement): Judgement {
  const unavailable = s.env.auditUnavailable();
  if (unavailable !== null) return { kind: 'Judged', judged: auditDenied(raw, unavailable) };
  const known = s.verdicts.get(raw);
  // How the server reads a text is no part of a verdict on what was read.
  if (s.settings.standardStrings && isFresh(s, raw, known)) return { kind: 'Judged', judged: known.judged };
  const judgement = judge(s.surroundings(), raw);
  if (judgement.kind === 'Judged' && judgement.judged.refusal === null && isSteady(raw))
    s.verdicts.set(raw, verdictOf(s, raw, judgement.judged));
  return judgement;
}

function isSteady({ settings, effects }: RawStatement): boolean {
  return settings.every(({ kind }) => kind === 'Show') && effects.every(({ kind }) => kind === 'Transaction');
}
