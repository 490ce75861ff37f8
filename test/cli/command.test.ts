import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { freePort } from '../kit/free-port.ts';
import { createCertificateAuthority } from '../kit/tls.ts';
import { MAIN, postern } from './postern.ts';

const EXAMPLES = new URL('../../examples/quickstart/', import.meta.url);
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'postern-command-'));
  const pair = await (await createCertificateAuthority()).server(['localhost']);
  const block = (pem: string) =>
    pem
      .trimEnd()
      .split('\n')
      .map((line) => `    ${line}`)
      .join('\n');
  for (const name of readdirSync(EXAMPLES))
    writeFileSync(path.join(directory, name), readFileSync(new URL(name, EXAMPLES)));
  writeFileSync(
    path.join(directory, 'tls.yaml'),
    `apiVersion: v1\nkind: Secret\nmetadata: {name: orders-gateway-tls, namespace: shop}\nstringData:\n  tls.crt: |\n${block(pair.certPem)}\n  tls.key: |\n${block(pair.keyPem)}\n`,
  );
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('the call', () => {
  test.each([
    [[], 2, /Usage: postern COMMAND/],
    [['--help'], 0, /dev .*validate .*explain/s],
    [['help', 'explain'], 0, /--as USER/],
    [['explain', '--help'], 0, /--as USER/],
    [['--version'], 0, /^\d+\.\d+\.\d+$/m],
    [['valdate'], 2, /unknown command "valdate"; did you mean validate\?/],
    [['validate'], 2, /name the manifests with -f/],
    [['validate', '-f', 'x', '--gatway', 'y'], 2, /unknown option --gatway; did you mean --gateway\?/],
    [['validate', '-f', 'x', 'y'], 2, /unexpected argument "y"/],
    [['validate', '-f'], 2, /needs a value/],
    [['validate', '-f', 'x', '--gateway', 'a', '--gateway', 'b'], 2, /can be given once only/],
    [['dev', '-f', 'x', '--port', 'token'], 2, /write LISTENER=PORT/],
    [['dev', '-f', 'x', '--port', 'token=70000'], 2, /that is no port/],
    [['explain', '-f', 'x', 'SELECT 1'], 2, /say with --as whose statement it is/],
    [['explain', '-f', 'x', '--as', 'ann'], 2, /give the SQL/],
    [['explain', '-f', 'x', '--as', 'ann', '-o', 'xml', 'SELECT 1'], 2, /--output xml: text or json/],
    [['explain', '-f', '-', '--as', 'ann', '-'], 2, /SQL and manifests cannot both be -/],
    [['try', '-f', 'x'], 2, /name the recorded log with --log/],
    [['try', '--log', 'x'], 2, /name the manifests with -f/],
    [['try', '-f', 'x', '--log', 'y', '-o', 'xml'], 2, /--output xml: text or json/],
    [['try', '-f', '/nowhere/at/all', '--log', 'y'], 2, /there is no such file or directory/],
    [['validate', '-f', '/nowhere/at/all'], 1, /\/nowhere\/at\/all: there is no such file or directory/],
  ] as const)('%j: exit code %i', async (args, code, expected) => {
    const result = await postern(args);
    expect(result.out + result.err).toMatch(expected);
    expect(result.code).toBe(code);
    expect(result.err).not.toContain('    at ');
  });
});

