import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeCommandComplete, encodeDataRow } from '../../gateway/wire/backend.ts';
import { ProtocolError } from '../../gateway/wire/errors.ts';
import { decodeBindHead, encodeBind, encodeCopyData, encodeQuery, encodeSync } from '../../gateway/wire/frontend.ts';
import { BACKEND, type Direction, FRONTEND } from '../../gateway/wire/types.ts';
import { fuzzRuns } from '../kit/fuzz.ts';
import { cut, messagesOf, readAll, readerOf } from './samples.ts';

const DIRECTIONS: readonly Direction[] = ['frontend', 'backend'];
const STREAMED = {
  frontend: new Set<number>([FRONTEND.CopyData]),
  backend: new Set<number>([BACKEND.DataRow, BACKEND.CopyData, BACKEND.FunctionCallResponse]),
};

/** What must not depend on how the bytes were split: messages as they are, streamed ones counted and joined. */
function digest(steps: readonly { kind: string; type: number; raw: Buffer; count?: number }[]): string[] {
  const out: string[] = [];
  let run: { type: number; bytes: string; count: number } | null = null;
  const flush = () => {
    if (run !== null) out.push(`${run.count} × ${run.type}: ${run.bytes}`);
    run = null;
  };
  for (const step of steps) {
    if (step.kind !== 'run' || (run !== null && run.type !== step.type)) flush();
    if (step.kind === 'run') {
      run ??= { type: step.type, bytes: '', count: 0 };
      run.bytes += step.raw.toString('hex');
      run.count += step.count ?? 0;
    } else out.push(`${step.kind} ${step.raw.toString('hex')}`);
  }
  flush();
  return out;
}

test('chunks that are pushed between steps come out in the order in which they were pushed', () => {
  const reader = readerOf('frontend');
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((text) => encodeQuery(Buffer.from(text)));
  reader.push(Buffer.concat([a!, b!]));
  reader.push(c!);
  const raws = [reader.next()?.raw, reader.next()?.raw];
  reader.push(d!); // the first chunk is used up, the second one still waits
  raws.push(reader.next()?.raw, reader.next()?.raw);
  expect(raws).toEqual([a, b, c, d]);
});

describe.each(DIRECTIONS)('framing of the %s', (direction) => {
  const messages = messagesOf(direction);
  const stream = Buffer.concat(messages);

  test('every message, split at every byte, comes out whole', () => {
    for (const message of messages) {
      for (let at = 0; at < message.length; at++) {
        const { steps, error } = readAll(readerOf(direction), cut(message, [at]));
        expect(error).toBeNull();
        expect(steps.map((step) => [step.kind, step.raw])).toEqual([['message', message]]);
      }
    }
  });

  test('the whole stream byte by byte gives the same messages, rows streamed or not', () => {
    for (const streamed of [new Set<number>(), STREAMED[direction]]) {
      const whole = readAll(readerOf(direction, { streamed }), [stream]);
      const bytes = readAll(
        readerOf(direction, { streamed }),
        cut(
          stream,
          [...stream].map((_, i) => i),
        ),
      );
      expect(digest(bytes.steps)).toEqual(digest(whole.steps));
    }
  });

  test('any order, split and spill bound: the steps joined are the input, and say the same', () => {
    const order = fc.array(fc.constantFrom(...messages), { maxLength: 12 });
    const places = fc.array(fc.nat({ max: 600 }), { maxLength: 20 });
    fc.assert(
      fc.property(order, places, fc.integer({ min: 0, max: 60 }), (some, cuts, spill) => {
        const input = Buffer.concat(some);
        const options = { streamed: STREAMED[direction], spill: () => spill };
        const whole = readAll(readerOf(direction, options), [input]);
        const reader = readerOf(direction, options);
        const pieces = readAll(reader, cut(input, cuts));
        expect(Buffer.concat(pieces.steps.map((step) => step.raw))).toEqual(input);
        expect(digest(pieces.steps)).toEqual(digest(whole.steps));
        expect(reader.buffered).toBe(0);
        const ended = pieces.steps.map((step) => (step.kind === 'run' ? step.count : step.kind === 'message' ? 1 : 0));
        expect(ended.reduce((a, b) => a + b, 0)).toBe(some.length);
      }),
      { numRuns: fuzzRuns(300) },
    );
  });

  test('several chunks pushed before the first step are read in order', () => {
    const reader = readerOf(direction);
    for (const chunk of cut(stream, [3, 4, 50, 90])) reader.push(chunk);
    expect(reader.buffered).toBe(stream.length);
    expect(readAll(reader, [Buffer.alloc(0)]).steps.map((step) => step.raw)).toEqual(messages);
  });

  test('every type byte that the protocol does not list is refused at its header', () => {
    const known = new Set<number>(Object.values(direction === 'frontend' ? FRONTEND : BACKEND));
    for (let type = 0; type < 256; type++) {
      const { error } = readAll(readerOf(direction), [Buffer.from([type, 0, 0, 0, 200])]);
      if (known.has(type)) expect(error).toBeNull();
      else expect(error).toMatchObject({ code: 'POSTERN_PROTOCOL', sqlstate: '08P01' });
    }
  });
});

