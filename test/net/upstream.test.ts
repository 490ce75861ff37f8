import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { ByteSource } from '../../gateway/net/byte-source.ts';
import type { UpstreamConnection } from '../../gateway/net/upstream.ts';
import { dial } from '../../gateway/net/upstream-dial.ts';
import { encodeAuthentication, encodeBackendKeyData, encodeNoticeResponse } from '../../gateway/wire/backend.ts';
import {
  acceptMd5,
  dialWith,
  type FakeServer,
  failureOf,
  fakeServer,
  fatal,
  KEY,
  OK,
  READY,
  readPacket,
  type Script,
  STATUS,
} from './upstream-support.ts';

const servers: FakeServer[] = [];

async function server(script: Script): Promise<FakeServer> {
  const started = await fakeServer(script);
  servers.push(started);
  return started;
}

const good: Script = async (peer) => {
  await acceptMd5(peer);
  peer.write(Buffer.concat([OK, STATUS, KEY, READY]));
};

async function closedPort(): Promise<number> {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as net.AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

function at(...ports: number[]) {
  return { hosts: ports.map((port) => ({ host: '127.0.0.1', port })) };
}

async function ended(connection: Promise<UpstreamConnection>): Promise<void> {
  (await connection).socket.destroy();
}

afterEach(() => {
  for (const each of servers.splice(0)) each.close();
});

describe('a login', () => {
  test('sends the parameters and tells what the server said', async () => {
    let packet: Buffer = Buffer.alloc(0);
    const notice = encodeNoticeResponse({ severity: 'NOTICE', code: '00000', message: 'hello' });
    const { port } = await server(async (peer) => {
      packet = await acceptMd5(peer);
      peer.write(Buffer.concat([OK, notice, STATUS, KEY, READY, notice]));
    });
    const startup = new Map([
      ['user', 'somebody-else'],
      ['database', 'shop'],
      ['application_name', 'psql'],
    ]);
    const connection = await dialWith({ port, startup });
    expect(packet.readUInt32BE(4)).toBe(0x30000);
    const sent = packet.subarray(8).toString();
    expect(sent).toContain('database\0shop\0');
    expect(sent).toContain('user\0app\0');
    expect(sent).not.toContain('somebody-else');
    expect(connection).toMatchObject({ processId: 99, secretKey: Buffer.from('keys'), protocolMinor: 0 });
    expect([...connection.parameters]).toEqual([['server_version', '18.4']]);
    expect(connection.notices).toEqual([notice]);
    expect(connection.rest).toEqual(notice);
    expect(connection.address).toBe('127.0.0.1');
    expect(connection.socket.isPaused()).toBe(true);
    connection.socket.destroy();
  });

  test('an answer that comes byte by byte', async () => {
    const { port } = await server(async (peer) => {
      await acceptMd5(peer);
      for (const byte of Buffer.concat([OK, STATUS, KEY, READY])) {
        peer.write(Buffer.from([byte]));
        await new Promise(setImmediate);
      }
    });
    await ended(dialWith({ port }));
  });

  const sasl = encodeAuthentication({ kind: 'SASL', mechanisms: ['SCRAM-SHA-256'] });
  const negotiate = (version: number) => {
    const body = Buffer.from('vxxxxVVVV\0\0\0\0', 'latin1');
    body.writeUInt32BE(12, 1);
    body.writeUInt32BE(version, 5);
    return body;
  };
  const long = encodeBackendKeyData({ processId: 1, secretKey: Buffer.alloc(32) });
  test.each([
    ['no authentication at all', [OK, KEY, READY], 'MethodNotAllowed'],
    ['AuthenticationOk in place of the SCRAM challenge', [sasl, OK, KEY, READY], 'AuthenticationFailed'],
    [
      'a SCRAM proof before the challenge',
      [sasl, encodeAuthentication({ kind: 'SASLFinal', data: KEY })],
      'ProtocolViolation',
    ],
    [
      'a mechanism that nobody knows',
      [encodeAuthentication({ kind: 'SASL', mechanisms: ['X'] })],
      'AuthenticationFailed',
    ],
    ['Kerberos', [encodeAuthentication({ kind: 'KerberosV5' })], 'MethodNotAllowed'],
    [
      'the password in clear over a plain connection',
      [encodeAuthentication({ kind: 'CleartextPassword' })],
      'MethodNotAllowed',
    ],
    ['ReadyForQuery before AuthenticationOk', [READY], 'ProtocolViolation'],
    ['an unknown message', [Buffer.from([0x01, 0, 0, 0, 4])], 'ProtocolViolation'],
    ['a length of 2 GB', [Buffer.from([0x52, 0x7f, 0xff, 0xff, 0xff])], 'ProtocolViolation'],
    ['a length of 3', [Buffer.from([0x52, 0, 0, 0, 3])], 'ProtocolViolation'],
    ['a newer protocol than asked for', [negotiate(0x30002)], 'ProtocolViolation'],
    ['another major protocol', [negotiate(0x20000)], 'ProtocolViolation'],
    ['bytes of an SSH server', [Buffer.from('SSH-2.0-OpenSSH\r\n')], 'ProtocolViolation'],
  ])('%s is refused', async (_name, answer, code) => {
    const { port } = await server(async (peer) => {
      await readPacket(peer);
      peer.write(Buffer.concat(answer));
    });
    const error = await failureOf(dialWith({ port }));
    expect([error.code, error.sqlstate, error.fatal]).toEqual([code, '08006', null]);
    expect(JSON.stringify([error.message, error.hint, error.detail])).not.toContain('app-password');
  });

  test.each([
    ['no key', [OK, READY]],
    ['a long key under protocol 3.0', [OK, long, READY]],
    ['a second authentication request', [OK, OK]],
    ['rows', [OK, Buffer.from('D\0\0\0\x06\0\0', 'latin1')]],
  ])('after the password: %s is refused', async (_name, answer) => {
    const { port } = await server(async (peer) => {
      await acceptMd5(peer);
      peer.write(Buffer.concat(answer));
    });
    expect((await failureOf(dialWith({ port }))).code).toBe('ProtocolViolation');
  });

  test('a method that is not configured is not answered', async () => {
    let answered = false;
    const { port } = await server(async (peer) => {
      await acceptMd5(peer);
      answered = true;
    });
    const error = await failureOf(dialWith({ port, authentication: ['ScramSha256'] }));
    expect([error.code, answered]).toEqual(['MethodNotAllowed', false]);
    expect(error.detail).toContain('md5');
  });

  test.each(['3D000', '53300', '57P03', '42501', '0A000'])(
    'the server’s own error %s passes as it is',
    async (code) => {
      const { port } = await server(async (peer) => {
        await acceptMd5(peer);
        peer.write(Buffer.concat([OK, fatal(code)]));
      });
      const error = await failureOf(dialWith({ port }));
      expect([error.code, error.sqlstate, error.fatal]).toEqual(['ServerError', code, fatal(code)]);
    },
  );

  test.each(['28P01', '28000'])('how our own role fails to log in (%s) is not told to the client', async (code) => {
    const { port } = await server(async (peer) => {
      await acceptMd5(peer);
      peer.write(fatal(code));
    });
    const error = await failureOf(dialWith({ port }));
    expect([error.code, error.sqlstate, error.fatal]).toEqual(['AuthenticationFailed', '08006', null]);
    expect(error.message + error.hint).not.toContain('the server says no');
    expect(error.detail).toContain('the server says no');
  });
});

describe('TLS', () => {
  const tls = { mode: 'Require', ca: null } as const;

  test('a server without TLS under a TLS mode', async () => {
    const { port } = await server(async (peer) => {
      await readPacket(peer);
      peer.write('N');
    });
    expect((await failureOf(dialWith({ port, tls }))).code).toBe('TlsRefused');
  });

  test.each([
    ['bytes stuffed behind the server’s answer to SSLRequest', Buffer.concat([Buffer.from('S'), OK, KEY, READY])],
    ['an ErrorResponse in clear', fatal('3D000')],
    ['anything else', Buffer.from('?')],
  ])('%s: refused and not shown', async (_name, bytes) => {
    const { port } = await server(async (peer) => {
      await readPacket(peer);
      peer.write(bytes);
    });
    const error = await failureOf(dialWith({ port, tls }));
    expect([error.code, error.fatal]).toEqual(['ProtocolViolation', null]);
  });

  test('a server that breaks off in the handshake', async () => {
    const { port } = await server(async (peer) => {
      await readPacket(peer);
      peer.write('S');
      await peer.take(1);
      peer.socket.destroy();
    });
    expect((await failureOf(dialWith({ port, tls }))).code).toBe('TlsFailed');
  });
});

test('what a server says before it is asked is not lost', async () => {
  const { port } = await server((peer) => peer.socket.end(fatal('57P03')));
  const { signal } = new AbortController();
  const { socket } = await dial({ target: { host: '127.0.0.1', port }, tls: { mode: 'Disable', ca: null }, signal });
  await sleep(100);
  const source = new ByteSource(socket);
  expect(await source.more(signal)).toBe('More');
  expect(source.bytes).toEqual(fatal('57P03'));
  expect(await source.more(signal)).toBe('Closed');
  socket.destroy();
});

test('each chunk is the reader’s own: the next read does not change it', async () => {
  const { port } = await server(async (peer) => {
    peer.write('one');
    await peer.take(1);
    peer.write('two');
  });
  const { signal } = new AbortController();
  const { socket } = await dial({ target: { host: '127.0.0.1', port }, tls: { mode: 'Disable', ca: null }, signal });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.resume();
  await expect.poll(() => chunks.length).toBe(1);
  socket.write('?');
  await expect.poll(() => chunks.map(String)).toEqual(['one', 'two']);
  socket.destroy();
});

describe('several hosts', () => {
  test('nobody listens: the next one', async () => {
    const second = await server(good);
    const connection = await dialWith(at(await closedPort(), second.port));
    expect(connection.target.port).toBe(second.port);
    connection.socket.destroy();
  });

  test.each([
    ['starting up (57P03)', [fatal('57P03')]],
    ['closing the connection', []],
    ['something else than PostgreSQL', [Buffer.from('220 smtp ready\r\n')]],
  ])('%s: the next one', async (_name, answer) => {
    const first = await server(async (peer) => {
      await readPacket(peer);
      peer.socket.end(Buffer.concat(answer));
    });
    const second = await server(good);
    await ended(dialWith(at(first.port, second.port)));
    expect(second.connections).toBe(1);
  });

  test('a silent one: the next one after the connect timeout', async () => {
    const first = await server(() => {});
    const second = await server(good);
    const started = performance.now();
    await ended(dialWith({ ...at(first.port, second.port), connectTimeout: 150 }));
    expect(performance.now() - started).toBeGreaterThan(140);
  });

  test.each(['28P01', '3D000', '53300'])('an answer about our login or database (%s) is final', async (code) => {
    const first = await server(async (peer) => {
      await acceptMd5(peer);
      peer.write(fatal(code));
    });
    const second = await server(good);
    await failureOf(dialWith(at(first.port, second.port)));
    expect(second.connections).toBe(0);
  });

  test('none left: the last one’s reason', async () => {
    const silent = await server(() => {});
    const error = await failureOf(dialWith({ ...at(await closedPort(), silent.port), connectTimeout: 100 }));
    expect([error.code, error.sqlstate]).toEqual(['Timeout', '08006']);
    const refused = await failureOf(dialWith(at(await closedPort())));
    expect(refused.code).toBe('Unreachable');
    expect(refused.message).toContain('ECONNREFUSED');
    expect((await failureOf(dialWith({ hosts: [] }))).code).toBe('Unreachable');
  });

  test('a host name that does not resolve', async () => {
    const error = await failureOf(dialWith({ hosts: [{ host: 'nowhere.invalid', port: 1 }] }));
    expect(error.code).toBe('Unreachable');
  });
});

describe('the end of waiting', () => {
  test.each([
    ['before the connection', 0],
    ['during the login', 60],
  ])('an abort %s leaves no socket behind and tries no other host', async (_name, after) => {
    const closed = Promise.withResolvers<void>();
    const first = await server((peer) => void peer.socket.once('close', () => closed.resolve()));
    const second = await server(good);
    const controller = new AbortController();
    if (after === 0) controller.abort();
    else setTimeout(() => controller.abort(), after);
    const error = await failureOf(dialWith({ ...at(first.port, second.port), signal: controller.signal }));
    expect([error.code, second.connections]).toEqual(['Aborted', 0]);
    if (after > 0) await closed.promise;
  });
});
