import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeCopyData, encodeExecute, encodeFlush, encodeQuery, encodeSync } from '../../gateway/wire/frontend.ts';
import { encodeCancelRequest } from '../../gateway/wire/opening.ts';
import { policy, rule, startWorld, type World } from './harness.ts';
import { bind, parse, Raw, signIn, sql } from './raw.ts';

/*
 * What is sent before the answers to what was sent earlier: the gateway has to judge it as the server will run it, though it
 * does not know yet what the server made of the rest.
 */
const WRITER = policy(
  'writers',
  'writer',
  'app_rw',
  [
    rule('work', {
      statements: ['Select', 'Update', 'CopyFrom', 'Insert', 'Prepare', 'Transaction', 'Session'],
      relations: ['public.orders', 'public.é'],
    }),
  ],
  { settings: ['standard_conforming_strings'] },
);
const FEW = policy(
  'few-rows',
  'few',
  'app_rw',
  [rule('read', { statements: ['Select', 'Resource'], relations: ['public.orders'] })],
  { rows: 3 },
);
let world: World;

beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [FEW, WRITER] }) });
  await world.server.query(`CREATE TABLE "é" (x int); CREATE TABLE "Ã©" (x int); INSERT INTO "Ã©" VALUES (42);
    GRANT ALL ON ALL TABLES IN SCHEMA public TO app_rw`);
}, 60_000);
afterAll(() => world.stop());

/** Texts of the intents that hold a word. */
async function intended(word: string): Promise<string[]> {
  return (await world.events()).flatMap(({ metadata, query_info }) => {
    const { event_code } = metadata as { event_code: string };
    const text = (query_info as { query_string?: string } | undefined)?.query_string ?? '';
    return event_code === 'intent' && text.includes(word) ? [text] : [];
  });
}

const execute = encodeExecute('', 0);

async function talk(...messages: readonly Buffer[]): Promise<string> {
  const client: Raw = await signIn(world, 'writer');
  client.send(...messages);
  client.socket.end();
  return await client.until('end');
}

test('a name whose second definition fails is judged as the first, behind a Sync', async () => {
  const first = "UPDATE orders SET item = 'first' WHERE id = 1";
  const words = await talk(
    ...[parse(first, 's'), encodeSync(), parse('SELECT 1', 's'), encodeSync()],
    ...[bind('', 's'), execute, encodeSync()],
  );
  expect(words).toContain('C:UPDATE_1');
  expect(await intended('first')).toEqual([first]);
});

test('a failed definition does not take a later one of the same name with it', async () => {
  const words = await talk(
    sql('PREPARE t AS SELECT 1'),
    sql('PREPARE t AS SELECT 2'),
    sql('DEALLOCATE t'),
    sql("PREPARE t AS UPDATE orders SET item = 'third' WHERE id = 2"),
    ...[bind('', 't'), execute, encodeSync()],
  );
  expect(words).toContain('C:UPDATE_1');
  expect((await intended('third')).length).toBe(2);
});

test('a string that the server skips after an error defines nothing', async () => {
  const words = await talk(
    ...[parse("UPDATE orders SET item = 'kept' WHERE id = 3", 'u'), encodeSync()],
    ...[bind('', 'none'), sql('DEALLOCATE u; PREPARE u AS SELECT 1'), encodeSync()],
    ...[bind('', 'u'), execute, encodeSync()],
  );
  expect(words).toContain('C:UPDATE_1');
  expect((await intended('kept')).length).toBe(1);
});

test('no policy frees how texts are read, and what is sent behind the refusal is not read at all', async () => {
  const hidden = "SELECT '\\'', who FROM secret.salaries --'";
  const words = await talk(
    ...[parse('SET standard_conforming_strings = off'), bind(), execute],
    ...[parse(hidden), bind(), execute, encodeSync()],
  );
  expect(words).toBe('E:42501 Z:I end');
});

test('a name that is sent behind a change of client_encoding is judged as the server will read it', async () => {
  const words = await talk(sql("SET client_encoding = 'LATIN1'"), encodeQuery(Buffer.from('SELECT x FROM "é"')));
  expect(words).toBe('C:SET Z:I E:42501 Z:I end');
});

test('a statement behind a COPY FROM STDIN ends the session, as on a server; nobody waits for ever', async () => {
  expect(await talk(sql('COPY orders FROM STDIN'), sql('SELECT * FROM orders'))).toMatch(/^G (?:E:08P01 )+end$/);
});

test('a literal SET search_path and what follows it is understood in the first string of a session', async () => {
  expect(await talk(sql('SET search_path = public; SELECT x FROM "é"'))).toBe('C:SET T C:SELECT_0 Z:I end');
});

test('a cancel hits what it was meant for: the statement after a cut result, or after a CancelRequest, runs', async () => {
  const client = await world.connect('few');
  for (let i = 0; i < 30; i++) {
    await expect(client.query('SELECT * FROM orders')).rejects.toMatchObject({ code: '42501' });
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  }
  await client.end();
  const raw = await signIn(world, 'few');
  const sleeping = `SELECT 1 FROM pg_stat_activity WHERE pid = ${raw.processId} AND wait_event = 'PgSleep'`;
  for (let i = 0; i < 20; i++) {
    raw.send(sql('SELECT pg_sleep(9)'));
    await expect.poll(() => world.server.query(sleeping), { interval: 5, timeout: 5_000 }).toHaveLength(1);
    const cancel = new Raw(world.port);
    cancel.send(encodeCancelRequest(raw.processId, raw.key));
    await cancel.until('end');
    raw.send(sql('SELECT 1'));
    expect(await raw.until('Z:I')).toContain('E:57014');
    expect(await raw.until('Z:I')).toBe('T D C:SELECT_1 Z:I');
  }
  raw.socket.destroy();
}, 30_000);

test.each([
  ['a change of search_path', 'SET search_path = secret, public'],
  ['another EXECUTE', 'EXECUTE b'],
  ['PREPARE', 'PREPARE c AS SELECT item FROM orders'],
  ['DEALLOCATE', 'DEALLOCATE b'],
  ['a change of client_encoding', "SET client_encoding = 'LATIN1'"],
])(
  '%s that was prepared by Parse is not run by EXECUTE, behind which nobody would look for it',
  async (_what, text) => {
    const client: Raw = await signIn(world, 'writer');
    client.send(parse('SELECT item FROM orders', 'b'), parse(text, 'a'), encodeSync());
    expect(await client.until('Z:I')).toBe('1 1 Z:I');
    client.send(sql('EXECUTE a; SELECT item FROM orders'));
    expect(await client.until('Z:I')).toBe('E:42501 Z:I');
    client.send(bind('', 'a'), execute, encodeSync());
    expect(await client.until('Z:I')).toMatch(/^2 /);
    client.socket.destroy();
  },
);

test('a COPY that fails within a later CopyData message keeps the session in step', async () => {
  const client: Raw = await signIn(world, 'writer');
  client.send(parse('COPY orders FROM STDIN'), bind(), execute, encodeFlush());
  await client.until('G');
  const later = encodeCopyData(Buffer.alloc(1000, 0x20));
  client.send(encodeCopyData(Buffer.from('bad\n')), later.subarray(0, 10));
  await client.until('E:22P02');
  client.send(later.subarray(10), encodeSync());
  expect(await client.until('Z:I')).toBe('Z:I');
  client.socket.destroy();
});
