import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { summaryOf } from './summary.ts';

/** Files of rows: a statement, then what is known of it, indented (see `summary.ts`). `#` begins a heading. */
const FOLDER = new URL('corpus/', import.meta.url);

describe.each(readdirSync(FOLDER))('%s', (file) => {
  const lines = readFileSync(new URL(file, FOLDER), 'utf8').split('\n');
  const statements = lines.flatMap((line, at) => (/^[^#\s]/.test(line) ? [[line, lines[at + 1] ?? '']] : []));
  test.each(statements)('%s', (statement, expected) => {
    if (process.env.UPDATE_GOLDEN === undefined) expect(`    ${summaryOf(statement!)}`).toBe(expected);
  });
  if (process.env.UPDATE_GOLDEN !== undefined) writeFileSync(new URL(file, FOLDER), regenerated(lines));
});

function regenerated(lines: readonly string[]): string {
  return lines
    .filter((line) => !line.startsWith('    '))
    .flatMap((line) => (/^[^#\s]/.test(line) ? [line, `    ${summaryOf(line)}`] : [line]))
    .join('\n');
}
