import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as frontend from '../../gateway/wire/frontend.ts';
import { trace } from '../../gateway/wire/trace.ts';
import { fuzzRuns, sameRuns } from '../kit/fuzz.ts';
import { policy, rule } from '../policy/kit.ts';
import { Conversation, directly } from './kit.ts';
import { CALLABLE } from './model-server.ts';

/** Statements of every kind that moves the session, allowed and denied (`secret`), failing and malformed. */
const TEXTS = [
  '',
  'SELECT n FROM public.one',
  'SELECT n FROM three',
  'SELECT n FROM public.secret',
  'INSERT INTO public.one VALUES (1)',
  'INSERT INTO secret VALUES (1)',
  'SELECT 1 / 0 FROM public.one',
  'SELECT no_such_column FROM public.one',
  'SELEC 1',
  'BEGIN',
  'COMMIT',
  'ROLLBACK',
  'SAVEPOINT a',
  'ROLLBACK TO SAVEPOINT a',
  'COPY public.one FROM STDIN',
  'COPY public.secret FROM STDIN',
  'COPY public.one TO STDOUT',
  'COPY secret TO STDOUT',
  'PREPARE s AS SELECT n FROM public.one',
  'PREPARE s AS SELECT n FROM public.secret',
  'EXECUTE s',
  'DEALLOCATE s',
  'DECLARE p CURSOR FOR SELECT n FROM public.one',
  'DECLARE p CURSOR FOR SELECT n FROM public.secret',
  'FETCH 1 FROM p',
  'CLOSE p',
  'SET search_path TO public',
  "SET work_mem TO '9999GB'",
] as const;

const name = fc.constantFrom('', 's', 'p');
const text = fc.constantFrom(...TEXTS);
const string = fc.oneof(
  { weight: 3, arbitrary: text },
  { weight: 1, arbitrary: fc.array(text, { minLength: 2, maxLength: 3 }).map((texts) => texts.join('; ')) },
);
const target = fc.constantFrom<'S' | 'P'>('S', 'P');

const parseOf = (texts: fc.Arbitrary<string>) =>
  fc
    .tuple(name, texts)
    .map(([statement, sql]) => frontend.encodeParse({ statement, text: Buffer.from(sql), parameterTypes: [] }));
const bind = fc
  .tuple(name, name)
  .map(([portal, statement]) =>
    frontend.encodeBind({ portal, statement, formats: [], parameters: [], resultFormats: [] }),
  );
const execute = fc.tuple(name, fc.constantFrom(0, 1, 2)).map(([portal, rows]) => frontend.encodeExecute(portal, rows));
const functionCall = fc
  .constantFrom(CALLABLE, 666)
  .map((functionOid) => frontend.encodeFunctionCall({ functionOid, formats: [], parameters: [], resultFormat: 0 }));
const copying = fc.constantFrom(
  frontend.encodeCopyData(Buffer.from('1\n')),
  frontend.encodeCopyDone(),
  frontend.encodeCopyFail(Buffer.from('no')),
);

/** A message that a counterexample shows in words. */
function readable(bytes: Buffer): Buffer {
  return Object.assign(Buffer.from(bytes), { [fc.toStringMethod]: () => trace('frontend', bytes).join() });
}

/** A prepared statement that is run, in one piece. */
function runOf(statement: string, described: boolean, synced = true): Buffer {
  return Buffer.concat([
    frontend.encodeBind({ portal: '', statement, formats: [], parameters: [], resultFormats: [] }),
    ...(described ? [frontend.encodeDescribe('P', '')] : []),
    frontend.encodeExecute('', 0),
    ...(synced ? [frontend.encodeSync()] : []),
  ]);
}

const runs = fc
  .array(fc.tuple(name, fc.boolean(), fc.boolean()), { minLength: 1, maxLength: 3 })
  .map((each) =>
    Buffer.concat(each.map(([called, described, synced]) => runOf(called, described, synced || each.length === 1))),
  );

