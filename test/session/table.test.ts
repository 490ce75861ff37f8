import { describe, expect, test } from 'vitest';
import { encodeErrorResponse } from '../../gateway/wire/backend.ts';
import * as frontend from '../../gateway/wire/frontend.ts';
import { Conversation } from './kit.ts';
import { CALLABLE } from './model-server.ts';

/*
 * Every state of a session × every message of a client. What became of the message: `forwarded` as it is; `replaced` by what
 * the server fails; `dropped`, as the server would drop it; `waits` for an answer; `error`: the protocol does not allow it
 * and the session ends; `ends`; `expired`: FATAL 28000.
 */
type Outcome = 'forwarded' | 'replaced' | 'dropped' | 'waits' | 'error' | 'ends' | 'expired';

const sql = (text: string) => frontend.encodeQuery(Buffer.from(text));
const parse = (text: string, statement = '') =>
  frontend.encodeParse({ statement, text: Buffer.from(text), parameterTypes: [] });
const bind = (portal: string, statement: string) =>
  frontend.encodeBind({ portal, statement, formats: [], parameters: [], resultFormats: [] });
const call = (functionOid: number) =>
  frontend.encodeFunctionCall({ functionOid, formats: [], parameters: [], resultFormat: 0 });
/** A message with this type byte and body. */
const raw = (type: string, body = '') => {
  const bytes = Buffer.alloc(5 + body.length);
  bytes.write(type, 'latin1');
  bytes.writeInt32BE(4 + body.length, 1);
  bytes.write(body, 5, 'latin1');
  return bytes;
};

const MESSAGES = {
  'Query, allowed': sql('SELECT n FROM public.one'),
  'Query, denied': sql('SELECT n FROM public.secret'),
  'Query, denied in the middle': sql('SELECT n FROM public.one; SELECT n FROM public.secret'),
  'Query, malformed SQL': sql('SELEC 1'),
  'Query, ROLLBACK': sql('ROLLBACK'),
  'Query, empty': sql(''),
  'Parse, allowed': parse('SELECT n FROM public.one', 'new'),
  'Parse, denied': parse('SELECT n FROM public.secret', 'new'),
  'Bind, of a known statement': bind('', 's'),
  'Bind, of no statement': bind('', 'none'),
  'Describe, of a known statement': frontend.encodeDescribe('S', 's'),
  'Describe, of no portal': frontend.encodeDescribe('P', 'none'),
  'Execute, of no portal': frontend.encodeExecute('none', 0),
  Close: frontend.encodeClose('S', 'none'),
  'FunctionCall, allowed': call(CALLABLE),
  'FunctionCall, denied': call(666),
  Flush: frontend.encodeFlush(),
  Sync: frontend.encodeSync(),
  CopyData: frontend.encodeCopyData(Buffer.from('1\n')),
  CopyDone: frontend.encodeCopyDone(),
  CopyFail: frontend.encodeCopyFail(Buffer.from('no')),
  Terminate: frontend.encodeTerminate(),
  PasswordMessage: frontend.encodePassword(Buffer.from('late')),
  'of an unknown type': raw('~'),
  'Sync with a body': raw('S', 'x'),
  'Query with bytes behind its end': raw('Q', 'SELECT 1\0x'),
  'Query without an end': raw('Q', 'SELECT 1'),
  'Bind that stops short': raw('B', '\0s\0\0'),
  'Close of neither': raw('C', 'Xs\0'),
} as const;

type Name = keyof typeof MESSAGES;

interface State {
  readonly enter: (talk: Conversation) => void;
  /** What differs from `IDLE`. */
  readonly but: Partial<Record<Name, Outcome>>;
  /** What the session needs to come to rest after a message that was let through. */
  readonly leave?: readonly Buffer[];
}

const IDLE: Readonly<Record<Name, Outcome>> = {
  'Query, allowed': 'forwarded',
  'Query, denied': 'replaced',
  'Query, denied in the middle': 'replaced',
  'Query, malformed SQL': 'replaced',
  'Query, ROLLBACK': 'forwarded',
  'Query, empty': 'forwarded',
  'Parse, allowed': 'forwarded',
  'Parse, denied': 'replaced',
  'Bind, of a known statement': 'forwarded',
  'Bind, of no statement': 'replaced',
  'Describe, of a known statement': 'forwarded',
  'Describe, of no portal': 'replaced',
  'Execute, of no portal': 'replaced',
  Close: 'forwarded',
  'FunctionCall, allowed': 'forwarded',
  'FunctionCall, denied': 'replaced',
  Flush: 'forwarded',
  Sync: 'forwarded',
  CopyData: 'dropped',
  CopyDone: 'forwarded',
  CopyFail: 'forwarded',
  Terminate: 'ends',
  PasswordMessage: 'error',
  'of an unknown type': 'error',
  'Sync with a body': 'error',
  'Query with bytes behind its end': 'error',
  'Query without an end': 'error',
  'Bind that stops short': 'error',
  'Close of neither': 'error',
};

