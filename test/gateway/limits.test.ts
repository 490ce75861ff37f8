import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { IdentityLimits, Policy } from '../../gateway/config/document.ts';
import { encodeExecute, encodeSync } from '../../gateway/wire/frontend.ts';
import { ANALYST, startWorld, username, type World } from './harness.ts';
import { bind, parse, signIn, sql } from './raw.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, 60_000);
afterAll(() => world.stop());

let accounts = 0;
/** A policy for an account of its own: what one test uses up is nobody else's. */
function limited(limits: Partial<IdentityLimits>, parts: Partial<Policy> = {}): string {
  const account = `limited-${++accounts}`;
  const own = { ...ANALYST, ...parts, subjects: [{ user: username(account) }] };
  world.revise({ policies: [{ ...own, limits: { ...ANALYST.limits, ...limits } }] });
  return account;
}

describe('statements a minute', () => {
  test('further ones are refused with the time when they are possible again, over all sessions of the identity', async () => {
    const account = limited({ statementsPerMinute: 4 });
    const [one, two] = [await world.connect(account), await world.connect(account)];
    await one.query('SELECT 1');
    await two.query('SELECT $1::int', [2]);
    await one.query('SELECT 3; SELECT 4');
    for (const client of [one, two]) {
      for (const ask of [() => client.query('SELECT 5'), () => client.query('SELECT $1::int', [5])]) {
        await expect(ask()).rejects.toMatchObject({
          code: '53400',
          message: 'denied by AccessPolicy shop/analysts: the 4 statements a minute are used up',
          hint: expect.stringMatching(/^Possible again in \d+ s, at 20..-..-..T..:..:..Z\.$/),
        });
      }
    }
    await Promise.all([one.end(), two.end()]);
    const again = await world.connect(account);
    await expect(again.query('SELECT 1')).rejects.toMatchObject({ code: '53400' });
    await again.end();
  });

  test('a string that would go beyond runs none of what is beyond', async () => {
    const account = limited({ statementsPerMinute: 3 });
    const client = await signIn(world, account);
    client.send(sql('SELECT 1; SELECT 2; SELECT 3; SELECT 4'));
    expect(await client.until('Z:I')).toBe('T D C:SELECT_1 T D C:SELECT_1 T D C:SELECT_1 E:53400 Z:I');
    client.socket.destroy();
  });

  test('a prepared statement is counted once each time it is bound, however it is executed', async () => {
    const account = limited({ statementsPerMinute: 2 });
    const client = await signIn(world, account);
    client.send(parse('SELECT id FROM orders ORDER BY id', 's'), bind('', 's'), encodeExecute('', 20));
    client.send(encodeExecute('', 20), encodeExecute('', 0), encodeSync());
    expect(await client.until('Z:I')).toMatch(/C:SELECT_10 Z:I$/);
    client.send(bind('', 's'), encodeExecute('', 0), encodeSync());
    expect(await client.until('Z:I')).toMatch(/C:SELECT_50 Z:I$/);
    client.send(bind('', 's'), encodeExecute('', 0), encodeSync());
    expect(await client.until('Z:I')).toBe('E:53400 Z:I');
    client.socket.destroy();
  });

  test('COMMIT and ROLLBACK are never refused for it', async () => {
    const account = limited({ statementsPerMinute: 2 });
    const client = await world.connect(account);
    await client.query('BEGIN');
    await client.query('UPDATE orders SET amount = 7 WHERE id = 7');
    await client.query('COMMIT');
    await client.end();
    expect(await world.server.query('SELECT amount::int AS a FROM orders WHERE id = 7')).toEqual([{ a: 7 }]);
  });
});

