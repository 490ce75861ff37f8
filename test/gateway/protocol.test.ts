import { once } from 'node:events';
import net from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  encodeClose,
  encodeCopyData,
  encodeCopyDone,
  encodeDescribe,
  encodeExecute,
  encodeFlush,
  encodeFunctionCall,
  encodeSync,
} from '../../gateway/wire/frontend.ts';
import { encodeCancelRequest } from '../../gateway/wire/opening.ts';
import { ANALYST, DBA, policy, rule, startWorld, type World } from './harness.ts';
import { bind, parse, type Raw, signIn, sql } from './raw.ts';

let world: World;
let raw: Raw;
const LIMITED = policy(
  'limited',
  'limited',
  'app_rw',
  [
    rule('all', {
      statements: ['Select', 'Insert', 'Update', 'Delete', 'Transaction', 'CopyTo'],
      relations: ['public.*'],
    }),
  ],
  { rows: 5 },
);

beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [ANALYST, DBA, LIMITED] }) });
}, 60_000);
afterAll(() => world.stop());
beforeEach(async () => {
  raw = await signIn(world, 'analyst');
});
afterEach(() => raw.socket.destroy());

describe('extended protocol', () => {
  test('a whole pipeline in one segment', async () => {
    raw.send(parse('SELECT 1'), bind(), encodeDescribe('P', ''), encodeExecute('', 0), encodeSync());
    expect(await raw.until('Z:I')).toBe('1 2 T D C:SELECT_1 Z:I');
  });

  test('a denied Parse in the middle of a pipeline skips the rest to Sync, and the next pipeline works', async () => {
    raw.send(
      parse('SELECT 1'),
      bind(),
      encodeExecute('', 0),
      parse('DROP TABLE orders'),
      bind(),
      encodeExecute('', 0),
      encodeSync(),
    );
    expect(await raw.until('Z:I')).toBe('1 2 D C:SELECT_1 E:42501 Z:I');
    raw.send(parse('SELECT 2'), bind(), encodeExecute('', 0), encodeSync());
    expect(await raw.until('Z:I')).toBe('1 2 D C:SELECT_1 Z:I');
  });

  test('a write before a denied statement in the same pipeline is rolled back', async () => {
    raw.send(
      parse('DELETE FROM orders WHERE id = 1'),
      bind(),
      encodeExecute('', 0),
      parse('DROP TABLE orders'),
      encodeSync(),
    );
    expect(await raw.until('Z:I')).toBe('1 2 C:DELETE_1 E:42501 Z:I');
    expect((await world.server.query('SELECT count(*)::int AS n FROM orders WHERE id = 1'))[0]).toEqual({ n: 1 });
  });

  test('a portal with a row limit suspends and goes on', async () => {
    raw.send(sql('BEGIN'));
    await raw.until('Z:T');
    raw.send(
      parse('SELECT id FROM orders LIMIT 5'),
      bind('p'),
      encodeExecute('p', 2),
      encodeExecute('p', 2),
      encodeExecute('p', 0),
      encodeSync(),
    );
    expect(await raw.until('Z:T')).toBe('1 2 D D s D D s D C:SELECT_1 Z:T');
  });

  test('Flush brings answers without Sync; Describe before Bind; Close; unknown names', async () => {
    raw.send(parse('SELECT id FROM orders WHERE id = $1', 's'), encodeDescribe('S', 's'), encodeFlush());
    expect(await raw.until('T')).toBe('1 t T');
    raw.send(encodeClose('S', 's'), bind('', 's'), encodeSync());
    expect(await raw.until('Z:I')).toBe('3 E:26000 Z:I');
    raw.send(encodeExecute('nothing', 0), encodeSync());
    expect(await raw.until('Z:I')).toBe('E:34000 Z:I');
  });

  test('names that agree in their first 63 bytes are one name', async () => {
    const long = 'n'.repeat(63);
    raw.send(parse('SELECT 1', `${long}1`), encodeClose('S', `${long}2`), encodeSync());
    expect(await raw.until('Z:I')).toBe('1 3 Z:I');
    raw.send(bind('', `${long}1`), encodeSync());
    expect(await raw.until('Z:I')).toBe('E:26000 Z:I');
  });

  test('a server error skips to Sync, and names made after it do not exist', async () => {
    raw.send(
      parse('SELECT 1/0', 'bad'),
      bind('', 'bad'),
      encodeExecute('', 0),
      parse('SELECT 3', 'later'),
      encodeSync(),
    );
    expect(await raw.until('Z:I')).toMatch(/E:22012 Z:I$/);
    raw.send(bind('', 'later'), encodeSync());
    expect(await raw.until('Z:I')).toBe('E:26000 Z:I');
  });

  test('SET search_path in a pipeline counts for what follows it', async () => {
    raw.send(
      parse('SET search_path = secret'),
      bind(),
      encodeExecute('', 0),
      parse('SELECT * FROM salaries'),
      bind(),
      encodeExecute('', 0),
      encodeSync(),
    );
    expect(await raw.until('Z:I')).toBe('1 2 C:SET E:42501 Z:I');
  });

  test('a SET LOCAL is forgotten at its own COMMIT', async () => {
    raw.send(sql('SELECT 1'), sql('BEGIN; SET LOCAL search_path = secret'));
    await raw.until('Z:T');
    raw.send(sql('SELECT * FROM orders'));
    // Under that path the name would be secret.orders: judged as such.
    expect(await raw.until('Z:E')).toContain('E:42501');
    raw.send(sql('COMMIT'));
    await raw.until('Z:I');
    raw.send(sql('SELECT id FROM orders WHERE id = 1'));
    expect(await raw.until('Z:I')).toBe('T D C:SELECT_1 Z:I');
  });
});

