import type { BoundParameter } from '../audit/record.ts';
import type { Analysis } from '../sql/facts.ts';
import { decodeQuery } from '../wire/frontend.ts';
import type { Step } from '../wire/reader.ts';
import { noteSettings, noteUnread } from './effects.ts';
import { type DecodedText, readText } from './encoding.ts';
import { cancelled, exhausted, judgeUnread } from './judge.ts';
import type { Judged, Need } from './judged.ts';
import type { Running } from './names.ts';
import { type Plan, planString } from './plan-string.ts';
import { type Refusal, replacement, SQLSTATE, serverDenial } from './refusal.ts';
import { reply, replyWith } from './replies.ts';
import type { SessionState } from './state.ts';

/** Query: decides every statement of the string; forwards it as it is, or with the first denied one replaced. */
export function onQuery(s: SessionState, step: Step): Need | null {
  const { text } = decodeQuery(step.body);
  if (s.cancelled !== null) return forwardWhole(s, step, text, cancelled(s.cancelled, null));
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
