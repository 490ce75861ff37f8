import { expect, test } from 'vitest';
import { checkImport, checkLength } from '../../tools/tree-rules.ts';

test('a forbidden import is found', () => {
  expect(checkImport('gateway/wire/reader.ts', 'gateway/net/pump.ts', false)).toContain('may import nothing');
  expect(checkImport('gateway/session/judge.ts', 'gateway/policy/decision.ts', false)).not.toBeNull();
  expect(checkImport('gateway/main.ts', 'operator/plan/compile.ts', false)).not.toBeNull();
});

test('a type may come from where a value may not', () => {
  expect(checkImport('gateway/session/judge.ts', 'gateway/policy/decision.ts', true)).toBeNull();
  expect(checkImport('gateway/session/judge.ts', 'gateway/session/names.ts', false)).toBeNull();
});

test('a file beyond the limit is found, a generated one is not', () => {
  expect(checkLength('gateway/a.ts', 401)).not.toBeNull();
  expect(checkLength('gateway/a.generated.ts', 4000)).toBeNull();
});