describe('views and memory', () => {
  const rows = Buffer.concat(Array.from({ length: 50 }, (_, i) => encodeDataRow([Buffer.alloc(i, 65)])));

  test('messages inside one chunk are views on it, and so are runs', () => {
    const chunk = Buffer.from(Buffer.concat([rows, encodeCommandComplete('SELECT 50')]));
    const { steps } = readAll(readerOf('backend', { streamed: STREAMED.backend }), [chunk]);
    expect(steps.map((step) => step.kind)).toEqual(['run', 'message']);
    expect(steps[0]).toMatchObject({ count: 50, raw: rows });
    for (const step of steps) expect(step.raw.buffer).toBe(chunk.buffer);
  });

  test('once next returned null the chunk may be overwritten: nothing held is a view on it', () => {
    const stream = Buffer.concat(messagesOf('frontend'));
    const memory = Buffer.alloc(7);
    const reader = readerOf('frontend');
    const seen: Buffer[] = [];
    for (let at = 0; at < stream.length; at += 7) {
      const size = stream.copy(memory, 0, at, at + 7);
      reader.push(memory.subarray(0, size));
      for (let step = reader.next(); step !== null; step = reader.next()) seen.push(Buffer.from(step.raw));
      memory.fill(0xee);
    }
    expect(seen).toEqual(messagesOf('frontend'));
  });

  test('rows of a value larger than any chunk are passed on as they come', () => {
    const row = encodeDataRow([Buffer.alloc(300_000, 66)]);
    const reader = readerOf('backend', { streamed: STREAMED.backend });
    let most = 0;
    let count = 0;
    for (let at = 0; at < row.length; at += 65_536) {
      reader.push(row.subarray(at, at + 65_536));
      for (let step = reader.next(); step !== null; step = reader.next()) if (step.kind === 'run') count += step.count;
      most = Math.max(most, reader.buffered);
    }
    expect({ most, count }).toEqual({ most: 0, count: 1 });
  });

  test('a spilled message holds no more than the spill bound, whatever it announces', () => {
    const reader = readerOf('frontend', { spill: () => 1000 });
    const header = Buffer.from([FRONTEND.Query, 0x3f, 0xff, 0xff, 0xff]);
    const { steps } = readAll(reader, [header, ...Array.from({ length: 9 }, () => Buffer.alloc(300, 65))]);
    expect(steps[0]).toMatchObject({ kind: 'head', total: 0x40000000 });
    expect(steps[0]!.raw).toHaveLength(1000);
    expect(steps.slice(1).every((step) => step.kind === 'run' && step.count === 0)).toBe(true);
    expect(reader.buffered).toBe(0);
  });

  test('a length field alone makes the reader allocate next to nothing', () => {
    const before = process.memoryUsage().arrayBuffers;
    const readers = Array.from({ length: 200 }, () => {
      const reader = readerOf('frontend', { spill: () => 1 << 20 });
      readAll(reader, [Buffer.from([FRONTEND.Query, 0, 0x0f, 0xff, 0, 1, 2, 3])]);
      return reader;
    });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20);
    expect(readers.every((reader) => reader.buffered === 8)).toBe(true);
  });
});