describe('simple protocol', () => {
  test('several statements, empty strings and comments', async () => {
    raw.send(sql('SELECT 1; SELECT 2'), sql(''), sql('-- nothing'));
    expect(await raw.until('Z:I')).toBe('T D C:SELECT_1 T D C:SELECT_1 Z:I');
    expect(await raw.until('Z:I')).toBe('I Z:I');
    expect(await raw.until('Z:I')).toBe('I Z:I');
  });

  test('in an aborted transaction a denied statement gets 25P02 and the state stays', async () => {
    raw.send(sql('BEGIN'), sql('SELECT 1/0'));
    await raw.until('Z:E');
    raw.send(sql('DROP TABLE orders'));
    expect(await raw.until('Z:E')).toBe('E:25P02 Z:E');
    raw.send(sql('ROLLBACK'));
    expect(await raw.until('Z:I')).toBe('C:ROLLBACK Z:I');
  });

  test('a FunctionCall that no rule allows is refused, and the session goes on', async () => {
    raw.send(encodeFunctionCall({ functionOid: 2626, formats: [], parameters: [Buffer.from('1')], resultFormat: 0 }));
    expect(await raw.until('Z:I')).toBe('E:42501 Z:I');
    raw.send(sql('SELECT 1'));
    expect(await raw.until('Z:I')).toBe('T D C:SELECT_1 Z:I');
  });

  test('what the protocol does not know ends the session', async () => {
    raw.send(Buffer.from([0x7a, 0, 0, 0, 4]));
    expect(await raw.until('end')).toContain('E:08P01');
  });
});

describe('COPY', () => {
  test('in and out, simple and extended; a Sync before CopyDone gets no answer of its own', async () => {
    const dba = await signIn(world, 'dba');
    dba.send(sql('CREATE TABLE copied (x int)'), sql('COPY copied FROM STDIN'));
    await dba.until('G');
    dba.send(encodeCopyData(Buffer.from('1\n2\n')), encodeCopyDone());
    expect(await dba.until('Z:I')).toBe('C:COPY_2 Z:I');
    dba.send(parse('COPY copied FROM STDIN'), bind(), encodeExecute('', 0), encodeSync());
    await dba.until('G');
    dba.send(encodeCopyData(Buffer.from('3\n')), encodeCopyDone(), encodeSync());
    expect(await dba.until('Z:I')).toBe('C:COPY_1 Z:I');
    dba.send(sql('COPY copied TO STDOUT'));
    expect(await dba.until('Z:I')).toBe('H d d d c C:COPY_3 Z:I');
    dba.send(sql('DROP TABLE copied'));
    expect(await dba.until('Z:I')).toBe('C:DROP_TABLE Z:I');
    dba.socket.destroy();
  });

  test('a denied COPY FROM while the client keeps sending leaves the session in step', async () => {
    raw.send(
      sql('COPY secret.salaries FROM STDIN'),
      encodeCopyData(Buffer.from('x\t1\n')),
      encodeCopyDone(),
      sql('SELECT 1'),
    );
    expect(await raw.until('Z:I')).toBe('E:42501 Z:I');
    expect(await raw.until('Z:I')).toBe('T D C:SELECT_1 Z:I');
  });
});