/** Whole exchanges as drivers send them, and single messages in any order. */
function scripts(simple: fc.Arbitrary<string>, prepared: fc.Arbitrary<string>): fc.Arbitrary<Buffer[]> {
  const query = simple.map((sql) => frontend.encodeQuery(Buffer.from(sql)));
  const parse = parseOf(prepared);
  const message = fc.oneof(
    { weight: 6, arbitrary: query },
    { weight: 3, arbitrary: parse },
    { weight: 4, arbitrary: bind },
    { weight: 4, arbitrary: execute },
    { weight: 1, arbitrary: fc.tuple(target, name).map(([of, called]) => frontend.encodeDescribe(of, called)) },
    { weight: 1, arbitrary: fc.tuple(target, name).map(([of, called]) => frontend.encodeClose(of, called)) },
    { weight: 4, arbitrary: fc.constant(frontend.encodeSync()) },
    { weight: 1, arbitrary: fc.constant(frontend.encodeFlush()) },
    { weight: 1, arbitrary: functionCall },
    { weight: 4, arbitrary: copying },
  );
  const exchange = fc.oneof(
    message.map((one) => [one]),
    fc.tuple(parse, runs).map(([parsed, run]) => [parsed, frontend.encodeSync(), run]),
    runs.map((run) => [run]),
    fc
      .tuple(name, prepared, fc.boolean())
      .map(([statement, sql, described]) => [
        frontend.encodeParse({ statement, text: Buffer.from(sql), parameterTypes: [] }),
        frontend.encodeSync(),
        runOf(statement, described),
      ]),
    fc
      .tuple(name, parse, execute, fc.boolean())
      .map(([called, parsed, executed, synced]) => [
        parsed,
        frontend.encodeBind({ portal: called, statement: called, formats: [], parameters: [], resultFormats: [] }),
        executed,
        ...(synced ? [frontend.encodeSync()] : []),
      ]),
  );
  return fc.array(exchange, { minLength: 1, maxLength: 12 }).map((exchanges) => exchanges.flat().map(readable));
}

/** What moves next: the client's bytes, the server's reading, the server's answers, the parser. */
const schedule = fc.array(fc.nat(3), { maxLength: 60 });

function converse(
  messages: readonly Buffer[],
  moves: readonly number[],
  lateAnalysis: boolean,
  { runs = true, wholes = false } = {},
): Conversation {
  const talk = new Conversation();
  Object.assign(talk.world, { lateAnalysis, runs, wholes });
  const left = [...messages];
  for (const move of moves) {
    if (move === 0 && left.length > 0 && talk.ended === null) talk.send(left.shift()!);
    else if (move === 1) talk.serve();
    else if (move === 2) talk.answer();
    else if (talk.ended === null) talk.wake();
  }
  if (talk.ended === null) talk.send(...left);
  talk.settle();
  return talk;
}

const RUNS = { numRuns: fuzzRuns(400) };
const FATAL = /^FATAL/;
/** In an aborted transaction nothing can be asked of the server: what needs an answer gets the transaction's own error. */
const UNASKED = 'ERROR 25P02';
/** Denied, not to be parsed, or no such unnamed statement or portal: a Parse that fails on the server takes the former with it. */
const INSTEAD = new Set(['ERROR 42501', 'ERROR 42601', 'ERROR 26000', 'ERROR 34000']);
/** The server looks for what EXECUTE and FETCH name when they run, the gateway when they are prepared: the same error, earlier. */
const LOOKED_UP = /EXECUTE|FETCH/;
/** What follows the end of a transaction in one string may be refused: a SET before it may have been taken back by it. */
const CLOUDED = /(?:COMMIT|ROLLBACK)[^;]*;/;

