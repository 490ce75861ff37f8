/** Import directions and file lengths: what the layout in docs/architecture.md promises. Exits 1 with every violation. */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { checkImport, checkLength } from './tree-rules.ts';

const files = globSync('{gateway,operator,cli}/**/*.ts');
const problems = files.flatMap((file) => {
  const text = readFileSync(file, 'utf8');
  const imports = [...text.matchAll(/^import (type )?[^;]*?from '(\.[^']+)';/gms)];
  const found = imports.map(([, type, path]) =>
    checkImport(file, normalize(join(dirname(file), path!)), type !== undefined),
  );
  return [...found, checkLength(file, text.split('\n').length)].filter((problem) => problem !== null);
});
for (const problem of problems) console.error(problem);
if (files.length === 0) console.error('no files were found: run it from the top of the checkout');
process.exit(problems.length > 0 || files.length === 0 ? 1 : 0);
