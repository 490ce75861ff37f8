import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { decodeNegotiateProtocolVersion } from '../../gateway/wire/backend.ts';
import { encodeQuery } from '../../gateway/wire/frontend.ts';
import { encodeCancelRequest, encodeGSSENCRequest, encodeSSLRequest } from '../../gateway/wire/opening.ts';
import { BACKEND } from '../../gateway/wire/types.ts';
import { type Door, type DoorOptions, nextStartup, RawClient, startDoor, startup } from './support.ts';

const doors: Door[] = [];
const clients: RawClient[] = [];

async function door(options: DoorOptions = {}): Promise<Door> {
  const started = await startDoor(options);
  doors.push(started);
  return started;
}

async function plain(to: Door): Promise<RawClient> {
  const client = await RawClient.connect(to.port);
  clients.push(client);
  return client;
}

async function secure(to: Door, options: tls.ConnectionOptions = {}): Promise<RawClient> {
  const client = await RawClient.connectTls(to.port, { ca: to.authority.caPem, ...options });
  clients.push(client);
  return client;
}

function int32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => {
    bytes.writeUInt32BE(value, 4 * i);
  });
  return bytes;
}

/** A StartupMessage with parameters in any order and any version. */
function packet(version: number, ...strings: string[]): Buffer {
  const body = Buffer.concat([int32(version), ...strings.map((s) => Buffer.from(`${s}\0`)), Buffer.from([0])]);
  return Buffer.concat([int32(body.length + 4), body]);
}

afterEach(() => {
  for (const client of clients.splice(0)) client.socket.destroy();
  for (const each of doors.splice(0)) each.close();
});

