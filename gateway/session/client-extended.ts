import type { BoundParameter } from '../audit/record.ts';
import {
  type Bind,
  type BindHead,
  decodeBind,
  decodeBindHead,
  decodeClose,
  decodeDescribe,
  decodeExecute,
  decodeParse,
  type Parse,
} from '../wire/frontend.ts';
import type { Step } from '../wire/reader.ts';
import { recordIntent, syntaxRefusal, tooLong, undecodable } from './client-simple.ts';
import { applyNames, noteSettings, noteUnread } from './effects.ts';
import { readText } from './encoding.ts';
import { heldDenied, tooMuchHeld } from './held.ts';
import { auditDenied, cancelled, exhausted, judge, judgeUnread, withParameterTypes } from './judge.ts';
import type { Judged, Need } from './judged.ts';
import { inParts } from './max-rows.ts';
import { doubtOf } from './named.ts';
import { type Portal, type PreparedStatement, protocolName, type Undo, type Unread } from './names.ts';
import { type Refusal, replacement, SQLSTATE, serverDenial } from './refusal.ts';
import { type Reply, reply, replyWith } from './replies.ts';
import type { SessionState } from './state.ts';
import { isFresh, judgeText, verdictOf } from './verdicts.ts';

const ANSWERS: Need = { kind: 'Answers' };

/** Sends what makes the server fail in the place of a message; all up to the next Sync is skipped, here as there. */
function refuse(s: SessionState, refusal: Refusal, parts: Partial<Pick<Reply, 'running' | 'undo'>> = {}): null {
  const nonce = s.env.nonce();
  s.pipelineOpen = true;
  s.forward(replacement.extended(nonce), replyWith('Refused', { refusal, nonce, ...parts }));
  s.skipping = true;
  return null;
}

/** A Parse that fails takes the former unnamed statement with it, as in the server. */
function refuseParse(s: SessionState, name: string, refusal: Refusal): null {
  return refuse(s, refusal, { undo: name === '' ? [s.names.setStatement('', undefined)] : [] });
}

/** Parse: decides early, and remembers the statement for Bind. */
export function onParse(s: SessionState, step: Step): Need | null {
  const parse = decodeParse(step.body);
  const read = readParse(s, parse);
  if ('kind' in read) return read;
  const { judged, text, why } = read;
  recordPrepare(s, parse.statement, text, judged);
  if (judged.refusal !== null) return refuseParse(s, parse.statement, judged.refusal);
  const statement: PreparedStatement = {
    text,
    raw: judged.raw,
    unread: why,
    parameterTypes: parse.parameterTypes,
    verdict: verdictOf(s, judged.raw, judged),
  };
  const undo = [s.names.setStatement(protocolName(parse.statement), statement)];
  s.pipelineOpen = true;
  s.forward(step, reply('Parse', undo));
  return null;
}

function recordPrepare(s: SessionState, name: string, text: string, { facts, decision }: Judged): void {
  const statement = s.nextStatement();
  const { revision } = s.env.policies(s.now);
  s.port.record({ kind: 'prepare', time: s.now, statement, name, text, facts, decision, revision });
}

/** A Parse longer than what is analysed: only class Any lets it pass. True: the rest follows the head. */
export function onParseHead(s: SessionState, step: Step): boolean {
  const { body } = step;
  const why = tooLong(s);
  const end = body.indexOf(0);
  const readable = s.names.isFull ? heldDenied(null) : judgeUnread(s.surroundings(), why.reason, why.hint);
  const judged = end < 0 ? endlessName() : readable;
  const name = body.toString('latin1', 0, Math.max(0, end));
  const text = body.toString('utf8', end + 1);
  recordPrepare(s, name, text, judged);
  if (judged.refusal !== null) {
    refuseParse(s, name, judged.refusal);
    return false;
  }
  const statement: PreparedStatement = { text, raw: null, unread: why, parameterTypes: [], verdict: null };
  const undo = [s.names.setStatement(protocolName(name), statement)];
  s.pipelineOpen = true;
  s.forward(step, reply('Parse', undo));
  return true;
}

function endlessName(): Judged {
  const message = 'the statement name in Parse does not end';
  return {
    raw: null,
    facts: null,
    decision: serverDenial(message),
    refusal: { code: SQLSTATE.protocolViolation, message },
  };
}

interface Read {
  readonly judged: Judged;
  readonly text: string;
  readonly why: Unread | null;
}