describe('spilled messages', () => {
  const bind = encodeBind({
    portal: 'p',
    statement: 's',
    formats: [1],
    parameters: [Buffer.from('first'), null, Buffer.alloc(5000, 7), Buffer.from('last')],
    resultFormats: [],
  });

  test('the head of a Bind tells its names and the parameters that are fully present', () => {
    const { steps } = readAll(readerOf('frontend', { spill: () => 200 }), [Buffer.concat([bind, encodeSync()])]);
    expect(steps.map((step) => step.kind)).toEqual(['head', 'run', 'message']);
    expect(decodeBindHead(steps[0]!.raw)).toEqual({
      portal: 'p',
      statement: 's',
      formats: [1],
      parameters: [Buffer.from('first'), null],
      parameterCount: 4,
    });
  });

  test('a head cut anywhere gives a prefix of the parameters or a ProtocolError', () => {
    for (let size = 5; size <= 60; size++) {
      try {
        expect([Buffer.from('first'), null].slice(0, decodeBindHead(bind.subarray(0, size)).parameters.length)).toEqual(
          decodeBindHead(bind.subarray(0, size)).parameters,
        );
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError);
        expect(size).toBeLessThan(bind.indexOf('first'));
      }
    }
  });

  test('a negative parameter length in a head is refused', () => {
    const head = Buffer.from(bind.subarray(0, 60));
    head.writeInt32BE(-2, head.indexOf('first') - 4);
    expect(() => decodeBindHead(head)).toThrow(ProtocolError);
  });

  test('a message exactly as long as the bound is whole; one byte longer spills', () => {
    const query = encodeQuery(Buffer.alloc(94, 65));
    expect(readAll(readerOf('frontend', { spill: () => 100 }), [query]).steps[0]).toMatchObject({ kind: 'message' });
    expect(readAll(readerOf('frontend', { spill: () => 99 }), [query]).steps[0]).toMatchObject({ kind: 'head' });
  });
});

describe('limits', () => {
  test('limits are asked at every message, so that they can change after the login', () => {
    let limit = 10;
    const reader = readerOf('frontend', { maxLength: () => limit });
    expect(readAll(reader, [encodeSync()]).error).toBeNull();
    limit = 100;
    expect(readAll(reader, [encodeQuery(Buffer.alloc(80, 65))]).error).toBeNull();
    limit = 20;
    expect(readAll(reader, [encodeQuery(Buffer.alloc(80, 65))]).error).toBeInstanceOf(ProtocolError);
  });

  test.each([0, 1, 2, 3, 0x40000000, 0x7fffffff, 0x80000000, 0xffffffff])(
    'a length field of %i behind good rows: the rows are delivered, then the error, and it stays',
    (length) => {
      const row = encodeCopyData(Buffer.from('a\n'));
      const bad = Buffer.from([FRONTEND.CopyData, 0, 0, 0, 0]);
      bad.writeUInt32BE(length, 1);
      for (const at of [0, 1, row.length, row.length + 3]) {
        const reader = readerOf('frontend', { streamed: STREAMED.frontend });
        const { steps, error } = readAll(reader, cut(Buffer.concat([row, bad]), [at]));
        expect(Buffer.concat(steps.map((step) => step.raw))).toEqual(row);
        expect(error).toBeInstanceOf(ProtocolError);
        reader.push(encodeSync());
        expect(() => reader.next()).toThrow(error!);
        expect(reader.buffered).toBe(0);
      }
    },
  );

  test('rest takes out everything unread, for the one who takes the socket over', () => {
    const reader = readerOf('frontend');
    const following = Buffer.concat([encodeSync(), encodeQuery(Buffer.from('SELECT 1')), Buffer.from('Q\0')]);
    const [first, second] = cut(following, [7]) as [Buffer, Buffer];
    reader.push(first);
    expect(reader.next()).toMatchObject({ type: FRONTEND.Sync });
    expect(reader.next()).toBeNull();
    reader.push(second);
    expect(reader.rest()).toEqual(following.subarray(5));
    expect(reader.buffered).toBe(0);
    expect(reader.next()).toBeNull();
  });
});
