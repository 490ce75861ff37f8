import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  encodeCopyData,
  encodeCopyDone,
  encodeDescribe,
  encodeExecute,
  encodeFlush,
  encodeSync,
  encodeTerminate,
} from '../../gateway/wire/frontend.ts';
import { policy, rule, startWorld, type World } from './harness.ts';
import { bind, parse, type Raw, signIn, sql } from './raw.ts';

const FIXER = policy('fixers', 'fixer', 'app_rw', [
  rule('read', {
    statements: ['Select', 'CopyTo', 'CopyFrom', 'Cursor', 'Prepare', 'Explain', 'Transaction', 'Session', 'TwoPhase'],
    relations: ['public.*'],
  }),
  rule('fix', { statements: ['Insert', 'Update', 'Delete', 'Merge'], relations: ['public.*'], maxRows: 5 }),
]);

let world: World;
let raw: Raw;
beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [FIXER] }) });
  await world.server.query('CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL)');
  await world.server.query('GRANT ALL ON t TO app_rw');
}, 60_000);
afterAll(() => world.stop());
beforeEach(async () => {
  await world.server.query('TRUNCATE t');
  await world.server.query('INSERT INTO t SELECT i, 0 FROM generate_series(1, 20) i');
  raw = await signIn(world, 'fixer');
  return () => raw.socket.destroy();
});

/** How many rows of the table are not as they were. */
async function changed(): Promise<number> {
  const [row] = await world.server.query(
    'SELECT 20 - count(*) FILTER (WHERE v = 0 AND id <= 20) + count(*) FILTER (WHERE id > 20) AS n FROM t',
  );
  return Number(row!.n);
}

/** Each step is sent when the answer to the one before has come. */
async function play(...steps: readonly (readonly [messages: readonly Buffer[], until: string])[]): Promise<string> {
  const words: string[] = [];
  for (const [messages, until] of steps) {
    raw.send(...messages);
    words.push(await raw.until(until));
  }
  return words.join(' | ');
}

const query = (text: string, until = 'Z:T') => [[sql(text)], until] as const;
const WRITES = {
  Update: (rows: number) => `UPDATE t SET v = v + 1 WHERE v < ${rows} AND id <= ${rows}`,
  Delete: (rows: number) => `DELETE FROM t WHERE v = 0 AND id <= ${rows}`,
  Insert: (rows: number) => `INSERT INTO t SELECT i, 0 FROM generate_series(21, ${20 + rows}) i`,
  'Insert on conflict': (rows: number) =>
    `INSERT INTO t SELECT i, 0 FROM generate_series(1, ${rows}) i ON CONFLICT (id) DO UPDATE SET v = 1`,
  Merge: (rows: number) =>
    `MERGE INTO t USING (SELECT i FROM generate_series(1, ${rows}) i) s ON t.id = s.i WHEN MATCHED THEN UPDATE SET v = 1`,
  'with RETURNING': (rows: number) => `UPDATE t SET v = 1 WHERE v = 0 AND id <= ${rows} RETURNING id`,
};
const { Update: update } = WRITES;
const extended = (text: string) => [parse(text), bind(), encodeExecute('', 0)];

describe.each(Object.entries(WRITES))('%s', (_name, write) => {
  test('in a transaction block: what is within the bound stays, what is beyond is undone with its transaction', async () => {
    expect(await play(query('BEGIN'), query(write(5)), query('COMMIT', 'Z:I'))).not.toContain('E:');
    expect(await changed()).toBe(5);
    await world.server.query('DELETE FROM t; INSERT INTO t SELECT i, 0 FROM generate_series(1, 20) i');
    const words = await play(query('BEGIN'), query(write(6), 'Z:E'), query('COMMIT', 'Z:I'));
    expect(words).toMatch(/E:42501 Z:E \| C:ROLLBACK Z:I$/);
    expect(words).not.toMatch(/C:(?:UPDATE|DELETE|INSERT|MERGE)/);
    expect(await changed()).toBe(0);
  });

  test('by itself, simple: refused beforehand', async () => {
    expect(await play(query(write(1), 'Z:I'))).toBe('E:42501 Z:I');
    expect(await changed()).toBe(0);
  });

  test('by itself, extended: counted before Sync', async () => {
    expect(await play([[...extended(write(5)), encodeSync()], 'Z:I'])).not.toContain('E:');
    expect(await changed()).toBe(5);
    await world.server.query('DELETE FROM t; INSERT INTO t SELECT i, 0 FROM generate_series(1, 20) i');
    expect(await play([[...extended(write(6)), encodeSync()], 'Z:I'])).toMatch(/E:42501 Z:I$/);
    expect(await changed()).toBe(0);
  });
});

