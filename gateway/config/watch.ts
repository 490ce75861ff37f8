import { type FSWatcher, watch } from 'node:fs';
import { readFile, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readSequence, SEQUENCE_KEY } from './control.ts';
import type { ConfigSource } from './source.ts';

/** A document as it lies in a file, and its place in the order of documents; 0: none is told. */
export interface Mounted {
  readonly bytes: Buffer;
  readonly sequence: number;
}

export interface WatchOptions {
  /** Ends the watching. */
  readonly signal: AbortSignal;
  /** Milliseconds between looks at the file where no event came; default 1000. */
  readonly interval?: number;
}

/** Milliseconds between an event and the look at the file, so that one change of several steps is read once. */
const SETTLE = 50;

/**
 * Reads a document and the sequence beside it. Both out of one directory: between two looks the kubelet may swap
 * `..data`, and an old document would have the new one's sequence (test: "document and sequence come of one mount").
 */
export async function readMounted(path: string): Promise<Mounted> {
  const file = await realpath(path);
  const found = await Promise.all([readFile(file), readFile(join(dirname(file), SEQUENCE_KEY), 'utf8').catch(absent)])
    .then(([bytes, written]) => ({ bytes, sequence: readSequence(written) }))
    .catch((error: NodeJS.ErrnoException) => error);
  // The directory that was read goes away soon after the swap: what was missing in it says nothing.
  if ((await realpath(path)) !== file) return await readMounted(path);
  if (found instanceof Error) throw found;
  return found;
}

function absent(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return '';
  throw error;
}

/**
 * Offers the file's bytes to `source` whenever they change, until the signal aborts. Kubernetes replaces a mounted
 * ConfigMap by swapping the symbolic link `..data` in the directory: so the directory is watched, and a poll covers
 * file systems without events. A file that cannot be read is reported once and leaves the running revision in force.
 */
export function watchDocument(path: string, source: ConfigSource, options: WatchOptions): void {
  if (options.signal.aborted) return;
  const look = makeLook(path, source, options.signal);
  let settle: NodeJS.Timeout | undefined;
  const watcher = watchDirectory(dirname(path), () => {
    clearTimeout(settle);
    settle = setTimeout(look, SETTLE).unref();
  });
  const poll = setInterval(look, options.interval ?? 1000).unref();
  options.signal.addEventListener(
    'abort',
    () => {
      watcher?.close();
      clearInterval(poll);
      clearTimeout(settle);
    },
    { once: true },
  );
  look();
}

function watchDirectory(directory: string, onEvent: () => void): FSWatcher | null {
  try {
    const watcher = watch(directory, { persistent: false }, onEvent);
    // A directory that vanishes, or no more watches to be had: the poll goes on.
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return null;
  }
}

/** One look at a time; a look asked for during another one follows it. */
function makeLook(path: string, source: ConfigSource, signal: AbortSignal): () => void {
  let seen: Mounted | string | null = null;
  let state: 'idle' | 'busy' | 'again' = 'idle';
  const once = async (): Promise<void> => {
    const found = await readMounted(path).catch((error: NodeJS.ErrnoException) => error.code ?? 'unreadable');
    if (signal.aborted || isSame(seen, found)) return;
    seen = found;
    if (typeof found === 'string') source.refuse([`document: cannot read ${path} (${found})`]);
    else source.offer(found.bytes, { sequence: found.sequence });
  };
  const run = async (): Promise<void> => {
    do {
      state = 'busy';
      await once();
    } while ((state as string) === 'again');
    state = 'idle';
  };
  return () => {
    if (state === 'idle') void run();
    else state = 'again';
  };
}

function isSame(a: Mounted | string | null, b: Mounted | string): boolean {
  if (a === null || typeof a === 'string' || typeof b === 'string') return a === b;
  return a.sequence === b.sequence && a.bytes.equals(b.bytes);
}
