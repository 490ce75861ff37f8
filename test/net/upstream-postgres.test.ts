import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { UpstreamTlsMode } from '../../gateway/config/document.ts';
import { sendCancel, type UpstreamConnection } from '../../gateway/net/upstream.ts';
import { dial } from '../../gateway/net/upstream-dial.ts';
import { encodeAuthentication } from '../../gateway/wire/backend.ts';
import { encodeQuery } from '../../gateway/wire/frontend.ts';
import { type Postgres, startPostgres } from '../kit/postgres.ts';
import { createCertificateAuthority } from '../kit/tls.ts';
import { RawClient } from './support.ts';
import { dialWith, failureOf, type upstreamOptions } from './upstream-support.ts';

const INIT = `
CREATE ROLE app LOGIN PASSWORD 'app-password';
CREATE ROLE "o'neil äß" LOGIN PASSWORD 'p"ä\u00a0ß ';
CREATE ROLE clear LOGIN PASSWORD 'app-password';
CREATE ROLE trusted LOGIN;
CREATE ROLE full LOGIN CONNECTION LIMIT 0 PASSWORD 'app-password';
CREATE ROLE nologin NOLOGIN PASSWORD 'app-password';
SET password_encryption = md5;
CREATE ROLE old LOGIN PASSWORD 'app-password';
`;

let server: Postgres;

beforeAll(async () => {
  const hba = ['host all clear all password', 'host all trusted all trust', 'host all old all md5'];
  server = await startPostgres({ version: 18, tls: true, hba, initSql: INIT });
});

afterAll(async () => {
  await server.stop();
});

function to(options: Partial<Parameters<typeof upstreamOptions>[0]> & { mode?: UpstreamTlsMode } = {}) {
  const { mode = 'VerifyFull', ...others } = options;
  return dialWith({ port: server.port, tls: { mode, ca: Buffer.from(server.caPem) }, ...others });
}

/** The text of everything the server answers to a simple query. */
async function ask(connection: UpstreamConnection, sql: string): Promise<string> {
  const client = new RawClient(connection.socket);
  connection.socket.resume();
  connection.socket.write(encodeQuery(Buffer.from(sql)));
  let text = '';
  for (;;) {
    const { type, body } = await client.message();
    if (type === 0x5a) return text;
    text += body.toString('latin1');
  }
}

describe('authentication', () => {
  test('SCRAM-SHA-256-PLUS over TLS, VerifyFull; the session works', async () => {
    const connection = await to({ authentication: ['ScramSha256'] });
    expect(connection.parameters.get('server_version')).toMatch(/^18/);
    expect(connection.parameters.get('session_authorization')).toBe('app');
    expect(connection.rest.length).toBe(0);
    expect(await ask(connection, 'SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()')).toContain(
      'TLSv1',
    );
    connection.socket.destroy();
  });

  test.each([
    ['SCRAM in clear', { mode: 'Disable', authentication: ['ScramSha256'] }],
    ['a role and a password of special characters', { user: "o'neil äß", password: 'p"ä\u00a0ß ' }],
    ['md5', { user: 'old', authentication: ['Md5'] }],
    ['md5 in clear', { user: 'old', authentication: ['Md5'], mode: 'Disable' }],
    ['the password in clear over TLS', { user: 'clear', authentication: ['Password'] }],
  ] as const)('%s', async (_name, options) => {
    (await to(options)).socket.destroy();
  });

  test.each([
    ['a wrong password', { password: 'app-passwor' }, 'AuthenticationFailed'],
    ['a role that does not exist', { user: 'nobody' }, 'AuthenticationFailed'],
    ['a role that may not log in', { user: 'nologin' }, 'AuthenticationFailed'],
    ['a wrong md5 password', { user: 'old', password: 'x' }, 'AuthenticationFailed'],
    ['md5 where only SCRAM is allowed', { user: 'old', authentication: ['ScramSha256'] }, 'MethodNotAllowed'],
    [
      'the password in clear where only SCRAM is allowed',
      { user: 'clear', authentication: ['ScramSha256'] },
      'MethodNotAllowed',
    ],
    ['the password in clear without TLS', { user: 'clear', mode: 'Disable' }, 'MethodNotAllowed'],
    ['a server that asks for nothing', { user: 'trusted' }, 'MethodNotAllowed'],
    ['a database that does not exist', { startup: new Map([['database', 'nope']]) }, '3D000'],
    ['a role at its connection limit', { user: 'full' }, '53300'],
    [
      'a setting that does not exist',
      { startup: new Map(Object.entries({ database: 'postgres', nonsense: '1' })) },
      '42704',
    ],
  ] as const)('%s fails', async (_name, options, code) => {
    const error = await failureOf(to(options));
    expect(error.code === 'ServerError' ? error.sqlstate : error.code).toBe(code);
  });
});

