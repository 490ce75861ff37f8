import type pg from 'pg';
import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { PostgresMajor } from '../kit/postgres-install.ts';
import { policy, rule, startWorld, username, type World } from './harness.ts';

/** Somebody who migrates a schema; of functions, one alone is listed. */
const MIGRATOR = policy('migrators', 'migrator', 'app_rw', [
  rule('work', {
    statements: [
      ...(['Select', 'Insert', 'Update', 'Delete', 'Ddl', 'Code', 'Do', 'CopyFrom'] as const),
      ...(['Transaction', 'Session', 'TempTable', 'Prepare', 'Maintenance'] as const),
    ],
    relations: ['public.*', 'other.*', 'going.*', 'gone.*'],
    functions: ['public.listed(integer)'],
  }),
]);

/** Made by others: one function that is listed, and one that is not. */
const SETUP = `
  CREATE FUNCTION listed(int) RETURNS bool LANGUAGE sql AS 'SELECT true';
  CREATE FUNCTION unlisted(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$ran$$; END';
  CREATE DOMAIN guarded AS int CHECK (unlisted(value)); CREATE DOMAIN plain AS int;
  CREATE SCHEMA other; CREATE DOMAIN other.twin AS int CHECK (unlisted(value)); CREATE DOMAIN public.twin AS int;
  CREATE DOMAIN moving AS int CHECK (unlisted(value)); ALTER DOMAIN moving OWNER TO app_rw;
  CREATE SCHEMA going AUTHORIZATION app_rw; CREATE DOMAIN going.guarded AS int CHECK (unlisted(value));
  GRANT ALL ON SCHEMA other TO app_rw; ALTER DOMAIN plain OWNER TO app_rw; ALTER DOMAIN public.twin OWNER TO app_rw;
  GRANT CREATE ON DATABASE postgres TO app_rw; GRANT app_rw TO analyst_ro`;

