import assert from 'node:assert/strict';
import { type Finished, libpqEnvironment, runProgram } from '../client-process.ts';
import { runChecks } from '../tap.ts';
import { type Login, readTarget } from '../target.ts';

const target = readTarget();

interface Session {
  readonly as?: Login;
  readonly env?: Record<string, string>;
  readonly args?: readonly string[];
  readonly interruptAfter?: number;
}

/** Runs a script in one psql session: unaligned, tuples only, no start-up file. */
async function psql(script: string, session: Session = {}): Promise<Finished> {
  const env = { ...libpqEnvironment(target, session.as ?? target.app), ...session.env };
  const interrupt = session.interruptAfter === undefined ? {} : { interruptAfter: session.interruptAfter };
  const args = ['-X', '-q', '-A', '-t', ...(session.args ?? [])];
  return await runProgram('psql', args, { env, input: script, ...interrupt });
}

async function output(script: string, session: Session = {}): Promise<string> {
  const { code, stdout, stderr } = await psql(script, {
    ...session,
    args: ['-v', 'ON_ERROR_STOP=1', ...(session.args ?? [])],
  });
  assert.equal(stderr, '');
  assert.equal(code, 0);
  return stdout.trim();
}

async function shows(command: string, ...parts: readonly RegExp[]): Promise<void> {
  const text = await output(command);
  for (const part of parts) assert.match(text, part);
}