test('a conversation through the gateway is the one with a server that denies by itself, whatever is sent and whenever', () => {
  fc.assert(
    fc.property(
      scripts(
        string.filter((sql) => !CLOUDED.test(sql)),
        string.filter((sql) => !LOOKED_UP.test(sql)),
      ),
      schedule,
      fc.boolean(),
      fc.boolean(),
      (messages, moves, late, wholes) => {
        const talk = converse(messages, moves, late, { wholes });
        const expected = directly(messages);
        const broken = expected.at(-1);
        if (broken !== undefined && FATAL.test(broken)) {
          // Both sides end it; how much of what came before was still answered is a matter of time.
          expect(talk.got.at(-1)).toBe(broken);
          expect(expected.slice(0, talk.got.length - 1)).toEqual(talk.got.slice(0, -1));
        } else {
          expect(talk.faults).toEqual([]);
          const answer = (line: string, i: number) =>
            line === UNASKED && INSTEAD.has(expected[i]!) ? expected[i] : line;
          expect(talk.got.map(answer)).toEqual(expected);
          expect(talk.stuck).toBe(false);
        }
      },
    ),
    RUNS,
  );
});

test('a run is answered and recorded as the messages that it is made of, whatever comes between', () => {
  const tries = sameRuns(1000);
  let taken = 0;
  let whole = 0;
  fc.assert(
    fc.property(scripts(string, string), schedule, fc.boolean(), fc.boolean(), (messages, moves, late, wholes) => {
      const one = converse(messages, moves, late, { wholes });
      const many = converse(messages, moves, late, { wholes, runs: false });
      for (const each of [one, many]) each.session.close();
      taken += Number(one.passed.length < many.passed.length);
      whole += one.wholes;
      expect(one.got).toEqual(many.got);
      expect(Buffer.concat(one.passed)).toEqual(Buffer.concat(many.passed));
      expect(one.records).toEqual(many.records);
      expect([one.faults, one.ended, one.stuck]).toEqual([many.faults, many.ended, many.stuck]);
    }),
    tries,
  );
  expect(taken).toBeGreaterThan(tries.numRuns / 20);
  expect(whole).toBeGreaterThan(tries.numRuns / 100);
});

test('no statement runs without an intent that allows it, and every intent has one outcome, whatever is sent', () => {
  fc.assert(
    fc.property(scripts(string, string), schedule, fc.boolean(), (messages, moves, late) => {
      const talk = converse(messages, moves, late);
      talk.session.close();
      expect(talk.faults.filter((fault) => / ran /.test(fault))).toEqual([]);
      expect(talk.recordProblems()).toEqual([]);
    }),
    RUNS,
  );
});

/** Moves 4 and 5: what was recorded is on the disk, or cannot be. */
function converseOnADisk(messages: readonly Buffer[], moves: readonly number[]): Conversation {
  const talk = new Conversation();
  talk.world.lateRecords = true;
  const left = messages.filter((bytes) => !COPYING.has(bytes[0]!));
  for (const move of moves) {
    if (move <= 1 && left.length > 0 && talk.ended === null) talk.send(left.shift()!);
    else if (move === 2) talk.serve();
    else if (move === 3) talk.answer();
    else if (talk.ended === null) talk.settleRecords(move === 4);
  }
  if (talk.ended === null) talk.send(...left);
  talk.settle();
  return talk;
}

/** A Bind so long that the first of it is sent on before the rest has come; in its value stands what would be a message. */
const longBind = fc
  .tuple(name, name)
  .map(([portal, statement]) =>
    frontend.encodeBind({ portal, statement, formats: [], parameters: [Buffer.alloc(2500, 'QH')], resultFormats: [] }),
  )
  .map(readable);
const long = fc
  .oneof(
    longBind,
    text.map((sql) => frontend.encodeQuery(Buffer.from(`${sql} -- ${'x'.repeat(2000)}`))),
    text.map((sql) =>
      frontend.encodeParse({ statement: '', text: Buffer.from(`${sql} -- ${'x'.repeat(2000)}`), parameterTypes: [] }),
    ),
  )
  .map(readable);