const everything = (outcome: Outcome, names: readonly Name[]): Partial<Record<Name, Outcome>> =>
  Object.fromEntries(names.map((name) => [name, outcome]));

const ALL = Object.keys(MESSAGES) as Name[];
const COPYING: readonly Name[] = ['CopyData', 'CopyDone', 'CopyFail', 'Flush', 'Sync', 'Terminate'];
const MALFORMED = ['Sync with a body'] as const;
const RUNS: readonly Name[] = ALL.filter((name) => /^(?:Query|Parse|Bind|Execute|FunctionCall)/.test(name));

function enter(...messages: readonly Buffer[]): (talk: Conversation) => void {
  return (talk) => {
    talk.send(...messages);
    talk.settle();
  };
}

const STATES: Readonly<Record<string, State>> = {
  idle: { enter() {}, but: {} },
  'in a transaction': { enter: enter(sql('BEGIN')), but: {} },
  'in a failed transaction': {
    enter: enter(sql('BEGIN'), sql('SELECT 1 / 0 FROM public.one')),
    but: {},
  },
  'skipping to Sync': {
    enter: enter(parse('SELECT n FROM public.secret')),
    but: {
      ...everything('dropped', ALL),
      Sync: 'forwarded',
      Terminate: 'ends',
      'of an unknown type': 'error',
      ...everything('error', MALFORMED),
    },
  },
  'in an open pipeline': { enter: enter(bind('', 's')), but: {} },
  'with a portal suspended': {
    enter: enter(parse('SELECT n FROM public.three', 't'), bind('p', 't'), frontend.encodeExecute('p', 1)),
    but: {},
  },
  'in copy-in': {
    enter: enter(sql('COPY public.one FROM STDIN')),
    but: {
      ...everything('error', ALL),
      ...everything('forwarded', COPYING),
      Sync: 'dropped',
      Terminate: 'ends',
    },
    leave: [frontend.encodeCopyDone()],
  },
  'in copy-in by Execute': {
    enter: enter(parse('COPY public.one FROM STDIN'), bind('', ''), frontend.encodeExecute('', 0)),
    but: {
      ...everything('error', ALL),
      ...everything('forwarded', COPYING),
      Sync: 'dropped',
      Terminate: 'ends',
    },
    leave: [frontend.encodeCopyDone()],
  },
  'behind the end of a copy': {
    enter: (talk) => {
      talk.send(sql('COPY public.one FROM STDIN'));
      talk.settle();
      talk.send(frontend.encodeCopyDone());
    },
    but: { ...everything('waits', ['CopyData', 'Terminate']) },
  },
  'in copy-out': {
    enter: (talk) => {
      talk.send(sql('COPY public.one TO STDOUT'));
      talk.serve();
      talk.answer();
    },
    but: { ...everything('waits', ['CopyData', 'Terminate']) },
  },
  'with a result being cut': {
    enter: (talk) => {
      const [readers] = talk.world.policies;
      talk.world.policies = [{ ...readers!, session: { ...readers!.session, rows: 1 } }];
      talk.send(sql('SELECT n FROM public.three'));
      talk.serve();
      for (let i = 0; i < 3; i++) talk.answer();
      if (talk.cancels !== 1) throw new Error('the result is not being cut');
    },
    // Something of ours may have to follow it.
    but: {
      ...everything('waits', ALL),
      ...everything('forwarded', ['CopyDone', 'CopyFail']),
      ...everything('error', ['of an unknown type']),
    },
  },
  'waiting for the parser': {
    enter: (talk) => {
      talk.world.lateAnalysis = true;
      talk.send(sql('SELECT n FROM three'));
    },
    // A pump reads nothing while it waits; bytes that it has got lie where they are.
    but: everything('waits', ALL),
  },
  'with the identity expired': {
    enter: (talk) => {
      talk.world.expired = true;
    },
    but: { ...everything('expired', RUNS), 'Bind that stops short': 'expired' },
  },
  ended: { enter: enter(frontend.encodeTerminate()), but: everything('dropped', ALL) },
};

const ENDS: Partial<Record<Outcome, string>> = { error: 'ProtocolViolation', ends: 'ClientTerminate' };