describe('explain', () => {
  const explain = (more: readonly string[], input = '') =>
    postern(['explain', '-f', directory, '--as', 'ann@example.com', '--group', 'data-analysts', ...more], input);

  test('an allowed statement: object, rule and facts, exit code 0', async () => {
    const { code, out } = await explain(['--database', 'shop', 'SELECT * FROM orders']);
    expect(out).toContain('as role analyst_ro on database shop of gateway shop/orders');
    expect(out).toContain('allowed by AccessPolicy shop/analysts, rule read');
    expect(out).toContain('public.orders Select');
    expect(out).toContain('Assumed, as no database was asked');
    expect(code).toBe(0);
  });

  test('what is no table is told with its kind, and a function in FROM needs no rule about relations', async () => {
    const { code, out } = await explain(['SELECT * FROM orders, generate_series(1, 2)']);
    expect(out).toContain('public.orders Select; pg_catalog.generate_series Select (function)');
    expect(code).toBe(0);
  });

  test('a denied one among others: its rule and message, exit code 1', async () => {
    const { code, out } = await explain(['SELECT 1; DELETE FROM orders; SELECT f(1)']);
    expect(out).toContain('denied by AccessPolicy shop/analysts, rule never-unbounded');
    expect(out).toContain('Add a WHERE clause, or ask a DBA.');
    expect(out).toContain('public.f(…)');
    expect(code).toBe(1);
  });

  test('as JSON, from standard input', async () => {
    const { code, out } = await explain(['-o', 'json', '-'], 'SET zero_damaged_pages = on');
    const { statements } = JSON.parse(out);
    expect(statements).toMatchObject([
      { text: 'SET zero_damaged_pages = on', decision: { verdict: 'Deny', by: null } },
    ]);
    expect(code).toBe(1);
  });

  test('somebody whom no policy knows, and a text that PostgreSQL would refuse', async () => {
    const stranger = await postern(['explain', '-f', directory, '--as', 'eve', 'SELECT 1']);
    expect(stranger).toMatchObject({ code: 1, out: '28000: no AccessPolicy grants eve anything here\n' });
    expect((await explain(['SELEC 1'])).out).toBe('42601: syntax error at or near "SELEC"\n');
  });

  test('every rule that matches, in the order in which they are looked at', async () => {
    const { out } = await explain(['-o', 'json', 'DELETE FROM orders']);
    expect(JSON.parse(out).statements[0]).toMatchObject({
      decision: { verdict: 'Deny', by: { policy: 'shop/analysts', rule: 'never-unbounded' } },
      facts: { primary: 'Delete', readOnly: false },
      rules: [
        {
          action: 'Deny',
          policy: 'shop/analysts',
          rule: 'never-unbounded',
          what: ['Unbounded Delete on public.orders'],
        },
      ],
    });
    expect((await explain(['SELECT 1'])).out).toMatch(/ {2}rules {5} +Allow shop\/analysts, rule read: Select\n/);
  });

  test('needs no Secrets where it asks nobody', async () => {
    const bare = mkdtempSync(path.join(tmpdir(), 'postern-bare-'));
    const gateway = readFileSync(path.join(directory, 'gateway.yaml'), 'utf8');
    writeFileSync(
      path.join(bare, 'gateway.yaml'),
      gateway
        .split('---')
        .filter((one) => !/kind: Secret/.test(one))
        .join('---'),
    );
    writeFileSync(path.join(bare, 'policies.yaml'), readFileSync(path.join(directory, 'policies.yaml')));
    const args = ['explain', '-f', bare, '--as', 'ann', '--group', 'data-analysts'];
    expect(await postern([...args, 'SELECT 1'])).toMatchObject({ code: 0, err: '' });
    expect((await postern([...args, '--server', 'SELECT 1'])).err).toContain('is not among the manifests');
    rmSync(bare, { recursive: true });
  });

  test.each(['--server', '--live'])('%s without a database says what is wrong', async (option) => {
    const { code, err } = await explain([option, 'SELECT 1']);
    expect(err).toMatch(/the catalogue of database analyst_ro cannot be read: .*ECONNREFUSED/);
    expect(code).toBe(1);
  });
});

test('validate says what is good', async () => {
  expect(await postern(['validate', '-f', directory])).toEqual({
    code: 0,
    out: 'PostgresGateway shop/orders is good: 1 listener, 2 policies\n',
    err: '',
  });
});

describe('what a cluster gives back is as good as what was applied', () => {
  const ours = ['gateway.yaml', 'policies.yaml']
    .flatMap((name) => parseAllDocuments(readFileSync(new URL(name, EXAMPLES), 'utf8')))
    .map((document) => document.toJS())
    .filter(({ apiVersion }) => apiVersion === 'postern.dev/v1alpha1');
  const at = { observedGeneration: 3, lastTransitionTime: '2026-01-01T00:00:00Z', reason: 'Accepted', message: '' };
  const conditions = [{ type: 'Accepted', status: 'True', ...at }];
  const ancestorRef = { group: 'postern.dev', kind: 'PostgresGateway', namespace: 'shop', name: 'orders' };
  const status = {
    PostgresGateway: {
      observedGeneration: 3,
      conditions,
      address: 'orders.shop.svc',
      revision: 'a1b2',
      attached: { accessPolicies: 2, maskingRules: 0 },
      replicas: 2,
      selector: 'postern.dev/gateway=orders',
      ofALaterVersion: true,
    },
    AccessPolicy: { observedGeneration: 3, conditions, ancestors: [{ ancestorRef, conditions }] },
  };
  const live = ours.map((object) => ({
    ...object,
    metadata: {
      ...object.metadata,
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify(object) },
      creationTimestamp: '2026-01-01T00:00:00Z',
      deletionGracePeriodSeconds: 0,
      finalizers: ['foregroundDeletion'],
      generation: 3,
      managedFields: [
        { apiVersion: object.apiVersion, fieldsType: 'FieldsV1', fieldsV1: { 'f:spec': { '.': {} } }, manager: 'x' },
      ],
      ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: 'u' }],
      resourceVersion: '4711',
      uid: '01a21681-1c2c-72af-9581-7978297c0286',
    },
    status: status[object.kind as keyof typeof status],
  }));
  const list = { apiVersion: 'v1', kind: 'List', metadata: { resourceVersion: '' }, items: live };
  const good = /PostgresGateway shop\/orders is good: 1 listener, 2 policies/;

  test.each([
    ['several documents', live.map((object) => stringify(object)).join('---\n')],
    ['a list in YAML', stringify(list)],
    ['a list in JSON', JSON.stringify(list)],
    ['a list of a kind', stringify({ ...list, kind: 'AccessPolicyList', items: live })],
  ])('%s', async (_name, text) => {
    const { code, out } = await postern(['validate', '-f', '-'], text);
    expect(out).toMatch(good);
    expect(code).toBe(0);
  });

  test('what is wrong in a list has its line', async () => {
    const wrong = stringify(list).replace('action: Deny', 'action: Denny');
    const line = wrong.split('\n').findIndex((text) => text.includes('Denny')) + 1;
    const { code, err } = await postern(['validate', '-f', '-'], wrong);
    expect(err).toContain(`-:${line}: AccessPolicy/analysts: spec.rules[1].action: "Denny" is not one of`);
    expect(code).toBe(1);
  });
});

