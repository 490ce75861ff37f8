import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeExecute, encodeFlush, encodeSync, encodeTerminate } from '../../gateway/wire/frontend.ts';
import { sameRuns } from '../kit/fuzz.ts';
import { policy, rule, startWorld, type World } from './harness.ts';
import { bind, parse, signIn, sql } from './raw.ts';

const MAX_ROWS = 3;
const ROWS = 12;
const FIXER = policy('fixers', 'fixer', 'app_rw', [
  rule('read', {
    statements: ['Select', 'Cursor', 'Prepare', 'Explain', 'Transaction', 'TwoPhase', 'Session', 'Sequence'],
    relations: ['public.*'],
  }),
  rule('fix', { statements: ['Update'], relations: ['public.t'], maxRows: MAX_ROWS }),
]);

let world: World;
beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [FIXER] }) });
  await world.server.query('CREATE TABLE t (id int PRIMARY KEY, mark int NOT NULL); GRANT ALL ON t TO app_rw');
  await world.server.query(`INSERT INTO t SELECT i, 0 FROM generate_series(1, ${ROWS}) i`);
}, 60_000);
afterAll(() => world.stop());

/** Every write leaves a mark of its own, so that the table tells how many rows each of them has changed for good. */
let marks = 0;
function write(rows: number): string {
  marks += 1;
  return `UPDATE t SET mark = ${marks} WHERE id <= ${rows} AND mark <> ${marks}`;
}

const TEXTS: readonly ((rows: number) => string)[] = [
  write,
  write,
  write,
  write,
  write,
  (rows) => `${write(rows)} RETURNING id`,
  () => 'BEGIN',
  () => 'COMMIT',
  () => 'COMMIT AND CHAIN',
  () => 'ROLLBACK',
  () => 'SAVEPOINT s',
  () => 'ROLLBACK TO s',
  () => 'RELEASE s',
  () => 'SELECT 1',
  () => 'SELECT 1/0',
  () => "PREPARE TRANSACTION 'x'",
  (rows) => `WITH d AS (${write(rows)} RETURNING id) SELECT count(*) FROM d`,
  (rows) => `EXPLAIN ANALYZE ${write(rows)}`,
  () => 'EXECUTE many',
  () => 'EXECUTE commit',
  () => 'FETCH ALL FROM c',
];
const SEVERAL: readonly ((rows: number) => string)[] = [
  ...TEXTS,
  (rows) => `BEGIN; ${write(rows)}`,
  (rows) => `BEGIN; ${write(rows)}; COMMIT`,
  (rows) => `${write(rows)}; COMMIT`,
  (rows) => `${write(rows)}; SELECT 1/0`,
  (rows) => `${write(1)}; ${write(rows)}`,
  (rows) => `COMMIT; ${write(rows)}`,
  (rows) => `COMMIT; BEGIN; ${write(rows)}`,
  (rows) => `SAVEPOINT s; ${write(rows)}; RELEASE s`,
  (rows) => `EXECUTE commit; ${write(rows)}`,
];

const rows = fc.oneof(fc.integer({ min: 1, max: MAX_ROWS }), fc.integer({ min: 1, max: ROWS }));
const message = fc.oneof(
  fc.tuple(fc.nat(SEVERAL.length - 1), rows).map(([i, n]) => () => [sql(SEVERAL[i]!(n))]),
  fc.tuple(fc.nat(TEXTS.length - 1), rows, fc.constantFrom(0, 0, 0, 1)).map(([i, n, limit]) => () => [
    parse(TEXTS[i]!(n)),
    bind(),
    encodeExecute('', limit),
  ]),
  rows.map((n) => () => [parse(`${write(n)} RETURNING id`, ''), bind('c'), ...(n > 6 ? [encodeExecute('c', 0)] : [])]),
  fc.constantFrom(
    () => [encodeSync()],
    () => [encodeSync()],
    () => [encodeFlush()],
  ),
);
/** What is sent together; between two of them the client waits a little. */
const conversation = fc.array(fc.array(message, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 4 });

test('whatever a client sends in whatever order, no write beyond the bound stays', async () => {
  const property = fc.asyncProperty(conversation, fc.boolean(), async (batches, commits) => {
    const client = await signIn(world, 'fixer');
    client.send(parse(write(ROWS), 'many'), parse('COMMIT', 'commit'), encodeSync());
    await client.until('Z:I');
    for (const batch of batches) {
      client.send(...batch.flatMap((make) => make()));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    client.send(encodeSync(), ...(commits ? [sql('COMMIT')] : []), encodeTerminate());
    await client.until('end');
    client.socket.destroy();
    const found = await world.server.query(
      `SELECT mark, count(*)::int AS n FROM t WHERE mark <> 0 GROUP BY mark HAVING count(*) > ${MAX_ROWS}`,
    );
    await world.server.query('UPDATE t SET mark = 0');
    expect(found).toEqual([]);
  });
  await fc.assert(property, { ...sameRuns(80), endOnFailure: true });
  const reasons = (await world.events()).map(({ unmapped }) => unmapped?.postern?.reason);
  expect(reasons).not.toContain('InternalError');
  const outcomes = (await world.events()).filter(({ unmapped }) => String(unmapped?.postern?.tag).startsWith('UPDATE'));
  const count = (status: string) => outcomes.filter(({ unmapped }) => unmapped?.postern?.outcome === status).length;
  expect(count('Completed')).toBeGreaterThan(5);
  expect(count('Cancelled')).toBeGreaterThan(5);
}, 600_000);
