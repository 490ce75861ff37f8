import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
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
import { encodeCancelRequest } from '../../gateway/wire/opening.ts';
import { sameRuns } from '../kit/fuzz.ts';
import { policy, rule, startWorld, type World } from './harness.ts';
import { bind, parse, Raw, signIn, sql } from './raw.ts';

/** In every row of the table that the policy does not name, and nowhere else. */
const MARKER = 'kept-from-everybody';
const STATEMENTS = ['Select', 'CopyTo', 'Explain', 'Cursor', 'Prepare', 'Transaction', 'Session', 'TempTable'] as const;
const READ = { relations: ['public.orders', 'public.salaries'] };
const POLICIES = [
  policy('analysts', 'analyst', 'analyst_ro', [
    rule('read', { statements: STATEMENTS, ...READ }),
    rule('fix', { statements: ['Update', 'Delete', 'CopyFrom'], relations: ['public.orders'], reach: ['Keyed'] }),
  ]),
  policy('analysts', 'analyst', 'analyst_ro', [
    rule('read', { statements: ['Select', 'Transaction', 'Prepare'], ...READ }),
  ]),
  policy('analysts', 'analyst', 'analyst_ro', [rule('read', { statements: STATEMENTS, ...READ })], { rows: 2 }),
];

/** Some mean the secret table by one search_path and a harmless one by another; writes leave a mark of their own. */
let marks = 0;
function next(): number {
  marks += 1;
  return marks;
}
const TEXTS: readonly (() => string)[] = [
  () => 'SELECT who FROM salaries',
  () => 'SELECT who FROM salaries',
  () => 'SET search_path = secret, public',
  () => 'SET search_path = public',
  () => 'BEGIN',
  () => 'ROLLBACK',
  () => 'SELECT who FROM secret.salaries',
  () => 'TABLE salaries',
  () => 'COPY salaries TO STDOUT',
  () => 'COPY orders FROM STDIN',
  () => 'SELECT id FROM orders ORDER BY id LIMIT 5',
  () => `UPDATE orders SET item = 'mark ${next()}' WHERE id = ${1 + (marks % 40)}`,
  () => `UPDATE orders SET item = 'mark ${next()}' WHERE id = 1`,
  () => `UPDATE orders SET item = 'unbounded ${next()}'`,
  () => 'SET LOCAL search_path = secret',
  () => 'RESET search_path',
  () => 'RESET ALL',
  () => 'DISCARD ALL',
  () => 'DISCARD TEMP',
  () => "SELECT set_config('search_path', 'secret', false)",
  () => 'COMMIT',
  () => 'SAVEPOINT s',
  () => 'ROLLBACK TO s',
  () => 'SELECT 1/0',
  () => 'PREPARE p AS SELECT who FROM salaries',
  () => 'PREPARE p AS SELECT id FROM orders LIMIT 1',
  () => 'EXECUTE p',
  () => 'EXECUTE a',
  () => 'DEALLOCATE p',
  () => 'DEALLOCATE ALL',
  () => 'DECLARE c CURSOR FOR SELECT who FROM salaries',
  () => 'DECLARE c CURSOR WITH HOLD FOR SELECT id FROM orders',
  () => 'FETCH 2 FROM c',
  () => 'CLOSE c',
  () => 'CREATE TEMP TABLE salaries AS SELECT 1 AS who',
  () => 'CREATE TEMP VIEW salaries AS SELECT who FROM secret.salaries',
  () => 'DROP TABLE pg_temp.salaries',
  () => "SET client_encoding = 'LATIN1'",
  () => 'SELECT pg_sleep(0.002)',
  () => '',
];
/** The first of them come as often as all the others. */
const text = fc.oneof(fc.nat(5), fc.nat(TEXTS.length - 1));
const several = fc.array(text, { minLength: 1, maxLength: 3 });
const name = fc.constantFrom('', '', 'a', 'p');
const portal = fc.constantFrom('', '', 'c');
type Make = (client: Raw) => readonly Buffer[];
const make = (messages: Make): Make => messages;
const message = fc.oneof(
  several.map((all) => make(() => [sql(all.map((i) => TEXTS[i]!()).join('; '))])),
  fc.tuple(text, name).map(([i, n]) => make(() => [parse(TEXTS[i]!(), n)])),
  fc.tuple(name, portal).map(([n, p]) => make(() => [bind(p, n)])),
  fc.tuple(portal, fc.constantFrom(0, 0, 1)).map(([p, rows]) => make(() => [encodeExecute(p, rows)])),
  fc
    .tuple(text, name, portal)
    .map(([i, n, p]) => make(() => [parse(TEXTS[i]!(), n), encodeDescribe('S', n), bind(p, n), encodeExecute(p, 0)])),
  fc
    .tuple(text, fc.boolean())
    .map(([i, sync]) =>
      make(() => [parse(TEXTS[i]!()), bind(), encodeExecute('', 0), ...(sync ? [encodeSync()] : [])]),
    ),
  fc.tuple(fc.constantFrom('S', 'P'), name).map(([what, n]) => make(() => [encodeClose(what as 'S', n)])),
  fc.constantFrom<Make>(
    () => [encodeSync()],
    () => [encodeSync()],
    () => [encodeSync()],
    () => [encodeFlush()],
    () => [encodeCopyData(Buffer.from('900\tx\t1\n'))],
    () => [encodeCopyDone()],
    () => [encodeCopyFail(Buffer.from('no'))],
    () => [encodeFunctionCall({ functionOid: 1740, formats: [], parameters: [Buffer.from('1')], resultFormat: 0 })],
    () => [encodeFunctionCall({ functionOid: 3294, formats: [], parameters: [Buffer.from('x')], resultFormat: 0 })],
    ({ processId, key }) => {
      const other = new Raw(world.port);
      other.send(encodeCancelRequest(processId, key));
      other.socket.end();
      return [];
    },
    () => {
      world.revise({ policies: [POLICIES[next() % 3]!] });
      return [];
    },
  ),
);
/** What is sent together; between two of them the client waits a little. */
const conversation = fc.array(fc.tuple(fc.array(message, { minLength: 1, maxLength: 7 }), fc.nat(6)), {
  minLength: 3,
  maxLength: 9,
});