interface Leaving {
  readonly messages: readonly Buffer[];
  /** A last message, which stops short after so much of it. */
  readonly last: readonly [Buffer, number];
  /** Sizes of the pieces that the bytes come in. */
  readonly pieces: readonly number[];
  readonly moves: readonly number[];
  readonly lateAnalysis: boolean;
  readonly lateRecords: boolean;
}

function leaveAfter({ messages, last: [message, part], pieces, moves, ...late }: Leaving): Conversation {
  const talk = new Conversation();
  Object.assign(talk.world, late, { buffers: true });
  const short = message.subarray(0, Math.floor((message.length - 1) * part));
  let stream = Buffer.concat([...messages, short]);
  const sizes = [...pieces];
  for (const move of moves) {
    if (move <= 1 && stream.length > 0 && talk.ended === null) {
      const size = sizes.shift() ?? 100;
      talk.send(stream.subarray(0, size));
      stream = stream.subarray(size);
    } else if (move === 2) talk.serve();
    else if (move === 3) talk.answer();
    else if (move === 4 && talk.ended === null) talk.wake();
    else if (move === 5) talk.settleRecords(true);
  }
  if (talk.ended === null) talk.send(stream);
  if (talk.ended === null) talk.leave();
  talk.settle();
  return talk;
}

test('whoever leaves, in the middle of a message or not, has had an answer to all that was whole, and the session ends', () => {
  const plain = string.filter((sql) => !CLOUDED.test(sql) && !LOOKED_UP.test(sql));
  const whole = scripts(plain, plain);
  const leaving: fc.Arbitrary<Leaving> = fc.record({
    messages: fc.tuple(whole, fc.option(longBind), whole).map(([a, b, c]) => [...a, ...(b === null ? [] : [b]), ...c]),
    last: fc.tuple(long, fc.constantFrom(0, 0.001, 0.3, 0.7, 0.999)),
    pieces: fc.array(fc.integer({ min: 1, max: 1500 }), { maxLength: 30 }),
    moves: fc.array(fc.nat(5), { maxLength: 80 }),
    lateAnalysis: fc.boolean(),
    lateRecords: fc.boolean(),
  });
  fc.assert(
    fc.property(leaving, (one) => {
      const talk = leaveAfter(one);
      expect(talk.ended).not.toBe(null);
      expect(talk.recordProblems()).toEqual([]);
      const expected = directly(one.messages);
      if (FATAL.test(expected.at(-1) ?? '')) return;
      expect(talk.faults.filter((fault) => !/during COPY/.test(fault))).toEqual([]);
      const got = talk.got.map((line, i) => (line === UNASKED && INSTEAD.has(expected[i]!) ? expected[i] : line));
      expect(got.slice(0, expected.length)).toEqual(expected);
      expect(got.slice(expected.length).join()).toMatch(/^(?:(?:ERROR|FATAL)[^,]*|,|NoticeResponse|ReadyForQuery .)*$/);
    }),
    RUNS,
  );
});

test('whatever cannot be recorded does not run, and the answers stay in step, whenever the disk is full', () => {
  const moves = fc.array(fc.nat(5), { maxLength: 60 });
  fc.assert(
    fc.property(scripts(string, string), moves, (messages, schedule) => {
      const talk = converseOnADisk(messages, schedule);
      if (talk.ended === null) talk.send(frontend.encodeCopyFail(Buffer.from('enough')));
      talk.settle();
      if (FATAL.test(talk.got.at(-1) ?? '')) return; // the conversation was none
      expect(talk.faults).toEqual([]);
      expect(talk.stuck).toBe(false);
      const at = talk.got.length;
      talk.send(frontend.encodeSync(), frontend.encodeQuery(Buffer.from('ROLLBACK')));
      talk.settle();
      expect(talk.got.slice(at).filter((line) => line !== 'NoticeResponse')).toEqual([
        expect.stringMatching(/^ReadyForQuery/),
        'CommandComplete ROLLBACK',
        'ReadyForQuery I',
      ]);
    }),
    RUNS,
  );
});

