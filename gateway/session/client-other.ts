import { decodeFunctionCall } from '../wire/frontend.ts';
import { gatewayDenied, recordIntent } from './client-simple.ts';
import { noteSettings } from './effects.ts';
import { exhausted, judge } from './judge.ts';
import type { Judged, Need } from './judged.ts';
import { replacement } from './refusal.ts';
import { reply } from './replies.ts';
import type { SessionState } from './state.ts';

/** FunctionCall: a call by OID, judged as the call of the function that has it. */
export function onFunctionCall(s: SessionState, raw: Buffer, body: Buffer): Need | null {
  const call = decodeFunctionCall(body);
  const judged = exhausted(s.surroundings(), null, 0) ?? judgeCall(s, call.functionOid, call.parameters.length);
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
  if (refusal === null && judged.raw !== null) noteSettings(s, judged.raw, judged.facts);
  s.pipelineOpen = false;
  s.forward(
    refusal === null ? raw : replacement.functionCall(),
    reply('FunctionCall', { running: [running], refusal }),
  );
  return null;
}

function judgeCall(s: SessionState, oid: number, parameters: number): Judged | Need {
  if (s.env.catalog() === null) return { kind: 'Catalog' };
  const raw = s.env.functionFacts(oid, parameters);
  if (raw === undefined) {
    return gatewayDenied(
      null,
      `function call denied: no function with OID ${oid} is known`,
      'Call the function by name in a SELECT.',
    );
  }
  const judgement = judge(s.surroundings(), raw);
  return judgement.kind === 'Wait' ? judgement.need : judgement.judged;
}

/** CopyData bytes: to the server, which ignores them outside copy-in mode. */
export function onCopyData(s: SessionState, raw: Buffer): null {
  if (s.skipping) return null;
  const running = s.copyIn ? s.replies.head()?.running[s.replies.head()?.at ?? 0] : undefined;
  if (running !== undefined) running.bytes += raw.length;
  s.port.toServer(raw, null);
  return null;
}

/** CopyDone or CopyFail. */
export function onCopyEnd(s: SessionState, raw: Buffer): null {
  if (s.skipping) return null;
  if (s.copyIn) s.copyEnded = true;
  s.forward(raw, reply('CopyEnd'));
  return null;
}
