import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RowMeter } from '../../gateway/session/row-meter.ts';
import { encodeDataRow } from '../../gateway/wire/backend.ts';

test('a row that is cut in two by the network passes as a whole or not at all', () => {
  const sizes = fc.array(fc.nat(40), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(
      sizes,
      fc.nat(30),
      fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 30 }),
      (rows, limit, cuts) => {
        const messages = rows.map((size) => encodeDataRow([Buffer.alloc(size, 'x')]));
        const wire = Buffer.concat(messages);
        const meter = new RowMeter();
        const passed: Buffer[] = [];
        let left = limit;
        for (const run of runsOf(messages, cuts)) {
          const { started, pass } = meter.feed(run, left);
          passed.push(run.subarray(0, pass));
          left = Math.max(0, left - started);
        }
        const whole = Buffer.concat(messages.slice(0, limit));
        expect(Buffer.concat(passed)).toEqual(whole);
        expect(wire.subarray(0, whole.length)).toEqual(whole);
      },
    ),
  );
});

/** Runs as the reader gives them: cut anywhere but within a header. */
function runsOf(messages: readonly Buffer[], cuts: readonly number[]): Buffer[] {
  const wire = Buffer.concat(messages);
  const headers = new Set<number>();
  let at = 0;
  for (const { length } of messages) {
    for (let i = 1; i < 5; i++) headers.add(at + i);
    at += length;
  }
  const runs: Buffer[] = [];
  let from = 0;
  let to = 0;
  for (const cut of cuts) {
    to += cut;
    if (to >= wire.length || headers.has(to)) continue;
    runs.push(wire.subarray(from, to));
    from = to;
  }
  return [...runs, wire.subarray(from)];
}
