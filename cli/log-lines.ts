import { createReadStream, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError } from './usage.ts';

/** Longest line that is looked at; the writer's own are far shorter. */
const MAX_LINE = 4 * 1024 * 1024;

/** The segments of a recorded log, in their order: a file, or all .ndjson files below a directory. */
export function findSegments(path: string): string[] {
  let found: string[];
  try {
    if (!statSync(path).isDirectory()) return [path];
    found = readdirSync(path, { recursive: true, encoding: 'utf8' });
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new CommandError(`${path}: ${missing ? 'there is no such file or directory' : (error as Error).message}`);
  }
  const segments = found.filter((name) => name.endsWith('.ndjson')).sort();
  if (segments.length === 0) throw new CommandError(`${path}: there is no segment (.ndjson) of a recorded log in it`);
  return segments.map((name) => join(path, name));
}

/** Each line of a file; null: one that is too long, or has no end (a segment that was cut off). */
export async function* readLines(file: string): AsyncGenerator<string | null> {
  let kept: Buffer[] = [];
  let size = 0;
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      const line = chunk.subarray(from, end);
      yield size + line.length > MAX_LINE ? null : Buffer.concat([...kept, line]).toString('utf8');
      [kept, size, from] = [[], 0, end + 1];
    }
    size += chunk.length - from;
    if (size <= MAX_LINE) kept.push(chunk.subarray(from));
    else kept = [];
  }
  if (size > 0) yield null;
}
