import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { REASONS } from '../../operator/api/conditions.ts';

test('docs/status.md says of every reason what to do, and knows no others', () => {
  const text = readFileSync(new URL('../../docs/status.md', import.meta.url), 'utf8');
  const rows = text.split('\n').filter((line) => line.startsWith('| `') && line.split('|').length === 5);
  const told = rows.flatMap((row) =>
    [
      ...row
        .split('|')
        .slice(1, 3)
        .join()
        .matchAll(/`([A-Z]\w+)`/g),
    ].map(([, name]) => name),
  );
  const conditions = new Set(['Pending', 'Stalled']);
  expect(new Set(told.filter((name) => !conditions.has(name!)))).toEqual(new Set(REASONS));
});
