import type net from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCertificateAuthority } from '../kit/tls.ts';
import { WireClient } from '../kit/wire-client.ts';
import { DBA, startWorld, username, type World } from './harness.ts';
import { signIn, sql } from './raw.ts';
import { type Recorder, startRecorder } from './recorder.ts';

/* TLS connections that end without close_notify: killed processes and broken networks say no goodbye (RFC 8446, 6.1). */

const SLOW = "SELECT pg_sleep(20), 'torn'";
let world: World;
/** Between client and gateway, and between gateway and server. */
let front: Recorder;
let back: Recorder;

beforeAll(async () => {
  front = await startRecorder();
  back = await startRecorder();
  const certificate = await (await createCertificateAuthority('Gateways')).server(['127.0.0.1']);
  world = await startWorld({
    tls: true,
    secrets: { 'gateway-tls/tls.crt': certificate.certPem, 'gateway-tls/tls.key': certificate.keyPem },
    change(document) {
      back.target = document.upstream.hosts[0]!.port;
      const hosts = [{ host: '127.0.0.1', port: back.port }];
      return {
        ...document,
        tls: { mode: 'Optional', minVersion: '1.2', secret: 'gateway-tls' },
        upstream: { ...document.upstream, hosts, tls: { mode: 'Require', ca: null } },
        policies: [DBA],
      };
    },
  });
  front.target = world.port;
}, 60_000);
afterAll(async () => {
  await world.stop();
  front.close();
  back.close();
});

async function running(): Promise<number> {
  const rows = await world.server.query(
    `SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(20)%' AND state = 'active'`,
  );
  return rows[0]!.n as number;
}

test.each([
  ['closed', (socket: net.Socket) => socket.destroy()],
  ['reset', (socket: net.Socket) => socket.resetAndDestroy()],
])('a client whose TCP connection is %s below TLS has its statement cancelled', async (_how, tear) => {
  const client = await WireClient.connect({ port: front.port, tls: 'Request' });
  client.socket.on('error', () => {});
  const greeting = await client.login({ user: username('dba'), password: await world.token('dba') });
  expect(greeting.at(-1)?.name).toBe('ReadyForQuery');
  client.send(sql(SLOW));
  await expect.poll(running).toBe(1);
  for (const { outer } of front.ends) tear(outer);
  await expect.poll(running, { timeout: 10_000 }).toBe(0);
});

test.each([
  ['closed', (socket: net.Socket) => socket.end()],
  ['reset', (socket: net.Socket) => socket.resetAndDestroy()],
])(
  'the server’s TCP connection is %s below TLS: told as an error, and nothing passes for an answer',
  async (_how, tear) => {
    const client = await signIn(world, 'dba');
    client.send(sql(SLOW));
    await expect.poll(running).toBe(1);
    for (const { inner } of back.ends) tear(inner);
    expect(await client.until('end')).toBe('E:08006 end');
    const next = await signIn(world, 'dba');
    next.send(sql('SELECT 1'));
    expect(await next.until('Z:I')).toBe('T D C:SELECT_1 Z:I');
    next.socket.destroy();
    await expect.poll(running, { timeout: 10_000 }).toBe(0);
  },
);