function readParse(s: SessionState, parse: Parse): Read | Need {
  if (s.cancelled !== null)
    return { judged: cancelled(s.cancelled, null), text: parse.text.toString('utf8'), why: null };
  const held = tooMuchHeld(s.names);
  if (held !== null && 'kind' in held) return held;
  if (held !== null) return { judged: heldDenied(null), text: parse.text.toString('utf8'), why: null };
  const decoded = readText(s, parse.text);
  if (decoded !== undefined && 'kind' in decoded) return decoded;
  const text = (decoded?.utf8 ?? parse.text).toString('utf8');
  const notRead = (why: Unread): Read => ({ judged: unread(s, why), text, why });
  if (decoded === undefined) return notRead(undecodable(s));
  const analysis = s.env.analyze(decoded.utf8);
  if (analysis === null) return { kind: 'Analysis' };
  if (analysis.kind === 'NotUnderstood') return notRead(analysis);
  if (analysis.kind === 'SyntaxError') {
    const read = notRead({ reason: 'syntax error', hint: '' });
    return read.judged.refusal === null ? read : { ...read, judged: { ...read.judged, ...syntaxRefusal(analysis) } };
  }
  const [first] = analysis.statements;
  if (first === undefined) return { judged: EMPTY, text, why: null };
  if (analysis.statements.length > 1) return { judged: severalCommands(), text, why: null };
  const raw = withParameterTypes(first, parse.parameterTypes);
  const judgement = raw === first ? judgeText(s, raw) : judge(s.surroundings(), raw);
  return judgement.kind === 'Wait' ? judgement.need : { judged: judgement.judged, text, why: null };
}

/** The empty statement does nothing: EmptyQueryResponse. */
const EMPTY: Judged = { raw: null, facts: null, decision: { verdict: 'Allow', by: null, shadow: [] }, refusal: null };

function unread(s: SessionState, why: Unread): Judged {
  return judgeUnread(s.surroundings(), why.reason, why.hint);
}

function severalCommands(): Judged {
  const message = 'cannot insert multiple commands into a prepared statement';
  return { raw: null, facts: null, decision: serverDenial(message), refusal: { code: SQLSTATE.syntax, message } };
}

/** The verdict on a prepared statement as of now. */
function judgePrepared(s: SessionState, statement: PreparedStatement): Judged | Need {
  if (s.cancelled !== null) return cancelled(s.cancelled, statement.raw);
  const unavailable = s.env.auditUnavailable();
  if (unavailable !== null) return auditDenied(statement.raw, unavailable);
  const { verdict, raw } = statement;
  const why = doubtOf(s, statement);
  if (why !== null) return unread(s, why);
  if (raw === null) return statement.unread === null ? EMPTY : unread(s, statement.unread);
  if (isFresh(s, verdict)) return verdict.judged;
  const judgement = judge(s.surroundings(), raw);
  if (judgement.kind === 'Wait') return judgement.need;
  statement.verdict = verdictOf(s, raw, judgement.judged);
  return judgement.judged;
}

export function onBind(s: SessionState, step: Step): Need | null {
  return bind(s, step, decodeBind(step.body));
}

/** A large Bind: decided by its head. True: the rest follows. */
export function onBindHead(s: SessionState, step: Step): Need | null {
  return bind(s, step, decodeBindHead(step.raw));
}

/** Bind is execution: input functions and constant functions run here. */
function bind(s: SessionState, step: Step, message: Bind | BindHead): Need | null {
  const key = protocolName(message.statement);
  if (s.names.isUncertain(s.names.statements, key)) return ANSWERS;
  const statement = s.names.statements.get(key) ?? unseen(s, message.statement);
  if (statement === undefined) return refuse(s, noSuchStatement(message.statement));
  const held = message.portal === '' ? null : tooMuchHeld(s.names);
  if (held !== null && 'kind' in held) return held;
  const judged =
    held === null ? (exhausted(s, statement.raw, 0) ?? judgePrepared(s, statement)) : heldDenied(statement.raw);
  if ('kind' in judged) return judged;
  const running = recordIntent(s, 'Extended', statement.text, judged, parametersOf(statement, message));
  if (judged.refusal !== null) return refuse(s, judged.refusal, { running: [running] });
  running.executed = false;
  const portal: Portal = { statement, held: false, running, mark: s.replies.sent };
  const undo = [s.names.setPortal(protocolName(message.portal), portal)];
  s.pipelineOpen = true;
  s.forward(step, reply('Bind', undo, [running]));
  return null;
}

export function parametersOf(statement: PreparedStatement, message: Bind | BindHead): BoundParameter[] {
  const { formats } = message;
  return message.parameters.map((value, i) => {
    const format = formats.length === 1 ? formats[0] : formats[i];
    return { type: statement.parameterTypes[i] ?? 0, format: format === 1 ? 'binary' : 'text', value };
  });
}