test('the error names policy, rule, bound and count, and what to do', async () => {
  const client = await world.connect('fixer');
  await expect(client.query(update(7))).rejects.toMatchObject({
    code: '42501',
    message: expect.stringMatching(
      /shop\/fixers, rule fix: a write may change 5 rows at most \(maxRows\), and by itself/,
    ),
    hint: expect.stringMatching(/^Send BEGIN first/),
  });
  await expect(client.query(`${update(7)} AND id > $1`, [0])).rejects.toMatchObject({
    code: '42501',
    message: expect.stringMatching(/shop\/fixers, rule fix: .* they were 7; it is undone/),
  });
  expect((await client.query('SELECT count(*)::int AS n FROM t')).rows).toEqual([{ n: 20 }]);
  await client.end();
  const outcomes = (await world.events()).map(({ unmapped }) => unmapped?.postern ?? {});
  expect(outcomes).toContainEqual(expect.objectContaining({ outcome: 'Cancelled', rows: 7, tag: 'UPDATE 7' }));
});

describe('nothing passes before the rows are known', () => {
  test('COMMIT sent right behind, as a Query of its own', async () => {
    await play(query('BEGIN'));
    raw.send(sql(update(6)), sql('COMMIT'));
    expect(await raw.until('Z:I')).toBe('E:42501 Z:E C:ROLLBACK Z:I');
    expect(await changed()).toBe(0);
  });

  test('COMMIT sent right behind, in the same pipeline', async () => {
    raw.send(...extended('BEGIN'), ...extended(update(6)), ...extended('COMMIT'), encodeSync());
    expect(await raw.until('Z:E')).toMatch(/E:42501 Z:E$/);
    expect(await changed()).toBe(0);
    expect(await play(query('ROLLBACK', 'Z:I'), query('SELECT 1', 'Z:I'))).not.toContain('E:');
  });

  test('a COMMIT in the pipeline before a Query', async () => {
    await play(query('BEGIN'));
    raw.send(...extended('COMMIT'), sql(update(6)));
    expect(await raw.until('E:42501')).toMatch(/C:COMMIT E:42501/);
    expect(await changed()).toBe(0);
  });

  test('earlier work of the same pipeline is undone too, and a later pipeline stands for itself', async () => {
    raw.send(...extended(update(3)), ...extended(update(6)), ...extended('SELECT 1'), encodeSync());
    raw.send(...extended('UPDATE t SET v = 9 WHERE v = 0 AND id = 20'), encodeSync());
    expect(await raw.until('Z:I')).toMatch(/C:UPDATE_3 .*E:42501 Z:I$/);
    expect(await raw.until('Z:I')).toMatch(/C:UPDATE_1 Z:I$/);
    expect(await changed()).toBe(1);
  });

  test('with Flush in place of Sync, answers come at once', async () => {
    raw.send(...extended(update(2)), encodeFlush());
    expect(await raw.until('C:UPDATE_2')).not.toContain('E:');
    raw.send(...extended(update(6)), encodeFlush());
    await raw.until('E:42501');
    raw.send(...extended('SELECT 1'), encodeSync());
    expect(await raw.until('Z:I')).toBe('Z:I');
    expect(await changed()).toBe(0);
  });

  test('a client that goes away in between leaves nothing behind', async () => {
    raw.send(...extended(update(6)), encodeTerminate());
    await raw.until('end');
    await expect.poll(changed).toBe(0);
    const other = await signIn(world, 'fixer');
    other.send(...extended(update(6)));
    other.socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await changed()).toBe(0);
  });

  test('a savepoint before it is a way back, and what was done before that stays', async () => {
    await play(query('BEGIN'), query(update(2)), query('SAVEPOINT s'), query(WRITES.Delete(20), 'Z:E'));
    expect(await play(query('ROLLBACK TO s'), query('COMMIT', 'Z:I'))).not.toContain('E:');
    expect(await changed()).toBe(2);
  });
});