/** Type bytes of CopyData, CopyDone and CopyFail. */
const COPYING = new Set([0x64, 0x63, 0x66]);

test('without the catalogue a statement is refused in words that say which server, and what to do', () => {
  const talk = new Conversation();
  talk.world.catalogFailure = 'db.shop:5432 has not answered a question of the catalogue role for 10 seconds';
  talk.send(frontend.encodeQuery(Buffer.from('SELECT n FROM public.one')));
  talk.settle();
  expect(talk.got).toEqual(['ERROR 42501', 'ReadyForQuery I']);
  const said = Buffer.concat(talk.shown).toString();
  for (const words of ['db.shop:5432 has not answered', 'Try again', 'must be reachable'])
    expect(said).toContain(words);
  talk.world.catalogFailure = null;
  talk.send(frontend.encodeQuery(Buffer.from('SELECT n FROM public.one')));
  talk.settle();
  expect(talk.got.at(-2)).toBe('CommandComplete SELECT 1');
});

test('what was prepared unread under Any is not run by EXECUTE or FETCH when Any is gone', () => {
  const talk = new Conversation();
  const restricted = talk.world.policies;
  talk.world.policies = [policy('dbas', [rule('all', { statements: ['Any'], relations: ['*.*'] })])];
  const long = Buffer.from(`SELECT n FROM public.secret -- ${'x'.repeat(2000)}`);
  talk.send(frontend.encodeParse({ statement: 's', text: long, parameterTypes: [] }), frontend.encodeSync());
  talk.settle();
  talk.world.policies = restricted;
  talk.send(frontend.encodeQuery(Buffer.from('EXECUTE s')));
  talk.settle();
  expect(talk.got).toEqual(['ParseComplete', 'ReadyForQuery I', 'ERROR 42501', 'ReadyForQuery I']);
  expect(talk.faults).toEqual([]);
});

test.each(['Allow', 'Deny'])('a Parse longer than what is analysed is recorded as any: %s', (verdict) => {
  const talk = new Conversation();
  if (verdict === 'Allow')
    talk.world.policies = [policy('dbas', [rule('all', { statements: ['Any'], relations: ['*.*'] })])];
  const long = Buffer.from(`SELECT n FROM public.one -- ${'x'.repeat(2000)}`);
  talk.send(frontend.encodeParse({ statement: 's', text: long, parameterTypes: [] }), frontend.encodeSync());
  talk.settle();
  expect(talk.records).toEqual([
    expect.objectContaining({
      kind: 'prepare',
      statement: 1,
      name: 's',
      decision: expect.objectContaining({ verdict }),
    }),
  ]);
  expect(talk.records[0]).toHaveProperty('text', expect.stringMatching(/^SELECT n FROM public.one -- x+$/));
});

test('a client that sends run after run is not read without end', () => {
  const talk = new Conversation();
  const parsed = { statement: 's', text: Buffer.from('SELECT n FROM public.one'), parameterTypes: [] };
  const bound = { portal: '', statement: 's', formats: [], parameters: [], resultFormats: [] };
  const run = [frontend.encodeBind(bound), frontend.encodeExecute('', 0), frontend.encodeSync()];
  talk.send(frontend.encodeParse(parsed), ...run);
  talk.settle();
  const { length } = talk.records;
  talk.send(Buffer.concat(Array.from({ length: 40_000 }, () => run).flat()));
  expect(talk.session.busy).toBe(true);
  expect(talk.records.length - length).toBe(32_768);
});

test('a Parse that is refused takes the former unnamed statement with it, and no later one', () => {
  const talk = new Conversation();
  const unnamed = (sql: string) => frontend.encodeParse({ statement: '', text: Buffer.from(sql), parameterTypes: [] });
  const run = [
    frontend.encodeBind({ portal: '', statement: '', formats: [], parameters: [], resultFormats: [] }),
    frontend.encodeExecute('', 0),
    frontend.encodeSync(),
  ];
  const allowed = unnamed('SELECT n FROM public.one');
  const messages = [allowed, unnamed('SELECT n FROM secret'), frontend.encodeSync(), ...run, allowed, ...run];
  talk.send(...messages);
  talk.settle();
  expect(talk.got).toEqual(directly(messages));
  expect(talk.got).toContain('ERROR 26000');
  expect(talk.got.at(-2)).toBe('CommandComplete SELECT 1');
});

