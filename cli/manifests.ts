import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml';
import { isObject } from '../operator/api/schemas.ts';
import { isYaml } from './watch.ts';

/** One object, of a manifest file or of a cluster, with the way back to where it is. */
export interface Loaded {
  readonly value: Readonly<Record<string, unknown>>;
  /** `file:line` of a field such as `spec.rules[2].action`, or of what stands nearest above it. */
  where(path: string): string;
}

export interface LoadedFiles {
  readonly objects: readonly Loaded[];
  /** `file:line: message`. */
  readonly errors: readonly string[];
}

const STDIN = '-';

/** Reads YAML files, the .yaml and .yml files of directories, and the standard input for `-`; `-f` of kubectl. */
export function loadManifests(paths: readonly string[]): LoadedFiles {
  const objects: Loaded[] = [];
  const errors: string[] = [];
  for (const file of paths.flatMap((path) => listFiles(path, errors))) {
    const lines = new LineCounter();
    const documents = parseAllDocuments(readFileSync(file === STDIN ? 0 : file, 'utf8'), {
      lineCounter: lines,
      uniqueKeys: true,
    });
    for (const document of documents) {
      if (!('contents' in document)) continue;
      const found = readDocument(document, (offset) => lines.linePos(offset).line);
      const where = (path: string): string => `${file}:${lineOf(document, lines, path)}`;
      if (found.kind === 'Object') objects.push(...itemsOf({ value: found.value, where }));
      else errors.push(...found.errors.map(({ line, message }) => `${file}:${line}: ${message}`));
    }
  }
  return { objects, errors };
}

/** The items of a list, as kubectl writes several objects; else the object itself. */
function itemsOf(loaded: Loaded): readonly Loaded[] {
  const { kind, items } = loaded.value;
  if (!String(kind).endsWith('List') || !Array.isArray(items) || !items.every(isObject)) return [loaded];
  return items.map((value, i) => ({ value, where: (path) => loaded.where(`items[${i}].${path}`) }));
}

type Read =
  | { readonly kind: 'Object'; readonly value: Loaded['value'] }
  /** No error: the document is empty. */
  | { readonly kind: 'Nothing'; readonly errors: readonly { readonly line: number; readonly message: string }[] };

function readDocument(document: Document.Parsed, lineAt: (offset: number) => number): Read {
  const problems = document.errors.map(({ pos, message }) => ({
    line: lineAt(pos[0]),
    message: message.split('\n')[0]!,
  }));
  if (problems.length > 0) return { kind: 'Nothing', errors: problems };
  const value = plain(document);
  if (value === null) return { kind: 'Nothing', errors: [] };
  if (isObject(value) && !(value instanceof Error)) return { kind: 'Object', value };
  const line = lineAt(position(document.contents) ?? 0);
  return { kind: 'Nothing', errors: [{ line, message: value instanceof Error ? value.message : NO_OBJECT }] };
}

const NO_OBJECT = 'an object was expected: kind, metadata and so on';

/** The document as plain data; an Error: aliases to nothing, or ones that multiply beyond reason. */
function plain(document: Document.Parsed): unknown {
  try {
    return document.toJS();
  } catch (error) {
    return error;
  }
}

function listFiles(path: string, errors: string[]): string[] {
  if (path === STDIN) return [path];
  try {
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path)
      .filter(isYaml)
      .sort()
      .map((name) => join(path, name));
  } catch (error) {
    errors.push(
      `${path}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file or directory' : (error as Error).message}`,
    );
    return [];
  }
}

function lineOf(document: Document.Parsed, lines: LineCounter, path: string): number {
  let node: unknown = document.contents;
  let found = position(node);
  for (const part of path.match(/[^.[\]]+/g) ?? []) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === part);
      if (pair === undefined) break;
      found = position(pair.key) ?? found;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(part)];
      found = position(node) ?? found;
    } else break;
  }
  return lines.linePos(found ?? 0).line;
}

function position(node: unknown): number | undefined {
  const range = (node as { range?: readonly number[] | null } | null)?.range;
  return range?.[0];
}
