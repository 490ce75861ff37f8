import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { encodeDataRow, encodeReadyForQuery, encodeRowDescription } from '../../gateway/wire/backend.ts';
import * as frontend from '../../gateway/wire/frontend.ts';
import { type Bench, closeAll, permissive, startPump } from './pump-bench.ts';

/*
 * What the gateway says of its own to either side stands between messages, never in one: bytes in the middle of a message
 * would be read as a part of it, and what they push out of its end as a message that nobody has judged.
 */
afterEach(closeAll);

const bind = (size: number) =>
  frontend.encodeBind({
    portal: '',
    statement: 's',
    formats: [],
    parameters: [Buffer.alloc(size, 'x')],
    resultFormats: [],
  });
const sql = (text: string) => frontend.encodeQuery(Buffer.from(text));
const parse = (text: string) => frontend.encodeParse({ statement: 's', text: Buffer.from(text), parameterTypes: [] });
const call = (size: number) =>
  frontend.encodeFunctionCall({
    functionOid: 1,
    formats: [],
    parameters: [Buffer.alloc(size, 'x')],
    resultFormat: 0,
  });
const FLUSH = frontend.encodeFlush().toString('latin1');
const TERMINATE = frontend.encodeTerminate().toString('latin1');

/** What a server would make of the bytes: whole messages, and what is left of one. */
function messages(bytes: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + (at + 5 <= bytes.length ? bytes.readUInt32BE(at + 1) : 5);
    found.push(bytes.toString('latin1', at, end));
    at = end;
  }
  return found;
}

const total = ({ forwarded }: Bench) => forwarded.reduce((sum, { length }) => sum + length, 0);

test.each([32_760, 32_765, 32_766, 32_767, 32_768])(
  'nothing of ours comes into the middle of a message, however much is outstanding: %d',
  async (outstanding) => {
    const bench = await startPump({ environment: permissive(), settle: (done) => done(null) });
    const large = bind(3_000_000);
    const close = frontend.encodeClose('S', 'none');
    const sent = Buffer.concat([...Array.from({ length: outstanding }, () => close), large]);
    bench.client.write(sent);
    await expect.poll(() => total(bench), { timeout: 5000 }).toBeGreaterThanOrEqual(outstanding * close.length);
    bench.server.write(Buffer.concat(Array.from({ length: outstanding }, () => Buffer.from('3\0\0\0\x04', 'latin1'))));
    bench.client.resume();
    await expect.poll(() => total(bench), { timeout: 5000 }).toBeGreaterThanOrEqual(sent.length);
    const ended = once(bench.server, 'end');
    bench.pump.terminate('Drain', { code: '57P01', message: 'drained' });
    await ended;
    const seen = messages(Buffer.concat(bench.forwarded)).filter(
      (message) => message !== FLUSH && message !== TERMINATE,
    );
    expect(seen.length).toBe(outstanding + 1);
    expect(seen.at(-1) === large.toString('latin1')).toBe(true);
  },
);

const LONG: Readonly<Record<string, Buffer>> = {
  Query: sql(`SELECT ${'1,'.repeat(150_000)} 1`),
  Parse: parse(`SELECT ${'1,'.repeat(150_000)} 1`),
  Bind: bind(1_200_000),
  FunctionCall: call(1_200_000),
};

describe.each(Object.entries(LONG))(
  'what stops short is not completed by the end of its session: %s',
  (_name, message) => {
    const ENDS: Readonly<Record<string, (bench: Bench) => void>> = {
      'the end of the stream': ({ client }) => client.end(),
      'a reset': ({ client }) => client.resetAndDestroy(),
      'a drain': ({ pump }) => pump.terminate('Drain', { code: '57P01', message: 'drained' }),
    };
    test.each(
      Object.entries(ENDS).flatMap(([how, end]) => [1, 2, 3, 4, 5, 6].map((lacks) => [lacks, how, end] as const)),
    )('lacking %d bytes, by %s', async (lacks, _how, end) => {
      const bench = await startPump({ environment: permissive(), settle: (done) => done(null) });
      const short = message.subarray(0, message.length - lacks);
      bench.client.write(short);
      await expect.poll(() => total(bench), { timeout: 5000 }).toBe(short.length);
      const ended = once(bench.server, 'end');
      end(bench);
      await ended;
      expect(total(bench)).toBe(short.length);
    });
  },
);

test('the end of a session between messages says so to the server', async () => {
  const bench = await startPump({ environment: permissive(), settle: (done) => done(null) });
  const whole = bind(1_200_000);
  bench.client.write(whole);
  await expect.poll(() => total(bench), { timeout: 5000 }).toBe(whole.length);
  const ended = once(bench.server, 'end');
  bench.pump.terminate('Drain', { code: '57P01', message: 'drained' });
  await ended;
  expect(messages(Buffer.concat(bench.forwarded)).at(-1)).toBe(TERMINATE);
});

describe('the last words to a client', () => {
  const row = encodeDataRow([Buffer.alloc(200, 'r')]);
  const description = encodeRowDescription([]);

  async function halfway(bytes: Buffer): Promise<{ readonly bench: Bench; readonly got: Buffer[] }> {
    const bench = await startPump({ environment: permissive(), settle: (done) => done(null) });
    const got: Buffer[] = [];
    bench.client.on('data', (chunk) => got.push(chunk));
    bench.client.write(sql('SELECT'));
    await expect.poll(() => bench.forwarded.length).toBe(1);
    bench.server.write(Buffer.concat([description, bytes]));
    await expect.poll(() => Buffer.concat(got).length).toBe(description.length + bytes.length);
    return { bench, got };
  }

  test.each([1, 50, 200])('are not taken for the rest of a row that lacks %d bytes', async (lacks) => {
    const { bench, got } = await halfway(row.subarray(0, row.length - lacks));
    const ended = once(bench.client, 'end');
    bench.pump.terminate('Drain', { code: '57P01', message: 'drained' });
    await ended;
    expect(Buffer.concat(got).length).toBe(description.length + row.length - lacks);
  });

  test.each([row, Buffer.concat([row, encodeReadyForQuery('I')])])('follow a whole message', async (bytes) => {
    const { bench, got } = await halfway(bytes);
    const ended = once(bench.client, 'end');
    bench.pump.terminate('Drain', { code: '57P01', message: 'drained' });
    await ended;
    expect(messages(Buffer.concat(got)).at(-1)).toMatch(/^E.*57P01/s);
  });

  test('reach a client that is not read at the moment, though it goes on sending', async () => {
    const bench = await startPump({ environment: permissive(), settle() {} });
    const query = sql('x'.repeat(100_000));
    for (let i = 0; i < 200; i++) bench.client.write(query);
    await expect.poll(() => bench.clientSide.isPaused()).toBe(true);
    const got: Buffer[] = [];
    const reset = new Promise((resolve) => bench.client.once('error', resolve));
    bench.pump.terminate('Drain', { code: '57P01', message: 'drained' });
    await new Promise((resolve) => setTimeout(resolve, 2500));
    bench.client.on('data', (chunk) => got.push(chunk));
    await Promise.race([once(bench.client, 'end'), reset]);
    expect(Buffer.concat(got).toString('latin1')).toContain('57P01');
  });
});
