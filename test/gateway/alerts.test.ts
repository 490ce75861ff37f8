import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Alerts, ConfigDocument } from '../../gateway/config/document.ts';
import { encodeExecute, encodeSync } from '../../gateway/wire/frontend.ts';
import { isSigned, type ReceiverServer, startReceiver, status, WRITTEN_KEY } from '../alerts/server.ts';
import { ANALYST, policy, rule, startWorld, username, type World } from './harness.ts';
import { bind, parse, type Raw, signIn, sql } from './raw.ts';

const WATCHED = {
  ...ANALYST,
  rules: [
    rule('pay', { statements: ['Select'], relations: ['secret.*'], alert: true }),
    ...ANALYST.rules.map((one) => (one.name === 'no-ddl' ? { ...one, alert: true } : one)),
    rule('bulk', { statements: ['Update'], relations: ['public.*'], reach: ['Filtered'], maxRows: 3 }),
  ],
};
let world: World;
let receiver: ReceiverServer;
let raw: Raw;
beforeAll(async () => {
  receiver = await startReceiver();
  world = await startWorld({ secrets: { 'hook/url': receiver.url, 'hook/key': WRITTEN_KEY } });
}, 60_000);
afterAll(async () => {
  await world.stop();
  await receiver.close();
});
beforeEach(async () => {
  configure({ secret: 'hook', statements: 'Omit' });
  raw = await signIn(world, 'analyst');
  receiver.received.length = 0;
  return () => raw.socket.destroy();
});

let base: ConfigDocument['audit'];
function configure(alerts: Alerts | null, audit: Partial<ConfigDocument['audit']> = {}): void {
  base ??= {
    durability: 'Written',
    onFailure: 'Deny',
    spoolBytes: 1 << 30,
    recording: 'Statements',
    redaction: { parameters: 'Keep', literals: 'Keep' },
    sinks: [],
    alerts: null,
  };
  world.revise({ policies: [WATCHED], audit: { ...base, ...audit, alerts } });
}

const run = async (...texts: readonly string[]) => {
  for (const text of texts) {
    raw.send(sql(text));
    await raw.until(await raw.next());
  }
};
const told = (count: number) =>
  expect.poll(() => receiver.received.map(({ event }) => JSON.stringify(event)), { timeout: 2000 }).toHaveLength(count);
const settled = () => new Promise((resolve) => setTimeout(resolve, 150));
const metric = async (name: string) =>
  Number(
    new RegExp(`^postern_${name.replaceAll(/[{}"]/g, '\\$&')} (\\d+)$`, 'm').exec(
      (await world.admin('/metrics')).body,
    )?.[1],
  );

test('a denial is a signed CloudEvent that names who, what and the rule, and not the text', async () => {
  await run("DELETE FROM orders WHERE 'hunter2' = 'hunter2'");
  await told(1);
  const [got] = receiver.received;
  expect(isSigned(got!)).toBe(true);
  expect(got!.event).toMatchObject({
    specversion: '1.0',
    id: got!.headers['webhook-id'],
    type: 'dev.postern.statement.denied.v1',
    source: '/postern/shop/orders',
    datacontenttype: 'application/json',
    data: {
      user: username('analyst'),
      database: 'postgres',
      role: 'analyst_ro',
      verdict: 'Deny',
      alert: false,
      policy: 'shop/analysts',
      rule: 'never-unbounded',
      message: 'denied by AccessPolicy shop/analysts, rule never-unbounded: Unbounded Delete on public.orders',
      relations: ['public.orders:Delete:Unbounded'],
    },
  });
  expect(Number.isNaN(Date.parse(String(got!.event.time)))).toBe(false);
  expect(got!.body).not.toContain('hunter2');
});