describe('TLS', () => {
  test('SSLRequest, TLS, then the start-up packet', async () => {
    const to = await door();
    (await secure(to)).write(startup());
    const opened = await nextStartup(to);
    expect(opened.startup).toMatchObject({ user: 'ana', database: 'shop', minor: 0, negotiate: null });
    expect(opened.tls?.version).toBe('TLSv1.3');
    expect(opened.tls?.cipher).toMatch(/^TLS_/);
    expect(opened.peerCertificate).toBeNull();
  });

  test('TLS 1.2 clients are served and TLS 1.1 clients are not', async () => {
    const to = await door();
    (await secure(to, { maxVersion: 'TLSv1.2' })).write(startup());
    expect((await nextStartup(to)).tls?.version).toBe('TLSv1.2');
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    await expect(secure(to, old)).rejects.toThrow();
    expect(await to.next()).toMatchObject({ kind: 'Closed', reason: 'TlsFailed' });
  });

  test('direct TLS with ALPN postgresql', async () => {
    const to = await door();
    const direct = tls.connect({
      port: to.port,
      host: 'localhost',
      ca: to.authority.caPem,
      ALPNProtocols: ['postgresql'],
    });
    await once(direct, 'secureConnect');
    expect(direct.alpnProtocol).toBe('postgresql');
    direct.write(startup());
    expect((await nextStartup(to)).tls).not.toBeNull();
    direct.destroy();
  });

  test('direct TLS without ALPN is refused', async () => {
    const to = await door();
    const direct = tls.connect({ port: to.port, host: 'localhost', ca: to.authority.caPem });
    const client = new RawClient(direct);
    clients.push(client);
    expect((await client.error()).get('C')).toBe('08P01');
    expect(await to.next()).toMatchObject({ kind: 'Closed', reason: 'ProtocolViolation' });
  });

  test('direct TLS with another ALPN protocol fails in the handshake', async () => {
    const to = await door();
    const direct = tls.connect({ port: to.port, host: 'localhost', ca: to.authority.caPem, ALPNProtocols: ['h2'] });
    await expect(once(direct, 'secureConnect')).rejects.toThrow(/no application protocol/i);
    expect(await to.next()).toMatchObject({ kind: 'Closed', reason: 'TlsFailed' });
  });

  test('direct TLS split byte by byte', async () => {
    const to = await door();
    const relay = net.createServer((from) => {
      const onward = net.connect({ port: to.port, host: '127.0.0.1', noDelay: true });
      onward.pipe(from);
      from.on('data', (chunk) => chunk.forEach((_, i) => void onward.write(chunk.subarray(i, i + 1))));
      from.on('error', () => {});
      onward.on('error', () => {});
    });
    await once(relay.listen(0, '127.0.0.1'), 'listening');
    const { port } = relay.address() as net.AddressInfo;
    const direct = tls.connect({ port, host: 'localhost', ca: to.authority.caPem, ALPNProtocols: ['postgresql'] });
    direct.write(startup());
    expect((await nextStartup(to)).startup.user).toBe('ana');
    direct.destroy();
    relay.close();
  });

  test.each(['SSLRequest', 'GSSENCRequest'])('bytes stuffed behind %s are refused', async (request) => {
    const to = await door({ mode: 'Optional' });
    const client = await plain(to);
    const first = request === 'SSLRequest' ? encodeSSLRequest() : encodeGSSENCRequest();
    client.write(Buffer.concat([first, startup()]));
    const error = await client.error();
    expect(error.get('C')).toBe('08P01');
    expect(error.get('S')).toBe('FATAL');
    expect((await client.rest()).length).toBe(0);
    expect(await to.next()).toMatchObject({ kind: 'Closed', reason: 'ProtocolViolation' });
  });

  test.each([
    ['a second SSLRequest inside TLS', encodeSSLRequest()],
    ['GSSENCRequest inside TLS', encodeGSSENCRequest()],
    ['a TLS handshake inside TLS', Buffer.from([0x16, 3, 1])],
  ])('%s is refused', async (_name, bytes) => {
    const to = await door();
    const client = await secure(to);
    client.write(bytes);
    expect((await client.error()).get('C')).toBe('08P01');
  });

  test('a plaintext start-up packet where TLS is required is refused with a hint', async () => {
    const to = await door();
    const client = await plain(to);
    client.write(startup());
    const error = await client.error();
    expect([error.get('S'), error.get('C')]).toEqual(['FATAL', '28000']);
    expect(error.get('H')).toContain('sslmode=require');
    expect(await to.next()).toMatchObject({ kind: 'Closed', reason: 'TlsRequired' });
  });

  test('a client that sends garbage as ClientHello ends its own connection alone', async () => {
    const to = await door();
    const client = await plain(to);
    client.write(encodeSSLRequest());
    await client.take(1);
    client.write(Buffer.alloc(300, 0x41));
    expect(await to.next()).toMatchObject({ kind: 'Closed', reason: 'TlsFailed' });
    (await secure(to)).write(startup());
    expect((await nextStartup(to)).startup.user).toBe('ana');
  });

  test.each([
    ['of the configured authority', true],
    ['of another authority', false],
  ])('a client certificate %s', async (_name, trusted) => {
    const to = await door({ clientCertificates: true });
    const other = await startDoor();
    doors.push(other);
    const { certPem, keyPem } = await (trusted ? to : other).authority.client('ana');
    (await secure(to, { cert: certPem, key: keyPem })).write(startup());
    const { peerCertificate } = await nextStartup(to);
    expect(peerCertificate?.certificate.subject).toContain('CN=ana');
    expect(peerCertificate?.verified).toBe(trusted);
  });

  test.each([
    ['an expired client certificate', { notBefore: new Date(0), notAfter: new Date(1000) }],
    ['a client certificate that is not valid yet', { notBefore: new Date(4e12), notAfter: new Date(4.1e12) }],
  ])('%s is not verified', async (_name, validity) => {
    const to = await door({ clientCertificates: true });
    const { certPem, keyPem } = await to.authority.client('ana', validity);
    (await secure(to, { cert: certPem, key: keyPem })).write(startup());
    expect((await nextStartup(to)).peerCertificate?.verified).toBe(false);
  });

  test('without configured authorities no client certificate is verified', async () => {
    const to = await door({ clientCertificates: true, clientAuthority: false });
    const { certPem, keyPem } = await to.authority.client('ana');
    (await secure(to, { cert: certPem, key: keyPem })).write(startup());
    expect((await nextStartup(to)).peerCertificate?.verified).toBe(false);
  });

  test('a server certificate does not pass for a client certificate', async () => {
    const to = await door({ clientCertificates: true });
    const { certPem, keyPem } = await to.authority.server(['ana']);
    (await secure(to, { cert: certPem, key: keyPem })).write(startup());
    expect((await nextStartup(to)).peerCertificate?.verified).toBe(false);
  });
});

