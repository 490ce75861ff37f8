import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeQuery } from '../../gateway/wire/frontend.ts';
import { ANALYST, policy, rule, startWorld, type World } from './harness.ts';
import { type Raw, signIn } from './raw.ts';

/** Texts that are hard on the parser, from one client; what everybody else feels of it. */
let world: World;
let victim: pg.Client;

const ATTACKER = policy('attacker', 'attacker', 'analyst_ro', [
  rule('read', { statements: ['Select'], relations: ['public.*'] }),
]);
/** Sessions of the attacker at once. */
const SESSIONS = 10;
const SECONDS = 3;
/** Longest time that anybody else may wait: for one text of the flood, which the watchdog ends, and for their own. */
const BOUND_MS = 10_000;

beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [ANALYST, ATTACKER] }) });
  victim = await world.connect('analyst');
  await victim.query('SELECT * FROM orders LIMIT 1');
}, 60_000);
afterAll(async () => {
  await victim.end();
  await world.stop();
});

const ATTACKS: readonly (readonly [what: string, text: (i: number) => Buffer])[] = [
  ['nothing at all', () => Buffer.from('SELECT 1')],
  ['chains of 8,000 terms', (i) => Buffer.from(`SELECT ${i}${'+1'.repeat(8000)}`)],
  ['60,000 parentheses', (i) => Buffer.from(`SELECT ${'('.repeat(60_000)}${i}${')'.repeat(60_000)}`)],
  ['subqueries in 500 levels', (i) => Buffer.from(`SELECT ${'(SELECT '.repeat(500)}${i}${')'.repeat(500)}`)],
  ['literals of 100 KB', (i) => Buffer.from(`SELECT '${String(i).padStart(100_000, 'x')}'`)],
  ['lists of 30,000 numbers', (i) => Buffer.from(`SELECT * FROM orders WHERE id IN (${'1,2,'.repeat(15_000)}${i})`)],
  ['conditions that are hard to prove', (i) => Buffer.from(`DELETE FROM orders WHERE ${conditions(i)}`)],
  ['invalid bytes', (i) => Buffer.from([...Buffer.from(`SELECT ${i} '`), 0xff, 0xfe, ...Buffer.alloc(50_000, 0xc0)])],
  ['a flood of small statements', (i) => Buffer.from(`SELECT ${i} AS a${i}, lower('x${i}')`)],
  ['syntax errors', (i) => Buffer.from(`SELEC ${'x '.repeat(20_000)}${i}`)],
];

function conditions(i: number): string {
  const arm = (n: number) => `(a${n % 7} > ${n} AND NOT (b${n % 5} = c${n % 3} OR d${n} IS NULL))`;
  return Array.from({ length: 1500 }, (_, n) => arm(n + i)).join(' OR ');
}

/** Sends one text after the other, each as soon as the one before has been answered. */
async function flood(client: Raw, text: (i: number) => Buffer, until: number, from: number): Promise<number> {
  let sent = 0;
  while (Date.now() < until) {
    client.send(encodeQuery(text(from + sent)));
    await client.until('Z:I').catch(() => {});
    sent += 1;
  }
  return sent;
}

/** Milliseconds that statements of somebody else take: one that is known, one that is new to the gateway. */
async function latencies(until: number): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; Date.now() < until; i++) {
    for (const text of ['SELECT id FROM orders WHERE id = 7', `SELECT id AS n${i}_${until} FROM orders WHERE id = 7`]) {
      const started = performance.now();
      expect((await victim.query(text)).rowCount).toBe(1);
      found.push(performance.now() - started);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return found.sort((a, b) => a - b);
}

test.each(ATTACKS)(
  'a flood of one client holds up nobody else: %s',
  async (what, text) => {
    const attackers = await Promise.all(Array.from({ length: SESSIONS }, () => signIn(world, 'attacker')));
    const until = Date.now() + SECONDS * 1000;
    const floods = attackers.map((client, i) => flood(client, text, until, i * 1_000_000));
    const times = await latencies(until);
    const sent = (await Promise.all(floods)).reduce((sum, n) => sum + n, 0);
    for (const client of attackers) client.socket.destroy();
    const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))]!;
    console.info(
      `${what}: ${sent} statements of ${SESSIONS} sessions; of ${times.length} others the median took ${at(0.5).toFixed(0)} ms, ` +
        `99 in 100 at most ${at(0.99).toFixed(0)} ms, the slowest ${at(1).toFixed(0)} ms`,
    );
    expect(sent).toBeGreaterThan(0);
    expect(at(1)).toBeLessThan(BOUND_MS);
  },
  90_000,
);
