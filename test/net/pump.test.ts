import { once } from 'node:events';
import net from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { AuditLog } from '../../gateway/audit/record.ts';
import { Pump } from '../../gateway/net/pump.ts';
import type { SessionEnvironment } from '../../gateway/session/environment.ts';
import { decodeErrorResponse, encodeCommandComplete, encodeReadyForQuery } from '../../gateway/wire/backend.ts';
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

interface Parts {
  readonly environment: SessionEnvironment;
  readonly settle: AuditLog['settle'];
  readonly faults?: unknown[];
  readonly ends?: string[];
}

/** A pump between two connections: the outer ends of both, and its own end of the client's. */
async function startPump({ environment, settle, faults = [], ends = [] }: Parts) {
  const [client, clientSide] = await pair();
  const [server, serverSide] = await pair();
  const pump = new Pump({
    client: clientSide,
    server: serverSide,
    clientRest: Buffer.alloc(0),
    serverRest: Buffer.alloc(0),
    environment: () => environment,
    reported: new Map(),
    audit: { settle } as AuditLog,
    recorder: { record() {}, end: (reason) => ends.push(reason) },
    statementBytes: 200_000,
    now: Date.now,
    cancelUpstream: () => Promise.resolve(),
    refreshCatalog() {},
    onRecord() {},
    onForwarded() {},
    onFault: (error) => faults.push(error),
    onEnd() {},
  });
  pump.start();
  const forwarded: Buffer[] = [];
  server.on('data', (chunk) => forwarded.push(chunk));
  return { client, clientSide, server, forwarded };
}

test('a defect met by one session ends that session with XX000, sends nothing on and is reported', async () => {
  const [faults, ends]: [unknown[], string[]] = [[], []];
  const defect = new TypeError('a defect');
  const environment = new Proxy(permissive(), {
    get(target, name) {
      if (name === 'over') throw defect;
      return Reflect.get(target, name);
    },
  });
  const { client, server, forwarded } = await startPump({ environment, settle() {}, faults, ends });
  const got: Buffer[] = [];
  client.on('data', (chunk) => got.push(chunk));
  const ended = Promise.all([once(client, 'end'), once(server, 'end')]);
  client.write(encodeQuery(Buffer.from('SELECT 1')));
  await ended;
  expect(faults).toEqual([defect]);
  expect(ends).toEqual(['InternalError']);
  expect(decodeErrorResponse(Buffer.concat(got).subarray(5)).fields.get('C')).toBe('XX000');
  expect(Buffer.concat(forwarded).toString('latin1')).toBe('X\0\0\0\x04');
});

/** Everything is allowed and nothing understood. */
function permissive(): SessionEnvironment {
  const effective = { unrestricted: true, session: { rows: null, readOnly: false, statementTimeout: null } };
  return {
    statementBytes: 200_000,
    policies: () => ({ effective, revision: '', timed: false }),
    analyze: () => ({ kind: 'NotUnderstood', reason: 'not here', hint: '' }),
    decide: () => ({ verdict: 'Allow', by: null, shadow: [] }),
    over: () => null,
    pinned: { readOnly: false, statementTimeout: null },
    usage: { exhausted: () => null, addStatement() {}, allowance: () => null, addResult() {} },
  } as unknown as SessionEnvironment;
}

test('while records are being written no more than a bounded number of bytes is read ahead, and none is lost', async () => {
  let written = (): void => {};
  let patient = true;
  const settle: AuditLog['settle'] = (done) => {
    if (patient) written = () => done(null);
    else done(null);
  };
  const { client, clientSide, forwarded } = await startPump({ environment: permissive(), settle });
  const query = encodeQuery(Buffer.alloc(100_000, 'x'));
  for (let i = 0; i < 300; i++) client.write(query);
  await expect.poll(() => clientSide.isPaused()).toBe(true);
  expect(clientSide.bytesRead).toBeLessThan(2 * 1024 * 1024);
  expect(forwarded).toEqual([]);
  patient = false;
  written();
  const total = () => forwarded.reduce((sum, { length }) => sum + length, 0);
  await expect.poll(total, { timeout: 5000 }).toBe(300 * query.length);
});

test('a client that sends without end while the server owes it answers is not read without end', async () => {
  const { client, clientSide, server } = await startPump({ environment: permissive(), settle: (done) => done(null) });
  const queries = Buffer.concat(Array.from({ length: 1000 }, () => encodeQuery(Buffer.from('x'))));
  for (let i = 0; i < 200; i++) client.write(queries);
  await expect.poll(() => clientSide.isPaused(), { timeout: 5000 }).toBe(true);
  const read = clientSide.bytesRead;
  expect(read).toBeLessThan(queries.length * 80); // of 200: what 32,768 are, and some chunks on their way
  const answer = Buffer.concat([encodeCommandComplete('SELECT 0'), encodeReadyForQuery('I')]);
  server.write(Buffer.concat(Array.from({ length: 30_000 }, () => answer)));
  client.resume();
  await expect.poll(() => clientSide.bytesRead, { timeout: 5000 }).toBeGreaterThan(read);
});