/** Execute: decided again; the first one after Bind runs under Bind's intent, a repeated one under its own. */
export function onExecute(s: SessionState, step: Step): Need | null {
  const { portal: name, maxRows } = decodeExecute(step.body);
  const key = protocolName(name);
  if (s.names.isUncertain(s.names.portals, key)) return ANSWERS;
  const portal = s.names.portals.get(key) ?? unseenPortal(s, name);
  if (portal === undefined) return refuse(s, noSuchPortal(name));
  const continued = portal.running !== null && !portal.running.ended ? portal.running : null;
  const over = continued === null ? exhausted(s, portal.statement.raw, 0) : null;
  const why = doubtOf(s, portal);
  const whole = over ?? (why === null ? judgePrepared(s, portal.statement) : unread(s, why));
  if ('kind' in whole) return whole;
  const judged = maxRows > 0 ? inParts(whole) : whole;
  const running = continued ?? recordIntent(s, 'Extended', portal.statement.text, judged, []);
  if (judged.refusal !== null) return refuse(s, judged.refusal, { running: [running] });
  running.bound = judged.bound ?? null;
  s.counting = running.bound !== null;
  const undo: Undo[] = running.executed && continued !== null ? [] : startEffects(s, portal);
  running.executed = true;
  portal.running = running;
  s.pipelineOpen = true;
  s.forward(step, reply('Execute', undo, [running]));
  return null;
}

/** Notes what a portal that begins to run does; returns how to undo it. */
export function startEffects(s: SessionState, portal: Portal): Undo[] {
  const { raw, verdict, unread: why } = portal.statement;
  if (why !== null) noteUnread(s);
  if (raw === null || verdict?.noting === 'Nothing') return [];
  noteSettings(s, raw, verdict?.judged.facts ?? null);
  return applyNames(s, raw, portal.statement.text);
}

export function onDescribe(s: SessionState, step: Step): Need | null {
  const { target, name } = decodeDescribe(step.body);
  const names = target === 'S' ? s.names.statements : s.names.portals;
  const key = protocolName(name);
  if (s.names.isUncertain(names, key)) return ANSWERS;
  const known = names.get(key);
  if (known === undefined && unseen(s, name) === undefined)
    return refuse(s, target === 'S' ? noSuchStatement(name) : noSuchPortal(name));
  s.pipelineOpen = true;
  const describes = (known as PreparedStatement | undefined) ?? null;
  s.forward(step, target === 'S' ? replyWith('DescribeStatement', { describes }) : reply('DescribePortal'));
  return null;
}

export function onClose(s: SessionState, step: Step): null {
  const { target, name } = decodeClose(step.body);
  const key = protocolName(name);
  const undo = target === 'S' ? s.names.setStatement(key, undefined) : s.names.setPortal(key, undefined);
  s.pipelineOpen = true;
  s.forward(step, reply('Close', [undo]));
  return null;
}

/**
 * Sync: in copy-in mode the server ignores it, so it is not sent: should the copy just have failed there, it would answer.
 */
export function onSync(s: SessionState, step: Step): null {
  if (s.copyIn && !s.copyEnded && !s.skipping) return null;
  s.skipping = false;
  s.pipelineOpen = false;
  s.forward(step, reply('Sync'));
  return null;
}

/**
 * What a name stands for that was not made before our eyes: by a function, such as a cursor that it returned. Only class
 * Any may use it, and whether there is such a thing is for the server to say.
 */
function unseen(s: SessionState, name: string): PreparedStatement | undefined {
  if (!s.env.policies(s.now).effective.unrestricted) return undefined;
  const why = { reason: 'the name was given inside the database, not by this session', hint: '' };
  return {
    text: Buffer.from(name, 'latin1').toString('utf8'),
    raw: null,
    unread: why,
    parameterTypes: [],
    verdict: null,
  };
}

function unseenPortal(s: SessionState, name: string): Portal | undefined {
  const statement = unseen(s, name);
  if (statement === undefined) return undefined;
  const portal: Portal = { statement, held: false, running: null, mark: s.replies.sent };
  s.names.setPortal(protocolName(name), portal);
  return portal;
}

function noSuchStatement(name: string): Refusal {
  const text = Buffer.from(name, 'latin1').toString('utf8');
  const message =
    name === '' ? 'unnamed prepared statement does not exist' : `prepared statement "${text}" does not exist`;
  return { code: SQLSTATE.invalidStatementName, message };
}

function noSuchPortal(name: string): Refusal {
  return {
    code: SQLSTATE.invalidCursorName,
    message: `portal "${Buffer.from(name, 'latin1').toString('utf8')}" does not exist`,
  };
}
