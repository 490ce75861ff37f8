import { once } from 'node:events';
import net from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { AuditLog } from '../../gateway/audit/record.ts';
import { Pump } from '../../gateway/net/pump.ts';
import type { SessionEnvironment } from '../../gateway/session/environment.ts';
import { decodeErrorResponse } from '../../gateway/wire/backend.ts';
import { encodeQuery } from '../../gateway/wire/frontend.ts';

const sockets: net.Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

/** Both ends of a TCP connection. */
async function pair(): Promise<[net.Socket, net.Socket]> {
  const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const outer = net.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1' });
  const [inner] = (await once(server, 'connection')) as [net.Socket];
  server.close();
  sockets.push(outer, inner);
  return [outer, inner];
}

test('a defect met by one session ends that session with XX000, sends nothing on and is reported', async () => {
  const [client, clientSide] = await pair();
  const [server, serverSide] = await pair();
  const faults: unknown[] = [];
  const ends: string[] = [];
  const defect = new TypeError('a defect');
  const broken = new Proxy({} as SessionEnvironment, {
    get() {
      throw defect;
    },
  });
  const audit = { settle: () => {} } as unknown as AuditLog;
  const pump = new Pump({
    client: clientSide,
    server: serverSide,
    clientRest: Buffer.alloc(0),
    serverRest: Buffer.alloc(0),
    environment: () => broken,
    reported: new Map(),
    audit,
    recorder: { record() {}, end: (reason) => ends.push(reason) },
    statementBytes: 1000,
    now: Date.now,
    cancelUpstream: () => Promise.resolve(),
    refreshCatalog() {},
    onRecord() {},
    onForwarded() {},
    onFault: (error) => faults.push(error),
    onEnd() {},
  });
  pump.start();
  const [got, forwarded] = [[] as Buffer[], [] as Buffer[]];
  client.on('data', (chunk) => got.push(chunk));
  server.on('data', (chunk) => forwarded.push(chunk));
  const ended = Promise.all([once(client, 'end'), once(server, 'end')]);
  client.write(encodeQuery(Buffer.from('SELECT 1')));
  await ended;
  expect(faults).toEqual([defect]);
  expect(ends).toEqual(['InternalError']);
  expect(decodeErrorResponse(Buffer.concat(got).subarray(5)).fields.get('C')).toBe('XX000');
  expect(Buffer.concat(forwarded).toString('latin1')).toBe('X\0\0\0\x04');
});