test('behind a ROLLBACK in the same pipeline the transaction is not aborted any more', () => {
  const talk = new Conversation();
  const extended = (sql: string) => [
    frontend.encodeParse({ statement: '', text: Buffer.from(sql), parameterTypes: [] }),
    frontend.encodeBind({ portal: '', statement: '', formats: [], parameters: [], resultFormats: [] }),
    frontend.encodeExecute('', 0),
  ];
  talk.send(frontend.encodeQuery(Buffer.from('BEGIN')), frontend.encodeQuery(Buffer.from('SELEC 1')));
  talk.settle();
  talk.send(...extended('ROLLBACK'), ...extended('SELECT n FROM three'), frontend.encodeSync());
  talk.settle();
  expect(talk.got.slice(-2)).toEqual(['CommandComplete SELECT 3', 'ReadyForQuery I']);
});

test.each([
  ['Query', [frontend.encodeQuery(Buffer.from('SELECT n FROM three'))], []],
  [
    'Parse',
    [frontend.encodeParse({ statement: '', text: Buffer.from('SELECT n FROM three'), parameterTypes: [] })],
    [frontend.encodeSync()],
  ],
])(
  'a %s that waits here when it is cancelled is answered as the server would, and never runs',
  (kind, messages, then) => {
    const talk = new Conversation();
    talk.world.lateAnalysis = true;
    talk.send(...messages);
    expect(talk.session.cancelWaiting(talk.world.now)).toBe(true);
    talk.send(...then);
    talk.settle();
    expect(talk.got).toEqual(['ERROR 57014', 'ReadyForQuery I']);
    expect(talk.sent.join()).not.toContain('three');
    const last = talk.records.at(-1);
    expect(last).toMatchObject(kind === 'Query' ? { kind: 'outcome', status: 'Cancelled' } : { kind: 'prepare' });
    expect(talk.session.cancelWaiting(talk.world.now)).toBe(false);
  },
);

describe('a message longer than its bound', () => {
  /** More than what is held of a message; in its value stands what would be a message of its own. */
  const long = frontend.encodeBind({
    portal: '',
    statement: 's',
    formats: [],
    parameters: [Buffer.concat([Buffer.alloc(2000, 0x78), frontend.encodeQuery(Buffer.from('SELECT n FROM secret'))])],
    resultFormats: [],
  });
  const [head, rest] = [long.subarray(0, 1100), long.subarray(1100)];

  function begin(): Conversation {
    const talk = new Conversation();
    talk.send(
      frontend.encodeParse({ statement: 's', text: Buffer.from('SELECT n FROM public.one'), parameterTypes: [] }),
      frontend.encodeSync(),
    );
    talk.settle();
    talk.world.lateRecords = true;
    return talk;
  }

  test('a message that cannot be recorded is kept from the server to its last byte', () => {
    const talk = begin();
    const before = talk.passed.length;
    talk.send(head);
    talk.settleRecords(false);
    talk.send(rest, frontend.encodeSync());
    talk.settle();
    expect(Buffer.concat(talk.passed.slice(before + 1)).includes('secret')).toBe(false);
    expect(talk.got.slice(-2)).toEqual(['ERROR 58030', 'ReadyForQuery I']);
  });

  test('gets there to its last byte once it was sent, though what follows it cannot be recorded', () => {
    const talk = begin();
    talk.send(head);
    talk.settleRecords(true);
    talk.session.refuseStaged([{ bytes: rest, reply: null }], 'no space left on device');
    expect(talk.passed.at(-1)).toEqual(rest);
  });
});
