import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadProposal } from '../../cli/project.ts';
import type { Change, Report } from '../../cli/tally.ts';
import { tryProposal } from '../../cli/try-proposal.ts';
import { ANALYST, DBA, startWorld, username, type World } from '../gateway/harness.ts';
import { postern } from './postern.ts';

let world: World;
let directory: string;
let log: string;

const header = (name: string) => `apiVersion: postern.dev/v1alpha1
kind: AccessPolicy
metadata: {name: ${name}, namespace: shop}
`;
/** As the policies under which the log was recorded. */
const AS_BEFORE = `${header('analysts')}spec:
  targetRefs: [{group: postern.dev, kind: PostgresGateway, name: orders}]
  subjects: [{user: "${username('analyst')}"}]
  role: analyst_ro
  rules:
    - name: read
      action: Allow
      statements: [Select, CopyTo, Explain, Cursor, Prepare, Transaction, Session, TempTable]
      relations: ["public.*"]
    - {name: fix, action: Allow, statements: [Insert, Update, Delete], relations: [public.orders], reach: [Keyed]}
    - {name: never-unbounded, action: Deny, statements: [Update, Delete, Truncate], reach: [Unbounded], message: Add a WHERE clause.}
    - {name: no-ddl, action: Deny, statements: [Ddl, Code]}
---
${header('dbas')}spec:
  targetRefs: [{group: postern.dev, kind: PostgresGateway, name: orders}]
  subjects: [{user: "${username('dba')}"}]
  role: app_rw
  rules: [{name: everything, action: Allow, statements: [Any], relations: ["*.*"]}]
`;

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'postern-try-'));
  world = await startWorld();
  const analyst = await world.connect('analyst');
  for (let i = 0; i < 3; i++) await analyst.query(`SELECT item FROM orders WHERE id = ${i}`);
  await analyst.query('SELECT item FROM orders WHERE id = $1', [7]);
  await analyst.query('SELECT relname FROM pg_class LIMIT 1');
  await analyst.query('SELECT o.id FROM orders o, generate_series(1, 2)');
  await analyst.query('UPDATE orders SET amount = 1 WHERE id IN (1, 2, 3, 4)');
  await analyst.query('PREPARE p AS SELECT count(*) FROM orders');
  await analyst.query('EXECUTE p');
  await analyst.query("SET application_name = 'x'");
  for (const text of [
    'DELETE FROM orders',
    'SELECT * FROM secret.salaries',
    'SELEC 1',
    'SET log_statement = none',
    'SELECT wipe()',
  ])
    await analyst.query(text).catch(() => null);
  const drop = { text: 'DROP TABLE orders', queryMode: 'extended' };
  await analyst.query(drop).catch(() => null);
  await analyst.end();
  const dba = await world.connect('dba');
  await dba.query('DO $$ BEGIN PERFORM 1; END $$');
  await dba.query("UPDATE orders SET amount = 2 WHERE item LIKE 'item 1%'");
  await dba.end();
  log = path.join(directory, 'log');
  cpSync(world.directory, log, { recursive: true });
}, 60_000);
afterAll(async () => {
  await world.stop();
  rmSync(directory, { recursive: true });
});

let files = 0;
function write(content: string): string {
  const file = path.join(directory, `policies-${++files}.yaml`);
  writeFileSync(file, content);
  return file;
}

/** As the command does, in this process: most cases are about what it finds. */
async function attempt(content: string, at = log, server = false): Promise<Report> {
  const proposal = loadProposal([write(content)], null, server);
  if (!proposal.ok) throw new Error(proposal.errors.join('\n'));
  return await tryProposal(at, proposal, server);
}

const short = (changes: readonly Change[]) =>
  changes.map(({ change, count, after, relations }) => `${change} ${count} ${after} ${relations.join(' ')}`).sort();

