import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import type { AuditLog } from '../../gateway/audit/record.ts';
import { decodeErrorResponse, encodeCommandComplete, encodeReadyForQuery } from '../../gateway/wire/backend.ts';
import { encodeQuery } from '../../gateway/wire/frontend.ts';
import { closeAll, permissive, startPump } from './pump-bench.ts';

afterEach(closeAll);

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

test('a cancel of what is being recorded waits until the server has it', async () => {
  const written: (() => void)[] = [];
  let cancels = 0;
  const settle: AuditLog['settle'] = (done) => written.push(() => done(null));
  const cancelUpstream = () => {
    cancels += 1;
    return Promise.resolve();
  };
  const { pump, client, server, forwarded } = await startPump({ environment: permissive(), settle, cancelUpstream });
  client.write(encodeQuery(Buffer.from('SELECT 1')));
  await expect.poll(() => written.length).toBe(1);
  const cancelled = Promise.all([pump.cancel(), pump.cancel()]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect([cancels, forwarded.length]).toEqual([0, 0]);
  const arrived = once(server, 'data');
  for (const done of written) done();
  await cancelled;
  expect(cancels).toBe(1);
  await arrived;
});
