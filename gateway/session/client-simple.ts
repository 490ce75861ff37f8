import type { BoundParameter } from '../audit/record.ts';
import type { Analysis, Place, RawStatement } from '../sql/facts.ts';
import { decodeQuery } from '../wire/frontend.ts';
import type { Step } from '../wire/reader.ts';
import { type Around, after, atStart, callsNobody, runsBehindTables, usesWhatIsGone } from './around.ts';
import { applyNames, makesTables, noteSettings, noteUnread } from './effects.ts';
import { type DecodedText, readText } from './encoding.ts';
import { cancelledByUser, exhausted, type Judgement, judge, judgeUnread } from './judge.ts';
import type { Judged, Need } from './judged.ts';
import { uncountable } from './max-rows.ts';
import type { Running, Undo } from './names.ts';
import { gatewayDenial, type Refusal, refusalOf, replacement, SQLSTATE, serverDenial } from './refusal.ts';
import { reply, replyWith } from './replies.ts';
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

interface Plan {
  readonly statements: readonly Planned[];
  /** What the last of them is answered with in place of running it. */
  readonly refusal: Refusal | null;
  /** Bytes of the client's text in front of the refused statement. */
  readonly prefix: number;
}

/** Query: decides every statement of the string; forwards it as it is, or with the first denied one replaced. */
export function onQuery(s: SessionState, step: Step): Need | null {
  const { text } = decodeQuery(step.body);
  if (s.cancelled) return forwardWhole(s, step, text, cancelledByUser(null));
  const decoded = readText(s, text);
  if (decoded !== undefined && 'kind' in decoded) return decoded;
  if (decoded === undefined) return forwardUnread(s, step, text, undecodable(s));
  const analysis = s.env.analyze(decoded.utf8);
  if (analysis === null) return { kind: 'Analysis' };
  if (analysis.kind === 'NotUnderstood') return forwardUnread(s, step, decoded.utf8, analysis);
  if (analysis.kind === 'SyntaxError') return syntaxError(s, step, decoded, analysis);
  const plan = planString(s, decoded, analysis);
  if ('kind' in plan) return plan;
  forwardPlan(s, plan, step, text);
  return null;
}

/** A Query longer than what is analysed: its head. The rest follows the head, or nothing does. */
export function onQueryHead(s: SessionState, step: Step): boolean {
  forwardUnread(s, step, step.body, tooLong(s));
  return s.replies.last()?.refusal === null;
}

export function tooLong(s: SessionState): { reason: string; hint: string } {
  return {
    reason: `it is longer than ${s.env.statementBytes} bytes`,
    hint: 'Send it in smaller parts, or data by COPY or as parameters; spec.limits.statementBytes sets the limit.',
  };
}

export function undecodable(s: SessionState): { reason: string; hint: string } {
  return {
    reason: `its bytes are not valid in client_encoding ${s.settings.clientEncoding}, or that encoding cannot be read safely`,
    hint: 'Use client_encoding UTF8.',
  };
}

/** Nobody could analyse it: class Any lets it pass, else it is refused. */
function forwardUnread(s: SessionState, step: Step, text: Buffer, why: { reason: string; hint: string }): null {
  const around = s.surroundings();
  return forwardWhole(s, step, text, exhausted(around, null, 0) ?? judgeUnread(around, why.reason, why.hint));
}

/** One verdict for the whole string. */
function forwardWhole(s: SessionState, step: Step, text: Buffer, judged: Judged): null {
  const statements = [{ judged, text: text.toString('utf8'), undo: [] }];
  forwardPlan(s, { statements, refusal: judged.refusal, prefix: 0 }, step, text);
  return null;
}

/** PostgreSQL's own answer, in the place of the text (which must not reach a server that might read it otherwise). */
function syntaxError(s: SessionState, step: Step, text: DecodedText, error: Analysis & { kind: 'SyntaxError' }): null {
  const unread = judgeUnread(s.surroundings(), 'syntax error', '');
  return forwardWhole(s, step, text.utf8, unread.refusal === null ? unread : { ...unread, ...syntaxRefusal(error) });
}

export function syntaxRefusal(error: Analysis & { kind: 'SyntaxError' }): Pick<Judged, 'refusal' | 'decision'> {
  const refusal: Refusal = {
    code: SQLSTATE.syntax,
    message: error.message,
    ...(error.position > 0 ? { position: error.position } : {}),
    beforeTransactionState: true,
  };
  return { refusal, decision: serverDenial(error.message) };
}

function planString(s: SessionState, text: DecodedText, analysis: Analysis & { kind: 'Statements' }): Plan | Need {
  const { statements, places } = analysis;
  const [only] = statements;
  if (only !== undefined && statements.length === 1) return planOnly(s, text, only, places[0]!);
  const planned: Planned[] = [];
  let around = atStart(s);
  for (const [index, raw] of statements.entries()) {
    const judgement = judgeWithin(around, raw, index);
    if (judgement.kind === 'Wait') return giveUp(s, planned, judgement.need);
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

function forwardPlan(s: SessionState, plan: Plan, step: Step, text: Buffer): void {
  const { refusal } = plan;
  const running = plan.statements.map(({ judged, text: statement, undo }) => {
    const intent = recordIntent(s, 'Simple', statement, judged, []);
    intent.undo = undo;
    return intent;
  });
  for (const { judged } of plan.statements) {
    if (judged.refusal !== null) break;
    if (judged.raw === null) noteUnread(s);
    else if (!s.verdicts.isQuiet(judged.raw, judged)) noteSettings(s, judged.raw, judged.facts);
  }
  const nonce = refusal === null ? '' : s.env.nonce();
  const bytes = refusal === null ? step : replacement.query(text.subarray(0, plan.prefix), nonce);
  s.pipelineOpen = false;
  s.counting = refusal === null && running.some(({ bound }) => bound !== null);
  s.forward(bytes, refusal === null ? reply('Query', [], running) : replyWith('Query', { running, refusal, nonce }));
}

/** Writes the intent of a statement that is about to be forwarded or refused. */
export function recordIntent(
  s: SessionState,
  protocol: 'Simple' | 'Extended' | 'FunctionCall',
  text: string,
  judged: Judged,
  parameters: readonly BoundParameter[],
): Running {
  const statement = s.nextStatement();
  s.port.record({
    kind: 'intent',
    time: s.now,
    statement,
    protocol,
    text,
    parameters,
    facts: judged.facts,
    decision: judged.decision,
    revision: s.env.policies(s.now).revision,
    applicationName: s.settings.reported.get('application_name') ?? '',
  });
  // What is refused for its number is none of them, or a client that goes on asking would never get out.
  if (judged.refusal?.code !== SQLSTATE.limitExceeded) s.env.usage.addStatement(s.now);
  const bound = judged.bound ?? null;
  return {
    statement,
    startedAt: s.at,
    judged,
    undo: [],
    bound,
    metered: null,
    rows: 0,
    bytes: 0,
    executed: true,
    suspended: false,
    ended: false,
  };
}