test('the policies as they were change nothing: exit code 0', async () => {
  const report = await attempt(AS_BEFORE);
  expect(report.changes).toEqual([]);
  expect(report).toMatchObject({ users: 2, newlyDenied: 0, newlyAllowed: 0, foreignLines: 0 });
  expect(report.stillAllowed).toBeGreaterThan(8);
  expect(report.stillDenied).toBeGreaterThanOrEqual(4);
  expect(report.skipped).toEqual({});
  const { code, out } = await postern(['try', '-f', write(AS_BEFORE), '--log', log, '-o', 'json']);
  expect(JSON.parse(out)).toEqual(report);
  expect(code).toBe(0);
});

test('who and what would change, in groups with an example: exit code 1', async () => {
  const tighter = AS_BEFORE.replace(
    'reach: [Keyed]}',
    'reach: [Keyed]}\n    - {name: no-items, action: Deny, statements: [Select], relations: [public.orders]}',
  );
  const report = await attempt(tighter);
  expect(short(report.changes)).toContain('NewlyDenied 4 shop/analysts, rule no-items public.orders:Select');
  const [most] = report.changes;
  expect(most).toMatchObject({
    user: username('analyst'),
    role: 'analyst_ro',
    database: 'postgres',
    before: 'shop/analysts, rule read',
    message: 'denied by AccessPolicy shop/analysts, rule no-items: Select on public.orders',
    example: { text: 'SELECT item FROM orders WHERE id = 0' },
  });
  const { out, code } = await postern(['try', '-f', write(tighter), '--log', log]);
  expect(code).toBe(1);
  expect(out).toContain('Newly denied: ');
  expect(out).toContain(`4× ${username('analyst')} as analyst_ro on postgres: public.orders:Select`);
  expect(out).toContain('would be denied by AccessPolicy shop/analysts, rule no-items');
  expect(out).toContain('e.g. SELECT item FROM orders WHERE id = 0');
});

describe.each<[string, string, string, string[]]>([
  [
    'what is allowed from now on',
    'relations: ["public.*"]',
    'relations: ["*.*"]',
    ['NewlyAllowed 1 shop/analysts, rule read secret.salaries:Select'],
  ],
  [
    'a function that is listed',
    'relations: ["public.*"]',
    'relations: ["public.*"]\n      functions: ["public.wipe()"]',
    ['NewlyAllowed 1 shop/analysts, rule read '],
  ],
  [
    'a setting that is listed',
    'role: analyst_ro',
    'role: analyst_ro\n  session: {settings: [log_statement]}',
    ['NewlyAllowed 1 shop/analysts, rule read '],
  ],
  [
    'a bound that the rows were beyond',
    'reach: [Keyed]',
    'maxRows: 3',
    ['NewlyDenied 1 shop/analysts, rule fix public.orders:Update:Keyed'],
  ],
  ['a bound that they were within', 'reach: [Keyed]', 'maxRows: 4', []],
  [
    'a Deny rule for somebody under Any',
    '---',
    `---\n${header('guard')}spec: {targetRefs: [{name: orders}], subjects: [{user: "${username('dba')}"}], rules: [{name: no-do, action: Deny, statements: [Do]}]}\n---`,
    ['NewlyDenied 1 shop/guard, rule no-do '],
  ],
  [
    'a policy that has expired by then',
    'role: app_rw',
    'role: app_rw\n  expiresAt: "2020-01-01T00:00:00Z"',
    ['NewlyDenied 1 null ', 'NewlyDenied 1 null public.orders:Update:Filtered'],
  ],
  [
    'mode Audit',
    'role: app_rw',
    'role: app_rw\n  mode: Audit',
    ['NewlyDenied 1 null ', 'NewlyDenied 1 null public.orders:Update:Filtered'],
  ],
])('%s', (_name, from, to, expected) => {
  test('is found, and nothing else', async () => {
    expect(short((await attempt(AS_BEFORE.replace(from, to))).changes)).toEqual(expected);
  });
});

