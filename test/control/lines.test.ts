import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GatewayReport, MAX_UP_LINE } from '../../gateway/config/control.ts';
import {
  boundReport,
  ControlError,
  encodeLine,
  LineReader,
  readDown,
  readUp,
} from '../../gateway/config/control-lines.ts';

const REPORT: GatewayReport = {
  type: 'Report',
  revision: 'a'.repeat(64),
  sequence: 7,
  refused: { revision: null, errors: ['document: is not JSON'] },
  sessions: 3,
  draining: false,
  unenforced: [{ kind: 'MaskingRule', namespace: 'shop', name: 'cards', reason: 'not yet' }],
  findings: [{ kind: 'AccessPolicy', namespace: 'shop', name: 'a', path: 'spec.role', message: 'no such role' }],
};
const CONFIGURATION = { type: 'Configuration', revision: 'b'.repeat(64), sequence: 8, document: 'H4sI' } as const;

describe('LineReader', () => {
  it('gives the same lines however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\n', ' ').toWellFormed())),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        (lines, steps) => {
          const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
          const reader = new LineReader(1_000_000);
          const read: string[] = [];
          for (let at = 0, i = 0; at < bytes.length; i++) {
            // The bytes are only lent: what is kept must be a copy.
            const chunk = Buffer.from(bytes.subarray(at, at + steps[i % steps.length]!));
            read.push(...reader.push(chunk));
            at += chunk.length;
            chunk.fill(0);
          }
          expect(read).toEqual(lines);
        },
      ),
    );
  });

  it('takes a line of the limit and none that is longer, whether its end has come or not', () => {
    expect(new LineReader(4).push(Buffer.from('abcd\nefgh\n'))).toEqual(['abcd', 'efgh']);
    expect(() => new LineReader(4).push(Buffer.from('abcde\n'))).toThrow(ControlError);
    const reader = new LineReader(4);
    expect(reader.push(Buffer.from('abc'))).toEqual([]);
    expect(() => reader.push(Buffer.from('de'))).toThrow(ControlError);
  });

  it('takes no bytes that are not UTF-8', () => {
    expect(() => new LineReader(9).push(Buffer.from([0xff, 0x0a]))).toThrow(ControlError);
  });
});

describe('messages', () => {
  const line = (message: object) =>
    encodeLine(message as GatewayReport)
      .toString()
      .trimEnd();

  it('are read as they were written', () => {
    expect(readUp(line(REPORT))).toEqual(REPORT);
    expect(readDown(line(CONFIGURATION))).toEqual(CONFIGURATION);
    expect(readDown('{"type":"Beat"}')).toEqual({ type: 'Beat' });
  });

  it('of a type that only a newer version knows are passed over', () => {
    expect(readUp('{"type":"Checkpoint","x":1}')).toBeNull();
    expect(readDown('{"type":"Lock"}')).toBeNull();
  });

  it('fields that nobody asked for go no further', () => {
    const [finding] = REPORT.findings;
    const padded = { ...REPORT, extra: 1, findings: [{ ...finding, more: 2 }] };
    expect(readUp(line(padded))).toEqual(REPORT);
  });

  it.each([
    ['no JSON', 'hello'],
    ['a number', '7'],
    ['null', 'null'],
    ['a list', '[]'],
    ['no type', '{}'],
    ['a report of text', line({ ...REPORT, sessions: '3' })],
    ['a report of fewer than no sessions', line({ ...REPORT, sessions: -1 })],
    ['a report of half a session', line({ ...REPORT, sessions: 0.5 })],
    ['a sequence beyond counting', line({ ...REPORT, sequence: 1e300 })],
    ['no revision', line({ ...REPORT, revision: undefined })],
    ['a long revision', line({ ...REPORT, revision: 'a'.repeat(501) })],
    ['findings that are none', line({ ...REPORT, findings: ['x'] })],
    ['too many findings', line({ ...REPORT, findings: Array(101).fill(REPORT.findings[0]) })],
    ['a refusal without errors', line({ ...REPORT, refused: { revision: null } })],
    ['draining as text', line({ ...REPORT, draining: 'no' })],
  ])('%s is no report', (_name, text) => {
    expect(() => readUp(text)).toThrow(ControlError);
  });

  it.each([
    ['no revision', { ...CONFIGURATION, revision: 'latest' }],
    ['no sequence', { ...CONFIGURATION, sequence: undefined }],
    ['a negative sequence', { ...CONFIGURATION, sequence: -1 }],
    ['no document', { ...CONFIGURATION, document: null }],
  ])('a Configuration with %s is none', (_name, message) => {
    expect(() => readDown(line(message))).toThrow(ControlError);
  });

  it('whatever a line holds, reading it gives a message, null or a ControlError', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.object().map((value) => JSON.stringify({ ...REPORT, ...value })),
        ),
        (text) => {
          for (const read of [readUp, readDown]) {
            try {
              read(text);
            } catch (error) {
              expect(error).toBeInstanceOf(ControlError);
            }
          }
        },
      ),
    );
  });

  it('a bounded report is always taken', () => {
    const text = fc.oneof(
      fc.string(),
      fc.constant('\u0000'.repeat(2000)),
      fc.constant('😀'.repeat(400)),
      fc.constant('é'),
    );
    const named = { kind: fc.constant('AccessPolicy'), namespace: fc.constant('shop'), name: fc.constant('x') };
    const report = fc.record({
      findings: fc.array(fc.record({ ...named, path: text, message: text }), { maxLength: 300 }),
      unenforced: fc.array(fc.record({ ...named, reason: text }), { maxLength: 300 }),
      refused: fc.option(fc.record({ revision: fc.constant(null), errors: fc.array(text, { maxLength: 300 }) })),
    });
    fc.assert(
      fc.property(report, (parts) => {
        const bounded = boundReport({ ...REPORT, ...parts });
        const bytes = encodeLine(bounded);
        expect(bytes.length).toBeLessThanOrEqual(MAX_UP_LINE + 1);
        expect(readUp(bytes.toString())).toEqual(JSON.parse(bytes.toString()));
      }),
    );
  });
});
