import { describe, expect, test } from 'vitest';
import * as backend from '../../gateway/wire/backend.ts';
import * as frontend from '../../gateway/wire/frontend.ts';
import { policy, rule } from '../policy/kit.ts';
import { Conversation } from './kit.ts';

const parse = (statement: string, text: string) =>
  frontend.encodeParse({ statement, text: Buffer.from(text), parameterTypes: [] });
const bind = (statement: string, portal = '') =>
  frontend.encodeBind({ portal, statement, formats: [], parameters: [], resultFormats: [] });
const [describePortal, execute, sync] = [
  frontend.encodeDescribe('P', ''),
  frontend.encodeExecute('', 0),
  frontend.encodeSync(),
];
const runOf = (statement: string) => Buffer.concat([bind(statement), describePortal, execute, sync]);
const ROWS = { statements: ['Select', 'Transaction', 'Session'], relations: ['public.*'] } as const;

/** A session that has prepared `three`, which gives three rows, and others. */
function begin(runs = true, wholes = false): Conversation {
  const talk = new Conversation();
  Object.assign(talk.world, { runs, wholes });
  for (const [name, text] of Object.entries({
    three: 'SELECT n FROM public.three',
    set: 'SET search_path TO public',
    failing: 'SELECT 1 / 0 FROM public.one',
    copy: 'COPY public.one TO STDOUT',
    begin: 'BEGIN',
    commit: 'COMMIT',
    back: 'ROLLBACK',
  }))
    talk.send(parse(name, text), sync);
  talk.settle();
  talk.got.length = 0;
  talk.passed.length = 0;
  return talk;
}

/** What a client and the log see of a conversation, where what may be taken as a run is, and where it is not. */
function both(converse: (talk: Conversation) => void, wholes = false) {
  return [true, false].map((runs) => {
    const talk = begin(runs, wholes);
    converse(talk);
    talk.session.close();
    const { got, records, faults, ended, cancels } = talk;
    return { got, records, faults, ended, cancels, passed: Buffer.concat(talk.passed) };
  });
}

test('it goes to the server as one, under one intent, and its answers come as they are', () => {
  const talk = begin();
  const before = talk.records.length;
  talk.send(runOf('three'));
  talk.settle();
  expect(talk.passed).toEqual([runOf('three')]);
  expect(talk.got).toEqual([
    'BindComplete',
    'RowDescription',
    ...['DataRow', 'DataRow', 'DataRow'],
    'CommandComplete SELECT 3',
    'ReadyForQuery I',
  ]);
  expect(talk.records.slice(before)).toMatchObject([
    { kind: 'intent', text: 'SELECT n FROM public.three', protocol: 'Extended' },
    { kind: 'outcome', status: 'Completed', rows: 3, tag: 'SELECT 3' },
  ]);
  expect(talk.session.idle).toBe(true);
});

describe('answers that come as one are dealt with as one', () => {
  const query = (text: string) => frontend.encodeQuery(Buffer.from(text));
  const limited = [policy('readers', [rule('work', ROWS)], { session: { rows: 5 } })];
  test.each<[string, readonly Buffer[], number]>([
    ['a run with rows', [runOf('three')], 1],
    ['a run without', [runOf('begin'), runOf('commit')], 2],
    ['a run that is not described', [Buffer.concat([bind('three'), execute, sync])], 1],
    ['a Query with rows', [query('SELECT n FROM three')], 1],
    ['a Query without', [query('BEGIN'), query('COMMIT')], 2],
    ['but no error', [runOf('failing'), query('SELECT 1 / 0 FROM public.one')], 0],
    ['no warning', [query('COMMIT')], 0],
    ['no copy', [runOf('copy'), query('COPY public.one TO STDOUT')], 0],
    ['no string of several', [query('SELECT n FROM three; SELECT n FROM three')], 0],
    ['none that opens a cursor', [query('BEGIN'), query('DECLARE c CURSOR FOR SELECT n FROM public.one')], 1],
    ['nothing empty', [query(''), parse('', 'SELECT n FROM three'), sync], 0],
    ['nothing refused', [query('SELECT n FROM public.secret')], 0],
  ])('%s', (_what, messages, wholes) => {
    const talk = begin(true, true);
    talk.send(...messages);
    talk.settle();
    expect(talk.wholes).toBe(wholes);
    const converse = (each: Conversation) => {
      each.send(...messages);
      each.settle();
    };
    const [one, many] = both(converse, true);
    expect(one).toEqual(many);
  });

  test('not where rows are counted', () => {
    const talk = begin(true, true);
    talk.world.policies = limited;
    talk.send(runOf('three'), query('SELECT n FROM three'));
    talk.settle();
    expect(talk.wholes).toBe(0);
    expect(talk.got.filter((line) => line === 'DataRow')).toHaveLength(6);
  });
});

