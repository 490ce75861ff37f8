import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeParse, encodeQuery, encodeSync } from '../../gateway/wire/frontend.ts';
import type { PostgresMajor } from '../kit/postgres-install.ts';
import { ANALYST, DBA, policy, startWorld, type World } from './harness.ts';
import { bind, parse, signIn, sql } from './raw.ts';

/**
 * What the gateway parses is what the server parses. Each trap below makes a text look harmless to the one and harmful
 * to the other; `orders` has 50 rows, `secret.salaries` is nobody's business.
 */
let world: World;
const FREE = policy('free', 'free', 'analyst_ro', ANALYST.rules, {
  settings: ['standard_conforming_strings', 'client_encoding', 'backslash_quote', 'my.setting'],
});

beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [ANALYST, DBA, FREE] }) });
  await world.server.query(`CREATE TABLE "é" (id int); CREATE TABLE secret."Ã©" (id int); INSERT INTO secret."Ã©" VALUES (1);
    CREATE TABLE "a\u00a0b" (id int); GRANT ALL ON ALL TABLES IN SCHEMA public, secret TO analyst_ro`);
}, 60_000);
afterAll(() => world.stop());

const rows = async () => Number((await world.server.query('SELECT count(*) AS n FROM orders'))[0]!.n);

async function codeOf(client: pg.Client, text: string): Promise<string> {
  return await client.query(text).then(
    () => 'ok',
    (error: { code?: string }) => error.code ?? String(error),
  );
}

