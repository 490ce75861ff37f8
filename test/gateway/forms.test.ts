import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { STATEMENT_CLASSES, type StatementClass } from '../../gateway/sql/classes.ts';
import { encodeFunctionCall } from '../../gateway/wire/frontend.ts';
import { policy, rule, startWorld, type World } from './harness.ts';
import { signIn } from './raw.ts';

/** Every class of statement in every form that the protocol and SQL have for it: denied by its rule's name, or run. */
let world: World;

const OPEN = policy('open', 'open', 'app_rw', [
  rule('everything', {
    statements: STATEMENT_CLASSES.filter((cls) => cls !== 'Unknown'),
    relations: ['*.*'], // which sequence a FunctionCall means is not known
    functions: ['public.nothing()', 'public.proc()'],
  }),
]);
const denying = (cls: StatementClass) =>
  policy('no', 'open', null, [rule(`no-${cls}`, { action: 'Deny', statements: [cls] })]);

beforeAll(async () => {
  world = await startWorld({ change: (document) => ({ ...document, policies: [OPEN] }) });
  await world.server.query(`ALTER ROLE app_rw SUPERUSER; CREATE TABLE log (a int); INSERT INTO log VALUES (1); CREATE SEQUENCE sq;
    CREATE FUNCTION nothing() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE PROCEDURE proc() LANGUAGE sql AS 'SELECT 1';
    GRANT ALL ON log TO app_rw`);
}, 60_000);
afterAll(() => world.stop());

/** `query` can stand in FROM; `change` can stand in WITH; both can be prepared and explained. */
type Kind = 'query' | 'change' | 'utility';

const STATEMENTS: readonly (readonly [cls: StatementClass, kind: Kind, text: string])[] = [
  ['Select', 'query', 'SELECT a FROM log'],
  ['Catalog', 'query', 'SELECT relname FROM pg_class LIMIT 1'],
  ['Insert', 'change', 'INSERT INTO log VALUES (2) RETURNING a'],
  ['Update', 'change', 'UPDATE log SET a = 1 RETURNING a'],
  ['Delete', 'change', 'DELETE FROM log WHERE a = 2 RETURNING a'],
  ['Merge', 'change', 'MERGE INTO log USING (SELECT 1) s ON false WHEN NOT MATCHED THEN INSERT VALUES (3) RETURNING a'],
  ['Truncate', 'utility', 'TRUNCATE log'],
  ['CopyTo', 'utility', 'COPY log TO STDOUT'],
  ['CopyFrom', 'utility', 'COPY log FROM STDIN'],
  ['Explain', 'utility', 'EXPLAIN SELECT 1'],
  ['Transaction', 'utility', 'COMMIT'],
  ['TwoPhase', 'utility', "ROLLBACK PREPARED 'none'"],
  ['Session', 'utility', "SET application_name = 'x'"],
  ['Cursor', 'utility', 'CLOSE ALL'],
  ['Prepare', 'utility', 'DEALLOCATE ALL'],
  ['TempTable', 'utility', 'CREATE TEMP TABLE IF NOT EXISTS tt (a int)'],
  ['Ddl', 'utility', 'CREATE TABLE IF NOT EXISTS made (a int)'],
  ['Code', 'utility', "CREATE OR REPLACE FUNCTION made() RETURNS int LANGUAGE sql AS 'SELECT 1'"],
  ['Grant', 'utility', 'GRANT SELECT ON log TO PUBLIC'],
  ['Role', 'utility', 'ALTER ROLE analyst_ro CONNECTION LIMIT 100'],
  ['Call', 'utility', 'CALL proc()'],
  ['Do', 'utility', 'DO $$ BEGIN END $$'],
  ['DynamicSql', 'query', "SELECT query_to_xml('select 1', true, true, '')"],
  ['LargeObject', 'query', 'SELECT lo_create(0)'],
  ['Sequence', 'query', "SELECT nextval('sq')"],
  ['Listen', 'utility', 'LISTEN channel'],
  ['Lock', 'query', 'SELECT a FROM log FOR UPDATE'],
  ['Lock', 'utility', 'LOCK TABLE log'],
  ['AdvisoryLock', 'query', 'SELECT pg_try_advisory_xact_lock(1)'],
  ['ServerFile', 'query', "SELECT pg_read_file('PG_VERSION')"],
  ['Program', 'utility', "COPY log TO PROGRAM 'true'"],
  ['Link', 'utility', 'DROP SERVER IF EXISTS none'],
  ['ServerControl', 'query', 'SELECT pg_rotate_logfile()'],
  ['Resource', 'query', 'SELECT pg_sleep(0) IS NULL AS x'],
  ['Maintenance', 'utility', 'ANALYZE log'],
  ['CatalogWrite', 'change', 'UPDATE pg_catalog.pg_class SET relname = relname WHERE false RETURNING 1'],
  ['Replication', 'utility', 'DROP PUBLICATION IF EXISTS none'],
];

interface Form {
  readonly name: string;
  readonly kinds: readonly Kind[];
  run(client: pg.Client, text: string): Promise<unknown>;
}

const all: readonly Kind[] = ['query', 'change', 'utility'];
const planned: readonly Kind[] = ['query', 'change'];
const simple =
  (make: (text: string) => string) =>
  (client: pg.Client, text: string): Promise<unknown> =>
    client.query(make(text));

