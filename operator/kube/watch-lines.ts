import type { WatchEvent } from './types.ts';

/** Splits a byte stream at its newlines, whatever the borders of the chunks. */
export interface LineSplitter {
  /** The lines that end in this chunk; throws where one is longer than it may be, or is no UTF-8. */
  push(chunk: Uint8Array): string[];
  /** Throws where the stream ends in mid-line. */
  end(): void;
}

const NEWLINE = 0x0a;

/** The bytes are split, not the text: no part of a longer UTF-8 sequence is a newline. */
export function createLineSplitter(longest: number): LineSplitter {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let parts: Uint8Array[] = [];
  let length = 0;
  const keep = (part: Uint8Array): void => {
    length += part.length;
    if (length > longest) throw new Error(`a line is longer than ${longest} bytes`);
    if (part.length > 0) parts.push(part);
  };
  const take = (): string => {
    const line = decoder.decode(parts.length === 1 ? parts[0] : Buffer.concat(parts, length));
    parts = [];
    length = 0;
    return line;
  };
  return {
    push: (chunk) => {
      const lines: string[] = [];
      let from = 0;
      for (let to = chunk.indexOf(NEWLINE); to >= 0; to = chunk.indexOf(NEWLINE, from)) {
        keep(chunk.subarray(from, to));
        lines.push(take());
        from = to + 1;
      }
      // A copy: the rest outlives the chunk, which may be a piece of something larger.
      keep(Uint8Array.from(chunk.subarray(from)));
      return lines;
    },
    end: () => {
      if (length > 0) throw new Error('the stream ended in the middle of a line');
    },
  };
}

/** Reads one line of a watch; throws where it is none. */
export function parseWatchEvent(line: string): WatchEvent {
  const event = JSON.parse(line) as { readonly type?: unknown; readonly object?: unknown } | null;
  const { type, object } = event ?? {};
  if (typeof object !== 'object' || object === null) throw new Error('a watch event without an object');
  if (type === 'ERROR') return event as WatchEvent;
  const { metadata } = object as {
    readonly metadata?: { readonly name?: unknown; readonly resourceVersion?: unknown };
  };
  if (typeof metadata?.resourceVersion !== 'string' || metadata.resourceVersion === '') {
    throw new Error('a watch event without a resourceVersion');
  }
  if (type === 'BOOKMARK') return event as WatchEvent;
  if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') throw new Error('a watch event of unknown type');
  if (typeof metadata.name !== 'string' || metadata.name === '') throw new Error('a watch event without a name');
  return event as WatchEvent;
}