/** A session that has a prepared statement `s`. */
function begin(): Conversation {
  const talk = new Conversation();
  talk.send(parse('SELECT n FROM public.one', 's'), frontend.encodeSync());
  talk.settle();
  return talk;
}

function outcomeOf(talk: Conversation, bytes: Buffer): Outcome {
  const before = { ended: talk.ended, busy: talk.session.busy, passed: talk.passed.length };
  talk.send(bytes);
  if (before.ended === null && talk.ended === 'ProtocolViolation') return 'error';
  if (before.ended === null && talk.ended === 'IdentityExpired') return 'expired';
  if (before.ended === null && talk.ended !== null) return 'ends';
  if (before.ended === null && (before.busy || talk.session.busy)) return 'waits';
  const passed = talk.passed.slice(before.passed);
  if (passed.length === 0) return 'dropped';
  return Buffer.concat(passed).equals(bytes) ? 'forwarded' : 'replaced';
}

describe.each(Object.entries(STATES))('%s', (_state, { enter: into, but, leave = [] }) => {
  test.each(ALL)('%s', (name) => {
    const talk = begin();
    into(talk);
    const faults = talk.faults.length;
    const outcome = but[name] ?? IDLE[name];
    expect(outcomeOf(talk, MESSAGES[name])).toBe(outcome);
    talk.settle();
    if (outcome === 'waits') expect(talk.ended).toBe(ENDS[IDLE[name]] ?? null);
    if (talk.ended === null) {
      if (!/^Copy(?:Done|Fail)$/.test(name)) talk.send(...leave);
      talk.settle();
      expect(talk.faults.slice(faults)).toEqual([]);
      inStep(talk);
    }
    talk.session.close();
    expect(talk.recordProblems()).toEqual([]);
  });
});

/** Whatever came before: after a Sync and a ROLLBACK the answers belong to what they are answers of. */
function inStep(talk: Conversation): void {
  if (talk.world.expired) return;
  talk.world.lateAnalysis = false;
  talk.wake();
  talk.settle();
  const at = talk.got.length;
  talk.send(frontend.encodeSync(), sql('ROLLBACK'), sql('SELECT n FROM public.one'));
  talk.settle();
  expect(talk.got.slice(at).filter((line) => !/^(?:NoticeResponse|ERROR 42501$)/.test(line))).toEqual([
    expect.stringMatching(/^ReadyForQuery/),
    'CommandComplete ROLLBACK',
    'ReadyForQuery I',
    'RowDescription',
    'DataRow',
    'CommandComplete SELECT 1',
    'ReadyForQuery I',
  ]);
  expect(talk.session.running).toBe(false);
}

test('every message type of a client is in the table', () => {
  const types = new Set(Object.values(MESSAGES).map((bytes) => String.fromCharCode(bytes[0]!)));
  expect([...'BCdcfDEHFPpQSX'].filter((type) => !types.has(type))).toEqual([]);
});

test.each([
  ['ReadyForQuery', raw('Z', 'I')],
  ['DataRow', raw('D', '\0\0')],
  ['CommandComplete', raw('C', 'SELECT 1\0')],
  ['BindComplete', raw('2')],
  ['ParseComplete', raw('1')],
  ['CloseComplete', raw('3')],
  ['PortalSuspended', raw('s')],
  ['NoData', raw('n')],
  ['ParameterDescription', raw('t', '\0\0')],
  ['CopyInResponse', raw('G', '\0\0\0')],
  ['CopyBothResponse', raw('W', '\0\0\0')],
  ['FunctionCallResponse', raw('V', '\xff\xff\xff\xff')],
  ['Authentication', raw('R', '\0\0\0\0')],
])('%s that answers nothing ends the session: nothing is guessed', (_name, bytes) => {
  const talk = begin();
  talk.hear(bytes);
  expect(talk.ended).toBe('ProtocolViolation');
});

test.each([
  ['NoticeResponse', raw('N', 'SNOTICE\0\0')],
  ['NotificationResponse', raw('A', '\0\0\0\x01c\0p\0')],
  ['ParameterStatus', raw('S', 'TimeZone\0UTC\0')],
  ['ErrorResponse', encodeErrorResponse({ severity: 'FATAL', code: '57P01', message: 'terminating' })],
])('%s may come at any time and passes as it is', (_name, bytes) => {
  const talk = begin();
  const at = talk.shown.length;
  talk.hear(bytes);
  expect(talk.ended).toBeNull();
  expect(Buffer.concat(talk.shown.slice(at))).toEqual(bytes);
});
