import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { renderSessions } from '../../cli/local/render-sessions.ts';
import { renderDuration, renderTable } from '../../cli/table.ts';
import type { OpenSession } from '../../gateway/telemetry/admin-socket.ts';
import { type GatewayProcess, groupPolicy, rule, startGatewayProcess } from '../kit/gateway-process.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';
import { MAIN, postern, run } from './postern.ts';

const ROLE = { name: 'app', password: 'app-secret' };
const READERS = groupPolicy('readers', {
  group: 'readers',
  databases: [],
  role: 'app',
  rules: [rule('read', { statements: ['Select', 'Transaction'] })],
});
const SESSION: OpenSession = {
  id: '01',
  user: 'ann@example.com',
  issuer: 'corp',
  role: 'app',
  database: 'shop',
  applicationName: '',
  listener: 'token',
  client: '10.0.0.1:4711',
  serverPid: 7,
  started: '2026-01-01T00:00:00.000Z',
  state: 'InTransaction',
  since: '2026-01-01T01:00:00.000Z',
  statements: 3,
};
const NOW = Date.parse('2026-01-01T01:00:05.000Z');

describe('what people are shown', () => {
  test('a session', () => {
    expect(renderSessions([SESSION, { ...SESSION, id: '02', since: null, state: 'Active' }], NOW)).toBe(
      [
        'SESSION  USER             ROLE  DATABASE  APPLICATION  CLIENT         STATE           SINCE  AGE   STATEMENTS',
        '01       ann@example.com  app   shop      -            10.0.0.1:4711  in transaction  5s     1h0m  3',
        '02       ann@example.com  app   shop      -            10.0.0.1:4711  active          -      1h0m  3',
      ].join('\n'),
    );
    expect(renderSessions([], NOW)).toBe('no sessions');
  });

  test('names do not speak to the terminal', () => {
    const evil = 'a\u001b[2Jb\u009b1mc\nd\u202ee';
    const shown = renderSessions([{ ...SESSION, applicationName: evil }], NOW);
    expect(shown.split('\n')).toHaveLength(2);
    expect(shown).toContain('a\\u{1b}[2Jb\\u{9b}1mc\\u{a}d\\u{202e}e');
    expect(renderTable(['A'], [['\u2028x']])).toBe('A\n\\u{2028}x');
  });

  test.each([
    [-5, '0s'],
    [999, '0s'],
    [61_000, '1m1s'],
    [3_600_000, '1h0m'],
    [90_061_000, '1d1h'],
  ])('%i ms as %s', (milliseconds, shown) => expect(renderDuration(milliseconds)).toBe(shown));
});

describe('a gateway', () => {
  let server: Postgres;
  let gateway: GatewayProcess;
  let local: (...args: readonly string[]) => ReturnType<typeof postern>;
  beforeAll(async () => {
    server = await startPostgres({ version: 18, initSql: `CREATE ROLE app LOGIN PASSWORD '${ROLE.password}'` });
    gateway = await startGatewayProcess({ upstream: server, roles: [ROLE], policies: [READERS] });
    local = (name, ...args) => postern(['local', name!, '--socket', gateway.adminSocket, ...args]);
  }, 60_000);
  afterAll(async () => {
    await gateway.stop();
    await server.stop();
  });

  async function connect(user: string): Promise<pg.Client> {
    const client = new pg.Client({
      host: gateway.host,
      port: gateway.port,
      user: 'app',
      database: 'postgres',
      password: await gateway.token(user, ['readers']),
      ssl: { ca: await readFile(gateway.caFile, 'utf8'), servername: 'localhost' },
    });
    client.on('error', () => {});
    await client.connect();
    return client;
  }

  test('lists, ends one, and drains', async () => {
    const [ann, ben] = [await connect('ann@example.com'), await connect('ben@example.com')];
    const table = await local('sessions');
    expect(table.out).toMatch(/^SESSION .*\n.*ann@example\.com .* idle .*\n.*ben@example\.com .*\n$/);
    const listed = await local('sessions', '--json');
    expect(await local('sessions', '-o', 'json')).toMatchObject({ code: 0 });
    const { sessions, gateway: name } = JSON.parse(listed.out);
    expect([name, sessions.map(({ user }: OpenSession) => user)]).toEqual([
      'test/gate',
      ['ann@example.com', 'ben@example.com'],
    ]);
    const ended = once(ann, 'error');
    const { id } = sessions[0];
    expect(await local('terminate', id)).toEqual({ code: 0, out: `terminated ${id}\n`, err: '' });
    expect(await ended).toMatchObject([{ code: '57P01' }]);
    expect(await local('terminate', id)).toEqual({
      code: 1,
      out: '',
      err: 'postern local: there is no such session here\n',
    });
    await ben.query('BEGIN');
    const drain = local('drain', '--grace', '1');
    await once(ben, 'error');
    const { code, out, err } = await drain;
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^draining: 1 session left\n(draining: 0 sessions left\n)?drained\n$/);
    expect(await gateway.ended).toBe(0);
    expect((await local('sessions')).err).toContain('no gateway listens on');
  });
});

test('loads nothing of the gateway, whose memory it shares', async () => {
  const root = new URL('../../', import.meta.url).pathname;
  const readable = ['cli/', 'operator/api/closest.ts', 'package.json'];
  const node = ['--permission', ...readable.map((file) => `--allow-fs-read=${root}${file}`)];
  const { err } = await run(MAIN, ['local', 'sessions', '--socket', '/nowhere/admin.sock'], '', { node });
  expect(err).toBe(
    "postern local: no gateway listens on /nowhere/admin.sock: run this in the gateway's pod, or name its --admin-socket with --socket\n",
  );
  expect((await run(MAIN, ['explain', '--help'], '', { node })).err).toContain(
    'Access to this API has been restricted',
  );
});

describe('what is wrong is said in a sentence', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'postern-local-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  test.each([
    [[], 2, /Usage: postern local COMMAND/],
    [['sesions'], 2, /unknown command "sesions"; did you mean sessions\?/],
    [['--help'], 0, /terminate/],
    [['sessions', '--help'], 0, /--socket PATH/],
    [['sessions', 'x'], 2, /unexpected argument "x"/],
    [['terminate'], 2, /name the sessions/],
    [['drain', '--grace', 'long'], 2, /--grace long: whole seconds/],
    [
      ['drain', '--grace', '999'],
      1,
      /no gateway listens on \/run\/postern\/admin\.sock: run this in the gateway's pod/,
    ],
  ] as const)('%j: exit code %i', async (args, code, expected) => {
    const result = await postern(['local', ...args]);
    expect(result.out + result.err).toMatch(expected);
    expect(result.code).toBe(code);
  });

  test('something else that listens there', async () => {
    const path = join(directory, 'other.sock');
    const other = createServer((socket) => socket.end('hello\n')).listen(path);
    await once(other, 'listening');
    const { code, err } = await postern(['local', 'sessions', '--socket', path]);
    expect(err).toMatch(/^postern local: the gateway does not answer on .*\n$/);
    expect(code).toBe(1);
    other.close();
  });
});
