import { spawn } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventsOf, faults, linesOf, open, scratch, settled } from './kit.ts';

const CHILD = new URL('./crash-child.ts', import.meta.url).pathname;

let room: ReturnType<typeof scratch>;

beforeEach(() => {
  room = scratch();
});

afterEach(() => room.remove());

/** Runs the child until `enough` holds for what it has said, kills it with SIGKILL, and gives what it had said. */
function run(command: string, args: readonly string[], enough: (said: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    let errors = '';
    child.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    child.stdout.on('data', (chunk) => {
      said += chunk;
      if (enough(said)) {
        child.kill('SIGKILL');
      }
    });
    // A child that never says enough must not outlive the test.
    const late = setTimeout(() => {
      errors += `killed after: ${said.slice(-200)}`;
      child.kill('SIGTERM');
    }, 15_000);
    child.on('error', reject);
    child.on('close', (_code, signal) => {
      clearTimeout(late);
      if (signal === 'SIGKILL') {
        resolve(said);
      } else {
        reject(new Error(errors));
      }
    });
  });
}

function acknowledged(said: string): number[] {
  return said
    .split('\n')
    .slice(0, -1)
    .filter((line) => /^\d+$/.test(line))
    .map(Number);
}

describe('kill -9', () => {
  const cases = [
    { durability: 'Written', after: 500 },
    { durability: 'Written', after: 3 },
    { durability: 'Synced', after: 100 },
  ];
  it.each(cases)(
    'after $after statements of $durability: nothing acknowledged is lost',
    async ({ durability, after }) => {
      const said = await run(
        process.execPath,
        [CHILD, room.path, durability],
        (all) => acknowledged(all).length >= after,
      );
      const log = await open(room.path);
      expect(await settled(log)).toBeNull();
      await log.close();
      const events = eventsOf(room.path);
      const intents = new Set(
        events.filter((e) => e.metadata.event_code === 'intent').map((e) => e.unmapped.postern.statement),
      );
      expect(acknowledged(said).filter((statement) => !intents.has(statement))).toEqual([]);
      expect(linesOf(room.path).flatMap(faults)).toEqual([]);
      expect(events.map((event) => event.metadata.sequence)).toEqual(events.map((_, i) => i));
      // The killed run has no log_stop before the next log_start: that is how a reader sees it.
      const codes = events.map((event) => event.metadata.event_code).filter((code) => code.startsWith('log_'));
      expect(codes.filter((code) => code !== 'log_repair')).toEqual(['log_start', 'log_start', 'log_stop']);
    },
  );
});

describe('a full disk', () => {
  it('as a file-size limit: refused in mid-record, nothing torn, and on in the next segment', async () => {
    const script = `ulimit -f 64; exec "${process.execPath}" "${CHILD}" "${room.path}" Written`;
    const said = await run('bash', ['-c', script], (all) => /! EFBIG[\s\S]*=\n/.test(all));
    const log = await open(room.path);
    expect(await settled(log)).toBeNull();
    await log.close();
    expect(linesOf(room.path).flatMap(faults)).toEqual([]);
    const events = eventsOf(room.path);
    expect(events.map((event) => event.metadata.sequence)).toEqual(events.map((_, i) => i));
    const gap = events.find((event) => event.metadata.event_code === 'log_gap');
    expect(gap.unmapped.postern).toMatchObject({ reason: 'EFBIG', lost: 0 });
    expect(gap.unmapped.postern.refused).toBeGreaterThan(0);
    const intents = new Set(events.flatMap((e) => e.unmapped.postern.statement ?? []));
    expect(acknowledged(said).filter((statement) => !intents.has(statement))).toEqual([]);
  });
});
