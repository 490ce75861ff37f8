import * as nodeFs from 'node:fs';
import {
  appendFileSync,
  closeSync,
  constants,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AuditLogOptions } from '../../gateway/audit/options.ts';
import type { AuditLog } from '../../gateway/audit/record.ts';
import {
  counted,
  type Event,
  eventsOf,
  eventually,
  failure,
  faults,
  fsWith,
  intent,
  linesOf,
  notebook,
  open,
  outcome,
  SESSION,
  scratch,
  segmentsOf,
  settled,
} from './kit.ts';

let room: ReturnType<typeof scratch>;
const logs: AuditLog[] = [];

beforeEach(() => {
  room = scratch();
});

afterEach(async () => {
  await Promise.all(logs.splice(0).map((log) => log.close()));
  room.remove();
});

async function started(change: Partial<AuditLogOptions> = {}): Promise<AuditLog> {
  const log = await open(room.path, change);
  logs.push(log);
  return log;
}

function gapOf(events: readonly Event[]): Event {
  return events.find((event) => event.metadata.event_code === 'log_gap')?.unmapped.postern;
}

function sequences(events: readonly Event[]): number[] {
  return events.map((event) => event.metadata.sequence);
}

function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}

describe('a disk that fails', () => {
  const codes = ['ENOSPC', 'EROFS', 'EIO', 'EDQUOT'];
  it.each(codes)('with %s refuses, then tells about the gap and loses nothing', async (code) => {
    let broken = false;
    const report = counted();
    const book = notebook();
    const fs = fsWith({
      writeSync(fd, buffer, offset, length) {
        if (broken) {
          throw failure(code);
        }
        return nodeFs.writeSync(fd, buffer, offset, length);
      },
    });
    const log = await started({ fs, metrics: report.metrics, log: book.log });
    const session = log.session(SESSION);
    session.record(intent(1));
    expect(await settled(log)).toBeNull();
    broken = true;
    session.record(intent(2));
    expect(await settled(log)).toMatchObject({ code: 'Unavailable', message: code });
    session.record(outcome(2, { status: 'Denied', sqlstate: '58030', tag: null }));
    expect(await settled(log)).toMatchObject({ code: 'Unavailable' });
    expect(log.state).toEqual({ available: false, reason: code });
    expect(report.unavailable).toBe(1);
    expect(report.counts.refused).toBe(2);
    expect(book.lines).toHaveLength(1);
    broken = false;
    await eventually(() => log.state.available);
    session.record(intent(3));
    expect(await settled(log)).toBeNull();
    const events = eventsOf(room.path);
    expect(linesOf(room.path).flatMap(faults)).toEqual([]);
    expect(sequences(events)).toEqual(range(events.length));
    expect(gapOf(events)).toMatchObject({ reason: code, refused: 2, unrecorded: 0, lost: 0 });
    expect(gapOf(events).duration).toBeGreaterThan(0);
    const statements = events.flatMap((event) => event.unmapped.postern.statement ?? []);
    expect(statements).toEqual([1, 2, 2, 3]);
    expect(report.unavailable).toBe(0);
  });

  it('lets statements pass with onFailure Allow, and counts and reports each', async () => {
    let broken = true;
    const report = counted();
    const fs = fsWith({
      writeSync(fd, buffer, offset, length) {
        if (broken) {
          throw failure('ENOSPC');
        }
        return nodeFs.writeSync(fd, buffer, offset, length);
      },
    });
    const log = await started({ fs, metrics: report.metrics, onFailure: 'Allow' });
    const session = log.session(SESSION);
    for (const statement of [1, 2, 3]) {
      session.record(intent(statement));
      expect(await settled(log)).toBeNull();
    }
    expect(log.state).toMatchObject({ available: false });
    expect(report.counts).toMatchObject({ unrecorded: 3, refused: 0 });
    broken = false;
    await eventually(() => log.state.available);
    await settled(log);
    expect(gapOf(eventsOf(room.path))).toMatchObject({ unrecorded: 3, refused: 0, reason: 'ENOSPC' });
  });

  it('keeps a bounded number of records in memory and counts what it loses', async () => {
    let broken = true;
    const report = counted();
    const fs = fsWith({
      writeSync(fd, buffer, offset, length) {
        if (broken) {
          throw failure('ENOSPC');
        }
        return nodeFs.writeSync(fd, buffer, offset, length);
      },
    });
    const log = await started({ fs, metrics: report.metrics });
    const session = log.session(SESSION);
    expect(await settled(log)).not.toBeNull();
    for (let statement = 1; statement <= 100; statement++) {
      session.record(intent(statement, { text: `select '${'x'.repeat(120_000)}'` }));
    }
    expect(report.counts.lost).toBeGreaterThan(20);
    const lost = report.counts.lost;
    broken = false;
    await eventually(() => log.state.available);
    await settled(log);
    const events = eventsOf(room.path);
    expect(gapOf(events).lost).toBe(lost);
    expect(sequences(events)).toEqual(range(events.length));
  });

  it('that takes half a batch and then nothing leaves no half record behind', async () => {
    let writes = 0;
    const fs = fsWith({
      writeSync(fd, buffer, offset, length) {
        writes++;
        if (writes === 2) {
          return nodeFs.writeSync(fd, buffer, offset, Math.floor(length / 2));
        }
        if (writes === 3) {
          throw failure('ENOSPC');
        }
        return nodeFs.writeSync(fd, buffer, offset, length);
      },
    });
    const log = await started({ fs });
    const session = log.session(SESSION);
    expect(await settled(log)).toBeNull();
    const before = readFileSync(segmentsOf(room.path)[0] as string);
    session.record(intent(1));
    expect(await settled(log)).not.toBeNull();
    expect(readFileSync(segmentsOf(room.path)[0] as string)).toEqual(before);
    await eventually(() => log.state.available);
    await settled(log);
    expect(linesOf(room.path).flatMap(faults)).toEqual([]);
    expect(sequences(eventsOf(room.path))).toEqual([0, 1, 2, 3]);
  });

  it('that writes a few bytes at a time is written to until all is there', async () => {
    const fs = fsWith({
      writeSync: (fd, buffer, offset, length) => nodeFs.writeSync(fd, buffer, offset, Math.min(length, 7)),
    });
    const log = await started({ fs });
    log.session(SESSION).record(intent(1));
    expect(await settled(log)).toBeNull();
    expect(linesOf(room.path).flatMap(faults)).toEqual([]);
    expect(linesOf(room.path)).toHaveLength(3);
  });

  it('that cannot even be cut is cut before the next record', async () => {
    let broken = false;
    let cuts = 0;
    const fs = fsWith({
      writeSync(fd, buffer, offset, length) {
        if (broken) {
          nodeFs.writeSync(fd, buffer, offset, 10);
          throw failure('EIO');
        }
        return nodeFs.writeSync(fd, buffer, offset, length);
      },
      ftruncateSync(fd, length) {
        cuts++;
        if (broken) {
          throw failure('EIO');
        }
        nodeFs.ftruncateSync(fd, length);
      },
    });
    const log = await started({ fs });
    const session = log.session(SESSION);
    await settled(log);
    broken = true;
    session.record(intent(1));
    expect(await settled(log)).not.toBeNull();
    broken = false;
    await eventually(() => log.state.available);
    await settled(log);
    expect(cuts).toBeGreaterThan(1);
    expect(linesOf(room.path).flatMap(faults)).toEqual([]);
  });

  it('a writer that was killed (its descriptor closed under it) opens the segment again', async () => {
    let current = -1;
    const fs = fsWith({
      openSync(path, flags, mode) {
        current = nodeFs.openSync(path, flags, mode);
        return current;
      },
    });
    const log = await started({ fs });
    const session = log.session(SESSION);
    expect(await settled(log)).toBeNull();
    closeSync(current);
    session.record(intent(1));
    expect(await settled(log)).toMatchObject({ message: 'EBADF' });
    await eventually(() => log.state.available);
    session.record(intent(2));
    expect(await settled(log)).toBeNull();
    expect(sequences(eventsOf(room.path))).toEqual(range(eventsOf(room.path).length));
    expect(gapOf(eventsOf(room.path))).toMatchObject({ reason: 'EBADF', refused: 1 });
  });

  it('a descriptor without the right to write is an unavailable log', async () => {
    let readOnly = true;
    const fs = fsWith({
      openSync: (path, flags, mode) =>
        readOnly ? openSync(path, constants.O_RDONLY | constants.O_CREAT, mode) : openSync(path, flags, mode),
    });
    const log = await started({ fs });
    expect(await settled(log)).toMatchObject({ code: 'Unavailable' });
    readOnly = false;
    await eventually(() => log.state.available);
    expect(await settled(log)).toBeNull();
  });

  it('a segment that somebody removes is followed by a new one with the next number', async () => {
    const log = await started();
    const session = log.session(SESSION);
    session.record(intent(1));
    expect(await settled(log)).toBeNull();
    await log.close();
    logs.splice(0);
    let broken = false;
    const again = await started({
      fs: fsWith({
        writeSync(fd, buffer, offset, length) {
          if (broken) {
            broken = false;
            throw failure('EIO');
          }
          return nodeFs.writeSync(fd, buffer, offset, length);
        },
      }),
    });
    expect(await settled(again)).toBeNull();
    const end = eventsOf(room.path).length;
    rmSync(segmentsOf(room.path)[0] as string);
    broken = true;
    again.session(SESSION);
    expect(await settled(again)).not.toBeNull();
    await eventually(() => again.state.available);
    await settled(again);
    expect(sequences(eventsOf(room.path))[0]).toBe(end);
  });
});

