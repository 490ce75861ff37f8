import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  encodeClose,
  encodeCopyData,
  encodeCopyDone,
  encodeDescribe,
  encodeExecute,
  encodeFunctionCall,
  encodePassword,
  encodeSync,
} from '../../gateway/wire/frontend.ts';
import { encodeCancelRequest, encodeStartupMessage } from '../../gateway/wire/opening.ts';
import { policy, rule, startWorld, username, type World } from './harness.ts';
import { bind, parse, Raw, signIn, sql } from './raw.ts';

const READER = policy('readers', 'reader', 'analyst_ro', [
  rule('read', { statements: ['Select', 'Transaction', 'Session'], relations: ['public.*'] }),
]);
const CALLER = policy('callers', 'caller', 'analyst_ro', [
  rule('call', { statements: ['Select', 'Function'], relations: ['public.*'], functions: ['public.twice(integer)'] }),
]);
const ONE_DATABASE = {
  ...policy('elsewhere', 'elsewhere', 'analyst_ro', [
    rule('read', { statements: ['Select'], relations: ['public.*'] }),
  ]),
  databases: ['analyst_ro'],
};
const COPIER = policy('copiers', 'copier', 'app_rw', [
  rule('all', { statements: ['Select', 'Insert', 'CopyFrom', 'TempTable', 'Transaction'], relations: ['public.*'] }),
]);
const DBA = policy('dbas', 'dba', 'app_rw', [rule('everything', { statements: ['Any'], relations: ['*.*'] })]);
let world: World;

beforeAll(async () => {
  world = await startWorld({
    change: (document) => ({ ...document, policies: [CALLER, COPIER, DBA, ONE_DATABASE, READER] }),
  });
  await world.server.query('CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS $$SELECT $1 * 2$$');
}, 60_000);
afterAll(() => world.stop());

async function open(name: string, parameters: Record<string, string>, minor = 0): Promise<Raw> {
  const client = new Raw(world.port);
  client.send(encodeStartupMessage(minor, new Map(Object.entries({ user: username(name), ...parameters }))));
  client.send(encodePassword(Buffer.from(await world.token(name))));
  return client;
}

describe('the start-up packet', () => {
  test.each([{}, { database: '' }])(
    'an empty database is the picked role’s, and judged by that name: %j',
    async (more) => {
      await world.server.query('CREATE DATABASE analyst_ro').catch(() => {});
      const client = await open('elsewhere', more);
      await client.until('Z:I');
      client.socket.destroy();
      const refused = await open('elsewhere', { database: 'postgres' });
      expect(await refused.until('end')).toContain('E:28000');
    },
  );

  test.each([
    ['options', '-c role=app_rw'],
    ['options', '-crole=app_rw'],
    ['options', '--role=app_rw'],
    ['options', '-c session_authorization=postgres'],
    ['options', '-c  search_path=public -c Role=app_rw'],
    ['options', '-c zero_damaged_pages=on'],
    ['options', '-c standard_conforming_strings=off'],
    ['options', '-c session_replication_role=replica'],
    ['options', '-B 100'],
    ['search_path', 'pg_temp'],
    ['options', '-c search_path=public,pg_temp'],
    ['role', 'app_rw'],
    ['session_authorization', 'postgres'],
    ['client_encoding', 'SJIS'],
    ['local_preload_libraries', 'x'],
    ['log_statement', 'none'],
  ])('%s=%s cannot come in that way', async (name, value) => {
    const client = await open('reader', { database: 'postgres', [name]: value });
    expect(await client.until('end')).toMatch(/E:(42501|28000)/);
  });

  test.each(['true', 'on', 'database', '1'])('a replication connection (%s) is refused clearly', async (value) => {
    const client = await open('dba', { database: 'postgres', replication: value });
    expect(await client.until('end')).toMatch(/E:(0A000|28000|08P01)/);
  });
});

