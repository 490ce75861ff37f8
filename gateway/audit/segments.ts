import { closeSync, openSync, readdirSync, readSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** One file of a log: records from index `first` on, one a line. */
export interface Segment {
  readonly path: string;
  readonly first: number;
  /** Records in it. */
  count: number;
  /** Bytes of whole records: what lies beyond is torn and not part of the log. */
  size: number;
  /** Bytes known to be on disk. */
  synced: number;
}

/** Name of the segment that begins with a record: 20 digits, so that names sort as indexes do. */
export function segmentPath(directory: string, first: number): string {
  return join(directory, `${String(first).padStart(20, '0')}.ndjson`);
}

const NAME = /^(\d{20})\.ndjson$/;
const NEWLINE = 10;
const BRACE = 0x7b;
const CHUNK = 1 << 20;

interface Scan {
  readonly count: number;
  readonly size: number;
}

/** Counts the whole lines of a file up to the first that is none: a line begins with `{` and ends with a newline. */
function scan(path: string): Scan {
  const fd = openSync(path, 'r');
  try {
    const chunk = Buffer.allocUnsafe(CHUNK);
    let count = 0;
    let size = 0;
    let at = 0;
    let begins = true;
    for (;;) {
      const read = readSync(fd, chunk, 0, CHUNK, at);
      if (read === 0) {
        return { count, size };
      }
      const bytes = chunk.subarray(0, read);
      let line = 0;
      while (line < read) {
        // A crash of the node can leave blocks of zeros where data had been promised.
        if (begins && bytes[line] !== BRACE) {
          return { count, size };
        }
        const end = bytes.indexOf(NEWLINE, line);
        begins = end !== -1;
        if (!begins) {
          break;
        }
        count++;
        size = at + end + 1;
        line = end + 1;
      }
      at += read;
    }
  } finally {
    closeSync(fd);
  }
}

export interface Opened {
  readonly segments: Segment[];
  /** What stood after the last whole record; null: nothing. */
  readonly torn: { readonly bytes: number; readonly file: string } | null;
}

/** Cuts the torn end off the last segment, after copying the segment's end beside it. */
function setAside(directory: string, segment: Segment, length: number): NonNullable<Opened['torn']> {
  const file = `${segment.first + segment.count}-${length - segment.size}.torn`;
  const tail = Buffer.allocUnsafe(length - segment.size);
  const fd = openSync(segment.path, 'r');
  try {
    readSync(fd, tail, 0, tail.length, segment.size);
  } finally {
    closeSync(fd);
  }
  writeFileSync(join(directory, file), tail, { mode: 0o600 });
  truncateSync(segment.path, segment.size);
  return { bytes: tail.length, file };
}

/** The segments of a log as they are found at the start; a torn end of the last one is set aside. */
export function openSegments(directory: string): Opened {
  const firsts = readdirSync(directory)
    .flatMap((name) => NAME.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
  const segments = firsts.map((first, i): Segment => {
    const path = segmentPath(directory, first);
    const next = firsts[i + 1];
    const { count, size } = next === undefined ? scan(path) : { count: next - first, size: statSync(path).size };
    return { path, first, count, size, synced: size };
  });
  const last = segments.at(-1);
  const length = last === undefined ? 0 : statSync(last.path).size;
  const torn = last !== undefined && length > last.size ? setAside(directory, last, length) : null;
  return { segments, torn };
}