describe('a limit of rows', () => {
  test.each(['simple', 'extended'])('cuts a result with an error, %s', async (form) => {
    const limited = await signIn(world, 'limited');
    const text = 'SELECT id FROM orders';
    if (form === 'simple') limited.send(sql(text));
    else limited.send(parse(text), bind(), encodeExecute('', 0), encodeSync());
    const answer = await limited.until('Z:I');
    expect(answer.match(/D/g)).toHaveLength(5);
    expect(answer).toMatch(/E:42501 Z:I$/);
    limited.send(sql('SELECT id FROM orders LIMIT 5'));
    expect(await limited.until('Z:I')).toBe('T D D D D D C:SELECT_5 Z:I');
    limited.socket.destroy();
  });

  test('inside a transaction the transaction fails with it', async () => {
    const limited = await signIn(world, 'limited');
    limited.send(sql('BEGIN; DELETE FROM orders WHERE id = 1'));
    await limited.until('Z:T');
    limited.send(sql('SELECT id FROM orders'));
    expect(await limited.until('Z:E')).toMatch(/E:42501 Z:E$/);
    limited.send(sql('COMMIT'));
    await limited.until('Z:I');
    expect((await world.server.query('SELECT count(*)::int AS n FROM orders'))[0]).toEqual({ n: 50 });
    limited.socket.destroy();
  });
});

describe('cancel and disappearance', () => {
  const SLOW = 'SELECT count(*) FROM generate_series(1, 1000000000) g, pg_sleep(0) WHERE g % 7 = 9';
  const running = async () =>
    (
      await world.server.query(
        `SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE 'SELECT count(*) FROM gen%' AND state = 'active'`,
      )
    )[0]!.n;
  const eventually = async (n: number) => {
    for (let i = 0; i < 80 && (await running()) !== n; i++) await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await running()).toBe(n);
  };

  test('a CancelRequest with the key cancels, one with a guessed key does not', async () => {
    const dba = await signIn(world, 'dba');
    dba.send(sql(SLOW));
    await eventually(1);
    const send = async (key: Buffer) => {
      const socket = net.connect({ host: '127.0.0.1', port: world.port });
      socket.on('error', () => {});
      socket.write(encodeCancelRequest(dba.processId, key));
      socket.resume();
      await once(socket, 'close');
    };
    await send(Buffer.alloc(4, 7));
    expect(await running()).toBe(1);
    await send(dba.key);
    expect(await dba.until('Z:I')).toContain('E:57014');
    dba.socket.destroy();
  });

  test.each(['killed', 'silently closed'])('a client that is %s in mid-query has its query cancelled', async (how) => {
    const dba = await signIn(world, 'dba');
    dba.send(sql(SLOW));
    await eventually(1);
    if (how === 'killed') dba.socket.resetAndDestroy();
    else dba.socket.destroy();
    await eventually(0);
  });

  test('a client that half-closes still gets its answer', async () => {
    raw.send(sql('SELECT 1'));
    raw.socket.end();
    expect(await raw.until('end')).toContain('C:SELECT_1 Z:I');
  });
});

test('the server killed in mid-session is told as a FATAL', async () => {
  const dba = await signIn(world, 'dba');
  await world.server.query(`SELECT pg_terminate_backend(${dba.processId})`);
  expect(await dba.until('end')).toContain('E:57P01');
});
