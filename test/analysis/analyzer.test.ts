import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Analyzer, createAnalyzer } from '../../gateway/analysis/analyzer.ts';

let analyzer: Analyzer;
beforeAll(async () => {
  analyzer = await createAnalyzer({ workers: 1, statementBytes: 131_072, watchdog: 5_000, cacheBytes: 1 << 20 });
});
afterAll(() => analyzer.close());

const ask = async (text: string) => analyzer.analyze(Buffer.from(text), 'me');

test('a text is parsed once and known afterwards', async () => {
  const first = await ask('SELECT 1 AS known');
  const again = analyzer.analyze(Buffer.from('SELECT 1 AS known'), 'me');
  expect(again).toBe(first);
});

test('a syntax error has the words and the position of PostgreSQL', async () => {
  expect(await ask('SELECT é FROM FROM t')).toEqual({
    kind: 'SyntaxError',
    message: 'syntax error at or near "FROM"',
    position: 15,
  });
});

test('an empty text has no statements', async () => {
  expect(await ask(' ;-- nothing\n')).toEqual({ kind: 'Statements', statements: [], places: [] });
});

test('offsets are bytes of the text, for each statement', async () => {
  const text = "SELECT 'é'; \n DELETE FROM t ;";
  const analysis = await ask(text);
  const parts =
    analysis.kind === 'Statements'
      ? analysis.places.map((s) => Buffer.from(text).toString('utf8', s.offset, s.offset + s.length))
      : [];
  expect(parts).toEqual(["SELECT 'é'", 'DELETE FROM t']);
});

test('a statement ends with its last character', async () => {
  const text = 'SELECT 1 AS à ';
  expect(await ask(text)).toMatchObject({ places: [{ offset: 0, length: Buffer.byteLength(text) - 1 }] });
});

test('a chain of thousands of terms breaks the parser for nobody else, sixty times', async () => {
  const others: Promise<unknown>[] = [];
  for (let i = 0; i < 60; i++) {
    const chain = await ask(`SELECT ${i}${'+1'.repeat(i % 30 === 0 ? 60_000 : 8_000)}`);
    expect(['NotUnderstood', 'Statements']).toContain(chain.kind);
    others.push(ask(`SELECT ${i} AS other`));
  }
  for (const other of await Promise.all(others)) expect(other).toMatchObject({ kind: 'Statements' });
  expect(await ask('SELECT 1')).toMatchObject({ kind: 'Statements' });
}, 120_000);

test('a text longer than the limit is not understood', async () => {
  expect(await ask(`SELECT '${'x'.repeat(140_000)}'`)).toMatchObject({ kind: 'NotUnderstood' });
});

test('the watchdog answers for a text that takes too long, and others go on', async () => {
  const hasty = await createAnalyzer({ workers: 1, statementBytes: 1 << 20, watchdog: 1, cacheBytes: 1 << 20 });
  try {
    const slow = hasty.analyze(Buffer.from(`SELECT ${'(1),'.repeat(100_000)}1`), 'me');
    expect(await slow).toMatchObject({ kind: 'NotUnderstood' });
    expect(hasty.stats.timeouts).toBe(1);
  } finally {
    await hasty.close();
  }
});