describe('in clear', () => {
  test('sslmode=prefer against a gateway without TLS', async () => {
    const to = await door({ mode: 'Optional', certificate: false });
    const client = await plain(to);
    client.write(encodeSSLRequest());
    expect((await client.take(1)).toString()).toBe('N');
    client.write(startup());
    expect((await nextStartup(to)).tls).toBeNull();
  });

  test('GSSENCRequest first, then SSLRequest, then the start-up packet', async () => {
    const to = await door({ mode: 'Optional', certificate: false });
    const client = await plain(to);
    for (const request of [encodeGSSENCRequest(), encodeSSLRequest()]) {
      client.write(request);
      expect((await client.take(1)).toString()).toBe('N');
    }
    client.write(startup());
    expect((await nextStartup(to)).startup.user).toBe('ana');
  });

  test('a start-up packet split byte by byte', async () => {
    const to = await door({ mode: 'Optional' });
    const client = await plain(to);
    for (const byte of startup()) {
      client.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    expect((await nextStartup(to)).startup).toMatchObject({ user: 'ana', database: 'shop' });
  });

  test('start-up packet and first query in one segment: no byte is lost', async () => {
    const to = await door({ mode: 'Optional' });
    const client = await plain(to);
    const query = encodeQuery(Buffer.from('SELECT 1'));
    client.write(Buffer.concat([startup(), query]));
    const { rest, socket } = await nextStartup(to);
    expect(rest).toEqual(query);
    client.write('later');
    socket.resume();
    const [later] = (await once(socket, 'data')) as [Buffer];
    expect(later.toString()).toBe('later');
  });
});

describe('parameters', () => {
  async function opened(bytes: Buffer) {
    const to = await door({ mode: 'Optional' });
    const client = await plain(to);
    client.write(bytes);
    return { client, to };
  }

  test('postern.* parameters are kept apart and an empty database is none', async () => {
    const { to } = await opened(
      startup({ user: 'ana', database: '', 'postern.Reason': 'x', application_name: 'a', replication: 'off' }),
    );
    const { startup: parsed } = await nextStartup(to);
    expect(parsed.database).toBeNull();
    expect([...parsed.parameters]).toEqual([['application_name', 'a']]);
    expect([...parsed.own]).toEqual([['reason', 'x']]);
  });

  test.each(['true', 'on', '1', 'yes', 'database', 'T', 'o', '', 'maybe'])(
    'replication=%s is refused',
    async (replication) => {
      const { client } = await opened(startup({ user: 'ana', replication }));
      const error = await client.error();
      expect([error.get('S'), error.get('C')]).toEqual(['FATAL', '0A000']);
    },
  );

  test.each(['false', 'off', '0', 'no', 'F', 'of'])('replication=%s is an ordinary connection', async (replication) => {
    const { to } = await opened(startup({ user: 'ana', replication }));
    expect((await nextStartup(to)).startup.parameters.size).toBe(0);
  });

  test.each([
    ['protocol 2.0', int32(8, 0x20000), '0A000'],
    ['protocol 4.0', packet(0x40000, 'user', 'ana'), '0A000'],
    ['no user', packet(0x30000, 'database', 'x'), '28000'],
    ['an empty user', packet(0x30000, 'user', ''), '28000'],
    ['a database name longer than PostgreSQL keeps', startup({ user: 'ana', database: 'd'.repeat(64) }), '3D000'],
    ['a length of 0', int32(0), '08P01'],
    ['a length of 1', int32(1), '08P01'],
    ['a length of 2', int32(2), '08P01'],
    ['a length of 3', int32(3), '08P01'],
    ['a length of 2 GB', int32(0x7fffffff), '08P01'],
    ['a length above 2 GB', int32(0xffffffff), '08P01'],
    ['a start-up packet over the limit', int32(10_001), '08P01'],
    ['trailing bytes', Buffer.concat([int32(12 + 9), int32(0x30000), Buffer.from('user\0a\0\0xxxxxx')]), '08P01'],
    ['a name without a value', packet(0x30000, 'user'), '08P01'],
  ])('%s is refused', async (_name, bytes, code) => {
    const { client, to } = await opened(bytes);
    const error = await client.error();
    expect([error.get('S'), error.get('C')]).toEqual(['FATAL', code]);
    expect((await to.next()).kind).toBe('Closed');
  });

  test('protocol 3.2 with unknown _pq_ options: they are named in NegotiateProtocolVersion', async () => {
    const { client, to } = await opened(packet(0x30002, 'user', 'ana', '_pq_.fancy', '1', '_pq_.other', ''));
    const { type, body } = await client.message();
    expect(type).toBe(BACKEND.NegotiateProtocolVersion);
    const answer = decodeNegotiateProtocolVersion(body);
    expect([answer.version, answer.unknownOptions]).toEqual([0x30002, ['_pq_.fancy', '_pq_.other']]);
    expect((await nextStartup(to)).startup.minor).toBe(2);
  });

  test('a version newer than 3.2 is negotiated down', async () => {
    const { client, to } = await opened(packet(0x3270f, 'user', 'ana'));
    expect(decodeNegotiateProtocolVersion((await client.message()).body).version).toBe(0x30002);
    expect((await nextStartup(to)).startup.minor).toBe(2);
  });

  test.each([
    ['3.0', 0x30000, 0],
    ['3.1', 0x30001, 0],
    ['3.2', 0x30002, 2],
  ])('protocol %s is taken as it is', async (_name, version, minor) => {
    const { to } = await opened(packet(version, 'user', 'ana'));
    expect((await nextStartup(to)).startup).toMatchObject({ minor, negotiate: null });
  });
});

describe('strangers', () => {
  test('a client that sends nothing is closed at the deadline, without a word, and disturbs nobody', async () => {
    const to = await door({ mode: 'Optional', deadline: 150 });
    const silent = await plain(to);
    const busy = await plain(to);
    busy.write(startup());
    expect((await to.next()).kind).toBe('Startup');
    expect(await to.next()).toMatchObject({ kind: 'Closed', reason: 'Timeout' });
    expect((await silent.rest()).length).toBe(0);
  });

  test('a client that stops within the TLS handshake is closed at the deadline', async () => {
    const to = await door({ deadline: 150 });
    const client = await plain(to);
    client.write(encodeSSLRequest());
    await client.take(1);
    client.write(Buffer.from([0x16, 3, 1, 2]));
    expect(await to.next()).toMatchObject({ kind: 'Closed', reason: 'Timeout' });
    await client.rest();
  });

  test('a client that leaves at once', async () => {
    const to = await door();
    (await plain(to)).socket.destroy();
    expect(await to.next()).toMatchObject({ kind: 'Closed', reason: 'ClientGone' });
  });

  test.each(['GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'POST /', 'PRI * HTTP/2.0'])(
    'an HTTP request gets one line',
    async (text) => {
      const to = await door();
      const client = await plain(to);
      for (const part of text.match(/.{1,3}/gs) ?? []) {
        client.write(part);
        await new Promise(setImmediate);
      }
      const answer = (await client.rest()).toString();
      expect(answer).toMatch(/^HTTP\/1.1 400 /);
      expect(answer).toContain('PostgreSQL');
    },
  );

  test('random bytes get one error at most', async () => {
    const to = await door();
    for (let i = 0; i < 20; i++) {
      const client = await plain(to);
      client.write(Buffer.concat([Buffer.from([0x80 | i]), randomBytes(64)]));
      expect((await client.error()).get('C')).toBe('08P01');
      expect((await to.next()).kind).toBe('Closed');
    }
  });
});

describe('CancelRequest', () => {
  test.each([
    ['4 bytes', 4],
    ['32 bytes, as of protocol 3.2', 32],
    ['256 bytes', 256],
  ])('in clear is accepted where TLS is required; key of %s', async (_name, size) => {
    const to = await door();
    const secretKey = randomBytes(size);
    (await plain(to)).write(encodeCancelRequest(4711, secretKey));
    expect(await to.next()).toMatchObject({ kind: 'Cancel', processId: 4711, secretKey });
  });

  test('inside TLS', async () => {
    const to = await door();
    (await secure(to)).write(encodeCancelRequest(-5, Buffer.from('keys')));
    expect(await to.next()).toMatchObject({ kind: 'Cancel', processId: -5 });
  });
});

describe('limits', () => {
  test.each([
    ['connections', { connections: 1, connectionsPerSource: 100 }],
    ['connections from one address', { connections: 100, connectionsPerSource: 1 }],
  ])('over the limit of %s: told why over TLS, cancel requests still served', async (_name, limits) => {
    const to = await door({ limits });
    const first = await secure(to);
    first.write(startup());
    const session = await nextStartup(to);
    const second = await secure(to);
    second.write(startup());
    const error = await second.error();
    expect([error.get('S'), error.get('C')]).toEqual(['FATAL', '53300']);
    expect(error.get('H')).toContain('limits');
    expect(await to.next()).toMatchObject({ kind: 'Closed', reason: 'Refused' });
    (await plain(to)).write(encodeCancelRequest(1, Buffer.from('keys')));
    expect((await to.next()).kind).toBe('Cancel');
    expect(to.counter.total).toBe(1);
    session.socket.destroy();
    while (to.counter.total > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    (await secure(to)).write(startup());
    await nextStartup(to);
  });

  test('of those over the limit only so many are answered', async () => {
    const to = await door({ mode: 'Optional', limits: { connections: 0, connectionsPerSource: 0 } });
    const many = await Promise.all(Array.from({ length: 70 }, () => plain(to)));
    const closed = await Promise.all(
      many.map((client) =>
        Promise.race([
          client.rest().then(() => 1),
          new Promise<number>((resolve) => setTimeout(() => resolve(0), 200)),
        ]),
      ),
    );
    expect(closed.reduce((sum, each) => sum + each, 0)).toBe(6);
  });
});