describe('packets that are not in order', () => {
  const LENGTHS = [0, 1, 2, 3, 0x7fffffff, 0x80000000, 0xffffffff];
  test.each(LENGTHS)('a Query whose length field says %d ends its session alone, unread', async (length) => {
    const [client, other] = [await signIn(world, 'reader'), await signIn(world, 'reader')];
    const packet = Buffer.from('Q\0\0\0\0DROP TABLE orders\0', 'latin1');
    packet.writeUInt32BE(length, 1);
    client.send(packet);
    expect(await client.until('end')).toContain('E:08P01');
    other.send(sql('SELECT 1'));
    expect(await other.until('Z:I')).toContain('C:SELECT_1');
    other.socket.destroy();
  });

  test.each([0, 1, 7, 0x7fffffff])('a start-up packet whose length field says %d is closed', async (length) => {
    const socket = net.connect({ host: '127.0.0.1', port: world.port });
    socket.on('error', () => {});
    const packet = Buffer.alloc(8);
    packet.writeUInt32BE(length, 0);
    packet.writeUInt32BE(196_608, 4);
    socket.write(packet);
    socket.resume();
    await once(socket, 'close');
  });

  const trailing = (message: Buffer): Buffer => {
    const longer = Buffer.concat([message, Buffer.from('; DROP TABLE orders\0')]);
    longer.writeUInt32BE(longer.length - 1, 1);
    return longer;
  };
  test.each([
    ['Query', sql('SELECT 1')],
    ['Parse', parse('SELECT 1')],
    ['Bind', bind()],
    ['Execute', encodeExecute('', 0)],
    ['Describe', encodeDescribe('S', '')],
    ['Close', encodeClose('S', '')],
    ['Sync', encodeSync()],
  ])('bytes behind the last field of %s are refused, not smuggled', async (_name, message) => {
    const client = await signIn(world, 'reader');
    client.send(trailing(message));
    expect(await client.until('end')).toContain('E:08P01');
  });

  test('a message split at every byte arrives whole', async () => {
    const client = await signIn(world, 'reader');
    const bytes = Buffer.concat([
      parse('SELECT 1'),
      bind(),
      encodeDescribe('P', ''),
      encodeExecute('', 0),
      encodeSync(),
    ]);
    client.socket.setNoDelay(true);
    for (const byte of bytes) {
      client.socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await client.until('Z:I')).toBe('1 2 T D C:SELECT_1 Z:I');
    client.socket.destroy();
  });
});

test('start-up packet, password and first query in one segment', async () => {
  const client = new Raw(world.port);
  const startup = encodeStartupMessage(0, new Map(Object.entries({ user: username('reader'), database: 'postgres' })));
  client.send(startup, encodePassword(Buffer.from(await world.token('reader'))), sql('SELECT 1'));
  expect(await client.until('C:SELECT_1')).toContain('Z:I');
  client.socket.destroy();
});

test('a CancelRequest with a key of 32 bytes (protocol 3.2) cancels, its first four bytes do not', async () => {
  const client = await open('dba', { database: 'postgres' }, 2);
  await client.until('Z:I');
  expect(client.key.length).toBe(32);
  client.send(sql('SELECT pg_sleep(30)'));
  const cancel = async (key: Buffer) => {
    const socket = net.connect({ host: '127.0.0.1', port: world.port });
    socket.on('error', () => {});
    socket.write(encodeCancelRequest(client.processId, key));
    socket.resume();
    await once(socket, 'close');
  };
  await sleep(200);
  await cancel(client.key.subarray(0, 4));
  await sleep(200);
  expect(client.words).toEqual([]);
  await cancel(client.key);
  expect(await client.until('Z:I')).toContain('E:57014');
  client.socket.destroy();
});

describe('a cancel that comes while the gateway asks the server what a name means', () => {
  const READ = 'SELECT * FROM scratch';
  test.each([
    ['a Query', [sql(READ)], 'I'],
    ['a Query in a transaction', [sql(READ)], 'E'],
    ['a Parse behind others', [parse('SELECT 1'), bind(), encodeExecute('', 0), parse(READ), encodeSync()], 'I'],
  ])('%s: told as the server would, and the session goes on', async (_name, messages, state) => {
    const client = await signIn(world, 'copier');
    client.send(sql('CREATE TEMP TABLE scratch (n int)'));
    await client.until('Z:I');
    if (state === 'E') client.send(sql('BEGIN'));
    if (state === 'E') await client.until('Z:T');
    const locker = new pg.Client(world.server.connectionString());
    await locker.connect();
    await locker.query('BEGIN; LOCK pg_class IN ACCESS EXCLUSIVE MODE');
    client.send(...messages);
    const waits = async () =>
      (await locker.query('SELECT 1 FROM pg_locks WHERE pid = $1 AND NOT granted', [client.processId])).rowCount;
    await expect.poll(waits).toBe(1);
    const socket = net.connect({ host: '127.0.0.1', port: world.port });
    socket.write(encodeCancelRequest(client.processId, client.key));
    socket.resume();
    expect(await client.until(`Z:${state}`)).toMatch(new RegExp(`E:57014 Z:${state}$`));
    await locker.query('ROLLBACK');
    await locker.end();
    if (state === 'E') client.send(sql('ROLLBACK'));
    if (state === 'E') await client.until('Z:I');
    client.send(sql(READ));
    expect(await client.until('Z:I')).toBe('T C:SELECT_0 Z:I');
    client.socket.destroy();
  });
});

