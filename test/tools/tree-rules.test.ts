import { describe, expect, test } from 'vitest';
import { readImports } from '../../tools/imports.ts';
import { checkImport, checkLength } from '../../tools/tree-rules.ts';

const judge = (file: string, text: string) => readImports(file, text).map(checkImport);

describe('import directions', () => {
  test.each([
    ['a codec that reaches for a socket', 'gateway/wire/reader.ts', "import { pump } from '../net/pump.ts';"],
    ['a pure room that runs another', 'gateway/session/judge.ts', "import { decide } from '../policy/decision.ts';"],
    ['one value among types', 'gateway/session/judge.ts', "import { type A, b } from '../policy/decision.ts';"],
    ['an import for its side effects', 'gateway/sql/facts.ts', "import '../net/pump.ts';"],
    ['a re-export', 'gateway/wire/reader.ts', "export { pump } from '../net/pump.ts';"],
    ['a re-export of everything', 'gateway/wire/reader.ts', "export * from '../net/pump.ts';"],
    ['a dynamic import', 'gateway/wire/reader.ts', "export const pump = () => import('../net/pump.ts');"],
    ['a gateway that knows the operator', 'gateway/main.ts', "import { plan } from '../operator/plan/compile.ts';"],
    ['a room that knows the wiring', 'gateway/net/pump.ts', "import { x } from '../gateway.ts';"],
    ['an operator that knows the proxy', 'operator/plan/compile.ts', "import { x } from '../../gateway/sql/facts.ts';"],
    ['a product that needs its tests', 'gateway/net/pump.ts', "import { x } from '../../test/kit/postgres.ts';"],
    ['a room that nobody has ruled on', 'gateway/new/file.ts', "import { x } from '../wire/reader.ts';"],
  ])('%s is found', (_name, file, text) => {
    expect(judge(file, text)).toEqual([expect.stringContaining(`${file} imports `)]);
  });

  test.each([
    ['a type where a value may not', 'gateway/session/judge.ts', "import type { A } from '../policy/decision.ts';"],
    ['types named one by one', 'gateway/session/judge.ts', "import { type A, type B } from '../policy/decision.ts';"],
    ['a neighbour in the wiring', 'gateway/gateway.ts', "import { a } from './connection.ts';"],
    ['a neighbour', 'gateway/session/judge.ts', "import { a } from './names.ts';"],
    ['the contract for the operator', 'operator/plan/compile.ts', "import { a } from '../../gateway/config/load.ts';"],
    ['both sides for the command', 'cli/dev.ts', "import { a } from '../operator/plan/compile.ts';"],
    ['anything for a test', 'test/kit/gateway.ts', "import { a } from '../../gateway/net/pump.ts';"],
  ])('%s may be imported', (_name, file, text) => {
    expect(judge(file, text)).toEqual([null]);
  });

  test('text that only looks like an import is none', () => {
    expect(judge('gateway/wire/reader.ts', "// import { pump } from '../net/pump.ts';\nexport const a = 1;")).toEqual(
      [],
    );
  });
});

test('a file beyond the limit is found; tests and generated files are exempt', () => {
  expect(checkLength('gateway/a.ts', 401)).not.toBeNull();
  expect(checkLength('gateway/a.ts', 400)).toBeNull();
  expect(checkLength('gateway/a.generated.ts', 4000)).toBeNull();
  expect(checkLength('test/a.test.ts', 4000)).toBeNull();
});