describe('a string of several statements', () => {
  test.each([
    ['that commits', `BEGIN; ${update(6)}; COMMIT`],
    ['that commits and begins again', `BEGIN; ${update(6)}; COMMIT AND CHAIN`],
    ['that ends by itself', `SELECT 1; ${update(6)}`],
    ['that is prepared for another session to commit', `BEGIN; ${update(6)}; PREPARE TRANSACTION 'x'`],
  ])('%s is refused', async (_name, text) => {
    expect(await play(query(text, 'Z:I'))).toMatch(/E:42501 Z:I$/);
    expect(await changed()).toBe(0);
  });

  test('in a pipeline that the server calls a transaction is counted', async () => {
    raw.send(parse('SELECT 1'), bind(), encodeExecute('', 0), parse('SELECT 2'), bind(), encodeExecute('', 0));
    raw.send(sql('DEALLOCATE ALL'));
    await raw.next();
    raw.words.splice(0);
    raw.send(sql(`SELECT 1; ${update(6)}`));
    expect(await raw.next()).toBe('Z:I');
    expect(raw.words).toContain('E:42501');
    expect(await changed()).toBe(0);
  });

  test('with an EXECUTE of COMMIT is refused there', async () => {
    raw.send(parse('COMMIT', 'p'), encodeSync());
    await raw.until('Z:I');
    expect(await play(query(`BEGIN; EXECUTE p; ${update(6)}`, 'Z:E'))).toBe('C:BEGIN E:42501 Z:E');
    expect(await changed()).toBe(0);
  });

  test('that leaves the transaction open is counted', async () => {
    expect(await play(query(`BEGIN; ${update(5)}; SELECT 1`), query('COMMIT', 'Z:I'))).not.toContain('E:');
    expect(await changed()).toBe(5);
  });

  test('is undone as a whole, and tells nothing of what came after', async () => {
    await play(query('BEGIN'));
    const words = await play(query(`SELECT 1; ${WRITES.Delete(6)}; SELECT 2; ${update(2)}`, 'Z:E'));
    expect(words).toBe('T D C:SELECT_1 E:42501 Z:E');
    expect(await play(query('COMMIT', 'Z:I'))).toBe('C:ROLLBACK Z:I');
    expect(await changed()).toBe(0);
  });

  test('that fails afterwards tells of the bound', async () => {
    await play(query('BEGIN'));
    expect(await play(query(`${update(6)}; SELECT 1/0`, 'Z:E'))).toBe('E:42501 Z:E');
    expect(await changed()).toBe(0);
  });
});

describe('what cannot be counted is refused', () => {
  const CTE = 'WITH d AS (DELETE FROM t WHERE v = 0 RETURNING id) SELECT count(*) FROM d';
  test.each([
    ['a data-modifying query in WITH', CTE],
    [
      'one beside a write of its own',
      'WITH d AS (DELETE FROM t WHERE v = 0) UPDATE t SET v = 1 WHERE id = 1 AND v = 0',
    ],
    ['COPY of one', `COPY (${'DELETE FROM t WHERE v = 0 RETURNING id'}) TO STDOUT`],
    ['EXPLAIN ANALYZE', `EXPLAIN ANALYZE ${update(6)}`],
  ])('%s', async (_name, text) => {
    expect(await play(query('BEGIN'), query(text, 'Z:E'), query('ROLLBACK', 'Z:I'))).toContain('E:42501 Z:E');
    expect(await play([[...extended(text), encodeSync()], 'Z:I'])).toContain('E:42501 Z:I');
    expect(await changed()).toBe(0);
  });

  test('EXPLAIN ANALYZE EXECUTE', async () => {
    await play(query(`PREPARE p AS ${update(6)}`, 'Z:I'), query('BEGIN'));
    expect(await play(query('EXPLAIN ANALYZE EXECUTE p', 'Z:E'))).toBe('E:42501 Z:E');
    expect(await changed()).toBe(0);
  });

  test('a portal that is fetched in parts, by Execute and by FETCH', async () => {
    raw.send(parse(WRITES['with RETURNING'](6)), bind(), encodeExecute('', 2), encodeSync());
    expect(await raw.until('Z:I')).toMatch(/E:42501 Z:I$/);
    await play(query('BEGIN'));
    raw.send(parse(WRITES['with RETURNING'](6), 's'), bind('c', 's'), encodeSync());
    await raw.until('Z:T');
    expect(await play(query('FETCH 2 FROM c', 'Z:E'))).toBe('E:42501 Z:E');
    expect(await changed()).toBe(0);
  });
});

test('PREPARE changes nothing; EXECUTE is counted, simple and extended', async () => {
  await play(query(`PREPARE p(int) AS UPDATE t SET v = 1 WHERE v = 0 AND id <= $1`, 'Z:I'));
  expect(await play(query('EXECUTE p(6)', 'Z:I'))).toBe('E:42501 Z:I');
  expect(await play(query('BEGIN'), query('EXECUTE p(6)', 'Z:E'), query('ROLLBACK', 'Z:I'))).toContain('E:42501');
  expect(await play([[...extended('EXECUTE p(6)'), encodeSync()], 'Z:I'])).toContain('E:42501');
  expect(await changed()).toBe(0);
  expect(await play([[...extended('EXECUTE p(5)'), encodeSync()], 'Z:I'])).toContain('C:UPDATE_5');
  expect(await changed()).toBe(5);
});

test('EXPLAIN alone and a Parse alone need no transaction', async () => {
  expect(await play(query(`EXPLAIN ${update(6)}`, 'Z:I'))).not.toContain('E:');
  raw.send(parse(update(6)), encodeDescribe('S', ''), encodeSync());
  expect(await raw.until('Z:I')).not.toContain('E:');
});

