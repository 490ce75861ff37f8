import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { MaskRule } from '../../gateway/config/document.ts';
import { checkDocument } from '../../gateway/config/load.ts';
import { unenforced } from '../../gateway/config/unenforced.ts';
import { encodeExecute, encodeFlush, encodeFunctionCall, encodeSync } from '../../gateway/wire/frontend.ts';
import { exampleDocument } from '../config/fixture.ts';
import { startWorld, username, type World } from './harness.ts';
import { bind, parse, signIn, sql } from './raw.ts';

const ANALYST = { user: username('analyst') };
const DBA = { user: username('dba') };

function hide(parts: Partial<MaskRule> = {}): MaskRule {
  return {
    namespace: 'shop',
    name: 'items',
    subjects: [],
    except: [],
    columns: [{ schema: 'public', table: 'orders', column: 'item', mask: { type: 'Redact' } }],
    detectors: [],
    trustedFunctions: [],
    trustedRelations: [],
    trustedChannels: [],
    hashKey: null,
    ...parts,
  };
}

/** How many sessions have ended because of what the configuration says. */
async function ended(): Promise<number> {
  return (await world.events()).filter(({ unmapped }) => unmapped?.postern?.reason === 'PolicyEnded').length;
}

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, 60_000);
afterEach(() => world.revise({ masks: [] }));
afterAll(() => world.stop());

describe('at sign-in', () => {
  const everybody = { group: 'system:authenticated' };
  test.each<[string, Partial<MaskRule>, { analyst: boolean; dba: boolean }]>([
    ['without subjects hides from everybody', {}, { analyst: false, dba: false }],
    ['hides from the user that it names', { subjects: [ANALYST] }, { analyst: false, dba: true }],
    ['hides from the groups that it names', { subjects: [everybody] }, { analyst: false, dba: false }],
    ['does not hide from others', { subjects: [{ group: 'nobody' }] }, { analyst: true, dba: true }],
    ['does not hide from exceptions', { except: [DBA] }, { analyst: false, dba: true }],
    ['hides nothing from an excepted group', { except: [everybody] }, { analyst: true, dba: true }],
    [
      'has its exceptions beat its subjects',
      { subjects: [DBA, ANALYST], except: [DBA] },
      { analyst: false, dba: true },
    ],
  ])('a rule that %s', async (_what, parts, { analyst, dba }) => {
    world.revise({ masks: [hide(parts)] });
    for (const [name, allowed] of [['analyst', analyst] as const, ['dba', dba] as const]) {
      const attempt = world.connect(name).then(async (client) => {
        const { rows } = await client.query('SELECT item FROM orders WHERE id = 1');
        await client.end();
        return rows;
      });
      if (allowed) expect(await attempt).toEqual([{ item: 'item 1' }]);
      else
        await expect(attempt).rejects.toMatchObject({
          code: '28000',
          severity: 'FATAL',
          message: expect.stringContaining(`MaskingRule shop/items hides values from ${username(name)}`),
          hint: expect.stringContaining('spec.except'),
        });
    }
  });

  test('the strictest counts: one rule that excepts does not open what another hides', async () => {
    world.revise({ masks: [hide({ name: 'a', except: [DBA] }), hide({ name: 'b' })] });
    await expect(world.connect('dba')).rejects.toMatchObject({ message: expect.stringContaining('shop/b') });
  });

  test('the refusal is recorded as what it is', async () => {
    world.revise({ masks: [hide()] });
    await expect(world.connect('analyst')).rejects.toThrow();
    const { body } = await world.admin('/metrics');
    expect(body).toMatch(/postern_authentication_total\{outcome="Masked"\} [1-9]/);
  });
});

describe('an open session of somebody under a rule ends', () => {
  test.each<[string, (send: (...bytes: Buffer[]) => void) => void]>([
    ['at its next string of statements', (send) => send(sql('SELECT item FROM orders'))],
    ['at a Parse', (send) => send(parse('SELECT 1'), encodeFlush())],
    ['at a Bind of what was parsed before', (send) => send(bind('', 'kept'), encodeSync())],
    ['at an Execute of what was bound before', (send) => send(encodeExecute('open', 1), encodeSync())],
    [
      'at a function call',
      (send) => send(encodeFunctionCall({ functionOid: 1598, formats: [], parameters: [], resultFormat: 0 })),
    ],
    ['even where it asks for the end of its transaction', (send) => send(sql('COMMIT'))],
  ])('%s', async (_when, speak) => {
    const before = await ended();
    const client = await signIn(world, 'dba');
    client.send(sql('BEGIN; DELETE FROM orders'));
    await client.until('Z:T');
    client.send(parse('SELECT item FROM orders', 'kept'), parse('SELECT generate_series(1, 9)', 'series'));
    client.send(bind('open', 'series'), encodeExecute('open', 1), encodeSync());
    await client.until('Z:T');
    world.revise({ masks: [hide({ subjects: [DBA] })] });
    speak((...bytes) => client.send(...bytes));
    expect(await client.until('end')).toBe('E:28000 end');
    await vi.waitFor(async () => expect(await ended()).toBe(before + 1), 5000);
    world.revise({ masks: [] });
    const after = await world.connect('dba');
    // The transaction went with the connection.
    expect((await after.query('SELECT count(*)::int AS n FROM orders')).rows).toEqual([{ n: 50 }]);
    await after.end();
  });

  test('and nobody else’s', async () => {
    const [analyst, dba] = [await world.connect('analyst'), await world.connect('dba')];
    world.revise({ masks: [hide({ subjects: [ANALYST] })] });
    await expect(analyst.query('SELECT 1')).rejects.toMatchObject({ code: '28000' });
    expect((await dba.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await dba.end();
  });

  test('not at a rule that goes before the next statement', async () => {
    const client = await world.connect('analyst');
    world.revise({ masks: [hide()] });
    world.revise({ masks: [] });
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await client.end();
  });
});

test('every rule of a document is reported as one that is not enforced', () => {
  const document = exampleDocument({ masks: [hide(), hide({ name: 'others', subjects: [DBA] })] });
  expect(checkDocument(document)).toMatchObject({ ok: true });
  expect(unenforced(document)).toEqual([
    { kind: 'MaskingRule', namespace: 'shop', name: 'items', reason: expect.stringContaining('cannot mask') },
    { kind: 'MaskingRule', namespace: 'shop', name: 'others', reason: expect.stringContaining('cannot mask') },
  ]);
});
