/** Import directions and file lengths, as docs/architecture.md promises them. Exits 1 after naming every violation. */
import { globSync, readFileSync } from 'node:fs';
import { readImports } from './imports.ts';
import { checkImport, checkLength } from './tree-rules.ts';

const files = globSync('{gateway,operator,cli,tools,bench,drivers,test/kit}/**/*.ts', {
  exclude: (name) => name.includes('node_modules'),
});
const problems = files.flatMap((file) => {
  const text = readFileSync(file, 'utf8');
  const found = readImports(file, text).map(checkImport);
  return [...found, checkLength(file, text.trimEnd().split('\n').length)].filter((problem) => problem !== null);
});
if (files.length === 0) problems.push('no files were found: run it from the top of the checkout');
for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;
