import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLineSplitter, parseWatchEvent } from '../../operator/kube/watch-lines.ts';

const line = fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\n', ''));

test('lines come out as they went in, wherever the chunks are cut', () => {
  const cuts = fc.array(fc.nat(200), { maxLength: 20 });
  fc.assert(
    fc.property(fc.array(line), cuts, (lines, at) => {
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
      const borders = [0, ...at.filter((border) => border < bytes.length).sort((a, b) => a - b), bytes.length];
      const splitter = createLineSplitter(10_000);
      const out = borders.flatMap((from, i) => {
        // The chunk is overwritten afterwards, as that of a socket may be.
        const chunk = Uint8Array.from(bytes.subarray(from, borders[i + 1]));
        const found = splitter.push(chunk);
        chunk.fill(0x78);
        return found;
      });
      splitter.end();
      expect(out).toEqual(lines);
    }),
  );
});

test('a line may be just so long', () => {
  const splitter = createLineSplitter(4);
  expect(splitter.push(Buffer.from('abcd\nab'))).toEqual(['abcd']);
  expect(splitter.push(Buffer.from('cd\n'))).toEqual(['abcd']);
  expect(() => splitter.push(Buffer.from('abcde'))).toThrow('longer than 4 bytes');
  const other = createLineSplitter(4);
  other.push(Buffer.from('abc'));
  expect(() => other.push(Buffer.from('de\n'))).toThrow('longer than 4 bytes');
});

test('what is no UTF-8 is no line', () => {
  expect(() => createLineSplitter(10).push(Buffer.from([0xe2, 0x82, 0x0a]))).toThrow();
});

test('an end in mid-line is no end', () => {
  const splitter = createLineSplitter(10);
  splitter.push(Buffer.from('a\nb'));
  expect(() => splitter.end()).toThrow('in the middle of a line');
});

const metadata = { name: 'a', resourceVersion: '1' };

test.each([
  { type: 'ADDED', object: { metadata } },
  { type: 'MODIFIED', object: { metadata } },
  { type: 'DELETED', object: { metadata } },
  { type: 'BOOKMARK', object: { metadata: { resourceVersion: '1' } } },
  { type: 'ERROR', object: { code: 410 } },
  { type: 'ERROR', object: {} },
])('$type is an event', (event) => {
  expect(parseWatchEvent(JSON.stringify(event))).toEqual(event);
});

test.each([
  'null',
  '1',
  '[]',
  '{}',
  '{"type":"ADDED"}',
  '{"type":"ADDED","object":null}',
  '{"type":"ADDED","object":{}}',
  '{"type":"ADDED","object":{"metadata":{"name":"a"}}}',
  '{"type":"ADDED","object":{"metadata":{"name":"","resourceVersion":"1"}}}',
  '{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":1}}}',
  '{"type":"BOOKMARK","object":{"metadata":{}}}',
  '{"type":"OTHER","object":{"metadata":{"name":"a","resourceVersion":"1"}}}',
  '{"type":"ADDED",',
])('%s is none', (text) => {
  expect(() => parseWatchEvent(text)).toThrow();
});
