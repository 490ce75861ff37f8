import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  encodeBind,
  encodeCopyData,
  encodeCopyDone,
  encodeExecute,
  encodeFlush,
  encodeSync,
  encodeTerminate,
} from '../../gateway/wire/frontend.ts';
import { policy, rule, startWorld, type World } from './harness.ts';
import { bind, parse, type Raw, signIn, sql } from './raw.ts';

/*
 * A server reads Terminate, or the end of what a client sends, when it has run what came before. So what a client sends
 * together with it runs here as well, whatever has to be asked, recorded or waited for on the way.
 */
const WRITER = policy('writers', 'writer', 'app_rw', [
  rule('work', {
    statements: ['Select', 'Insert', 'CopyFrom', 'Transaction', 'Session', 'TempTable', 'Resource'],
    relations: ['public.marks'],
  }),
]);

let world: World;

beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [...document.policies, WRITER] }) });
  await world.server.query('CREATE TABLE marks (n int); GRANT ALL ON marks TO app_rw');
}, 60_000);
afterAll(() => world.stop());
beforeEach(() => world.server.query('TRUNCATE marks'));

async function marks(): Promise<number> {
  const rows = await world.server.query('SELECT count(*)::int AS n FROM marks');
  return (rows[0] as { n: number }).n;
}

async function running(): Promise<number> {
  const rows = await world.server.query(
    `SELECT count(*)::int AS n FROM pg_stat_activity WHERE state <> 'idle' AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()`,
  );
  return (rows[0] as { n: number }).n;
}

const insert = sql('INSERT INTO marks VALUES (1)');
const extended = (text: string) => [parse(text), bind(), encodeExecute('', 0)];
const copyData = [encodeCopyData(Buffer.from('1\n2\n')), encodeCopyDone()];

const FORMS: Readonly<Record<string, readonly [number, readonly Buffer[]]>> = {
  'a query': [1, [insert]],
  'a string of several': [2, [sql('INSERT INTO marks VALUES (1); INSERT INTO marks VALUES (2)')]],
  'many queries': [300, Array.from({ length: 300 }, () => insert)],
  'a transaction that is committed': [1, [sql('BEGIN'), insert, sql('COMMIT')]],
  'one that is not': [0, [sql('BEGIN'), insert]],
  'extended messages': [1, [...extended('INSERT INTO marks VALUES (1)'), encodeSync()]],
  'many pipelines': [
    100,
    Array.from({ length: 100 }, () => [...extended('INSERT INTO marks VALUES (1)'), encodeSync()]).flat(),
  ],
  'extended messages without Sync': [0, extended('INSERT INTO marks VALUES (1)')],
  'a COPY': [2, [sql('COPY marks FROM STDIN'), ...copyData]],
  'a COPY in extended messages': [2, [...extended('COPY marks FROM STDIN'), encodeSync(), ...copyData, encodeSync()]],
  'a COPY that lacks its end': [0, [sql('COPY marks FROM STDIN'), copyData[0]!]],
  'a query behind a COPY': [3, [sql('COPY marks FROM STDIN'), ...copyData, insert]],
  'what needs a question': [2, [insert, sql('CREATE TEMP TABLE own (n int)'), insert, sql('SELECT * FROM own')]],
  'a refused one in between': [2, [insert, sql('SELECT * FROM orders'), insert]],
  'what takes a while': [1, [sql('SELECT pg_sleep(0.3)'), insert]],
};

const LEAVING: Readonly<Record<string, (client: Raw, messages: readonly Buffer[]) => void>> = {
  'a Terminate in the same packet': (client, messages) => client.send(...messages, encodeTerminate()),
  'a Terminate and the end of the stream': (client, messages) => {
    client.send(...messages, encodeTerminate());
    client.socket.end();
  },
  'the end of the stream': (client, messages) => {
    client.send(...messages);
    client.socket.end();
  },
};

describe.each(Object.entries(LEAVING))('what came before %s runs', (_how, leave) => {
  test.each(Object.entries(FORMS))('%s', async (_name, [rows, messages]) => {
    const client = await signIn(world, 'writer');
    leave(client, messages);
    await client.until('end');
    expect(await marks()).toBe(rows);
  });
});