describe('rows and bytes a day', () => {
  test('a result that goes beyond is cut, and the next one refused; another identity goes on', async () => {
    const account = limited({ rowsPerDay: 60 });
    const client = await world.connect(account);
    expect((await client.query('SELECT id FROM orders')).rowCount).toBe(50);
    await expect(client.query('SELECT id FROM orders')).rejects.toMatchObject({
      code: '53400',
      message: expect.stringMatching(/^result cut: .*the 60 rows of results a day are used up$/),
      hint: expect.stringMatching(/T00:00:00Z\.$/),
    });
    for (const text of ['SELECT 1', 'COPY orders TO STDOUT', 'DELETE FROM orders WHERE id = 1'])
      await expect(client.query(text)).rejects.toMatchObject({ code: '53400' });
    await client.end();
    const outcomes = (await world.events()).map(({ unmapped }) => unmapped?.postern ?? {});
    expect(outcomes).toContainEqual(expect.objectContaining({ outcome: 'Cancelled', rows: 10 }));
    const codes = (await world.events()).map((event) => event.status_code);
    expect(codes).toContain('53400');
    expect(codes).not.toContain('57014');
    const other = await world.connect(limited({ rowsPerDay: 60 }));
    expect((await other.query('SELECT id FROM orders')).rowCount).toBe(50);
    await other.end();
  });

  test('rows that COPY sends count', async () => {
    const account = limited({ rowsPerDay: 30 });
    const client = await signIn(world, account);
    client.send(sql('COPY orders TO STDOUT'));
    const words = (await client.until('Z:I')).split(' ');
    expect(words.filter((word) => word === 'd')).toHaveLength(30);
    expect(words).toContain('E:53400');
    client.socket.destroy();
  });

  test('bytes are cut within one batch of the server', async () => {
    const account = limited({ bytesPerDay: 100_000 });
    const client = await world.connect(account);
    await expect(client.query("SELECT repeat('x', 1000) FROM generate_series(1, 20000)")).rejects.toMatchObject({
      code: '53400',
    });
    await client.end();
    const bytes = (await world.events()).map(({ unmapped }) => Number(unmapped?.postern?.bytes ?? 0));
    expect(Math.max(...bytes)).toBeLessThan(1_000_000);
  });

  test('limits that come in the middle of a result leave it whole', async () => {
    const account = limited({});
    const client = await world.connect(account);
    const asked = client.query("SELECT i, repeat('x', 3000) AS pad FROM generate_series(1, 30000) i");
    await expect.poll(() => (client.connection.stream as Socket).bytesRead).toBeGreaterThan(1_000_000);
    accounts -= 1;
    limited({ rowsPerDay: 5 }, { session: { ...ANALYST.session, rows: 7 } });
    const { rows } = await asked;
    expect(rows).toHaveLength(30_000);
    expect(rows.every(({ i, pad }, at) => i === at + 1 && pad.length === 3000)).toBe(true);
    await expect(client.query('SELECT id FROM orders')).rejects.toMatchObject({ code: '53400' });
    await client.end();
  });

  test('a policy edit counts at the next statement', async () => {
    const account = limited({ rowsPerDay: 50 });
    const client = await world.connect(account);
    await client.query('SELECT id FROM orders');
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '53400' });
    accounts -= 1; // the same account again
    limited({ rowsPerDay: 51 });
    await client.query('SELECT 1');
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '53400' });
    await client.end();
  });
});

describe('sessions at a time', () => {
  test('one too many is refused; a place that is given up can be taken', async () => {
    const account = limited({ sessions: 2 });
    const [one, two] = [await world.connect(account), await world.connect(account)];
    await expect(world.connect(account)).rejects.toMatchObject({
      code: '53300',
      message: expect.stringContaining(`${username(account)}: 2 at a time are allowed`),
      hint: expect.stringContaining('spec.limits.sessions of AccessPolicy shop/analysts'),
    });
    await one.end();
    const three = await expect
      .poll(() => world.connect(account).catch(() => null))
      .not.toBeNull()
      .then(() => null);
    expect(three).toBeNull();
    await two.end();
  });

  test('sessions that begin at the same time', async () => {
    const account = limited({ sessions: 3 });
    const tried = await Promise.allSettled(Array.from({ length: 12 }, () => world.connect(account)));
    const open = tried.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    expect(open).toHaveLength(3);
    await Promise.all(open.map((client) => client.end()));
  });
});
