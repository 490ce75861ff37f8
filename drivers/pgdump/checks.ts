import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { libpqEnvironment, runProgram } from '../client-process.ts';
import { runChecks } from '../tap.ts';
import { readTarget } from '../target.ts';

const target = readTarget();
const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'postern-pgdump-'));
const env = libpqEnvironment(target, target.dba);

async function run(program: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(program, args, { env });
  assert.equal(stderr, '');
  assert.equal(code, 0);
  return stdout;
}

/** A plain dump without the lines that differ from run to run: \restrict has a random key. */
async function plain(database: string): Promise<string> {
  return (await run('pg_dump', '-d', database)).replace(/^\\(un)?restrict .*\n/gm, '');
}

const archive = path.join(folder, 'shop.dump');
const directory = path.join(folder, 'shop.dir');

await runChecks([
  [
    'pg_dump writes SQL text with all data',
    async () => {
      const sql = await plain(target.database);
      assert.match(sql, /CREATE TABLE public\.items/);
      assert.equal(sql.match(/^\d+\titem \d+\t/gm)?.length, 1000);
    },
  ],
  ['pg_dump writes a custom archive', () => run('pg_dump', '-Fc', '-f', archive).then(() => {})],
  [
    'pg_restore restores it into a second database',
    () => run('pg_restore', '--exit-on-error', '-d', target.copyDatabase, archive).then(() => {}),
  ],
  [
    'the restored database dumps to the same text',
    async () => assert.equal(await plain(target.copyDatabase), await plain(target.database)),
  ],
  ['pg_dump with two jobs shares a snapshot', () => run('pg_dump', '-Fd', '-j', '2', '-f', directory).then(() => {})],
  [
    'pg_restore with two jobs replaces what is there',
    async () => {
      await run('pg_restore', '--exit-on-error', '--clean', '-j', '2', '-d', target.copyDatabase, directory);
      assert.equal(await plain(target.copyDatabase), await plain(target.database));
    },
  ],
  [
    'pg_dump with INSERTs and column names',
    async () =>
      assert.match(await run('pg_dump', '--column-inserts', '-t', 'items'), /INSERT INTO public\.items \(id, name/),
  ],
  [
    'pg_dump of a role that may only read, under a policy that lists what it reads',
    async () => {
      const options = { env: libpqEnvironment(target, target.reader) };
      const result = await runProgram('pg_dump', ['--exclude-table', 'secrets'], options);
      assert.equal(result.stderr, '');
      assert.match(result.stdout, /CREATE TABLE public\.items/);
      assert.equal(result.stdout.match(/^\d+\titem \d+\t/gm)?.length, 1000);
      assert.equal(result.code, 0);
    },
  ],
  [
    'pg_dump of the app role is held to its policy',
    async () => {
      const result = await runProgram('pg_dump', ['-t', 'secrets'], { env: libpqEnvironment(target, target.app) });
      assert.equal(result.code, 1);
      assert.match(result.stderr, /permission denied|no rule allows Lock/);
    },
  ],
]);
await fs.rm(folder, { recursive: true });