test('somebody whose role is not offered any more', async () => {
  const { changes } = await attempt(AS_BEFORE.replace('role: app_rw', 'role: other'));
  expect(changes.map(({ message }) => message)).toContain(
    `no AccessPolicy offers ${username('dba')} the role app_rw any more`,
  );
});

/** The log with each record changed, or each line. */
function variant(change: (line: string) => string): string {
  const copy = mkdtempSync(path.join(directory, 'log-'));
  for (const name of readdirSync(log, { recursive: true, encoding: 'utf8' }).filter((one) => one.endsWith('.ndjson'))) {
    const lines = readFileSync(path.join(log, name), 'utf8').split('\n');
    writeFileSync(
      path.join(copy, path.basename(name)),
      lines.map((line) => (line === '' ? line : change(line))).join('\n'),
    );
  }
  return copy;
}

describe('a log', () => {
  test('without texts is judged by what is recorded of it', async () => {
    const redacted = variant((line) => {
      const { query_info: _, ...rest } = JSON.parse(line);
      return JSON.stringify(rest);
    });
    expect((await attempt(AS_BEFORE, redacted)).changes).toEqual([]);
    const wider = await attempt(AS_BEFORE.replace('relations: ["public.*"]', 'relations: ["*.*"]'), redacted);
    expect(short(wider.changes)).toEqual(['NewlyAllowed 1 shop/analysts, rule read secret.salaries:Select']);
    expect(wider.changes[0]!.example.text).toBeNull();
  });

  test('that is cut off, foreign and damaged is read as far as it goes', async () => {
    const damaged = variant((line) => line);
    const [name] = readdirSync(damaged);
    const whole = readFileSync(path.join(damaged, name!), 'utf8');
    writeFileSync(path.join(damaged, name!), whole.slice(0, -50));
    const others = [
      '{"a":1}',
      'not json at all',
      '[]',
      'null',
      '{"metadata":{"product":{"name":"Postern"},"event_code":"intent"}}',
      `{"x":"${'y'.repeat(5_000_000)}"}`,
    ];
    writeFileSync(path.join(damaged, '99999999999999999999.ndjson'), `${others.join('\n')}\n`);
    writeFileSync(path.join(damaged, 'notes.txt'), 'not a segment');
    mkdirSync(path.join(damaged, 'empty'));
    const report = await attempt(AS_BEFORE, damaged);
    expect(report).toMatchObject({ foreignLines: 7, changes: [] });
    expect(report.stillAllowed).toBeGreaterThan(8);
  });

  test.each<[string, () => string, RegExp]>([
    ['that is not there', () => path.join(directory, 'nowhere'), /there is no such file or directory/],
    ['that is empty', () => mkdtempSync(path.join(directory, 'empty-')), /there is no segment/],
    ['without a statement', () => variant(() => '{}'), /there is no statement of a gateway in it/],
  ])('%s: exit code 2', async (_name, at, expected) => {
    const { code, err } = await postern(['try', '-f', write(AS_BEFORE), '--log', at()]);
    expect(err).toMatch(expected);
    expect(err).not.toContain('    at ');
    expect(code).toBe(2);
  });
});

test('manifests that are not good: exit code 2, with file, line and field', async () => {
  const { code, err } = await postern([
    'try',
    '-f',
    write(AS_BEFORE.replace('action: Deny', 'action: Perhaps')),
    '--log',
    log,
  ]);
  expect(err).toMatch(/policies-\d+\.yaml:\d+: .*"Perhaps" is not one of/);
  expect(code).toBe(2);
});

