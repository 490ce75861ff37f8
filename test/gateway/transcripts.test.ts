import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  encodeBind,
  encodeClose,
  encodeCopyData,
  encodeCopyDone,
  encodeCopyFail,
  encodeDescribe,
  encodeExecute,
  encodeFlush,
  encodeFunctionCall,
  encodeSync,
} from '../../gateway/wire/frontend.ts';
import { trace } from '../../gateway/wire/trace.ts';
import { policy, rule, startWorld, type World } from './harness.ts';
import { bind, parse, signIn, sql } from './raw.ts';
import { type Recorder, startRecorder } from './recorder.ts';

const FOLDER = new URL('transcripts/', import.meta.url);
const WORKER = policy('workers', 'worker', 'app_rw', [
  rule('work', {
    statements: ['Select', 'Insert', 'CopyTo', 'CopyFrom', 'Cursor', 'Prepare', 'Transaction', 'Session'],
    relations: ['public.*'],
  }),
]);
let world: World;
let recorder: Recorder;

beforeAll(async () => {
  recorder = await startRecorder();
  world = await startWorld({
    change(document) {
      recorder.target = document.upstream.hosts[0]!.port;
      const upstream = { ...document.upstream, hosts: [{ host: '127.0.0.1', port: recorder.port }] };
      return { ...document, upstream, policies: [WORKER] };
    },
  });
  // The catalogue is there before the first transcript: its loading is no part of them.
  const client = await signIn(world, 'worker');
  client.send(sql('SELECT count(*) FROM orders'));
  await client.until('Z:I');
  client.socket.destroy();
}, 60_000);
afterAll(async () => {
  await world.stop();
  recorder.close();
});

/** Messages, then the word that ends the answer to them. */
type Step = readonly [messages: readonly Buffer[], until: string];

const execute = (portal = '', rows = 0) => encodeExecute(portal, rows);
const one = [bind(), execute(), encodeSync()] as const;
const DENIED = 'DELETE FROM orders';
const copied = (text: string) => encodeCopyData(Buffer.from(text));

