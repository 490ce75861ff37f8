import { afterAll, beforeAll, expect, test } from 'vitest';
import { policy, rule, startWorld, type World } from './harness.ts';
import { signIn, sql } from './raw.ts';

const WORKER = policy('workers', 'worker', 'app_rw', [
  rule('work', { statements: ['Select', 'Ddl', 'TempTable', 'Session'], relations: ['public.*'] }),
]);
let world: World;

beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [WORKER] }) });
}, 60_000);
afterAll(() => world.stop());

/** What `make` gives, again and again, as long as a text may be. */
function long(make: (i: number) => string, separator = ';'): string {
  const parts: string[] = [];
  for (let i = 0, length = 0; length < 130_000; i += 1) {
    parts.push(make(i));
    length += parts.at(-1)!.length + separator.length;
  }
  return parts.slice(0, -1).join(separator);
}

// The server is asked for all of them at once, and does not look through all of them for each: else it takes a minute.
test.each([
  ['thousands of relations that nobody has', long((i) => `SELECT 1 FROM r${i}`), 'E:42P01 Z:I'],
  ['thousands of functions that nobody has', long((i) => `SELECT f${i}()`), 'E:42883 Z:I'],
  ['thousands of functions in one statement', `SELECT ${long((i) => `f${i}()`, ',')}`, 'E:42883 Z:I'],
  ['thousands of types that nobody has', long((i) => `SELECT 1::t${i}`), 'E:42704 Z:I'],
  [
    'thousands of relations in a path of its own',
    `SET search_path = public;${long((i) => `TABLE r${i}`).slice(0, 125_000)}`,
    'E:42P01 Z:I',
  ],
  ['thousands of tables that go', `DROP TABLE IF EXISTS ${long((i) => `t${i}`, ',')}`, 'C:DROP_TABLE Z:I'],
])('%s are soon answered', async (_name, text, answer) => {
  const client = await signIn(world, 'worker');
  client.send(sql(text));
  expect(await client.until('Z:I')).toMatch(new RegExp(`${answer}$`));
  client.socket.destroy();
});