test('a FunctionCall that a rule allows runs, and is recorded like any statement', async () => {
  const [row] = await world.server.query("SELECT 'twice(int)'::regprocedure::oid::int AS oid");
  const client = await signIn(world, 'caller');
  const argument = Buffer.alloc(4);
  argument.writeInt32BE(21);
  client.send(
    encodeFunctionCall({ functionOid: Number(row?.oid), formats: [1], parameters: [argument], resultFormat: 1 }),
  );
  expect(await client.until('Z:I')).toBe('V Z:I');
  client.socket.destroy();
  await sleep(100);
  const codes = (await world.events())
    .filter((event) => JSON.stringify(event.actor ?? {}).includes('caller'))
    .map((event) => (event.metadata as { event_code: string }).event_code);
  expect(codes.filter((code) => code === 'intent' || code === 'outcome')).toEqual(['intent', 'outcome']);
});

test.each([
  ['that went well', '1,a\n', 'C:COPY_1 Z:I'],
  ['that the server refused', 'one,a\n', 'E:22P02 Z:I'],
])(
  'a session goes on after COPY FROM %s, with statements that have to be looked up first',
  async (_name, data, end) => {
    const client = await signIn(world, 'copier');
    client.send(sql('CREATE TEMP TABLE copied (id int, name text)'));
    await client.until('Z:I');
    for (let i = 0; i < 3; i++) {
      client.send(sql('COPY copied FROM STDIN (FORMAT csv)'));
      await client.until('G');
      client.send(encodeCopyData(Buffer.from(data)));
      client.send(encodeCopyDone());
      expect(await client.until('Z:I')).toBe(end);
    }
    client.send(sql(`SELECT count(*) FROM copied`));
    expect(await client.until('Z:I')).toBe('T D C:SELECT_1 Z:I');
    client.socket.destroy();
  },
);

describe('much data', () => {
  const rss = async () => {
    const { body } = await world.admin('/metrics');
    return Number(/^process_resident_memory_bytes (\S+)/m.exec(body)?.[1]);
  };

  test('a reader that stops reading stops the server; nothing is buffered whole', async () => {
    const client = await signIn(world, 'dba');
    const before = await rss();
    client.socket.pause();
    client.send(sql("SELECT repeat('x', 10000) FROM generate_series(1, 100000)"));
    const waitsFor = async () => {
      const event = `SELECT wait_event FROM pg_stat_activity WHERE pid = ${client.processId}`;
      return (await world.server.query(event))[0]?.wait_event;
    };
    await expect.poll(waitsFor, { timeout: 10_000 }).toBe('ClientWrite');
    await sleep(500);
    expect(await waitsFor()).toBe('ClientWrite');
    // Of 1 GB: buffers of sockets and what is not collected yet.
    expect((await rss()) - before).toBeLessThan(400e6);
    client.socket.destroy();
    await expect
      .poll(() => world.server.query(`SELECT 1 FROM pg_stat_activity WHERE pid = ${client.processId}`), {
        timeout: 5_000,
      })
      .toEqual([]);
  });

  test('a value of 60 MB, and a row of 1,600 columns', async () => {
    const client = await world.connect('dba');
    const { rows } = await client.query("SELECT repeat('x', 60000000) AS wide");
    expect(rows[0].wide.length).toBe(60_000_000);
    const columns = Array.from({ length: 1600 }, (_, i) => `${i} AS c${i}`).join(', ');
    const wide = await client.query(`SELECT ${columns}`);
    expect(Object.values(wide.rows[0])).toEqual(Array.from({ length: 1600 }, (_, i) => i));
    await client.end();
  });
});
