import { writeFileSync } from 'node:fs';
import { PassThrough, Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Sink } from '../../gateway/audit/options.ts';
import type { AuditLog } from '../../gateway/audit/record.ts';
import { createStdoutSink, openStdout } from '../../gateway/audit/stdout.ts';
import { counted, eventually, intent, linesOf, notebook, open, SESSION, scratch, settled } from './kit.ts';

let room: ReturnType<typeof scratch>;
const logs: AuditLog[] = [];

beforeEach(() => {
  room = scratch();
});

afterEach(async () => {
  await Promise.all(logs.splice(0).map((log) => log.close()));
  room.remove();
});

async function started(sinks: readonly Sink[], change: Parameters<typeof open>[1] = {}): Promise<AuditLog> {
  const log = await open(room.path, { sinks, ...change });
  logs.push(log);
  return log;
}

function numbers(lines: Buffer): number[] {
  return lines
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).metadata.sequence);
}

function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}

describe('a sink', () => {
  it('has every record within a second, in order, by index and count', async () => {
    const taken: number[] = [];
    const log = await started([
      {
        name: 'a',
        send(lines, first, count) {
          expect([taken.length, count]).toEqual([first, numbers(lines).length]);
          taken.push(...numbers(lines));
          return Promise.resolve();
        },
      },
    ]);
    const session = log.session(SESSION);
    for (let i = 1; i <= 100; i++) {
      session.record(intent(i));
    }
    await settled(log);
    const from = performance.now();
    await eventually(() => taken.length === 102);
    expect(performance.now() - from).toBeLessThan(1000);
    expect(taken).toEqual(range(102));
  });

  it('that fails gets the same records again, and nothing is skipped', async () => {
    const tries: number[] = [];
    const taken: number[] = [];
    const book = notebook();
    const log = await started(
      [
        {
          name: 'a',
          send(lines, first) {
            tries.push(first);
            if (tries.length <= 2) {
              return Promise.reject(new Error('connection refused'));
            }
            taken.push(...numbers(lines));
            return Promise.resolve();
          },
        },
      ],
      { log: book.log },
    );
    log.session(SESSION).record(intent(1));
    await eventually(() => taken.length === 3);
    expect(tries.slice(0, 3)).toEqual([0, 0, 0]);
    expect(taken).toEqual([0, 1, 2]);
    expect(book.lines.filter((line) => line.includes('connection refused'))).toHaveLength(2);
  });

  it('that is out from the start stops no statement, shows as lag, and gets everything after a restart', async () => {
    const report = counted();
    const first = await started([{ name: 'a', send: () => Promise.reject(new Error('down')) }], {
      metrics: report.metrics,
      closePatience: 100,
    });
    first.session(SESSION).record(intent(1));
    expect(await settled(first)).toBeNull();
    await eventually(() => (report.lags.get('a')?.() ?? 0) > 0);
    await first.close();
    logs.splice(0);
    const taken: number[] = [];
    const second = await started([
      {
        name: 'a',
        send(lines) {
          taken.push(...numbers(lines));
          return Promise.resolve();
        },
      },
    ]);
    await settled(second);
    await eventually(() => taken.length === 5);
    expect(taken).toEqual(range(5));
  }, 15_000);

  it('gets what came after its last answer again after a restart, and what came before not', async () => {
    const before: number[] = [];
    const first = await started([
      {
        name: 'a',
        send(lines) {
          before.push(...numbers(lines));
          return Promise.resolve();
        },
      },
    ]);
    await settled(first);
    await first.close();
    logs.splice(0);
    const after: number[] = [];
    const second = await started([
      {
        name: 'a',
        send(lines) {
          after.push(...numbers(lines));
          return Promise.resolve();
        },
      },
    ]);
    await settled(second);
    await eventually(() => after.length === 1);
    expect([...before, ...after]).toEqual([0, 1, 2]);
  });

  it('with an unreadable cursor gets everything again', async () => {
    const sink = (into: number[]): Sink => ({
      name: 'a/b',
      send(lines) {
        into.push(...numbers(lines));
        return Promise.resolve();
      },
    });
    const first = await started([sink([])]);
    await settled(first);
    await first.close();
    logs.splice(0);
    const { readdirSync } = await import('node:fs');
    const id = readdirSync(room.path, { withFileTypes: true }).find((entry) => entry.isDirectory())?.name;
    writeFileSync(`${room.path}/${id}/a%2Fb.cursor`, 'garbage');
    const taken: number[] = [];
    const second = await started([sink(taken)]);
    await settled(second);
    await eventually(() => taken.length === 3);
    expect(taken).toEqual([0, 1, 2]);
  });

  it('that is slow keeps neither another sink nor a statement waiting', async () => {
    const taken: number[] = [];
    let release: () => void = () => undefined;
    const slow = new Promise<void>((resolve) => {
      release = resolve;
    });
    const log = await started([
      { name: 'slow', send: () => slow },
      {
        name: 'quick',
        send(lines) {
          taken.push(...numbers(lines));
          return Promise.resolve();
        },
      },
    ]);
    log.session(SESSION).record(intent(1));
    expect(await settled(log)).toBeNull();
    await eventually(() => taken.length === 3);
    release();
  });

  it('gets records of many segments and lines longer than a read', async () => {
    const taken: number[] = [];
    const log = await started(
      [
        {
          name: 'a',
          send(lines) {
            taken.push(...numbers(lines));
            return Promise.resolve();
          },
        },
      ],
      { segmentBytes: 300_000, durability: 'Synced' },
    );
    const session = log.session(SESSION);
    for (let i = 1; i <= 12; i++) {
      session.record(intent(i, { text: `select '${'\u0001'.repeat(100_000)}'` }));
      expect(await settled(log)).toBeNull();
    }
    await eventually(() => taken.length === 14);
    expect(taken).toEqual(range(14));
  });
});