test.each([
  ['tabs', 'a:\n\tb: 1\n', /bad\.yaml:2: /],
  ['a key twice', 'kind: Secret\nkind: Secret\n', /bad\.yaml:2: Map keys must be unique/],
  ['a list', '- a\n- b\n', /bad\.yaml:1: an object was expected/],
  ['a word', 'hello\n', /bad\.yaml:1: an object was expected/],
  ['an alias to nothing', 'a: *b\n', /bad\.yaml:1: .*b/],
  [
    'aliases that multiply',
    `a0: &a0 [x,x,x,x,x,x,x,x,x]\n${Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}]`).join('\n')}\n`,
    /bad\.yaml:1: Excessive alias count/,
  ],
  ['nothing at all', '\n', /no PostgresGateway is among the manifests/],
])('YAML with %s is one clear error', async (_name, content, expected) => {
  const file = path.join(directory, '..', `bad-${process.pid}.yaml`);
  writeFileSync(file, content);
  try {
    const { code, err } = await postern(['validate', '-f', file]);
    expect(err.replaceAll(path.basename(file), 'bad.yaml')).toMatch(expected);
    expect(err).toContain('1 problem\n');
    expect(code).toBe(1);
  } finally {
    rmSync(file);
  }
});

describe('dev', () => {
  const started: ChildProcess[] = [];
  afterAll(() => {
    for (const child of started) child.kill('SIGKILL');
  });

  function dev(args: readonly string[]): { child: ChildProcess; said: () => string } {
    const child = spawn(process.execPath, [MAIN, 'dev', '-f', directory, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    started.push(child);
    let output = '';
    for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk: Buffer) => (output += chunk));
    return { child, said: () => output };
  }

  test('one line per listener, reload of good files, not of bad ones, SIGTERM drains', async () => {
    const port = await freePort();
    const { child, said } = dev(['--port', `token=${port}`, '--data', path.join(directory, 'audit')]);
    await expect.poll(said, { timeout: 15_000 }).toContain(`listener token (Token) on 127.0.0.1:${port}`);
    const policies = path.join(directory, 'policies.yaml');
    const good = readFileSync(policies, 'utf8');
    // As an editor saves: a new file in the place of the old one.
    const save = (content: string) => {
      writeFileSync(`${policies}.new`, content);
      renameSync(`${policies}.new`, policies);
    };
    save(good.replace('action: Deny', 'action: Perhaps'));
    await expect.poll(said, { timeout: 5000 }).toMatch(/policies\.yaml:14: .*"Perhaps" is not one of/);
    expect(said()).toContain('the configuration before them stays in force');
    save(good.replace('or ask a DBA', 'or ask the DBAs'));
    await expect.poll(said, { timeout: 5000 }).toMatch(/revision [0-9a-f]{12} is in force/);
    save(good);
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
    expect(said()).toContain('draining');
  });

  test('a port that is in use is said in words, the admin port as well', async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    for (const more of [
      ['--port', `token=${port}`],
      ['--port', 'token=0', '--admin-port', `${port}`],
    ]) {
      const { child, said } = dev(more);
      expect(await once(child, 'exit')).toEqual([1, null]);
      expect(said()).toContain(`cannot listen on 127.0.0.1:${port}: the port is in use`);
      expect(said()).not.toContain('    at ');
    }
    server.close();
  });

  test.each([
    [['--port', 'tokn=0'], '--port: there is no listener tokn, but token'],
    [['--port', 'token=0', '--data', '/dev/null/x'], 'audit directory /dev/null/x cannot be used: ENOTDIR'],
  ])('%j is said in words', async (more, expected) => {
    const { child, said } = dev(more);
    expect(await once(child, 'exit')).toEqual([1, null]);
    expect(said()).toContain(expected);
    expect(said()).not.toContain('    at ');
  });

  test('validate and explain need no Secrets, dev does and says where they are named', async () => {
    const bare = path.join(directory, 'gateway.yaml');
    const validated = await postern(['validate', '-f', bare]);
    expect(validated.code).toBe(0);
    expect(validated.err).toMatch(/gateway\.yaml:\d+: .*: Secret orders-gateway-tls is not among the manifests/);
    const started = await postern(['dev', '-f', bare]);
    expect(started.code).toBe(1);
    expect(started.err).toContain('spec.tls.secretRef: Secret orders-gateway-tls is not among the manifests');
  });
});