describe('TLS', () => {
  const other = { mode: 'VerifyFull', ca: null } as const;

  test.each(['VerifyFull', 'VerifyCA'] as const)(
    '%s: a certificate of an unknown authority is refused',
    async (mode) => {
      const { caPem } = await createCertificateAuthority();
      expect((await failureOf(to({ tls: { mode, ca: Buffer.from(caPem) } }))).code).toBe('TlsFailed');
      expect((await failureOf(to({ tls: { mode, ca: null } }))).code).toBe('TlsFailed');
    },
  );

  test('Require encrypts and asks for no authority', async () => {
    (await to({ tls: { ...other, mode: 'Require' } })).socket.destroy();
  });

  test.each([
    ['VerifyFull', 'localhost', null],
    ['VerifyFull', '127.0.0.1', null],
    ['VerifyFull', 'ip6-no.invalid', 'TlsFailed'],
    ['VerifyCA', 'ip6-no.invalid', null],
  ] as const)('%s with the host %s', async (mode, host, code) => {
    const target = { host, port: server.port };
    const options = { target, address: '127.0.0.1', tls: { mode, ca: Buffer.from(server.caPem) } };
    const dialled = dial({ ...options, signal: AbortSignal.timeout(5_000) });
    if (code === null) (await dialled).socket.destroy();
    else expect((await failureOf(dialled)).hint).toContain('names');
  });
});

describe('a TLS interceptor whose certificate is accepted', () => {
  /** Decrypts, reads along, and hides the offer of -PLUS when told to. */
  async function interceptor(hide: boolean) {
    const authority = await createCertificateAuthority();
    const pair = await authority.server(['localhost']);
    const listener = net.createServer(async (socket) => {
      socket.on('error', () => {});
      const front = new RawClient(socket);
      await front.take(8);
      socket.removeAllListeners('data');
      socket.write('S');
      const client = new tls.TLSSocket(socket, { isServer: true, cert: pair.certPem, key: pair.keyPem });
      const target = { host: '127.0.0.1', port: server.port };
      const upstream = { target, tls: { mode: 'Require', ca: null }, signal: AbortSignal.timeout(5_000) } as const;
      const back = (await dial(upstream)).socket;
      for (const end of [client, back]) end.on('error', () => {});
      client.pipe(back);
      const offer = encodeAuthentication({ kind: 'SASL', mechanisms: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'] });
      const plain = encodeAuthentication({ kind: 'SASL', mechanisms: ['SCRAM-SHA-256'] });
      back.on('data', (chunk) => void client.write(hide && chunk.equals(offer) ? plain : chunk));
      back.on('close', () => client.destroy());
    });
    await once(listener.listen(0, '127.0.0.1'), 'listening');
    return listener;
  }

  test.each([
    ['is found out by channel binding', false],
    ['cannot hide that the server would bind', true],
  ])('%s', async (_name, hide) => {
    const listener = await interceptor(hide);
    const port = (listener.address() as net.AddressInfo).port;
    const error = await failureOf(dialWith({ port, tls: { mode: 'Require', ca: null } }));
    expect(error.code).toBe('AuthenticationFailed');
    expect(error.detail).toContain('channel binding');
    listener.close();
  });
});

describe('cancel', () => {
  test.each([
    ['protocol 3.0', 0, 4, 'VerifyFull'],
    ['protocol 3.2 with a key of 32 bytes', 2, 32, 'VerifyFull'],
    ['protocol 3.2 in clear', 2, 32, 'Disable'],
  ] as const)('a running statement, %s', async (_name, minor, size, mode) => {
    const connection = await to({ minor, mode });
    expect([connection.protocolMinor, connection.secretKey.length]).toEqual([minor, size]);
    const answer = ask(connection, 'SELECT pg_sleep(20)');
    await new Promise((resolve) => setTimeout(resolve, 50));
    await connection.cancel();
    expect(await answer).toContain('57014');
    connection.socket.destroy();
  });

  test('a server that is gone, and one that does not answer', async () => {
    const silent = net.createServer((socket) => void socket.on('error', () => {}));
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    const { port } = silent.address() as net.AddressInfo;
    const where = { target: { host: 'db', port }, address: '127.0.0.1', timeout: 100 } as const;
    const tlsOptions = { mode: 'VerifyFull', ca: null } as const;
    const key = Buffer.from('keys');
    expect((await failureOf(sendCancel({ ...where, tls: tlsOptions }, 1, key))).code).toBe('Timeout');
    silent.close();
    const gone = { ...where, target: { host: 'db', port: 1 }, tls: tlsOptions };
    expect((await failureOf(sendCancel(gone, 1, key))).code).toBe('Unreachable');
  });
});

test.each([14, 16] as const)('PostgreSQL %d, which does not know protocol 3.2, is negotiated with', async (version) => {
  const old = await startPostgres({ version, initSql: INIT });
  try {
    const connection = await dialWith({ port: old.port, minor: 2 });
    expect([connection.protocolMinor, connection.secretKey.length]).toEqual([0, 4]);
    connection.socket.destroy();
  } finally {
    await old.stop();
  }
});