describe.each(['writer', 'dba'])('%s', (who) => {
  test.each(['a query', 'a COPY', 'a COPY in extended messages', 'extended messages'])(
    'what came before a Terminate in the same packet runs, though the client does not stay: %s',
    async (name) => {
      const [rows, messages] = FORMS[name]!;
      for (let i = 0; i < 5; i++) {
        const client = await signIn(world, who);
        client.send(...messages, encodeTerminate());
        client.socket.destroySoon();
      }
      await expect.poll(marks, { timeout: 5000 }).toBe(5 * rows);
    },
  );
});

test('the record has what became of them', async () => {
  const client = await signIn(world, 'writer');
  client.send(sql('INSERT INTO marks VALUES (4711)'), encodeTerminate());
  await client.until('end');
  const outcomes = async () => {
    const events = (await world.events()).map((event) => JSON.stringify(event));
    const intent = events.findLastIndex((line) => line.includes('4711'));
    return events.slice(intent + 1).filter((line) => line.includes('"outcome"'));
  };
  await expect.poll(outcomes).toEqual([expect.stringContaining('INSERT 0 1')]);
});

test('a client that says Terminate and vanishes has what still runs cancelled a little later', async () => {
  const client = await signIn(world, 'writer');
  client.send(sql('SELECT pg_sleep(60)'), encodeTerminate());
  await expect.poll(running).toBe(1);
  client.socket.resetAndDestroy();
  await expect.poll(running, { timeout: 5000 }).toBe(0);
});

test('one that says nothing more, and may still read, is waited for', async () => {
  const client = await signIn(world, 'writer');
  client.send(sql('SELECT pg_sleep(2)'), insert, encodeTerminate());
  client.socket.end();
  await sleep(1000);
  expect(await running()).toBe(1);
  expect(await client.until('end')).toContain('C:INSERT_0_1');
  expect(await marks()).toBe(1);
});

describe('a query before a pipeline whose last message lacks its end', () => {
  const long = `SELECT ${'1,'.repeat(100_000)} 1`;
  // So long that a part of it has been sent on when the end of the stream is seen.
  const cut = (message: Buffer) => message.subarray(0, 150_000);
  const parameter = Buffer.from('1'.repeat(300_000));
  const large = encodeBind({ portal: '', statement: '', formats: [], parameters: [parameter], resultFormats: [] });

  test.each<[string, readonly Buffer[]]>([
    ['a Parse', [cut(parse(long))]],
    ['a Bind', [parse('SELECT $1'), cut(large)]],
    ['a Query', [cut(sql(long))]],
    ['nothing but a Parse before a Flush', [parse('SELECT 1'), encodeFlush(), cut(parse(long))]],
  ])('%s', async (_name, rest) => {
    for (let i = 0; i < 5; i++) {
      const client = await signIn(world, 'dba');
      client.send(sql('INSERT INTO marks SELECT 1 FROM pg_sleep(0.05)'), ...rest);
      client.socket.end();
      await client.until('end');
    }
    expect(await marks()).toBe(5);
  });
});

test.each<[string, readonly Buffer[]]>([
  ['the end of the stream', []],
  ['a Parse that stops short', [parse(`SELECT ${'1,'.repeat(100_000)} 1`).subarray(0, 150_000)]],
  ['a Query that stops short', [sql(`SELECT ${'1,'.repeat(100_000)} 1`).subarray(0, 150_000)]],
])('a COMMIT that ran by Execute has run, though %s follows it', async (_name, rest) => {
  for (let i = 0; i < 5; i++) {
    const client = await signIn(world, 'dba');
    client.send(sql('BEGIN'), insert, ...extended('SELECT pg_sleep(0.05)'), ...extended('COMMIT'), ...rest);
    client.socket.end();
    await client.until('end');
  }
  expect(await marks()).toBe(5);
});

test('a Terminate in the middle of a pipeline that failed', async () => {
  const failed = await signIn(world, 'writer');
  failed.send(...extended('SELECT 1 / 0'), ...extended('INSERT INTO marks VALUES (1)'), encodeTerminate());
  await failed.until('end');
  expect(await marks()).toBe(0);
});