let world: World;

describe.each([14, 18] as const)('with PostgreSQL %i', (version) => {
  beforeAll(async () => {
    world = await startWorld({ version, change: (document) => ({ ...document, policies: [POLICIES[0]!] }) });
    await world.server.query(`INSERT INTO secret.salaries SELECT '${MARKER} ' || i, i FROM generate_series(1, 5) i;
      CREATE TABLE salaries AS SELECT 'anybody'::text AS who, i AS amount FROM generate_series(1, 5) i;
      GRANT ALL ON salaries TO analyst_ro`);
  }, 60_000);
  afterAll(() => world.stop());

  test('whatever a client sends in whatever order, nothing is seen or changed that the policy does not allow', async () => {
    const ends: string[] = [];
    const property = fc.asyncProperty(conversation, async (batches) => {
      world.revise({ policies: [POLICIES[0]!] });
      const client = await signIn(world, 'analyst');
      const seen: Buffer[] = [];
      client.socket.on('data', (chunk) => seen.push(chunk));
      for (const [batch, pause] of batches) {
        client.send(...batch.flatMap((one) => one(client)));
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
      world.revise({ policies: [POLICIES[0]!] });
      client.send(encodeCopyFail(Buffer.from('end')), encodeSync());
      await new Promise((resolve) => setTimeout(resolve, 5));
      client.send(sql('ROLLBACK'), sql("SELECT 'in step'"));
      const end = await ending(client);
      client.socket.destroy();
      // XX000: what the server itself has to say of some Queries in an open pipeline; the next one finds it in order.
      expect(end).toMatch(/(?:C:ROLLBACK|E:XX000) Z:I T D C:SELECT_1 Z:I$|E:(?:08P01|XX000) end$/);
      ends.push(end);
      expect(Buffer.concat(seen).includes(MARKER)).toBe(false);
    });
    await fc.assert(property, { ...sameRuns(80), endOnFailure: true });
    const events = await world.events();
    expect(events.map(({ unmapped }) => unmapped?.postern?.reason)).not.toContain('InternalError');
    const intended = events.flatMap(({ action, query_info }) =>
      action === 'Allowed' ? [(query_info as { query_string?: string } | undefined)?.query_string ?? ''] : [],
    );
    const changed = await world.server.query("SELECT item FROM orders WHERE item !~ '^item'");
    expect(changed.filter(({ item }) => !intended.some((one) => one.includes(`SET item = '${item}' WHERE`)))).toEqual(
      [],
    );
    expect(changed.length).toBeGreaterThan(0);
    expect(await world.server.query('SELECT count(*)::int AS n FROM secret.salaries')).toEqual([{ n: 5 }]);
    expect(ends.filter((end) => end.endsWith('Z:I')).length).toBeGreaterThan(ends.length / 2);
  }, 600_000);
});

/** What came last, once the client has been answered in full or the session has ended. */
async function ending(client: Raw): Promise<string> {
  const deadline = Date.now() + 8000;
  for (;;) {
    const words = client.words.join(' ');
    if (/ Z:I T D C:SELECT_1 Z:I$|end$/.test(words) || Date.now() > deadline) return words.slice(-200);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
