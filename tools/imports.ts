import { dirname, join, normalize } from 'node:path';
import { parseSync } from 'oxc-parser';
import type { Import } from './tree-rules.ts';

/** Every relative import and re-export of a file, dynamic ones included; `file` is a path from the top of the checkout. */
export function readImports(file: string, text: string): readonly Import[] {
  const { module, errors } = parseSync(file, text);
  const error = errors[0];
  if (error !== undefined) throw new Error(`${file}: ${error.message}`);
  const found = [
    ...module.staticImports.map((it) => ({
      to: it.moduleRequest.value,
      typeOnly: it.entries.length > 0 && it.entries.every((entry) => entry.isType),
    })),
    ...module.staticExports.flatMap(({ entries }) =>
      entries.map((entry) => ({ to: entry.moduleRequest?.value ?? '', typeOnly: entry.isType })),
    ),
    ...module.dynamicImports.map(({ moduleRequest: { start, end } }) => ({
      to: text.slice(start + 1, end - 1),
      typeOnly: false,
    })),
  ];
  return found
    .filter(({ to }) => to.startsWith('.'))
    .map(({ to, typeOnly }) => ({ from: file, to: normalize(join(dirname(file), to)), typeOnly }));
}
