import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LineBuffer, PLACE } from '../../gateway/audit/line-buffer.ts';
import { fuzzRuns } from '../kit/fuzz.ts';

const UID = Buffer.from(',"uid":"log-');

function lineOf(parts: Parameters<LineBuffer['line']>[0], index = 0): string {
  const buffer = new LineBuffer();
  buffer.line(parts, index, UID);
  return buffer.bytes.toString('utf8');
}

test('numbers are written as JSON has them', () => {
  const edges = [0, 0.001, 0.1, 0.01, 0.12, 0.999, 1, 9, 10, 99.99, 1_700_000_000_123, Number.MAX_SAFE_INTEGER];
  for (const value of edges) expect(lineOf([value])).toBe(`${JSON.stringify(value)}\n`);
  const decimals = fc.tuple(fc.integer({ min: 0, max: 2 ** 31 }), fc.integer({ min: 0, max: 999 }));
  fc.assert(
    fc.property(decimals, ([whole, thousandths]) => {
      const value = Math.floor(whole * 1000 + thousandths) / 1000;
      expect(lineOf([value])).toBe(`${JSON.stringify(value)}\n`);
    }),
    { numRuns: fuzzRuns(1000) },
  );
});

test('text of any length and script comes out as UTF-8, whatever it is next to', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 20_000 }), { maxLength: 8 }), (texts) => {
      const wellFormed = texts.map((text) => text.toWellFormed());
      const parts = wellFormed.flatMap((text) => [text, Buffer.from(text), 7]);
      expect(lineOf(parts)).toBe(`${wellFormed.map((text) => `${text}${text}7`).join('')}\n`);
    }),
    { numRuns: fuzzRuns(50) },
  );
});

test('the place holds the index twice', () => {
  expect(lineOf(['{"sequence":', PLACE, '"}'], 1_234_567)).toBe('{"sequence":1234567,"uid":"log-1234567"}\n');
});

test('memory that a failing disk made it take is given back', () => {
  const buffer = new LineBuffer();
  for (let i = 0; i < 40; i++) buffer.line(['x'.repeat(100_000)], i, UID);
  expect(buffer.length).toBe(40 * 100_001);
  buffer.clear();
  expect(buffer.bytes.buffer.byteLength).toBeLessThan(1 << 20);
  buffer.line(['again'], 0, UID);
  expect(buffer.bytes.toString()).toBe('again\n');
});
