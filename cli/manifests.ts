import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml';
import { isObject } from '../operator/api/schemas.ts';
import { isYaml } from './watch.ts';

/** One object of a manifest file, with the way back to its lines. */
export interface Loaded {
  readonly file: string;
  readonly value: Readonly<Record<string, unknown>>;
  /** Line of a field such as `spec.rules[2].action`, or of what stands nearest above it. */
  line(path: string): number;
}

export interface LoadedFiles {
  readonly objects: readonly Loaded[];
  /** `file:line: message`. */
  readonly errors: readonly string[];
}

/** Reads YAML files, and the .yaml and .yml files of directories; `-f` of kubectl. */
export function loadManifests(paths: readonly string[]): LoadedFiles {
  const objects: Loaded[] = [];
  const errors: string[] = [];
  for (const file of paths.flatMap((path) => listFiles(path, errors))) {
    const lines = new LineCounter();
    for (const document of parseAllDocuments(readFileSync(file, 'utf8'), { lineCounter: lines, uniqueKeys: true })) {
      if (!('contents' in document)) continue;
      const at = (offset: number) => `${file}:${lines.linePos(offset).line}`;
      for (const error of document.errors) errors.push(`${at(error.pos[0])}: ${error.message.split('\n')[0]}`);
      if (document.errors.length > 0) continue;
      const value = valueOf(document);
      if (value === null) continue;
      if (isObject(value)) objects.push({ file, value, line: (path) => lineOf(document, lines, path) });
      else errors.push(`${at(position(document.contents) ?? 0)}: ${typeof value === 'string' ? value : NO_OBJECT}`);
    }
  }
  return { objects, errors };
}

const NO_OBJECT = 'an object was expected: kind, metadata and so on';

/** The document as plain data; null: it is empty; a string: why it is none. */
function valueOf(document: Document.Parsed): unknown {
  try {
    const value: unknown = document.toJS();
    return typeof value === 'string' ? NO_OBJECT : value;
  } catch (error) {
    // An alias to nothing, or aliases that multiply beyond reason.
    return (error as Error).message;
  }
}

function listFiles(path: string, errors: string[]): string[] {
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