test('several in one piece, and behind each other before an answer, are runs, in a transaction as well', () => {
  const talk = begin();
  talk.send(frontend.encodeQuery(Buffer.from('BEGIN')));
  talk.settle();
  talk.passed.length = 0;
  const short = Buffer.concat([bind('three'), execute, sync]);
  talk.send(Buffer.concat([runOf('three'), short, runOf('three')]), short);
  talk.settle();
  expect(talk.passed).toEqual([runOf('three'), short, runOf('three'), short]);
  expect(talk.got.filter((line) => line === 'ReadyForQuery T')).toHaveLength(5);
});

describe('what is no plain run goes message by message', () => {
  test.each<[string, (talk: Conversation) => void]>([
    ['a named portal', (talk) => talk.send(Buffer.concat([bind('three', 'p'), execute, sync]))],
    ['so many rows', (talk) => talk.send(Buffer.concat([bind('three'), frontend.encodeExecute('', 2), sync]))],
    ['no Sync', (talk) => talk.send(Buffer.concat([bind('three'), describePortal, execute]), sync)],
    ['in pieces', (talk) => talk.send(runOf('three').subarray(0, 20), runOf('three').subarray(20))],
    ['in a pipeline', (talk) => talk.send(parse('x', 'SELECT n FROM three'), runOf('three'))],
    ['behind a Query', (talk) => talk.send(frontend.encodeQuery(Buffer.from('SELECT n FROM three')), runOf('three'))],
    ['what changes settings', (talk) => talk.send(runOf('set'))],
    ['a name that is not there', (talk) => talk.send(runOf('nobody'))],
    [
      'rows that are limited',
      (talk) => {
        talk.world.policies = [policy('readers', [rule('work', ROWS)], { session: { rows: 2 } })];
        talk.send(runOf('three'));
      },
    ],
    [
      'a statement that is denied by now',
      (talk) => {
        talk.world.policies = [policy('nobody', [rule('none', { statements: ['Session'] })])];
        talk.send(runOf('three'));
      },
    ],
  ])('%s', (_what, converse) => {
    const talk = begin();
    converse(talk);
    talk.settle();
    expect(talk.passed.filter((bytes) => bytes.length >= runOf('three').length - 7)).not.toContainEqual(runOf('three'));
    const [one, many] = both((each) => {
      converse(each);
      each.settle();
    });
    expect(one).toEqual(many);
  });
});

describe('what comes in the place of its answers is dealt with as without it', () => {
  const fatal = backend.encodeErrorResponse({ severity: 'FATAL', code: '57P01', message: 'terminating connection' });
  const notice = backend.encodeParameterStatus('application_name', 'x');
  const wide = Buffer.concat([Buffer.from([0x54, 0, 0x20, 0, 0]), Buffer.alloc(0x1f_fffc)]);
  const between: Readonly<Record<string, (talk: Conversation) => void>> = {
    nothing: () => {},
    'an error of its own': () => {},
    FATAL: (talk) => talk.hear(fatal),
    'a setting': (talk) => talk.hear(notice),
    'an answer out of step': (talk) => talk.hear(backend.encodeReadyForQuery('I')),
    'a description too long to hold': (talk) => talk.hear(wide),
    'another policy, which limits rows': (talk) => {
      talk.world.policies = [policy('readers', [rule('work', ROWS)], { session: { rows: 2 } })];
    },
    'another policy, which denies': (talk) => {
      talk.world.policies = [policy('nobody', [rule('none', { statements: ['Session'] })])];
    },
    'a client that leaves': (talk) => talk.session.leave('ClientGone', talk.world.now),
    'more of the client': (talk) => talk.send(execute, sync, bind('three'), describePortal),
  };
  const statements = [
    'three',
    'failing',
    'copy',
    'begin',
    'commit',
    'begin commit',
    'begin failing back',
    'set begin set back',
  ];
  const cases = Object.keys(between).flatMap((what) => statements.map((statement) => [what, statement] as const));

  test.each(cases)('%s, in a run of %s', (what, statement) => {
    // After each of the answers that the run has, and after all of them as one.
    for (let i = 0; i < 28; i++) {
      const answers = i >> 1;
      const [one, many] = both(
        (talk) => {
          talk.send(Buffer.concat([...statement.split(' '), 'three'].map(runOf)));
          while (talk.serve());
          for (let n = 0; n < answers; n++) talk.answer();
          if (talk.ended === null) between[what]!(talk);
          if (talk.ended === null) talk.settle();
        },
        i % 2 === 1,
      );
      expect(one, `after ${answers} answers`).toEqual(many);
    }
  });
});