describe('with the gateway’s manifest', () => {
  const gateway = (port: number) => `apiVersion: postern.dev/v1alpha1
kind: PostgresGateway
metadata: {name: orders, namespace: shop}
spec:
  upstream:
    host: 127.0.0.1
    port: ${port}
    tls: {mode: Disable}
    roles: [{name: analyst_ro, secretRef: {name: ro}}, {name: app_rw, secretRef: {name: rw}}]
    catalogRole: analyst_ro
  listeners: [{name: token, port: 5432, authentication: Token}]
  tls: {mode: Optional}
  identity: {issuers: [{name: c, url: "https://login.example.com", audiences: [p], claims: {username: sub}}]}
---
${AS_BEFORE}`;
  const secrets = `---
apiVersion: v1
kind: Secret
metadata: {name: ro, namespace: shop}
stringData: {username: analyst_ro, password: a-secret}
---
apiVersion: v1
kind: Secret
metadata: {name: rw, namespace: shop}
stringData: {username: app_rw, password: b-secret}
`;

  test('no Secret is needed, and records of other gateways do not count', async () => {
    expect(await attempt(gateway(5432))).toMatchObject({ changes: [] });
    const other = variant((line) => line.replaceAll('"shop/orders"', '"shop/customers"'));
    const report = await attempt(gateway(5432), other);
    expect(report.stillAllowed).toBe(0);
    expect(report.skipped['of gateway shop/customers']).toBeGreaterThan(8);
  });

  test('--server asks the database what names mean', async () => {
    const report = await attempt(`${gateway(world.server.port)}${secrets}`, log, true);
    expect(report).toMatchObject({ changes: [] });
    const tighter = gateway(world.server.port).replace('relations: ["public.*"]', 'relations: ["secret.*"]');
    const changes = short((await attempt(`${tighter}${secrets}`, log, true)).changes);
    expect(changes).toContain('NewlyDenied 4 null public.orders:Select');
    expect(changes).toContain('NewlyAllowed 1 shop/analysts, rule read secret.salaries:Select');
  });

  test('validate --server says what the server lacks, with file, line and field', async () => {
    const file = write(
      `${gateway(world.server.port)}${secrets}`
        .replace(
          'relations: ["public.*"]',
          'relations: ["public.*", public.ordrs, "nope_*.*"]\n      functions: ["public.wipe()", "public.wipe(int)"]',
        )
        .replace('role: analyst_ro\n  rules', 'databases: [postgres, shop]\n  role: analyst_ro\n  rules'),
    );
    const { code, err } = await postern(['validate', '-f', file, '--server']);
    const said = err.split('\n').map((line) => line.replace(/^.*policies-\d+\.yaml:\d+: /, ''));
    expect(said.slice(0, -2)).toEqual([
      'AccessPolicy/analysts: spec.databases[1]: the server has no database shop',
      'AccessPolicy/analysts: spec.rules[0].relations[1]: "public.ordrs" matches no relation of database postgres or shop',
      'AccessPolicy/analysts: spec.rules[0].relations[2]: "nope_*.*" matches no relation of database postgres or shop',
      'AccessPolicy/analysts: spec.rules[0].functions[1]: "public.wipe(int)" is no function of database postgres or shop',
    ]);
    expect(err).toContain('4 problems');
    expect(code).toBe(1);
    const good = await postern(['validate', '-f', write(`${gateway(world.server.port)}${secrets}`), '--server']);
    expect(good).toMatchObject({ code: 0, err: '' });
  });

  test('explain --server knows keys', async () => {
    const args = ['explain', '-f', write(`${gateway(world.server.port)}${secrets}`), '--as', username('analyst')];
    const asked = [...args, '--database', 'postgres', '--server', 'DELETE FROM orders WHERE id = 1'];
    const { code, out } = await postern(asked);
    expect(out).toContain('public.orders Delete Keyed');
    expect(out).toContain('allowed by AccessPolicy shop/analysts, rule fix');
    expect(out).not.toContain('Assumed');
    expect(code).toBe(0);
  });
});

test('the harness records under the policies that this test says it does', () => {
  expect([ANALYST, DBA].map(({ rules }) => rules.map(({ name }) => name))).toEqual([
    ['read', 'fix', 'never-unbounded', 'no-ddl'],
    ['everything'],
  ]);
});