const FORMS: readonly Form[] = [
  { name: 'a simple query', kinds: all, run: simple((text) => text) },
  { name: 'one of several statements', kinds: all, run: simple((text) => `SELECT 1; ${text}`) },
  {
    name: 'the extended protocol',
    kinds: all,
    run: (client, text) => client.query({ text, queryMode: 'extended' } as pg.QueryConfig),
  },
  { name: 'PREPARE and EXECUTE', kinds: planned, run: simple((text) => `PREPARE p AS ${text}; EXECUTE p`) },
  { name: 'EXPLAIN ANALYZE', kinds: planned, run: simple((text) => `EXPLAIN ANALYZE ${text}`) },
  { name: 'COPY', kinds: planned, run: simple((text) => `COPY (${text}) TO STDOUT`) },
  {
    name: 'a cursor',
    kinds: ['query'],
    run: simple((text) => `BEGIN; DECLARE c CURSOR FOR ${text}; FETCH ALL FROM c; ROLLBACK`),
  },
  { name: 'a common table expression', kinds: planned, run: simple((text) => `WITH x AS (${text}) SELECT * FROM x`) },
  { name: 'a subquery', kinds: ['query'], run: simple((text) => `SELECT * FROM (${text}) x`) },
  { name: 'CREATE TABLE AS', kinds: ['query'], run: simple((text) => `CREATE TEMP TABLE x AS ${text}`) },
];

async function attempt(form: Form, text: string): Promise<{ code?: string; message?: string }> {
  const client = await world.connect('open');
  try {
    return await form.run(client, text).then(
      () => ({}),
      (error: { code?: string; message: string }) => error,
    );
  } finally {
    await client.end();
  }
}

/** Forms that bring a class of their own cannot show that this one decides. */
const OWN: Readonly<Record<string, RegExp>> = {
  Transaction: /cursor/,
  Cursor: /cursor/,
  Prepare: /PREPARE/,
  Explain: /EXPLAIN/,
  CopyTo: /COPY/,
  TempTable: /CREATE/,
};

const cases = STATEMENTS.flatMap(([cls, kind, text]) =>
  FORMS.filter((form) => form.kinds.includes(kind) && OWN[cls]?.test(form.name) !== true).map((form) => ({
    cls,
    text,
    form,
    name: `${cls} in ${form.name}: ${text}`,
  })),
);

test('every class has a statement', () => {
  const shown = new Set<StatementClass>(['Function', 'Unknown', ...STATEMENTS.map(([cls]) => cls)]);
  expect(STATEMENT_CLASSES.filter((cls) => !shown.has(cls))).toEqual([]);
});

describe('denied by the rule that names its class', () => {
  test.each(cases)('$name', async ({ cls, text, form }) => {
    world.revise({ policies: [OPEN, denying(cls)] });
    const { code, message } = await attempt(form, text);
    expect({ code, message }).toMatchObject({ code: '42501', message: expect.stringContaining(`rule no-${cls}`) });
  });
});

describe('run where no rule denies it', () => {
  test.each(cases)('$name', async ({ text, form }) => {
    world.revise({ policies: [OPEN] });
    const { code = 'ok', message } = await attempt(form, text);
    // COPY FROM ends by the client's own CopyFail; a two-phase transaction of that name there is none.
    expect(['ok', '57014', '42704', '25P01', '25001'], message).toContain(code);
  });
});

test('what was prepared, declared or parsed before the rule came is denied when it would run', async () => {
  world.revise({ policies: [OPEN] });
  const client = await world.connect('open');
  const named = { name: 'named', text: 'DELETE FROM log WHERE a = 2' };
  await client.query('PREPARE gone AS DELETE FROM log WHERE a = 2');
  await client.query('DECLARE kept CURSOR WITH HOLD FOR SELECT pg_sleep(0)');
  await client.query(named);
  const failure = (run: Promise<unknown>) =>
    run.then(
      () => null,
      (error: { message: string }) => error.message,
    );
  world.revise({ policies: [OPEN, denying('Delete')] });
  expect(await failure(client.query('EXECUTE gone'))).toContain('rule no-Delete');
  expect(await failure(client.query('EXPLAIN ANALYZE EXECUTE gone'))).toContain('rule no-Delete');
  expect(await failure(client.query(named))).toContain('rule no-Delete');
  world.revise({ policies: [OPEN, denying('Resource')] });
  expect(await failure(client.query('FETCH ALL FROM kept'))).toContain('rule no-Resource');
  world.revise({ policies: [OPEN] });
  expect(await failure(client.query('EXECUTE gone'))).toBe(null);
  expect(await failure(client.query('FETCH ALL FROM kept'))).toBe(null);
  await client.end();
});

test.each([
  ['Function', 'abs(integer)', ['1']],
  ['AdvisoryLock', 'pg_advisory_xact_lock(bigint)', ['1']],
  ['Resource', 'pg_sleep(double precision)', ['0']],
  ['Sequence', 'nextval(regclass)', ['sq']],
  ['LargeObject', 'lo_create(oid)', ['0']],
  ['ServerFile', 'pg_read_file(text)', ['PG_VERSION']],
] as const)('a FunctionCall is denied as %s: %s', async (cls, signature, args) => {
  const [row] = await world.server.query(`SELECT '${signature}'::regprocedure::oid AS oid`);
  const call = encodeFunctionCall({
    functionOid: Number(row!.oid),
    formats: [],
    parameters: args.map((arg) => Buffer.from(arg)),
    resultFormat: 0,
  });
  world.revise({ policies: [OPEN, denying(cls)] });
  const client = await signIn(world, 'open');
  client.send(call);
  expect(await client.until('Z:I')).toBe('E:42501 Z:I');
  world.revise({ policies: [OPEN] });
  client.send(call);
  expect(await client.until('Z:I')).toBe('V Z:I');
  client.socket.destroy();
});
