import type { Analysis, Place, RawStatement } from '../sql/facts.ts';
import type { Wanted } from '../sql/resolve-environment.ts';
import { type Around, after, atStart, callsNobody, runsBehindTables, usesWhatIsGone } from './around.ts';
import { applyNames, makesTables } from './effects.ts';
import type { DecodedText } from './encoding.ts';
import { exhausted, type Judgement, judge } from './judge.ts';
import type { Judged, Need } from './judged.ts';
import { uncountable } from './max-rows.ts';
import type { Undo } from './names.ts';
import { gatewayDenial, type Refusal, refusalOf } from './refusal.ts';
import type { KnownSettings } from './settings.ts';
import { afterLiteralSets } from './simulate.ts';
import type { SessionState } from './state.ts';
import { judgeText } from './verdicts.ts';

/** One statement of a string, with its text for the record. */
interface Planned {
  readonly judged: Judged;
  readonly text: string;
  readonly undo: readonly Undo[];
}

/** What is to be done with a string. */
export interface Plan {
  readonly statements: readonly Planned[];
  /** What the last of them is answered with in place of running it. */
  readonly refusal: Refusal | null;
  /** Bytes of the client's text in front of the refused statement. */
  readonly prefix: number;
}

/** Decides every statement of a string as it will find things when those before it have run. */
export function planString(
  s: SessionState,
  text: DecodedText,
  analysis: Analysis & { kind: 'Statements' },
): Plan | Need {
  const { statements, places } = analysis;
  const [only] = statements;
  if (only !== undefined && statements.length === 1) return planOnly(s, text, only, places[0]!);
  const planned: Planned[] = [];
  let around = atStart(s);
  for (const [index, raw] of statements.entries()) {
    const judgement = judgeWithin(around, raw, index);
    if (judgement.kind === 'Wait')
      return giveUp(s, planned, withLater(around, statements.slice(index + 1), judgement.need));
    const { judged } = judgement;
    if (judged.refusal !== null) {
      // What follows is never reached, whatever it is.
      const rest = statements
        .slice(index)
        .map((left, i) => ({ judged: { ...judged, raw: left }, text: textOf(text, places[index + i]!), undo: [] }));
      const prefix = index === 0 ? 0 : text.original(places[index]!.offset);
      return { statements: [...planned, ...rest], refusal: judged.refusal, prefix };
    }
    const own = textOf(text, places[index]!);
    planned.push({ judged, text: own, undo: applyNames(s, raw, own) });
    if (index + 1 < statements.length && mustKnow(s, around, raw)) return giveUp(s, planned, { kind: 'Settings' });
    around = after(s, around, raw, judged.facts);
  }
  return countable(s, { statements: planned, refusal: null, prefix: 0 });
}

/** The usual string: one statement. */
function planOnly(s: SessionState, text: DecodedText, raw: RawStatement, place: Place): Plan | Need {
  const over = exhausted(s, raw, 0);
  const judgement = over === null ? judgeText(s, raw) : { kind: 'Judged' as const, judged: over };
  if (judgement.kind === 'Wait') return judgement.need;
  const { judged } = judgement;
  const own = textOf(text, place);
  const undo = judged.refusal === null ? applyNames(s, raw, own) : [];
  const plan = { statements: [{ judged, text: own, undo }], refusal: judged.refusal, prefix: 0 };
  return judged.refusal === null ? countable(s, plan) : plan;
}

/** Names that are asked for beside those of the statement at hand. */
const MOST_LATER = 5_000;

/**
 * With what the statements behind it will ask for: one by one they would take as many rounds, each of which plans the string
 * anew. Test: "thousands of relations that nobody has are soon answered".
 */
function withLater(around: Around, later: readonly RawStatement[], need: Need): Need {
  if (need.kind !== 'Names') return need;
  const wanted: Wanted[] = [need];
  let count = 0;
  for (const raw of later) {
    const judgement = judgeWithin(around, raw, 0);
    if (judgement.kind !== 'Wait') continue;
    // What that one waits for comes first.
    if (judgement.need.kind !== 'Names') break;
    wanted.push(judgement.need);
    count += judgement.need.relations.length + judgement.need.functions.length + judgement.need.types.length;
    if (count > MOST_LATER) break;
  }
  return {
    kind: 'Names',
    relations: wanted.flatMap(({ relations }) => relations),
    functions: wanted.flatMap(({ functions }) => functions),
    types: wanted.flatMap(({ types }) => types),
  };
}

/** The string is planned again when the answer is in. */
function giveUp(s: SessionState, planned: readonly Planned[], need: Need): Need {
  takeBack(s, planned);
  return need;
}

function takeBack(s: SessionState, planned: readonly Planned[]): void {
  for (const { undo } of planned.toReversed()) s.names.undo(undo);
}

/** What a literal SET of search_path makes of names can be foreseen once the settings are known, and a temporary table. */
function mustKnow(s: SessionState, around: Around, raw: RawStatement): boolean {
  if (around.known !== null || around.clouded !== 'Nothing' || around.aborted || around.askFailed !== null)
    return false;
  if (s.env.policies(s.now).effective.unrestricted) return false;
  return makesTables(raw) || afterLiteralSets(raw, UNKNOWN, s.env.catalog() ?? null) !== null;
}

const UNKNOWN: KnownSettings = { searchPath: [], namesTemporary: false, currentUser: '', sessionUser: '' };

/** A string whose rows have to be counted is refused where they would be committed before that. */
function countable(s: SessionState, plan: Plan): Plan | Need {
  const all = plan.statements.map(({ judged }) => judged);
  if (!all.some(({ bound }) => bound !== undefined)) return plan;
  if (s.replies.length === 0) {
    const refused = uncountable(s, all);
    if (refused === null) return plan;
    takeBack(s, plan.statements);
    const statements = plan.statements.map((one) => ({
      ...one,
      judged: { ...refused, raw: one.judged.raw },
      undo: [],
    }));
    return { statements, refusal: refused.refusal, prefix: 0 };
  }
  return giveUp(s, plan.statements, { kind: 'Answers' });
}

/** The statements before it in the string are not counted yet, and what they define is not there to be looked at. */
function judgeWithin(around: Around, raw: RawStatement, ahead: number): Judgement {
  const over = exhausted(around, raw, ahead);
  if (over !== null) return { kind: 'Judged', judged: over };
  const judgement = judge(
    usesWhatIsGone(around.gone, raw) || runsBehindTables(around.earlier, raw)
      ? { ...around, clouded: 'Everything' }
      : around,
    raw,
  );
  const open = !around.codeMade || around.env.policies(around.now).effective.unrestricted;
  if (judgement.kind === 'Wait' || open || !callsNobody(judgement.judged, around.earlier)) return judgement;
  const decision = gatewayDenial(
    'a statement earlier in the same string defines code, so what this one calls is not understood',
    'Send it as a string of its own.',
  );
  return { kind: 'Judged', judged: { raw, facts: judgement.judged.facts, decision, refusal: refusalOf(decision) } };
}

function textOf(text: DecodedText, { offset, length }: Place): string {
  return text.utf8.toString('utf8', offset, offset + length);
}
