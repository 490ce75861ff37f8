import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodePassword } from '../../gateway/wire/frontend.ts';
import { encodeSSLRequest, encodeStartupMessage } from '../../gateway/wire/opening.ts';
import { createCertificateAuthority } from '../kit/tls.ts';
import { policy, rule, startWorld, username, type World } from './harness.ts';
import { signIn, sql } from './raw.ts';

/* TLS connections that end without close_notify: killed processes and broken networks say no goodbye (RFC 8446, 6.1). */

const DBA = policy('dbas', 'dba', 'app_rw', [rule('everything', { statements: ['Any'], relations: ['*.*'] })]);
const SLOW = "SELECT pg_sleep(20), 'torn'";
let world: World;
let relay: Relay;

interface Relay {
  readonly port: number;
  target: number;
  /** The gateway's ends of what is relayed. */
  readonly inner: Set<net.Socket>;
  close(): void;
}

async function startRelay(): Promise<Relay> {
  const inner = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    const outer = net.connect({ host: '127.0.0.1', port: made.target });
    inner.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      inner.delete(socket);
      outer.destroy();
    });
    outer.on('error', () => {}).on('close', () => socket.destroy());
    // Not `pipe`: what one side ends is ended on the other by hand.
    socket.on('data', (chunk) => outer.write(chunk));
    outer.on('data', (chunk) => socket.writable && socket.write(chunk));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as net.AddressInfo;
  const made: Relay = {
    port,
    target: 0,
    inner,
    close() {
      server.close();
      for (const socket of inner) socket.destroy();
    },
  };
  return made;
}

beforeAll(async () => {
  relay = await startRelay();
  const certificate = await (await createCertificateAuthority('Gateways')).server(['127.0.0.1']);
  world = await startWorld({
    tls: true,
    secrets: { 'gateway-tls/tls.crt': certificate.certPem, 'gateway-tls/tls.key': certificate.keyPem },
    change(document) {
      relay.target = document.upstream.hosts[0]!.port;
      const hosts = [{ host: '127.0.0.1', port: relay.port }];
      return {
        ...document,
        tls: { mode: 'Optional', minVersion: '1.2', secret: 'gateway-tls' },
        upstream: { ...document.upstream, hosts, tls: { mode: 'Require', ca: null } },
        policies: [DBA],
      };
    },
  });
}, 60_000);
afterAll(async () => {
  await world.stop();
  relay.close();
});

async function running(): Promise<number> {
  const rows = await world.server.query(
    `SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(20)%' AND state = 'active'`,
  );
  return rows[0]!.n as number;
}

/** A session over TLS, and the TCP connection below it. */
async function signInOverTls(): Promise<{ readonly raw: net.Socket; readonly secure: tls.TLSSocket }> {
  const raw = net.connect({ host: '127.0.0.1', port: world.port });
  raw.on('error', () => {});
  raw.write(encodeSSLRequest());
  await once(raw, 'data');
  const secure = tls.connect({ socket: raw, rejectUnauthorized: false });
  secure.on('error', () => {});
  await once(secure, 'secureConnect');
  secure.write(
    encodeStartupMessage(
      0,
      new Map([
        ['user', username('dba')],
        ['database', 'postgres'],
      ]),
    ),
  );
  secure.write(encodePassword(Buffer.from(await world.token('dba'))));
  let got = '';
  secure.on('data', (chunk: Buffer) => (got += chunk.toString('latin1')));
  await expect.poll(() => got.endsWith('Z\0\0\0\x05I')).toBe(true);
  return { raw, secure };
}

test.each([
  ['closed', (raw: net.Socket) => raw.destroy()],
  ['reset', (raw: net.Socket) => raw.resetAndDestroy()],
])('a client whose TCP connection is %s below TLS has its statement cancelled', async (_how, tear) => {
  const { raw, secure } = await signInOverTls();
  secure.write(sql(SLOW));
  await expect.poll(running).toBe(1);
  tear(raw);
  await expect.poll(running, { timeout: 10_000 }).toBe(0);
});

test.each([
  ['closed', (raw: net.Socket) => raw.end()],
  ['reset', (raw: net.Socket) => raw.resetAndDestroy()],
])(
  'the server’s TCP connection is %s below TLS: told as an error, and nothing passes for an answer',
  async (_how, tear) => {
    const before = new Set(relay.inner);
    const client = await signIn(world, 'dba');
    const own = [...relay.inner].filter((socket) => !before.has(socket));
    client.send(sql(SLOW));
    await expect.poll(running).toBe(1);
    for (const socket of own) tear(socket);
    expect(await client.until('end')).toBe('E:08006 end');
    const next = await signIn(world, 'dba');
    next.send(sql('SELECT 1'));
    expect(await next.until('Z:I')).toBe('T D C:SELECT_1 Z:I');
    next.socket.destroy();
    await expect.poll(running, { timeout: 10_000 }).toBe(0);
  },
);