describe('stdout', () => {
  it('has one line of pino per event, the event as it stands in the log', async () => {
    const stream = new PassThrough();
    let text = '';
    stream.on('data', (chunk) => {
      text += chunk;
    });
    const log = await started([createStdoutSink('stdout', stream)]);
    log.session(SESSION).record(intent(1, { text: 'select \'"@event@"\'' }));
    await settled(log);
    await eventually(() => text.split('\n').length === 4);
    const lines = text.trim().split('\n');
    for (const [i, line] of lines.entries()) {
      const parsed = JSON.parse(line);
      expect(Object.keys(parsed)).toEqual(['level', 'time', 'event', 'msg']);
      expect(parsed).toMatchObject({ level: 30, msg: 'audit' });
      expect(line).toContain(linesOf(room.path)[i]);
    }
  });

  it('waits for a reader that is slow, and repeats what the stream did not take', async () => {
    const chunks: string[] = [];
    let calls = 0;
    const stream = new Writable({
      highWaterMark: 1,
      autoDestroy: false,
      write(chunk, _encoding, done) {
        calls++;
        setTimeout(() => {
          chunks.push(chunk.toString());
          done();
        }, 30);
      },
    });
    const log = await started([createStdoutSink('stdout', stream)]);
    const session = log.session(SESSION);
    for (let i = 1; i <= 300; i++) {
      session.record(intent(i, { text: 'x'.repeat(3000) }));
    }
    await settled(log);
    await eventually(() => chunks.join('').split('\n').length === 303);
    expect(calls).toBeGreaterThan(3);
    const sequences = chunks
      .join('')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).event.metadata.sequence);
    expect(sequences).toEqual(range(302));
  });

  it('rejects where the descriptor cannot be written, so that the records are kept', async () => {
    const sink = createStdoutSink('stdout', openStdout(999_999));
    await expect(sink.send(Buffer.from('{}\n'), 0, 1)).rejects.toMatchObject({ code: 'EBADF' });
  });
});