await runChecks([
  [
    'connects with TLS verify-full and the token as password',
    async () => assert.match(await output('\\conninfo'), /SSL connection \(protocol: TLSv1\.[23]/),
  ],
  [
    'a wrong token is refused with one clear error',
    async () => {
      const { code, stderr } = await psql('', { as: { ...target.app, token: 'wrong' } });
      assert.equal(code, 2);
      assert.match(stderr, /FATAL: {2}\S/);
    },
  ],
  ['a simple query', async () => assert.equal(await output("SELECT 1 + 1, 'it''s';"), "2|it's")],
  [
    'several statements in one string',
    async () => assert.equal(await output('', { args: ['-c', 'SELECT 1; SELECT 2; SELECT 3'] }), '1\n2\n3'),
  ],
  [
    'PREPARE and EXECUTE again',
    async () =>
      assert.equal(
        await output('PREPARE p (int) AS SELECT name FROM items WHERE id = $1; EXECUTE p (1); EXECUTE p (2);'),
        'item 1\nitem 2',
      ),
  ],
  ['describe a result with \\gdesc', () => shows('SELECT id, name FROM items \\gdesc', /id\|integer\nname\|text/)],
  [
    'variables with \\gset and statements with \\gexec',
    async () => assert.equal(await output("SELECT 2 AS n \\gset\nSELECT 'SELECT ' || :n || ' * 21' \\gexec"), '42'),
  ],
  [
    'fetching in portions with FETCH_COUNT',
    async () => {
      const rows = await output('\\set FETCH_COUNT 10\nSELECT id FROM items ORDER BY id;');
      assert.equal(rows.split('\n').length, 1000);
    },
  ],
  [
    "a cursor of one's own",
    async () =>
      assert.equal(
        await output(
          'BEGIN; DECLARE c CURSOR FOR SELECT id FROM items ORDER BY id; FETCH 2 FROM c; MOVE 5 IN c; FETCH 1 FROM c; COMMIT;',
        ),
        '1\n2\n8',
      ),
  ],
  [
    'commit and rollback',
    async () =>
      assert.equal(
        await output(`BEGIN; INSERT INTO items (id, name) VALUES (5001, 'kept'); COMMIT;
          BEGIN; INSERT INTO items (id, name) VALUES (5002, 'gone'); ROLLBACK;
          SELECT name FROM items WHERE id > 5000; DELETE FROM items WHERE id = 5001;`),
        'kept',
      ),
  ],
  [
    'an error in a transaction aborts it, ROLLBACK ends it, a savepoint saves it',
    async () => {
      const { stdout, stderr } = await psql(
        `BEGIN; SELECT 1/0; SELECT 1; ROLLBACK;
        BEGIN; SAVEPOINT s; SELECT 1/0; ROLLBACK TO s; SELECT 'saved'; COMMIT;`,
        { args: ['-v', 'VERBOSITY=verbose'] },
      );
      assert.match(stderr, /ERROR: {2}22012/);
      assert.match(stderr, /ERROR: {2}25P02/);
      assert.equal(stdout.trim(), 'saved');
    },
  ],
  [
    'a denied statement is 42501 and the session goes on',
    async () => {
      const { stdout, stderr, code } = await psql("DROP TABLE items;\nSELECT 'still here';", {
        args: ['-v', 'VERBOSITY=verbose'],
      });
      assert.match(stderr, /ERROR: {2}42501/);
      assert.equal(stdout.trim(), 'still here');
      assert.equal(code, 0);
    },
  ],
  [
    'a denied statement in a transaction aborts it',
    async () => {
      const { stdout, stderr } = await psql(
        `BEGIN; INSERT INTO items (id, name) VALUES (5003, 'x'); DROP TABLE items; COMMIT;
        SELECT count(*) FROM items WHERE id = 5003;`,
        { args: ['-v', 'VERBOSITY=verbose'] },
      );
      assert.match(stderr, /ERROR: {2}42501/);
      assert.equal(stdout.trim(), '0');
    },
  ],
  [
    'a syntax error names its position',
    async () =>
      assert.match((await psql('SELECT id FROM WHERE items;')).stderr, /syntax error at or near "WHERE"[\s\S]*\^/),
  ],
  [
    '\\copy out and in',
    async () =>
      assert.equal(
        await output(`CREATE TEMP TABLE t (id int, name text);
          COPY t FROM STDIN (FORMAT csv);\n1,"a ""b"""\n2,\n\\.
          \\copy (SELECT * FROM t ORDER BY id) TO STDOUT (FORMAT csv)`),
        '1,"a ""b"""\n2,',
      ),
  ],
  [
    'Ctrl-C cancels a long query and the session goes on',
    async () => {
      const long =
        "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b;\nSELECT 'still here';";
      // psql reads from a pipe: its handler cancels the query and drops the rest of the input.
      const { stderr } = await psql(long, { interruptAfter: 1500, args: ['-v', 'VERBOSITY=verbose'] });
      assert.match(stderr, /ERROR: {2}57014/);
    },
  ],
  [
    'LISTEN and NOTIFY',
    () =>
      shows("LISTEN news; NOTIFY news, 'hello'; SELECT 1;", /Asynchronous notification "news" with payload "hello"/),
  ],
  ['a value of 10 MB', async () => assert.equal((await output("SELECT repeat('x', 10485760);")).length, 10_485_760)],
  [
    '\\c reconnects',
    async () => assert.match(await output(`\\c ${target.database}\nSELECT current_user;`), new RegExp(target.app.user)),
  ],
  ['\\l lists databases', () => shows('\\l', new RegExp(`^${target.database}\\|`, 'm'))],
  ['\\dt lists tables', () => shows('\\dt', /public\|items\|table/)],
  ['\\dt+ with sizes', () => shows('\\dt+', /public\|items\|table\|/)],
  ['\\d describes a table', () => shows('\\d items', /id\|integer\|\|not null/)],
  ['\\d+ describes a view', () => shows('\\d+ cheap_items', /price/)],
  ['\\di lists indexes', () => shows('\\di', /items_pkey/)],
  ['\\ds lists sequences', () => shows('\\ds', /orders_id_seq/)],
  ['\\df lists functions', () => shows('\\df public.*', /item_label/)],
  ['\\du lists roles', () => shows('\\du', new RegExp(target.app.user))],
  ['\\dn lists schemas', () => shows('\\dn', /public\|/)],
  ['\\dp lists privileges', () => shows('\\dp items', /public\|items\|table/)],
  ['\\dT, \\dx, \\dD, \\db and \\dconfig answer', () => shows('\\dT\n\\dx\n\\dD\n\\db\n\\dC text', /./)],
  [
    '\\sf shows a function, \\sv a view',
    () => shows('\\sf item_label\n\\sv cheap_items', /item_label[\s\S]*cheap_items/),
  ],
  [
    'SHOW and SET of ordinary settings',
    async () =>
      assert.equal(
        await output("SET TimeZone = 'UTC'; SHOW TimeZone; SET statement_timeout = '5s'; SHOW statement_timeout;"),
        'UTC\n5s',
      ),
  ],
  [
    'an option in PGOPTIONS',
    async () =>
      assert.equal(
        await output('SHOW search_path;', { env: { PGOPTIONS: '-c search_path=public,pg_catalog' } }),
        'public,pg_catalog',
      ),
  ],
  ['EXPLAIN', () => shows('EXPLAIN SELECT * FROM items WHERE id = 1;', /Index Scan|Seq Scan/)],
  [
    'DO and DDL as a DBA',
    async () =>
      assert.equal(
        await output("DO $$ BEGIN PERFORM 1; END $$; CREATE TABLE made (a int); DROP TABLE made; SELECT 'done';", {
          as: target.dba,
        }),
        'done',
      ),
  ],
]);
