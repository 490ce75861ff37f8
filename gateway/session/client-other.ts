import { decodeFunctionCall, decodeFunctionCallHead, type FunctionCallHead } from '../wire/frontend.ts';
import type { Step } from '../wire/reader.ts';
import { recordIntent } from './client-simple.ts';
import { noteSettings, noteUnread } from './effects.ts';
import { cancelled, exhausted, judge, judgeUnread } from './judge.ts';
import type { Judged, Need } from './judged.ts';
import { replacement } from './refusal.ts';
import { reply, replyWith } from './replies.ts';
import type { SessionState } from './state.ts';

/** FunctionCall: a call by OID, judged as the call of the function that has it. */
export function onFunctionCall(s: SessionState, step: Step): Need | null {
  const call = decodeFunctionCall(step.body);
  return callFunction(s, step, { ...call, parameterCount: call.parameters.length });
}

/** A large FunctionCall, such as lo_write of megabytes: decided by its head. The rest goes where the head went. */
export function onFunctionCallHead(s: SessionState, step: Step): Need | null {
  const need = callFunction(s, step, decodeFunctionCallHead(step.raw));
  s.spillForwarded = need === null && s.replies.last()?.refusal === null;
  return need;
}

function callFunction(s: SessionState, step: Step, call: FunctionCallHead): Need | null {
  const judged = exhausted(s, null, 0) ?? judgeCall(s, call.functionOid, call.parameterCount);
  if ('kind' in judged) return judged;
  const { formats } = call;
  const parameters = call.parameters.map((value, i) => {
    const format = formats.length === 1 ? formats[0] : formats[i];
    return { type: 0, format: format === 1 ? ('binary' as const) : ('text' as const), value };
  });
  const name = judged.raw?.functions[0];
  const text =
    name === undefined ? `function call of OID ${call.functionOid}` : `function call of ${name.schema}.${name.name}`;
  const running = recordIntent(s, 'FunctionCall', text, judged, parameters);
  const { refusal } = judged;
  if (refusal === null) {
    if (judged.raw === null) noteUnread(s);
    else noteSettings(s, judged.raw, judged.facts);
  }
  s.pipelineOpen = false;
  s.forward(
    refusal === null ? step : replacement.functionCall(),
    replyWith('FunctionCall', { running: [running], refusal }),
  );
  return null;
}

function judgeCall(s: SessionState, oid: number, parameters: number): Judged | Need {
  if (s.cancelled !== null) return cancelled(s.cancelled, null);
  if (s.env.catalog() === null) return { kind: 'Catalog' };
  const raw = s.env.functionFacts(oid, parameters);
  if (raw === undefined) {
    const hint = 'Call the function by name in a SELECT.';
    return judgeUnread(s.surroundings(), `no function with OID ${oid} is known`, hint);
  }
  const judgement = judge(s.surroundings(), raw);
  return judgement.kind === 'Wait' ? judgement.need : judgement.judged;
}

/**
 * A CopyData message begins: to the server in copy-in mode alone, as it would ignore it otherwise, and perhaps has to be
 * told something by us meanwhile. Test: "a COPY that fails within a later CopyData message keeps the session in step".
 */
export function onCopyData(s: SessionState): Need | null {
  s.spillForwarded = !s.skipping && s.copyIn && !s.copyEnded;
  return s.spillForwarded || s.skipping || s.replies.length === 0 ? null : { kind: 'Answers' };
}

export function noteCopied(s: SessionState, step: Step): void {
  const head = s.copyIn && s.spillForwarded ? s.replies.head() : undefined;
  const running = head?.running[head.at];
  if (running !== undefined) running.bytes += step.length;
}

/** CopyDone or CopyFail. */
export function onCopyEnd(s: SessionState, step: Step): null {
  if (s.skipping) return null;
  if (s.copyIn) s.copyEnded = true;
  s.forward(step, reply('CopyEnd'));
  return null;
}
