import type { BoundParameter } from '../audit/record.ts';
import type { Analysis, Place, RawStatement } from '../sql/facts.ts';
import { decodeQuery } from '../wire/frontend.ts';
import { applyNames, changesSettings, endsTransaction, noteSettings } from './effects.ts';
import { type DecodedText, readText } from './encoding.ts';
import { exhausted, type Judgement, judge, judgeUnread, type Surroundings } from './judge.ts';
import type { Judged, Need } from './judged.ts';
import { uncountable } from './max-rows.ts';
import type { Running, Undo } from './names.ts';
import { gatewayDenial, type Refusal, refusalOf, replacement, SQLSTATE, serverDenial } from './refusal.ts';
import { reply } from './replies.ts';
import { afterLiteralSets } from './simulate.ts';
import type { SessionState } from './state.ts';

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
export function onQuery(s: SessionState, raw: Buffer, body: Buffer): Need | null {
  const { text } = decodeQuery(body);
  const decoded = readText(s, text);
  if (decoded !== undefined && 'kind' in decoded) return decoded;
  if (decoded === undefined) return forwardUnread(s, raw, text, undecodable(s));
  const analysis = s.env.analyze(decoded.utf8);
  if (analysis === null) return { kind: 'Analysis' };
  if (analysis.kind === 'NotUnderstood') return forwardUnread(s, raw, decoded.utf8, analysis);
  if (analysis.kind === 'SyntaxError') return syntaxError(s, raw, decoded, analysis);
  const plan = planString(s, decoded, analysis);
  if ('kind' in plan) return plan;
  forwardPlan(s, plan, raw, text);
  return null;
}

/** A Query longer than what is analysed: its head. The rest follows the head, or nothing does. */
export function onQueryHead(s: SessionState, raw: Buffer): boolean {
  forwardUnread(s, raw, raw.subarray(5), tooLong(s));
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
function forwardUnread(s: SessionState, raw: Buffer, text: Buffer, why: { reason: string; hint: string }): null {
  const around = s.surroundings();
  const judged = exhausted(around, null, 0) ?? judgeUnread(around, why.reason, why.hint);
  const statements = [{ judged, text: text.toString('utf8'), undo: [] }];
  forwardPlan(s, { statements, refusal: judged.refusal, prefix: 0 }, raw, text);
  return null;
}

/** PostgreSQL's own answer, in the place of the text (which must not reach a server that might read it otherwise). */
function syntaxError(s: SessionState, raw: Buffer, text: DecodedText, error: Analysis & { kind: 'SyntaxError' }): null {
  const unread = judgeUnread(s.surroundings(), 'syntax error', '');
  const judged: Judged = unread.refusal === null ? unread : { ...unread, ...syntaxRefusal(error) };
  forwardPlan(
    s,
    {
      statements: [{ judged, text: text.utf8.toString('utf8'), undo: [] }],
      refusal: judged.refusal,
      prefix: 0,
    },
    raw,
    text.utf8,
  );
  return null;
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
  const planned: Planned[] = [];
  let around: Around = { ...s.surroundings(), changed: s.settings.touched };
  for (const [index, raw] of statements.entries()) {
    const judgement = judgeWithin(around, raw, index);
    if (judgement.kind === 'Wait') {
      for (const { undo } of planned.toReversed()) s.names.undo(undo);
      return judgement.need;
    }
    const { judged } = judgement;
    if (judged.refusal !== null) {
      // What follows is never reached, whatever it is.
      const rest = statements
        .slice(index)
        .map((left, i) => ({ judged: { ...judged, raw: left }, text: textOf(text, places[index + i]!), undo: [] }));
      const prefix = index === 0 ? 0 : text.original(places[index]!.offset);
      return { statements: [...planned, ...rest], refusal: judged.refusal, prefix };
    }
    planned.push({ judged, text: textOf(text, places[index]!), undo: applyNames(s, raw) });
    around = after(s, around, raw, judged);
  }
  return countable(s, { statements: planned, refusal: null, prefix: 0 });
}

/** A string whose rows have to be counted is refused where they would be committed before that. */
function countable(s: SessionState, plan: Plan): Plan | Need {
  const all = plan.statements.map(({ judged }) => judged);
  if (!all.some(({ bound }) => bound !== undefined)) return plan;
  if (s.replies.length === 0) {
    const refused = uncountable(s, all);
    if (refused === null) return plan;
    for (const { undo } of plan.statements.toReversed()) s.names.undo(undo);
    const statements = plan.statements.map((one) => ({
      ...one,
      judged: { ...refused, raw: one.judged.raw },
      undo: [],
    }));
    return { statements, refusal: refused.refusal, prefix: 0 };
  }
  for (const { undo } of plan.statements.toReversed()) s.names.undo(undo);
  return { kind: 'Answers' };
}

/** The statements before it in the string are not counted yet. */
function judgeWithin(around: Surroundings, raw: RawStatement, ahead: number): Judgement {
  const over = exhausted(around, raw, ahead);
  return over === null ? judge(around, raw) : { kind: 'Judged', judged: over };
}

function textOf(text: DecodedText, { offset, length }: Place): string {
  return text.utf8.toString('utf8', offset, offset + length);
}

/** What a statement in the middle of a string finds. */
interface Around extends Surroundings {
  /** The open transaction contains a change of settings, perhaps made earlier in this string. */
  readonly changed: boolean;
}

/** What the next statement of the string will find. */
function after(s: SessionState, around: Around, raw: RawStatement, judged: Judged): Around {
  if (around.changed && raw.effects.some(endsTransaction)) return { ...around, clouded: true };
  if (!changesSettings(raw, judged.facts)) return around;
  const foreseen = around.known === null ? null : afterLiteralSets(raw, around.known, s.env.catalog() ?? null);
  return { ...around, changed: true, known: foreseen, clouded: around.clouded || foreseen === null };
}

function forwardPlan(s: SessionState, plan: Plan, raw: Buffer, text: Buffer): void {
  const { refusal } = plan;
  const running = plan.statements.map(({ judged, text: statement, undo }) => {
    const intent = recordIntent(s, 'Simple', statement, judged, []);
    intent.undo = undo;
    return intent;
  });
  for (const { judged } of plan.statements) {
    if (judged.refusal !== null) break;
    if (judged.raw === null) s.settings.touch();
    else noteSettings(s, judged.raw, judged.facts);
  }
  const nonce = refusal === null ? '' : s.env.nonce();
  const bytes = refusal === null ? raw : replacement.query(text.subarray(0, plan.prefix), nonce);
  s.pipelineOpen = false;
  s.counting = refusal === null && running.some(({ bound }) => bound !== null);
  s.forward(bytes, reply('Query', { running, refusal, nonce }));
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

/** A denial of the gateway itself as a judged statement. */
export function gatewayDenied(raw: RawStatement | null, message: string, hint: string): Judged {
  const decision = gatewayDenial(message, hint);
  return { raw, facts: null, decision, refusal: refusalOf(decision) };
}