async function asAnalyst<T>(work: (client: pg.Client) => Promise<T>, name = 'analyst'): Promise<T> {
  const client = await world.connect(name);
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** With `standard_conforming_strings = off` the DELETE runs; with it on, all of it is one string and one alias. */
const HIDDEN = "SELECT 'a\\' AS x, '; DELETE FROM orders; --' AS y";

describe('standard_conforming_strings', () => {
  test.each([
    'SET standard_conforming_strings = off',
    "SET standard_conforming_strings TO 'off'",
    'SET LOCAL standard_conforming_strings = 0',
    'SET SESSION standard_conforming_strings = no',
    "SELECT set_config('standard_conforming_strings', 'off', false)",
    "SELECT set_config('Standard_Conforming_Strings', 'of' || 'f', false)",
    "UPDATE pg_settings SET setting = 'off' WHERE name = 'standard_conforming_strings'",
    'BEGIN; SET standard_conforming_strings = off; COMMIT',
  ])('cannot be turned off: %s', async (statement) => {
    for (const name of ['analyst', 'free']) {
      await asAnalyst(async (client) => {
        expect(await codeOf(client, statement)).toBe('42501');
        await codeOf(client, 'ROLLBACK');
        expect((await client.query('SHOW standard_conforming_strings')).rows).toEqual([
          { standard_conforming_strings: 'on' },
        ]);
        expect((await client.query(HIDDEN)).rows).toEqual([{ x: 'a\\', y: '; DELETE FROM orders; --' }]);
      }, name);
    }
    expect(await rows()).toBe(50);
  });

  test.each(['ROLE analyst_ro', 'DATABASE postgres', 'ROLE analyst_ro IN DATABASE postgres', 'ROLE ALL'])(
    'off by ALTER %s is on in every session, and stays so through RESET and DISCARD',
    async (whose) => {
      await world.server.query(`ALTER ${whose} SET standard_conforming_strings = off`);
      try {
        await asAnalyst(async (client) => {
          for (const before of ['SELECT 1', 'RESET ALL', 'RESET standard_conforming_strings', 'DISCARD ALL']) {
            expect(await codeOf(client, before)).toBe('ok');
            expect((await client.query(HIDDEN)).rows).toEqual([{ x: 'a\\', y: '; DELETE FROM orders; --' }]);
          }
          expect(await codeOf(client, 'SET standard_conforming_strings TO DEFAULT')).toBe('ok');
          expect((await client.query(HIDDEN)).rowCount).toBe(1);
        });
      } finally {
        await world.server.query(`ALTER ${whose} RESET standard_conforming_strings`);
      }
      expect(await rows()).toBe(50);
    },
  );

  test('turned off under Any, nothing is read once the session has restrictions', async () => {
    await asAnalyst(async (client) => {
      await client.query('SET standard_conforming_strings = off');
      world.revise({ policies: [ANALYST, { ...ANALYST, name: 'dbas', subjects: DBA.subjects, role: 'app_rw' }, FREE] });
      try {
        expect(await codeOf(client, "SELECT 'a\\'; DELETE FROM orders; --'")).toBe('42501');
        expect(await codeOf(client, 'SELECT 1')).toBe('42501');
      } finally {
        world.revise({ policies: [ANALYST, DBA, FREE] });
      }
    }, 'dba');
    expect(await rows()).toBe(50);
  });
});

test.each(['on', 'off', 'safe_encoding'])('backslash_quote = %s decides nothing that is not refused', async (value) => {
  await asAnalyst(async (client) => {
    expect(await codeOf(client, `SET backslash_quote = ${value}`)).toBe('ok');
    expect(['ok', '22025', '22P06', '42601']).toContain(
      await codeOf(client, "SELECT E'\\'; DELETE FROM orders; --' AS x"),
    );
    expect(await codeOf(client, "SELECT E'\\\\'; DELETE FROM orders; --'")).toBe('42501');
  }, 'free');
  expect(await rows()).toBe(50);
});

test('escape_string_warning and names of settings of one’s own change nothing', async () => {
  await asAnalyst(async (client) => {
    for (const value of ['on', 'off']) {
      await client.query(`SET escape_string_warning = ${value}`);
      expect((await client.query(HIDDEN)).rowCount).toBe(1);
    }
    expect(await codeOf(client, "SET my.setting = 'standard_conforming_strings'")).toBe('ok');
  }, 'free');
});

describe('client_encoding', () => {
  test.each([
    'SJIS',
    'SHIFT_JIS_2004',
    'BIG5',
    'GBK',
    'UHC',
    'GB18030',
    'JOHAB',
    'MULE_INTERNAL',
    'win936',
    'Windows949',
  ])('%s is refused in every way', async (encoding) => {
    await asAnalyst(async (client) => {
      for (const statement of [
        `SET client_encoding = '${encoding}'`,
        `SET NAMES '${encoding}'`,
        `SELECT set_config('client_encoding', '${encoding}', true)`,
        `SET LOCAL client_encoding TO '${encoding}'`,
      ]) {
        expect(await codeOf(client, statement)).toBe('42501');
      }
      expect((await client.query('SHOW client_encoding')).rows).toEqual([{ client_encoding: 'UTF8' }]);
    }, 'free');
  });

  test('one that a role is given at login is not read', async () => {
    await world.server.query("ALTER ROLE analyst_ro SET client_encoding = 'SJIS'");
    try {
      const client = await signIn(world, 'analyst');
      // 0x95 0x5c is one character there, and ends with a backslash.
      client.send(
        encodeQuery(
          Buffer.from([...Buffer.from("SELECT '"), 0x95, 0x5c, ...Buffer.from("'; DELETE FROM orders; --'")]),
        ),
      );
      expect(await client.until('Z:I')).toMatch(/E:42501/);
      client.send(encodeQuery(Buffer.from('SELECT 1')));
      expect(await client.until('Z:I')).toMatch(/E:42501/);
      client.socket.destroy();
    } finally {
      await world.server.query('ALTER ROLE analyst_ro RESET client_encoding');
    }
    expect(await rows()).toBe(50);
  });

  test('a name is read as the server reads it', async () => {
    await asAnalyst(async (client) => {
      expect(await codeOf(client, 'SELECT * FROM "é"')).toBe('ok');
      expect(await codeOf(client, 'SELECT * FROM secret."Ã©"')).toBe('42501');
      await client.query("SET client_encoding = 'LATIN1'; SET search_path = secret, public");
      // These bytes are é in UTF8 and Ã© in LATIN1, which is a table of another schema.
      expect(await codeOf(client, 'SELECT * FROM "é"')).toBe('42501');
      await client.query('RESET client_encoding');
      expect(await codeOf(client, 'SELECT * FROM public."é"')).toBe('ok');
    });
  });

  test.each([
    ['SET', ["SET client_encoding = 'LATIN1'"]],
    ['SET LOCAL', ['BEGIN', "SET LOCAL client_encoding = 'LATIN1'"]],
    ['set_config', ["SELECT set_config('client_encoding', 'LATIN1', false)"]],
    ['SET in a string', ["SELECT 1; SET client_encoding = 'LATIN1'"]],
  ])('a text in a pipeline behind a change of client_encoding is read in the new one: %s', async (_, changes) => {
    const client = await signIn(world, 'analyst');
    client.send(sql('SET search_path = secret, public'));
    await client.until('Z:I');
    client.send(...changes.map(sql), sql('SELECT * FROM "é"'), sql('ROLLBACK'));
    let seen = '';
    for (let i = 0; i < changes.length + 2; i++)
      seen += await client.until(i === changes.length + 1 ? 'Z:I' : await ready(client));
    expect(seen).toContain('E:42501');
    expect(seen.slice(seen.indexOf('E:42501'))).not.toContain('SELECT');
    client.socket.destroy();
  });

  test('the same within one pipeline of the extended protocol', async () => {
    const client = await signIn(world, 'analyst');
    client.send(sql('SET search_path = secret, public'));
    await client.until('Z:I');
    const extended = (text: string) => [parse(text), bind(), EXECUTE];
    client.send(...extended("SET client_encoding = 'LATIN1'"), ...extended('SELECT * FROM "é"'), encodeSync());
    expect(await client.until('Z:I')).toMatch(/E:42501/);
    client.socket.destroy();
  });

  test('a rollback brings the old one back', async () => {
    await asAnalyst(async (client) => {
      await client.query('SET search_path = secret, public');
      await client.query("BEGIN; SET client_encoding = 'LATIN1'");
      await client.query('ROLLBACK');
      expect(await codeOf(client, 'SELECT * FROM "é"')).toBe('ok');
      await client.query('BEGIN; SAVEPOINT a');
      await client.query("SET LOCAL client_encoding = 'LATIN1'");
      await client.query('ROLLBACK TO a');
      expect(await codeOf(client, 'SELECT * FROM "é"')).toBe('ok');
      await client.query('COMMIT');
    });
  });
});

const EXECUTE = Buffer.from('450000000900000000 00'.replaceAll(' ', ''), 'hex');

/** The word of the next ReadyForQuery. */
async function ready(client: Awaited<ReturnType<typeof signIn>>): Promise<string> {
  const deadline = Date.now() + 8000;
  for (;;) {
    const word = client.words.find((it) => it.startsWith('Z:'));
    if (word !== undefined) return word;
    if (Date.now() > deadline) throw new Error(`no ReadyForQuery: ${client.words.join(' ')}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('bytes', () => {
  test.each([
    ['an invalid byte', [0xff]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['beyond Unicode', [0xf4, 0x90, 0x80, 0x80]],
    ['a character cut off', [0xe2, 0x82]],
  ])('%s is refused, and the session goes on', async (_, bytes) => {
    const client = await signIn(world, 'analyst');
    const text = Buffer.concat([Buffer.from("SELECT '"), Buffer.from(bytes), Buffer.from("'; DELETE FROM orders")]);
    client.send(encodeQuery(text));
    expect(await client.until('Z:I')).toMatch(/E:42501/);
    client.send(encodeParse({ statement: '', text, parameterTypes: [] }), encodeSync());
    expect(await client.until('Z:I')).toMatch(/E:42501/);
    client.send(sql('SELECT 1'));
    expect(await client.until('Z:I')).toMatch(/C:SELECT_1/);
    client.socket.destroy();
    expect(await rows()).toBe(50);
  });

  test('a NUL ends the text for nobody: the message is refused', async () => {
    const client = await signIn(world, 'analyst');
    const body = Buffer.from('SELECT 1\0; DELETE FROM orders\0');
    const head = Buffer.alloc(5);
    head.write('Q');
    head.writeUInt32BE(body.length + 4, 1);
    client.send(Buffer.concat([head, body]));
    expect(await client.until('end').catch(() => client.until('Z:I'))).toMatch(/E:(?:08P01|42501)/);
    client.socket.destroy();
    expect(await rows()).toBe(50);
  });
});

/** Each is read the same by both: the code is the server's own, or the gateway's. */
test.each([
  ['a BOM', '\ufeffSELECT 1', '42601'],
  ['a zero-width space', 'SELECT\u200b1', 'either'],
  ['a non-breaking space is part of a name', 'SELECT * FROM a\u00a0b', 'ok'],
  ['nothing but a non-breaking space', '\u00a0', '42601'],
  ['an ideographic space', 'SELECT\u30001', 'either'],
  ['a nested comment', 'SELECT 1 /* /* */ ; DELETE FROM orders */', 'ok'],
  ['a comment that ends early', 'SELECT 1 /* */ ; DELETE FROM orders --*/', '42501'],
  ['a comment in an operator', 'SELECT 1 +/* ; */ 2; DELETE FROM orders', '42501'],
  ['an operator that would begin a comment', 'SELECT 1 *-- \n 2; DELETE FROM orders', '42501'],
  ['a dollar quote in another', 'SELECT $a$ $b$; DELETE FROM orders; $b$ $a$', 'ok'],
  ['a dollar quote that is none', 'SELECT 1 AS a$b$; DELETE FROM orders; --$b$', '42501'],
  ['a dollar quote of other letters', 'SELECT $é$; DELETE FROM orders; $é$', 'ok'],
  ['Unicode escapes', "SELECT U&'\\0027; DELETE FROM orders; --'", 'ok'],
  ['Unicode escapes with a character of their own', "SELECT U&'!0027; DELETE FROM orders; --' UESCAPE '!'", 'ok'],
  ['a Unicode name', 'SELECT * FROM U&"ord\\0065rs" WHERE id = 1', 'ok'],
  ['a Unicode name of another schema', 'SELECT * FROM U&"s\\0065cret".salaries', '42501'],
  ['an escape string', "SELECT E'\\'; DELETE FROM orders; --'", 'ok'],
  ['an escape string that ends', "SELECT E'\\\\'; DELETE FROM orders; --'", '42501'],
  ['strings on two lines', "SELECT 'a'\n'; DELETE FROM orders'", 'ok'],
  ['an escape string goes on over lines', "SELECT E'a'\n'\\'; DELETE FROM orders; --'", 'ok'],
  ['a variable of psql', 'SELECT :name', '42601'],
  ['a form feed and a carriage return', 'SELECT\f1\r;\rDELETE\rFROM\forders', '42501'],
  ['a line comment ends with a carriage return', 'SELECT 1 -- a\rDELETE FROM orders', 'either'],
  ['a statement of 120 KB', `SELECT ${'1,'.repeat(60_000)}1`, 'either'],
  ['a DELETE behind 120 KB', `SELECT '${'x'.repeat(120_000)}'; DELETE FROM orders`, '42501'],
  ['a DELETE behind more than the limit', `SELECT '${'x'.repeat(140_000)}'; DELETE FROM orders`, '42501'],
])('%s', async (_, text, code) => {
  await asAnalyst(async (client) => {
    const got = await codeOf(client, text);
    if (code !== 'either') expect(got).toBe(code);
    expect(await codeOf(client, 'SELECT 1')).toBe('ok');
  });
  expect(await rows()).toBe(50);
});

describe.each<PostgresMajor>([14, 18])('PostgreSQL %d', (version) => {
  let own: World;
  beforeAll(async () => {
    own = await startWorld({ version });
    if (version > 14) return;
    await own.server.query(
      'CREATE FUNCTION json_array(int, int) RETURNS int LANGUAGE sql AS $$ DELETE FROM orders; SELECT 1 $$',
    );
  }, 60_000);
  afterAll(() => own.stop());

  test.each([
    ['SELECT 0x1F AS n', 31],
    ['SELECT 1_000 AS n', 1000],
    ['SELECT 0b11 AS n', 3],
    ['SELECT json_array(1, 2)::text AS n', '[1, 2]'],
    ['SELECT system_user IS NULL AS n', false],
  ])('%s is what the newest grammar says, or refused', async (text, value) => {
    const client = await own.connect('analyst');
    const result = await client.query(text).catch((error: { code: string }) => error.code);
    if (version === 18) expect((result as pg.QueryResult).rows).toEqual([{ n: value }]);
    else expect(result).toBe('42501');
    await client.end();
    expect(Number((await own.server.query('SELECT count(*) AS n FROM orders'))[0]!.n)).toBe(50);
  });

  test('junk after a number is an alias to nobody', async () => {
    const client = await own.connect('analyst');
    for (const text of ['SELECT 123abc', 'SELECT 1.5e', 'SELECT 0x', 'SELECT 1__0']) {
      expect(await codeOf(client, text)).toBe('42601');
    }
    await client.end();
  });
});

test('a database that folds letters beyond ASCII may fold them: such names are refused in capitals', async () => {
  await world.server.query("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
  await world.server.query('CREATE TABLE "ä" (id int); GRANT ALL ON "ä" TO analyst_ro', 'latin');
  const client = await world.connect('analyst', { database: 'latin' });
  expect(await codeOf(client, 'SELECT * FROM "ä"')).toBe('ok');
  expect(await codeOf(client, 'SELECT * FROM ä')).toBe('ok');
  expect(await codeOf(client, 'SELECT * FROM Ä')).toBe('42501');
  expect(await codeOf(client, 'WITH "Ä" AS (SELECT 1) SELECT * FROM Ä')).toBe('42501');
  expect(await codeOf(client, "SELECT 'Ä' AS x")).toBe('ok');
  await client.end();
});
