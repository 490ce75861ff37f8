import { readdirSync, readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';

const ROOT = new URL('../../', import.meta.url);

// biome-ignore lint/suspicious/noExplicitAny: a manifest is whatever its kind says; what is not there fails the test
export type Manifest = any;

export const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');
export const list = (folder: string): readonly string[] => readdirSync(new URL(folder, ROOT)).sort();

/** Every object of a file, keys that stand twice refused as the API server refuses them. */
export function manifests(path: string): readonly Manifest[] {
  return parseAllDocuments(read(path), { uniqueKeys: true }).map((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw new Error(`${path}: ${error.message}`);
    return document.toJS();
  });
}

export const BUNDLE = 'manifests/postern.yaml';
/** All that was ever rendered: the bundle, and the golden file of each file of values. */
export const RENDERED = [BUNDLE, ...list('test/chart/golden').map((file) => `test/chart/golden/${file}`)];