const SCRIPTS: Readonly<Record<string, readonly Step[]>> = {
  'simple-allowed': [[[sql('SELECT 1 AS one')], 'Z:I']],
  'simple-denied': [
    [[sql(DENIED)], 'Z:I'],
    [[sql('SELECT 1')], 'Z:I'],
  ],
  'simple-empty': [
    [[sql('')], 'Z:I'],
    [[sql(' -- nothing\n')], 'Z:I'],
  ],
  'simple-syntax-error': [[[sql('SELEC 1')], 'Z:I']],
  'multi-statement-denied-in-the-middle': [[[sql(`SELECT 1; ${DENIED}; SELECT 2`)], 'Z:I']],
  'denied-in-a-transaction': [
    [[sql('BEGIN')], 'Z:T'],
    [[sql(DENIED)], 'Z:E'],
    [[sql(DENIED)], 'Z:E'],
    [[sql('ROLLBACK')], 'Z:I'],
  ],
  'extended-allowed': [[[parse('SELECT 1 AS one'), bind(), encodeDescribe('P', ''), execute(), encodeSync()], 'Z:I']],
  'extended-denied-at-parse': [
    [[parse(DENIED), ...one], 'Z:I'],
    [[parse('SELECT 1'), ...one], 'Z:I'],
  ],
  'extended-denied-in-a-transaction': [
    [[sql('BEGIN')], 'Z:T'],
    [[parse(DENIED), ...one], 'Z:E'],
    [[parse('SELECT 1'), ...one], 'Z:E'],
    [[sql('ROLLBACK')], 'Z:I'],
  ],
  'pipeline-denied-in-the-middle': [
    [[parse('SELECT 1'), bind(), execute(), parse(DENIED), bind(), execute(), parse('SELECT 2'), ...one], 'Z:I'],
  ],
  'pipeline-of-two-syncs': [
    [[parse(DENIED), ...one], 'Z:I'],
    [[parse('SELECT 1'), ...one, parse('SELECT 2'), ...one], 'Z:I'],
    [[], 'Z:I'],
  ],
  'named-statement-again-and-closed': [
    [[parse('SELECT 1', 's'), encodeSync()], 'Z:I'],
    [[bind('', 's'), execute(), encodeSync()], 'Z:I'],
    [[bind('', 's'), execute(), encodeSync()], 'Z:I'],
    [[encodeClose('S', 's'), encodeSync()], 'Z:I'],
    [[bind('', 's'), execute(), encodeSync()], 'Z:I'],
  ],
  'describe-before-bind': [[[parse('SELECT $1::int AS n', 's'), encodeDescribe('S', 's'), encodeSync()], 'Z:I']],
  'portal-suspended-and-resumed': [
    [[parse('SELECT generate_series(1, 3)'), bind('p'), execute('p', 2), encodeFlush()], 's'],
    [[execute('p', 2), encodeSync()], 'Z:I'],
  ],
  'flush-without-sync': [
    [[parse('SELECT 1'), encodeFlush()], '1'],
    [[...one], 'Z:I'],
  ],
  cursor: [
    [[sql('BEGIN')], 'Z:T'],
    [[sql('DECLARE c CURSOR FOR SELECT generate_series(1, 3)')], 'Z:T'],
    [[sql('FETCH 2 FROM c')], 'Z:T'],
    [[sql('CLOSE c; COMMIT')], 'Z:I'],
  ],
  'sql-prepare-and-execute': [
    [[sql('PREPARE q AS SELECT 1')], 'Z:I'],
    [[sql('EXECUTE q')], 'Z:I'],
    [[sql('EXECUTE unknown')], 'Z:I'],
  ],
  'copy-out': [[[sql('COPY (SELECT 1, 2) TO STDOUT')], 'Z:I']],
  'copy-in': [
    [[sql('BEGIN')], 'Z:T'],
    [[sql('COPY orders (id, item) FROM STDIN')], 'G'],
    [[copied('1001\tone\n'), copied('1002\ttwo\n'), encodeCopyDone()], 'Z:T'],
    [[sql('ROLLBACK')], 'Z:I'],
  ],
  'copy-in-given-up': [
    [[sql('COPY orders (id, item) FROM STDIN')], 'G'],
    [[encodeCopyFail(Buffer.from('enough'))], 'Z:I'],
  ],
  'copy-in-denied': [
    [[sql('COPY secret.salaries FROM STDIN')], 'Z:I'],
    [[sql('SELECT 1')], 'Z:I'],
  ],
  'copy-in-extended': [
    [[parse('COPY orders (id, item) FROM STDIN'), bind(), execute(), encodeSync()], 'G'],
    [[copied('not a number\tx\n'), encodeCopyDone(), encodeSync()], 'Z:I'],
  ],
  'function-call-denied': [
    [[encodeFunctionCall({ functionOid: 1_000_000, formats: [], parameters: [], resultFormat: 0 })], 'Z:I'],
    [[sql('SELECT 1')], 'Z:I'],
  ],
  'setting-denied': [
    [[sql('SET zero_damaged_pages = on')], 'Z:I'],
    [[sql('SHOW zero_damaged_pages')], 'Z:I'],
  ],
  'server-error-in-a-pipeline': [
    [
      [
        parse('SELECT 1/$1::int'),
        encodeBind({ portal: '', statement: '', formats: [], parameters: [Buffer.from('0')], resultFormats: [] }),
        execute(),
        parse('SELECT 2'),
        ...one,
      ],
      'Z:I',
    ],
  ],
};

/** Names of files, lines and routines of the server's source, OIDs of tables, our nonces: not the same everywhere. */
function steady(lines: readonly string[]): string {
  return lines
    .map((line) =>
      line
        .replaceAll(/postern_[0-9a-f]{32}/g, 'postern_NONCE')
        .replaceAll(/ F "[\w./-]+" L "\d+" R "\w+"/g, '')
        .replace(/^([FB])\t\d+\t/, '$1 '),
    )
    .join('\n');
}

const CASES = Object.entries(SCRIPTS).flatMap(([name, steps]) => [
  [name, 0, steps] as const,
  [name, 2, steps] as const,
]);

test.each(CASES)('%s, protocol 3.%d', async (name, minor, steps) => {
  const client = await signIn(world, 'worker', minor);
  // Only from protocol 3.2 on may it be longer.
  expect(client.key.length === 4).toBe(minor === 0);
  recorder.follow();
  const sent: Buffer[] = [];
  const got: Buffer[] = [];
  client.socket.on('data', (chunk: Buffer) => got.push(chunk));
  for (const [messages, until] of steps) {
    sent.push(...messages);
    client.send(...messages);
    await client.until(until);
  }
  client.socket.destroy();
  const text = [
    '# the client sends',
    steady(trace('frontend', Buffer.concat(sent))),
    '# the server gets',
    steady(trace('frontend', recorder.sent()).filter((line) => !line.includes('\tTerminate'))),
    '# the client gets',
    steady(trace('backend', Buffer.concat(got))),
    '',
  ].join('\n');
  const file = new URL(`${name}.txt`, FOLDER);
  if (process.env.UPDATE_GOLDEN === '1' && minor === 0) writeFileSync(file, text);
  expect(existsSync(file), 'run make golden and read what it wrote').toBe(true);
  expect(text).toBe(readFileSync(file, 'utf8'));
});
