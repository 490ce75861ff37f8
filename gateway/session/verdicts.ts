import type { RawStatement } from '../sql/facts.ts';
import { notingOf } from './effects.ts';
import { auditDenied, type Judgement, judge } from './judge.ts';
import type { Judged, Verdict } from './judged.ts';
import type { SessionState } from './state.ts';

/** A verdict as of now. */
export function verdictOf(s: SessionState, raw: RawStatement | null, judged: Judged): Verdict {
  const lasting = raw !== null && lasts(raw, judged);
  return {
    judged,
    effective: s.env.policies(s.now).effective,
    catalog: judged.refusal === null ? s.env.catalog() : null,
    epoch: lasting ? s.settings.epoch : Number.NaN,
    noting: raw === null ? 'More' : notingOf(raw, judged.facts),
  };
}

/**
 * Whether a verdict is good for more than once. A refusal may hang on what could not be asked, a catalogue that cannot be
 * read or a transaction that is aborted; the session's own names come and go; changes of settings are judged by what
 * those are.
 */
function lasts({ settings, effects }: RawStatement, { refusal }: Judged): boolean {
  const steady = settings.every(({ kind }) => kind === 'Show') && effects.every(({ kind }) => kind === 'Transaction');
  return steady && refusal === null;
}

/** Whether nothing has changed that a verdict hung on: it outlives tokens, policies, settings and what names mean. */
export function isFresh(s: SessionState, verdict: Verdict | null): verdict is Verdict {
  if (verdict === null) return false;
  const { effective, timed } = s.env.policies(s.now);
  return (
    !timed &&
    verdict.effective === effective &&
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
  if (s.settings.standardStrings && isFresh(s, known)) return { kind: 'Judged', judged: known.judged };
  const judgement = judge(s.surroundings(), raw);
  if (judgement.kind === 'Judged' && lasts(raw, judgement.judged))
    s.verdicts.set(raw, verdictOf(s, raw, judgement.judged));
  return judgement;
}
