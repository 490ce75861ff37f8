import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeExecute, encodeSync } from '../../gateway/wire/frontend.ts';
import { policy, rule, startWorld, type World } from './harness.ts';
import { bind, parse, signIn, sql } from './raw.ts';

const WORK = rule('work', {
  statements: ['Select', 'Insert', 'CopyFrom', 'Transaction', 'Prepare', 'Resource'],
  relations: ['public.orders'],
});
let world: World;

beforeAll(async () => {
  const policies = [
    policy('hasty', 'hasty', 'app_rw', [WORK], { idle: 400 }),
    policy('short', 'short', 'app_rw', [WORK], { maxAge: 1500 }),
    policy('steady', 'steady', 'app_rw', [WORK]),
  ];
  world = await startWorld({ change: (document) => ({ ...document, policies }) });
}, 60_000);
afterAll(() => world.stop());

test.each([
  ['between statements', sql('SELECT 1'), 'E:57P05 end'],
  ['in a transaction, where it holds locks', sql('BEGIN'), 'E:25P03 end'],
  ['in the middle of a COPY FROM', sql('COPY orders FROM STDIN'), 'E:25P03 end'],
  ['in a pipeline without its Sync', Buffer.concat([parse('SELECT 1'), bind()]), 'E:25P03 end'],
])('a client that is silent %s is told so and ended', async (_where, bytes, expected) => {
  const client = await signIn(world, 'hasty');
  client.send(bytes);
  expect((await client.until('end')).endsWith(expected)).toBe(true);
});

test('a statement that runs for longer than that is not silence', async () => {
  const client = await signIn(world, 'hasty');
  client.send(sql('SELECT pg_sleep(2)'));
  expect(await client.until('Z:I')).toBe('T D C:SELECT_1 Z:I');
  client.socket.destroy();
});

test('a session that has reached its greatest age ends at its next statement', async () => {
  const client = await signIn(world, 'short');
  await sleep(1600);
  client.send(sql('SELECT 1'));
  expect(await client.until('end')).toBe('E:57P01 end');
});

test('an error of several megabytes is the statement’s, in both protocols; the session goes on', async () => {
  const client = await signIn(world, 'steady');
  const long = "SELECT repeat('x', 3000000)::int";
  client.send(sql(long));
  expect(await client.until('Z:I')).toBe('E:22P02 Z:I');
  client.send(parse(long), bind(), encodeExecute('', 0), encodeSync(), sql('SELECT 1'));
  expect(await client.until('Z:I')).toContain('E:22P02 Z:I');
  expect(await client.until('Z:I')).toBe('T D C:SELECT_1 Z:I');
  client.socket.destroy();
});