describe.each<PostgresMajor>([14, 18])('types that a session of PostgreSQL %d has just made', (version) => {
  let world: World;
  let client: pg.Client;
  beforeAll(async () => {
    world = await startWorld({ version, change: (document) => ({ ...document, policies: [MIGRATOR] }) });
    await world.server.query(SETUP);
  }, 60_000);
  afterAll(() => world.stop());
  beforeEach(async () => {
    client = await world.connect('migrator');
  });
  afterEach(() => client.end());

  const unlisted = { code: '42501', message: expect.stringMatching(/unlisted/) };
  /** Each by itself; with values: by the extended protocol. */
  async function run(statements: readonly string[], extended = false): Promise<void> {
    for (const text of statements) {
      await (extended ? client.query({ text, values: [] }) : client.query(text)).catch((error: Error) => {
        throw new Error(`${text}: ${error.message}`);
      });
    }
  }

  const MIGRATIONS: readonly (readonly [string, readonly string[]])[] = [
    [
      'an enum',
      [
        "CREATE TYPE mood AS ENUM ('a', 'b')",
        "CREATE TABLE nm (m mood NOT NULL DEFAULT 'a', all_of mood[] DEFAULT '{}')",
        "ALTER TABLE nm ALTER COLUMN m SET DEFAULT 'a'::mood",
        "INSERT INTO nm VALUES ('b'), ('b'::mood)",
        "SELECT 'a'::mood, '{a}'::mood[], CAST('b' AS public.mood), mood 'a', '{a}'::_mood FROM nm WHERE m = 'b'::mood",
        'ALTER TABLE nm ALTER COLUMN m TYPE text USING m::text',
        'ALTER TABLE nm ALTER COLUMN m DROP DEFAULT',
        'ALTER TABLE nm ALTER COLUMN m TYPE mood USING m::mood',
        'DROP TABLE nm',
        'DROP TYPE mood',
      ],
    ],
    [
      'an enum made in a DO block, where it is not there yet',
      [
        `DO $$ BEGIN CREATE TYPE "nm_State" AS ENUM ('on', 'off'); EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
        `CREATE TABLE nm (id serial PRIMARY KEY, s "public"."nm_State")`,
        `INSERT INTO "nm" ("s") VALUES ('on'::"nm_State")`,
        `SELECT count(s), max(s) FROM nm WHERE s = ANY ('{on,off}'::"nm_State"[])`,
        `ALTER TYPE "nm_State" RENAME TO "nm_State_old"`,
        `CREATE TYPE "nm_State" AS ENUM ('on', 'off', 'new')`,
        `ALTER TABLE nm ALTER COLUMN s TYPE "nm_State" USING s::text::"nm_State"`,
        `DROP TYPE "nm_State_old"`,
        'DROP TABLE nm; DROP TYPE "nm_State"',
      ],
    ],
    [
      'composite, row, range and domain types',
      [
        'CREATE TYPE pair AS (a int, b text)',
        'CREATE TYPE pairs AS (one pair, more pair[])',
        'CREATE TYPE span AS RANGE (subtype = float8)',
        'CREATE DOMAIN short AS varchar(9) CHECK (length(value) > 0 AND value ~ $$^[a-z]$$)',
        'CREATE DOMAIN shorter AS short NOT NULL',
        'CREATE DOMAIN checked AS int CHECK (listed(value))',
        'CREATE TABLE made (id int, p pair, s span)',
        "INSERT INTO made VALUES (1, '(1,x)', '[1,2]')",
        "SELECT '(1,\"(1,x)\",\"[1,2]\")'::made IS NULL, '(1,2)'::pair, ROW(1, 'x')::pair, '[1,2]'::span, 'a'::short, 'a'::shorter",
        "SELECT NULL::made, NULL::made[], NULL::_made, NULL::pairs, short('a'), '{}'::span[], 5::checked",
        "SELECT '{[1,2]}'::span_multirange, span(1, 2), span(1, 2, '[]'), span_multirange(span(1, 2))",
        'CREATE FUNCTION takes(p pair) RETURNS short LANGUAGE sql AS $$SELECT $1.b::short$$',
        'DROP FUNCTION takes',
        'DROP TABLE made; DROP DOMAIN shorter, short, checked; DROP TYPE pairs, pair, span',
      ],
    ],
    [
      'temporary types',
      [
        'CREATE TEMP TABLE tt (id int, a text)',
        "SELECT '(1,x)'::tt, NULL::pg_temp.tt[], 'x'::text, 1::int8::numeric",
        "CREATE TYPE pg_temp.te AS ENUM ('a')",
        "SELECT 'a'::te, 'a'::pg_temp.te",
        'DROP TYPE pg_temp.te; DROP TABLE tt',
      ],
    ],
  ];
  describe.each(MIGRATIONS)('are what they are: %s', (_, statements) => {
    test.each([
      ['simple', false],
      ['extended', true],
    ])('%s, in autocommit', async (_, extended) => {
      // Extended, a string is one statement.
      const alone = extended
        ? statements.flatMap((text) => (/^DROP.*; DROP/.test(text) ? text.split('; ') : [text]))
        : statements;
      await run(alone, extended);
    });
    test.each([
      ['simple', false],
      ['extended', true],
    ])('%s, in a transaction', async (_, extended) => {
      await run(['BEGIN'], extended);
      await run(
        statements.filter((text) => !/^DROP.*; DROP/.test(text)),
        extended,
      );
      await run(['ROLLBACK'], extended);
    });
  });

  test('by OID, as drivers name them in Parse', async () => {
    const sql = postgres({
      host: '127.0.0.1',
      port: world.port,
      user: username('migrator'),
      database: 'postgres',
      password: await world.token('migrator'),
      max: 1,
      fetch_types: false,
    });
    const undone = sql.begin(async (tx) => {
      await tx`CREATE TYPE shade AS ENUM ('a', 'b')`;
      await tx`DO $$ BEGIN CREATE DOMAIN dark AS guarded; END $$`;
      const oids = await tx<{ name: string; oid: number }[]>`
        SELECT typname::text AS name, oid::int FROM pg_type WHERE typname IN ('shade', 'dark') ORDER BY 1`;
      const [dark, shade] = oids;
      expect(await tx`SELECT ${tx.typed('b' as never, shade!.oid)} AS value`).toEqual([{ value: 'b' }]);
      await tx`SELECT ${tx.typed('1' as never, dark!.oid)} AS value`;
    });
    await expect(undone).rejects.toMatchObject(unlisted);
    await sql.end();
  });

  test('a type that nobody has', async () => {
    const nobody = { code: '42704', message: 'type "nobody" does not exist' };
    await expect(client.query("SELECT 'a'::nobody")).rejects.toMatchObject(nobody);
    await expect(client.query({ text: 'SELECT $1::nobody', values: ['a'] })).rejects.toMatchObject(nobody);
    await run(['BEGIN', "CREATE TYPE fleeting AS ENUM ('a')", "SELECT 'a'::fleeting", 'ROLLBACK']);
    await expect(client.query("SELECT 'a'::fleeting")).rejects.toMatchObject({ code: '42704' });
    await expect(client.query('SELECT * FROM nowhere.t, secret.salaries WHERE NULL::nobody')).rejects.toMatchObject({
      code: '42501',
    });
  });

  /** The last statement would run the function that is not listed. */
  const ATTACKS: readonly (readonly [string, readonly string[]])[] = [
    ['a domain over another', ['CREATE DOMAIN mine AS guarded', 'SELECT 1::mine']],
    [
      'a domain over a domain over an array',
      ['CREATE DOMAIN mine AS guarded[]', 'CREATE DOMAIN outer_mine AS mine', "SELECT '{1}'::outer_mine"],
    ],
    ['a composite', ['CREATE TYPE mine AS (a text, g guarded)', "SELECT '(x,1)'::mine"]],
    [
      'an array of a composite of a composite',
      ['CREATE TYPE inner_mine AS (g guarded)', 'CREATE TYPE mine AS (i inner_mine)', "SELECT '{}'::mine[]"],
    ],
    ['the row type of a table', ['CREATE TABLE mine (id int, g guarded)', "SELECT '(1,1)'::mine"]],
    ['the row type of a temporary table', ['CREATE TEMP TABLE mine (id int, g guarded)', "SELECT '(1,1)'::mine"]],
    ['a range', ['CREATE TYPE mine AS RANGE (subtype = guarded)', "SELECT '[1,2]'::mine"]],
    ['a domain in pg_temp', ['CREATE DOMAIN pg_temp.mine AS guarded', 'SELECT 1::mine']],
    ['a domain in pg_temp, by its schema', ['CREATE DOMAIN pg_temp.mine AS guarded', 'SELECT 1::pg_temp.mine']],
    ['a temporary type before the server’s own', ['CREATE DOMAIN pg_temp.text AS guarded', "SELECT '1'::text"]],
    ['called like a function', ['CREATE DOMAIN mine AS guarded', 'SELECT mine(1)']],
    ['as an attribute', ['CREATE DOMAIN mine AS guarded', "SELECT ('1'::pg_catalog.text).mine"]],
    [
      'a column that is altered',
      [
        'CREATE DOMAIN mine AS guarded',
        'CREATE TABLE t (a int)',
        'INSERT INTO t VALUES (1)',
        'ALTER TABLE t ALTER a TYPE mine',
      ],
    ],
    ['a definition of rows', ['CREATE DOMAIN mine AS guarded', `SELECT * FROM json_to_record('{"a":1}') AS x(a mine)`]],
    ['PREPARE', ['CREATE DOMAIN mine AS guarded', 'PREPARE p(mine) AS SELECT $1']],
    ['made in a DO block', ['DO $$ BEGIN CREATE DOMAIN mine AS int CHECK (unlisted(value)); END $$', 'SELECT 1::mine']],
    [
      'replaced',
      [
        'CREATE DOMAIN mine AS int',
        'SELECT 1::mine',
        'DROP DOMAIN mine',
        'CREATE DOMAIN mine AS guarded',
        'SELECT 1::mine',
      ],
    ],
    [
      'renamed',
      [
        'CREATE DOMAIN mine AS int',
        'CREATE DOMAIN bad AS guarded',
        'SELECT 1::mine',
        'ALTER DOMAIN mine RENAME TO was',
        'ALTER DOMAIN bad RENAME TO mine',
        'SELECT 1::mine',
      ],
    ],
    [
      'a composite that gets an attribute',
      [
        'CREATE TYPE mine AS (a int)',
        "SELECT '(1)'::mine",
        'ALTER TYPE mine ADD ATTRIBUTE g guarded',
        "SELECT '(1,1)'::mine",
      ],
    ],
    [
      'a shared domain that a DO block hardens',
      ['SELECT 1::plain', 'DO $$ BEGIN ALTER DOMAIN plain ADD CHECK (unlisted(value)); END $$', 'SELECT 1::plain'],
    ],
    [
      'rolled back to a savepoint',
      [
        'CREATE DOMAIN mine AS guarded',
        'SAVEPOINT s',
        'DROP DOMAIN mine',
        'CREATE DOMAIN mine AS int',
        'SELECT 1::mine',
        'ROLLBACK TO s',
        'SELECT 1::mine',
      ],
    ],
    [
      'the same name in two schemas',
      [
        'CREATE DOMAIN mine AS int',
        'CREATE DOMAIN other.mine AS guarded',
        'SELECT 1::mine',
        'SET search_path = other, public',
        'SELECT 1::mine',
      ],
    ],
    [
      'the same name in two schemas, by schema',
      ['CREATE DOMAIN mine AS int', 'CREATE DOMAIN other.mine AS guarded', 'SELECT 1::mine', 'SELECT 1::other.mine'],
    ],
    [
      'a shared name in two schemas',
      [
        "CREATE TYPE any_type AS ENUM ('a')",
        'SELECT 1::twin',
        'SET LOCAL search_path = other, public',
        'SELECT 1::twin',
      ],
    ],
    [
      'search_path set by a function',
      [
        'CREATE DOMAIN mine AS int',
        'CREATE DOMAIN other.mine AS guarded',
        'SELECT 1::mine',
        "SELECT set_config('search_path', 'other', true)",
        'SELECT 1::mine',
      ],
    ],
    [
      'moved to another schema',
      [
        'CREATE DOMAIN mine AS int',
        'CREATE DOMAIN other.mine AS guarded',
        'SELECT 1::mine',
        'ALTER DOMAIN mine RENAME TO was',
        'ALTER DOMAIN other.mine SET SCHEMA public',
        'SELECT 1::mine',
      ],
    ],
    [
      'before the server’s own by the path',
      ['CREATE DOMAIN other.text AS guarded', 'SET LOCAL search_path = other, pg_catalog', "SELECT '1'::text"],
    ],
    [
      'a cast',
      [
        'CREATE TYPE mine AS (a int)',
        'CREATE CAST (int AS mine) WITH INOUT',
        'CREATE DOMAIN over AS guarded',
        'SELECT 1::over',
      ],
    ],
    [
      'an assignment cast',
      [
        "CREATE TYPE mine AS ENUM ('a')",
        'DO $$ BEGIN CREATE FUNCTION unlisted(mine) RETURNS int LANGUAGE sql AS $f$SELECT 1$f$; CREATE CAST (mine AS int) WITH FUNCTION unlisted(mine) AS ASSIGNMENT; END $$',
        "SELECT 'a'::mine::int",
      ],
    ],
    [
      'a cast to an array’s element',
      [
        "CREATE TYPE mine AS ENUM ('a')",
        'DO $$ BEGIN CREATE FUNCTION unlisted(text) RETURNS mine LANGUAGE plpgsql AS $f$BEGIN RETURN NULL; END$f$; CREATE CAST (text AS mine) WITH FUNCTION unlisted(text); END $$',
        "SELECT '{a}'::text[]::mine[]",
      ],
    ],
    [
      'an operator',
      [
        "CREATE TYPE mine AS ENUM ('a')",
        'DO $$ BEGIN CREATE FUNCTION unlisted(mine, mine) RETURNS bool LANGUAGE sql AS $f$SELECT true$f$; CREATE OPERATOR = (LEFTARG = mine, RIGHTARG = mine, FUNCTION = unlisted); END $$',
        "SELECT 'a'::mine = 'a'",
      ],
    ],
    [
      'a function of one’s own, called as an attribute',
      [
        'CREATE TABLE mine (a int)',
        "CREATE FUNCTION unlisted(mine) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        'SELECT mine.unlisted FROM mine',
      ],
    ],
  ];
  test.each(ATTACKS)('run nothing that is not listed: %s', async (_, statements) => {
    for (const extended of [false, true]) {
      // What would be refused itself is done by code that nobody looks into.
      const before = statements
        .slice(0, -1)
        .map((text) => (/guarded|mine AS (?:mine|\(i)/.test(text) ? `DO $do$ BEGIN ${text}; END $do$` : text));
      await run(['BEGIN', ...before], extended);
      const last = statements.at(-1)!;
      await expect(extended ? client.query({ text: last, values: [] }) : client.query(last)).rejects.toMatchObject(
        unlisted,
      );
      await run(['ROLLBACK'], extended);
    }
  });

  test.each([
    'ALTER DOMAIN moving RENAME TO moved; SELECT 1::moved',
    'ALTER TYPE moving SET SCHEMA other; SELECT 1::other.moving',
    'ALTER DOMAIN plain RENAME TO was; ALTER DOMAIN moving RENAME TO plain; SELECT 1::plain',
    'ALTER SCHEMA going RENAME TO gone; SELECT 1::gone.guarded',
    'DO $$ BEGIN CREATE DOMAIN mine AS guarded; END $$; SELECT 1::mine',
    'ALTER DOMAIN moving RENAME TO moved; SELECT moved(1)',
    "ALTER DOMAIN moving RENAME TO moved; SELECT ('1'::text).moved",
  ])('a type that is renamed in the same string: %s', async (text) => {
    await expect(client.query(text)).rejects.toMatchObject({
      code: '42501',
      message: expect.stringMatching(/earlier in the same string|unlisted/),
    });
  });

  test('one string may make a type and use it, and put it in the place of another', async () => {
    await run([
      "CREATE TYPE role AS ENUM ('a', 'b'); CREATE TABLE nm (r role NOT NULL DEFAULT 'a'); INSERT INTO nm VALUES ('b')",
      `BEGIN; CREATE TYPE role_new AS ENUM ('a', 'b', 'c'); ALTER TABLE nm ALTER r DROP DEFAULT;
        ALTER TABLE nm ALTER r TYPE role_new USING (r::text::role_new); ALTER TYPE role RENAME TO role_old;
        ALTER TYPE role_new RENAME TO role; DROP TYPE role_old; COMMIT; ALTER TABLE nm ALTER r SET DEFAULT 'c'`,
      'SELECT count(*) FROM nm; DROP TABLE nm; DROP TYPE role',
    ]);
    await run([
      "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE nm (m mood DEFAULT 'a'::mood); DROP TABLE nm; DROP TYPE mood",
    ]);
  });

  test('a statement that names the function to be run is refused itself', async () => {
    for (const text of [
      'CREATE DOMAIN mine AS int CHECK (unlisted(value))',
      'ALTER DOMAIN plain ADD CHECK (unlisted(value))',
      'CREATE CAST (int AS plain) WITH FUNCTION unlisted(int)',
      'CREATE OPERATOR ### (RIGHTARG = int, FUNCTION = unlisted)',
    ]) {
      await run(['BEGIN', "CREATE TYPE mood AS ENUM ('a')"]);
      await expect(client.query(text), text).rejects.toMatchObject(unlisted);
      await run(['ROLLBACK']);
    }
  });
});
