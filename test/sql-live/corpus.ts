import { readdirSync, readFileSync } from 'node:fs';

const FOLDER = new URL('../sql/corpus/', import.meta.url);

/** Every statement of the corpus, with its file. */
export function corpusStatements(): { readonly file: string; readonly sql: string }[] {
  return readdirSync(FOLDER).flatMap((file) =>
    readFileSync(new URL(file, FOLDER), 'utf8')
      .split('\n')
      .filter((line) => /^[^#\s]/.test(line))
      .map((sql) => ({ file, sql })),
  );
}
