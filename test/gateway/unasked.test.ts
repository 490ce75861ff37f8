import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  encodeCopyData,
  encodeCopyDone,
  encodeDescribe,
  encodeExecute,
  encodeSync,
} from '../../gateway/wire/frontend.ts';
import { policy, rule, startWorld, type World } from './harness.ts';
import { bind, parse, type Raw, signIn, sql } from './raw.ts';

/*
 * What the server says without being asked: NotificationResponse comes when it is between two statements, and that may be
 * before it has read what the gateway has already sent on; NoticeResponse comes in the middle of an answer.
 */

const RULES = [
  rule('work', {
    statements: ['Select', 'Insert', 'CopyTo', 'CopyFrom', 'Transaction', 'Listen', 'Function'],
    relations: ['public.*'],
    functions: ['public.loud(integer)'],
  }),
];
let world: World;

beforeAll(async () => {
  world = await startWorld({
    change: (document) => ({ ...document, policies: [policy('a', 'worker', 'app_rw', RULES)] }),
  });
  await world.server.query(`CREATE FUNCTION loud(n int) RETURNS int LANGUAGE plpgsql AS $$
    BEGIN RAISE NOTICE 'so it is: %', n; RETURN n; END $$`);
}, 60_000);
afterAll(() => world.stop());

const execute = (rows = 0, portal = '') => encodeExecute(portal, rows);
const NAMED = [bind('', 'known'), encodeDescribe('P', ''), execute(), encodeSync()];

/** Messages, and the words of their answer. */
const FORMS: Readonly<Record<string, readonly [messages: readonly Buffer[], answer: string]>> = {
  'a string': [[sql('SELECT id FROM orders WHERE id < 3; SELECT 1')], 'T D D C:SELECT_2 T D C:SELECT_1 Z:I'],
  'a refused string': [[sql('DELETE FROM orders')], 'E:42501 Z:I'],
  'a string with an error': [[sql('SELECT 1/0')], 'E:22012 Z:I'],
  'a transaction': [[sql('BEGIN; SELECT 1; COMMIT')], 'C:BEGIN T D C:SELECT_1 C:COMMIT Z:I'],
  'a prepared statement': [NAMED, '2 T D C:SELECT_1 Z:I'],
  'three of them behind each other': [
    [Buffer.concat([...NAMED, ...NAMED.slice(0, -1), ...NAMED])],
    '2 T D C:SELECT_1 Z:I 2 T D C:SELECT_1 2 T D C:SELECT_1 Z:I',
  ],
  'a refused one before another': [
    [parse('DELETE FROM orders'), bind(), execute(), encodeSync(), ...NAMED],
    'E:42501 Z:I 2 T D C:SELECT_1 Z:I',
  ],
  'a portal in parts': [
    [parse('SELECT id FROM orders WHERE id < 4'), bind('p'), execute(2, 'p'), execute(0, 'p'), encodeSync()],
    '1 2 D D s D C:SELECT_1 Z:I',
  ],
  'COPY TO': [[sql('COPY (SELECT 1) TO STDOUT')], 'H d c C:COPY_1 Z:I'],
  'COPY FROM that fails': [
    [sql('COPY orders FROM STDIN'), encodeCopyData(Buffer.from('no number\n')), encodeCopyDone()],
    'G E:22P02 Z:I',
  ],
};

/** Everything up to so many ReadyForQuery, without notifications; they are counted. */
async function answer(client: Raw, ready: number, heard: { count: number }): Promise<string> {
  const words: string[] = [];
  for (let i = 0; i < ready; i += 1) words.push(...(await client.until('Z:I')).split(' '));
  heard.count += words.filter((word) => word === 'A').length;
  return words.filter((word) => word !== 'A').join(' ');
}

describe.each([0, 2])('protocol 3.%d', (minor) => {
  test('notifications change no answer, and all of them arrive', async () => {
    const client = await signIn(world, 'worker', minor);
    const heard = { count: 0 };
    client.send(sql('LISTEN news'), parse('SELECT 1', 'known'), encodeSync());
    expect(await answer(client, 2, heard)).toBe('C:LISTEN Z:I 1 Z:I');
    let told = 0;
    let over = false;
    const telling = (async () => {
      for (; !over; told += 1) await world.server.query(`NOTIFY news, '${told}'`);
    })();
    for (let turn = 0; turn < 20 || told < 20; turn += 1) {
      for (const [name, [messages, expected]] of Object.entries(FORMS)) {
        client.send(...messages);
        expect(await answer(client, expected.split('Z:I').length - 1, heard), name).toBe(expected);
      }
    }
    over = true;
    await telling;
    await expect.poll(() => heard.count + client.words.length).toBe(told);
    client.socket.destroy();
  });
});

test('a notice comes in its place in the answer', async () => {
  const client = await world.connect('worker');
  const notices: (string | undefined)[] = [];
  client.on('notice', ({ message }) => notices.push(message));
  for (let n = 0; n < 20; n += 1) {
    const { rows } = await client.query({ name: 'loud', text: 'SELECT loud($1) AS n', values: [n] });
    expect([rows, notices.at(-1)]).toEqual([[{ n }], `so it is: ${n}`]);
  }
  expect(notices).toHaveLength(20);
  await client.end();
});