describe('raised', () => {
  test.each<[string, readonly string[], string[]]>([
    ['by a rule with alert that denies', ['DROP TABLE orders'], ['denied true no-ddl']],
    ['by a rule with alert that allows', ['SELECT * FROM secret.salaries'], ['alert true pay']],
    [
      'once for a string, whatever follows',
      ['SELECT 1; DROP TABLE orders; SELECT 2; SELECT 3'],
      ['denied true no-ddl'],
    ],
    ['each time', ['DROP TABLE orders', 'DROP TABLE orders'], ['denied true no-ddl', 'denied true no-ddl']],
    ['by what no rule allows', ['TRUNCATE orders'], ['denied false never-unbounded']],
    ['by a function that no rule lists', ['SELECT wipe()'], ['denied false null']],
    ['not by a syntax error or a name that is not there', ['SELEC 1', 'EXECUTE nope', 'SELECT nope'], []],
    ['not by what is allowed', ['SELECT 1', 'BEGIN', 'ROLLBACK'], []],
    [
      'by a write that was undone',
      ['BEGIN', "UPDATE orders SET amount = 1 WHERE item LIKE 'i%'", 'ROLLBACK'],
      ['cut undefined undefined'],
    ],
  ])('%s', async (_name, texts, expected) => {
    await run(...texts);
    await told(expected.length);
    await settled();
    expect(
      receiver.received.map(({ event: { type, data } }) => `${String(type).split('.')[3]} ${data.alert} ${data.rule}`),
    ).toEqual(expected);
  });

  test('by a result that was cut', async () => {
    world.revise({ policies: [{ ...WATCHED, session: { ...WATCHED.session, rows: 5 } }] });
    await run("SELECT repeat('x', 1000) FROM generate_series(1, 50000)");
    await told(1);
    expect(receiver.received[0]!.event).toMatchObject({
      type: 'dev.postern.statement.cut.v1',
      data: { sqlstate: '42501', rows: 5, statement: 1 },
    });
  });

  test('each time that a prepared statement is denied', async () => {
    raw.send(parse('SELECT id FROM orders', 's'), encodeSync());
    await raw.until('Z:I');
    const guard = policy('guards', 'analyst', null, [
      rule('closed', { action: 'Deny', statements: ['Select'], relations: ['public.*'] }),
    ]);
    world.revise({ policies: [WATCHED, guard] });
    for (let i = 0; i < 3; i++) {
      raw.send(bind('', 's'), encodeExecute('', 0), encodeSync());
      expect(await raw.until('Z:I')).toBe('E:42501 Z:I');
    }
    await told(3);
    expect(receiver.received.map(({ event }) => event.data.rule)).toEqual(['closed', 'closed', 'closed']);
  });

  test('once in the extended protocol, where it is refused', async () => {
    raw.send(parse('DROP TABLE orders'), bind(), encodeExecute('', 0), encodeSync());
    await raw.until('Z:I');
    raw.send(parse('SELECT * FROM secret.salaries', 's'), bind('', 's'), encodeExecute('', 0), encodeSync());
    await raw.until('Z:I');
    await told(2);
    await settled();
    expect(receiver.received.map(({ event }) => event.data.rule)).toEqual(['no-ddl', 'pay']);
    expect(new Set(receiver.received.map(({ event }) => event.id)).size).toBe(2);
  });
});

describe('the text', () => {
  const TEXT = "DELETE FROM orders WHERE 'hunter2' = 'hunter2'";
  test('is told where it is asked for', async () => {
    configure({ secret: 'hook', statements: 'Keep' });
    await run(TEXT);
    await told(1);
    expect(receiver.received[0]!.event.data).toMatchObject({ text: TEXT, textTruncated: false });
  });

  test('stays out where the record leaves it out, and with it what quotes it', async () => {
    configure({ secret: 'hook', statements: 'Keep' }, { redaction: { parameters: 'Keep', literals: 'Omit' } });
    await run(TEXT, 'GRANT hunter2 TO app_rw');
    await told(2);
    for (const { event } of receiver.received) {
      expect(event.data).not.toHaveProperty('text');
      expect(event.data).not.toHaveProperty('message');
    }
  });

  test('stays out where it may be a credential', async () => {
    configure({ secret: 'hook', statements: 'Keep' });
    await run("ALTER ROLE app_rw PASSWORD 'hunter2'");
    await told(1);
    expect(receiver.received[0]!.body).not.toContain('hunter2');
  });

  test('is cut where it is long', async () => {
    configure({ secret: 'hook', statements: 'Keep' });
    await run(`DELETE FROM orders -- ${'x'.repeat(50_000)}`);
    await told(1);
    expect(String(receiver.received[0]!.event.data.text)).toHaveLength(4096);
    expect(receiver.received[0]!.event.data.textTruncated).toBe(true);
  });
});

test('records and metrics tell of it as well, with a receiver or without', async () => {
  configure(null);
  const before = [await metric('alerts_total{reason="Rule"}'), await metric('alerts_total{reason="Denied"}')];
  await run('DROP TABLE orders', 'SELECT * FROM secret.salaries', 'DELETE FROM orders');
  await settled();
  expect(receiver.received).toHaveLength(0);
  expect(await metric('alerts_total{reason="Rule"}')).toBe(before[0]! + 2);
  expect(await metric('alerts_total{reason="Denied"}')).toBe(before[1]! + 1);
  expect(await metric('alerts_waiting')).toBe(0);
  const decisions = (await world.events()).map(({ unmapped }) => unmapped?.postern?.decision);
  expect(decisions).toContainEqual(expect.objectContaining({ verdict: 'Allow', alert: true, rule: 'pay' }));
});

test('a receiver that hangs slows no statement', async () => {
  receiver.answer = () => {};
  const began = performance.now();
  for (let i = 0; i < 300; i++) await run('DELETE FROM orders');
  const took = performance.now() - began;
  receiver.answer = status(204);
  expect(took).toBeLessThan(10_000);
  expect((await world.admin('/readyz')).status).toBe(200);
});

test('a policy that names nobody here raises nothing', async () => {
  world.revise({
    policies: [
      WATCHED,
      policy('others', 'other', null, [rule('x', { action: 'Deny', statements: ['Select'], alert: true })]),
    ],
  });
  await run('SELECT 1');
  await settled();
  expect(receiver.received).toHaveLength(0);
});