describe('COPY FROM', () => {
  const rows = (n: number) =>
    encodeCopyData(Buffer.from(Array.from({ length: n }, (_, i) => `${i + 21}\t0\n`).join('')));
  test('in a transaction block, simple', async () => {
    expect(await play(query('COPY t FROM STDIN', 'Z:I'))).toBe('E:42501 Z:I');
    await play(query('BEGIN'), query('COPY t FROM STDIN', 'G'));
    expect(await play([[rows(6), encodeCopyDone()], 'Z:E'])).toBe('E:42501 Z:E');
    await play(query('ROLLBACK', 'Z:I'), query('BEGIN'), query('COPY t FROM STDIN', 'G'));
    expect(await play([[rows(5), encodeCopyDone()], 'Z:T'], query('COMMIT', 'Z:I'))).toContain('C:COPY_5');
    expect(await changed()).toBe(5);
  });

  test.each([
    ['Sync after the data', false],
    ['Sync before it as well, as libpq does', true],
  ])('extended, %s', async (_name, early) => {
    const begin = [...extended('COPY t FROM STDIN'), ...(early ? [encodeSync()] : [encodeFlush()])];
    expect(await play([begin, 'G'], [[rows(6), encodeCopyDone(), encodeSync()], 'Z:I'])).toMatch(/E:42501 Z:I$/);
    expect(await changed()).toBe(0);
    expect(await play([begin, 'G'], [[rows(5), encodeCopyDone(), encodeSync()], 'Z:I'])).toContain('C:COPY_5');
    expect(await changed()).toBe(5);
  });
});

describe('what is known beforehand to stay within the bound needs no transaction', () => {
  test.each([
    ['a key', 'UPDATE t SET v = 1 WHERE id = 3', 'C:UPDATE_1'],
    ['as many keys as the bound', 'DELETE FROM t WHERE id IN (1, 2, 3, 4, 5)', 'C:DELETE_5'],
    ['VALUES', 'INSERT INTO t VALUES (21, 1), (22, 2) ON CONFLICT (id) DO UPDATE SET v = 1', 'C:INSERT_0_2'],
    ['one key too many', 'DELETE FROM t WHERE id IN (1, 2, 3, 4, 5, 6)', 'E:42501'],
    ['one row too many', 'INSERT INTO t VALUES (21,1),(22,1),(23,1),(24,1),(25,1),(26,1)', 'E:42501'],
    ['a function that may return a set', 'INSERT INTO t VALUES (generate_series(21, 40), 1)', 'E:42501'],
    ['a column that is no key', 'UPDATE t SET v = 1 WHERE v = 0 AND v IN (0)', 'E:42501'],
    ['data of COPY', 'COPY t FROM STDIN', 'E:42501'],
    [
      'a key beside a data-modifying query',
      'WITH d AS (DELETE FROM t WHERE v = 0) UPDATE t SET v = 1 WHERE id = 3',
      'E:42501',
    ],
  ])('%s', async (_name, text, expected) => {
    expect(await play(query(text, 'Z:I'))).toContain(expected);
  });
});

test('a rule without a bound beside it lifts the bound for what it matches', async () => {
  world.revise({
    policies: [
      {
        ...FIXER,
        rules: [
          ...FIXER.rules,
          rule('filtered', { statements: ['Update'], relations: ['public.t'], reach: ['Filtered'] }),
        ],
      },
    ],
  });
  expect(await play(query(update(6), 'Z:I'))).toBe('C:UPDATE_6 Z:I');
  expect(await play(query('UPDATE t SET v = 1', 'Z:I'))).toBe('E:42501 Z:I');
  world.revise({ policies: [FIXER] });
});

test('a policy that takes the bound away counts for a portal that is open', async () => {
  await play(query('BEGIN'));
  raw.send(parse(update(6), 's'), bind('c', 's'), encodeSync());
  await raw.until('Z:T');
  world.revise({ policies: [{ ...FIXER, rules: FIXER.rules.map((one) => ({ ...one, maxRows: null })) }] });
  raw.send(encodeExecute('c', 0), encodeSync());
  expect(await raw.until('Z:T')).toBe('C:UPDATE_6 Z:T');
  world.revise({ policies: [FIXER] });
  await play(query('ROLLBACK', 'Z:I'));
});

test('drivers work: a transaction of node-postgres, values and all', async () => {
  const client = await world.connect('fixer');
  await client.query('BEGIN');
  expect((await client.query('UPDATE t SET v = 1 WHERE id = ANY($1::int[])', [[1, 2, 3]])).rowCount).toBe(3);
  await client.query('COMMIT');
  expect(await changed()).toBe(3);
  await expect(client.query('DELETE FROM t WHERE v >= $1', [0])).rejects.toBeInstanceOf(pg.DatabaseError);
  await client.end();
  expect(await changed()).toBe(3);
});