describe('Synced', () => {
  it('calls back after fdatasync, never before, and all that wait with one sync', async () => {
    const pending: (() => void)[] = [];
    let syncs = 0;
    const fs = fsWith({
      fdatasync(fd, done) {
        syncs++;
        pending.push(() => nodeFs.fdatasync(fd, done));
      },
    });
    const log = await started({ fs, durability: 'Synced' });
    const order: number[] = [];
    const session = log.session(SESSION);
    const wait = (n: number): void => {
      session.record(intent(n));
      log.settle((error) => order.push(error === null ? n : -n));
    };
    wait(1);
    await eventually(() => syncs === 1);
    wait(2);
    wait(3);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(order).toEqual([]);
    expect(linesOf(room.path)).toHaveLength(5);
    pending.shift()?.();
    await eventually(() => syncs === 2);
    expect(order).toEqual([1]);
    pending.shift()?.();
    await eventually(() => order.length === 3);
    expect(order).toEqual([1, 2, 3]);
    const closing = log.close();
    logs.splice(0);
    await eventually(() => pending.length > 0);
    pending.shift()?.();
    await closing;
  });

  it('refuses what a failed sync was to vouch for, and goes on in another segment', async () => {
    let broken = true;
    const fs = fsWith({
      fdatasync: (fd, done) => (broken ? setImmediate(() => done(failure('EIO'))) : nodeFs.fdatasync(fd, done)),
    });
    const log = await started({ fs, durability: 'Synced' });
    log.session(SESSION).record(intent(1));
    expect(await settled(log)).toMatchObject({ code: 'Unavailable' });
    expect(log.state).toMatchObject({ available: false, reason: 'EIO' });
    broken = false;
    for (let i = 0; i < 60 && !log.state.available; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(await settled(log)).toBeNull();
    expect(segmentsOf(room.path)).toHaveLength(2);
    expect(sequences(eventsOf(room.path))).toEqual([0, 1, 2, 3]);
  });
});

describe('Written', () => {
  it('syncs by itself within a second', async () => {
    let syncs = 0;
    const fs = fsWith({
      fdatasync(fd, done) {
        syncs++;
        nodeFs.fdatasync(fd, done);
      },
    });
    const log = await started({ fs });
    expect(await settled(log)).toBeNull();
    expect(syncs).toBe(0);
    await eventually(() => syncs === 1);
  });

  it('writes all records of a turn of the event loop at once, and never calls back synchronously', async () => {
    let writes = 0;
    const fs = fsWith({
      writeSync(fd, buffer, offset, length) {
        writes++;
        return nodeFs.writeSync(fd, buffer, offset, length);
      },
    });
    const log = await started({ fs });
    await settled(log);
    writes = 0;
    const session = log.session(SESSION);
    let called = 0;
    for (let i = 1; i <= 50; i++) {
      session.record(intent(i));
      log.settle(() => called++);
    }
    expect(called).toBe(0);
    await settled(log);
    expect([called, writes]).toEqual([50, 1]);
  });

  it('waits a few turns for those who go on to come, and for nobody who does not', async () => {
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    let writes = 0;
    const fs = fsWith({
      writeSync(...args) {
        writes += 1;
        return nodeFs.writeSync(...args);
      },
    });
    const log = await started({ fs });
    await settled(log);
    writes = 0;
    const done: Promise<Error | null>[] = [];
    const come = () => {
      log.session(SESSION).record(intent(1));
      done.push(settled(log));
    };
    come();
    await turn();
    expect(writes).toBe(1);
    for (let i = 0; i < 9; i++) {
      come();
      come();
      await turn();
    }
    await Promise.all(done);
    expect(writes).toBeGreaterThanOrEqual(3);
    expect(writes).toBeLessThanOrEqual(5);
  });

  it('keeps 10,000 records of 20 sessions in order while all of them settle', async () => {
    const log = await started();
    const called: number[] = [];
    let n = 0;
    await Promise.all(
      Array.from({ length: 20 }, async (_, who) => {
        const session = log.session({ ...SESSION, id: `s${who}` });
        for (let i = 1; i <= 250; i++) {
          session.record(intent(i));
          const ticket = n++;
          await new Promise<void>((resolve) =>
            log.settle((error) => {
              expect(error).toBeNull();
              called.push(ticket);
              resolve();
            }),
          );
          session.record(outcome(i));
        }
      }),
    );
    await settled(log);
    const events = eventsOf(room.path);
    expect(called).toEqual(range(5000));
    expect(sequences(events)).toEqual(range(10_021));
    for (let who = 0; who < 20; who++) {
      const own = events.filter((e) => e.actor?.session.uid === `s${who}` && e.unmapped.postern.statement);
      const expected = Array.from({ length: 250 }, (_, i) => [`intent ${i + 1}`, `outcome ${i + 1}`]).flat();
      expect(own.map((e) => `${e.metadata.event_code} ${e.unmapped.postern.statement}`)).toEqual(expected);
    }
  });

  it('a record that cannot be rendered fails the statement that waits for it', async () => {
    const log = await started();
    const session = log.session(SESSION);
    const impossible = Object.defineProperty({ ...intent(1) }, 'text', {
      get() {
        throw new Error('no text');
      },
    });
    session.record(impossible);
    expect(await settled(log)).toMatchObject({ code: 'Unavailable' });
    session.record(intent(2));
    expect(await settled(log)).toBeNull();
  });

  it('a callback that throws disturbs no other', async () => {
    const log = await started();
    log.settle(() => {
      throw new Error('callback');
    });
    expect(await settled(log)).toBeNull();
  });

  it('a closed log refuses', async () => {
    const log = await started();
    await log.close();
    expect(await settled(log)).toMatchObject({ code: 'Unavailable' });
  });
});

describe('segments', () => {
  it('are closed by size and named by their first index', async () => {
    const log = await started({ segmentBytes: 10_000 });
    const session = log.session(SESSION);
    for (let i = 1; i <= 50; i++) {
      session.record(intent(i));
      expect(await settled(log)).toBeNull();
    }
    const paths = segmentsOf(room.path);
    expect(paths.length).toBeGreaterThan(4);
    for (const path of paths) {
      const first: Event = JSON.parse(readFileSync(path, 'utf8').split('\n')[0] as string);
      expect(path.endsWith(`/${String(first.metadata.sequence).padStart(20, '0')}.ndjson`)).toBe(true);
    }
    expect(sequences(eventsOf(room.path))).toEqual(range(52));
  });

  it('a full spool without a sink refuses, and says why', async () => {
    const log = await started({ spoolBytes: 20_000 });
    const session = log.session(SESSION);
    let error: Error | null = null;
    for (let i = 1; i <= 50 && error === null; i++) {
      session.record(intent(i));
      error = await settled(log);
    }
    expect(error?.message).toContain('full of records that no sink has taken');
    expect(log.state.available).toBe(false);
  });

  it('a spool makes room by removing what every sink has, and nothing else', async () => {
    let open = true;
    const taken: number[] = [];
    const sink = {
      name: 'all',
      send(lines: Buffer, _first: number, count: number) {
        if (!open) {
          return Promise.reject(new Error('closed'));
        }
        const events = lines.toString().trim().split('\n');
        expect(events).toHaveLength(count);
        taken.push(...events.map((line) => JSON.parse(line).metadata.sequence));
        return Promise.resolve();
      },
    };
    const log = await started({ spoolBytes: 40_000, durability: 'Synced', sinks: [sink] });
    const session = log.session(SESSION);
    for (let i = 1; i <= 100; i++) {
      session.record(intent(i));
      expect(await settled(log)).toBeNull();
      if (i % 5 === 0) {
        await eventually(() => taken.length === i + 2);
      }
    }
    expect(sequences(eventsOf(room.path))[0]).toBeGreaterThan(40);
    expect(taken).toEqual(range(102));
    open = false;
    let error: Error | null = null;
    for (let i = 101; i <= 200 && error === null; i++) {
      session.record(intent(i));
      error = await settled(log);
    }
    expect(error?.message).toContain('full of records');
    expect(sequences(eventsOf(room.path))[0]).toBeLessThanOrEqual(102);
    open = true;
    for (let i = 0; i < 100 && !log.state.available; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(log.state.available).toBe(true);
  });
});

describe('opening', () => {
  it('continues the log that the directory holds', async () => {
    const first = await started();
    first.session(SESSION).record(intent(1));
    await settled(first);
    await first.close();
    const second = await started();
    second.session(SESSION).record(intent(1));
    await settled(second);
    const events = eventsOf(room.path);
    expect(sequences(events)).toEqual(range(7));
    expect(new Set(events.map((event) => event.metadata.log_name)).size).toBe(1);
    expect(events.map((event) => event.metadata.event_code)).toEqual([
      'log_start',
      'session_start',
      'intent',
      'log_stop',
      'log_start',
      'session_start',
      'intent',
    ]);
  });

  const ends = [
    { name: 'half a line', torn: '{"activity_id":4,"activ' },
    { name: 'half a line after a whole one that is none', torn: '\u0000\u0000\u0000\n{"a":1}\n' },
    { name: 'zeros', torn: '\u0000'.repeat(4096) },
  ];
  it.each(ends)('sets a torn end aside and says so: $name', async ({ torn }) => {
    const first = await started();
    await settled(first);
    await first.close();
    const segment = segmentsOf(room.path)[0] as string;
    appendFileSync(segment, torn);
    const second = await started();
    expect(await settled(second)).toBeNull();
    const events = eventsOf(room.path);
    expect(sequences(events)).toEqual([0, 1, 2, 3]);
    expect(events[2].metadata.event_code).toBe('log_repair');
    expect(linesOf(room.path).flatMap(faults)).toEqual([]);
    const { bytes, file } = events[2].unmapped.postern;
    expect(bytes).toBe(torn.length);
    expect(readFileSync(join(dirname(segment), file), 'utf8')).toBe(torn);
  });

  it('gives no number twice that a sink already has', async () => {
    const first = await started({ sinks: [{ name: 'far', send: () => Promise.resolve() }] });
    await settled(first);
    await first.close();
    const cursor = readdirSync(dirname(segmentsOf(room.path)[0] as string)).find((name) => name.endsWith('.cursor'));
    const path = join(dirname(segmentsOf(room.path)[0] as string), cursor as string);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ index: 2 });
    writeFileSync(path, '{"index":7}');
    const second = await started({ sinks: [{ name: 'far', send: () => Promise.resolve() }] });
    await settled(second);
    const events = eventsOf(room.path);
    expect(sequences(events)).toEqual([0, 1, 7, 8]);
    expect(events[2].unmapped.postern).toMatchObject({ missing: 5, bytes: 0 });
    await second.close();
    const third = await started({ sinks: [{ name: 'far', send: () => Promise.resolve() }] });
    await settled(third);
    expect(sequences(eventsOf(room.path))).toEqual([0, 1, 7, 8, 9, 10]);
  });

  it('refuses a directory that another log has open, in words', async () => {
    await started();
    await expect(open(room.path)).rejects.toMatchObject({ code: 'InUse' });
  });

  it('takes over the lock of a process that is gone', async () => {
    writeFileSync(join(room.path, 'lock'), '999999999 1\n');
    expect(await settled(await started())).toBeNull();
  });

  it('takes over the lock of an earlier process with its own number', async () => {
    writeFileSync(join(room.path, 'lock'), `${process.pid} 1\n`);
    expect(await settled(await started())).toBeNull();
  });

  it('refuses the directory of another gateway', async () => {
    await (await started()).close();
    await expect(open(room.path, { gateway: { namespace: 'shop', name: 'other' } })).rejects.toMatchObject({
      code: 'WrongGateway',
    });
  });

  it('refuses a directory that cannot be made, and says which', async () => {
    const path = join(room.path, 'file');
    writeFileSync(path, '');
    await expect(open(join(path, 'audit'))).rejects.toMatchObject({
      code: 'Directory',
      message: expect.stringContaining(path),
    });
  });
});
