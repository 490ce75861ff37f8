import { type FileHandle, open, readFile, rename, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from './errors.ts';
import type { AuditLogger, Sink } from './options.ts';
import type { Segment } from './segments.ts';

/** Bytes read at once; a line longer than that is read whole. */
const CHUNK = 256 * 1024;
/** Milliseconds in which records gather before they are sent. */
const GATHER_MS = 50;
const RETRY_MS = { first: 100, most: 10_000 };
/** Milliseconds between two savings of the cursor: what was sent in between is sent again after a crash. */
const SAVE_MS = 1_000;
const NEWLINE = 10;

export interface ShipperOptions {
  readonly sink: Sink;
  /** The file that remembers how far the sink is. */
  readonly cursor: string;
  /** Index of the first record that the sink has not taken, as the cursor says. */
  readonly from: number;
  readonly segments: readonly Segment[];
  readonly monotonic: () => number;
  readonly logger: AuditLogger;
}

/** How far a sink is; null: it has never taken anything. */
export async function readCursor(path: string): Promise<number | null> {
  try {
    const { index } = JSON.parse(await readFile(path, 'utf8')) as { readonly index?: unknown };
    return Number.isSafeInteger(index) ? (index as number) : null;
  } catch {
    // Unreadable: everything in the spool is sent again, as "at least once" allows.
    return null;
  }
}

interface Position {
  readonly segment: Segment;
  offset: number;
}

interface Chunk {
  readonly lines: Buffer;
  readonly count: number;
}

function countLines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) {
    count++;
  }
  return count;
}

/**
 * Sends one sink everything that is on disk, in order, at least once: the cursor moves after the sink has answered.
 * Reads the segment files, so that neither an outage nor a restart loses anything, and stays off the path of statements.
 */
export class Shipper {
  readonly #options: ShipperOptions;
  #index: number;
  #saved: number;
  #savedAt = Number.NEGATIVE_INFINITY;
  #position: Position | null = null;
  #file: { readonly path: string; readonly handle: FileHandle } | null = null;
  #wake: (() => void) | null = null;
  #woken = false;
  #marks: { readonly end: number; readonly at: number }[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(options: ShipperOptions) {
    this.#options = options;
    this.#index = options.from;
    this.#saved = options.from;
    this.#running = this.#run();
  }

  /** Index of the first record that the sink has not taken. */
  get index(): number {
    return this.#index;
  }

  /** Seconds since the oldest record not taken came to disk; 0: none. */
  lag(): number {
    const oldest = this.#marks.find(({ end }) => end > this.#index);
    return oldest === undefined ? 0 : (this.#options.monotonic() - oldest.at) / 1000;
  }

  /** There are records on disk up to `end`. */
  notify(end: number): void {
    if (end > this.#index && end !== this.#marks.at(-1)?.end) {
      this.#marks = this.#marks.filter((mark) => mark.end > this.#index);
      // A sink that is out for days needs no finer marks than this.
      if (this.#marks.length > 4096) {
        this.#marks = this.#marks.filter((_, i) => i % 2 === 0);
      }
      this.#marks.push({ end, at: this.#options.monotonic() });
    }
    this.#woken = true;
    this.#wake?.();
  }

  /** Sends what is left, for at most `patience` milliseconds; the number of records not sent. */
  async close(patience: number, end: number): Promise<number> {
    const deadline = this.#options.monotonic() + patience;
    while (this.#index < end && this.#options.monotonic() < deadline) {
      this.notify(end);
      await sleep(5);
    }
    this.#stop.abort();
    this.#wake?.();
    // A sink that never answers must not keep the process: its promise is left behind.
    await Promise.race([this.#running, sleep(100)]);
    await this.#file?.handle.close().catch(() => undefined);
    await this.#save().catch(() => undefined);
    return Math.max(0, end - this.#index);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let wait = RETRY_MS.first;
    while (!signal.aborted) {
      try {
        const chunk = await this.#read();
        if (chunk === null) {
          await this.#saveSometimes();
          await this.#sleepUntilWoken();
        } else {
          await this.#options.sink.send(chunk.lines, this.#index, chunk.count);
          this.#advance(chunk);
          await this.#saveSometimes();
        }
        wait = RETRY_MS.first;
      } catch (error) {
        const sink = this.#options.sink.name;
        this.#options.logger.warn({ sink, reason: reasonOf(error), retryMs: wait }, 'audit sink failed');
        await sleep(wait, undefined, { signal }).catch(() => undefined);
        wait = Math.min(wait * 2, RETRY_MS.most);
      }
    }
  }

  async #sleepUntilWoken(): Promise<void> {
    if (!this.#woken && !this.#stop.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
    this.#woken = false;
    if (!this.#stop.signal.aborted) {
      await sleep(GATHER_MS, undefined, { signal: this.#stop.signal, ref: false }).catch(() => undefined);
    }
  }

  #advance(chunk: Chunk): void {
    this.#index += chunk.count;
    if (this.#position !== null) {
      this.#position.offset += chunk.lines.length;
    }
  }

  async #saveSometimes(): Promise<void> {
    const now = this.#options.monotonic();
    if (this.#index !== this.#saved && now - this.#savedAt >= SAVE_MS) {
      this.#savedAt = now;
      await this.#save();
    }
  }

  async #save(): Promise<void> {
    const index = this.#index;
    if (index === this.#saved) {
      return;
    }
    const path = this.#options.cursor;
    await writeFile(`${path}.new`, `${JSON.stringify({ index })}\n`, { mode: 0o600 });
    await rename(`${path}.new`, path);
    this.#saved = index;
  }

  /** The next lines on disk; null: none. */
  async #read(): Promise<Chunk | null> {
    const position = await this.#locate();
    if (position === null) {
      return null;
    }
    const { segment, offset } = position;
    const left = segment.synced - offset;
    for (let size = CHUNK; ; size *= 4) {
      const bytes = await this.#readAt(segment, offset, Math.min(size, left));
      const end = bytes.lastIndexOf(NEWLINE) + 1;
      if (end > 0) {
        const lines = bytes.subarray(0, end);
        return { lines, count: countLines(lines) };
      }
      if (size >= left) {
        throw new Error(`no whole record at byte ${offset} of ${segment.path}`);
      }
    }
  }

  /** Where the next record is; moves on to the next segment at the end of one. */
  async #locate(): Promise<Position | null> {
    const { segments } = this.#options;
    for (;;) {
      const at = this.#position;
      if (at !== null && at.offset < at.segment.synced) {
        return at;
      }
      if (at !== null && at.offset < at.segment.size) {
        return null;
      }
      const segment = segments.find(({ first, count }) =>
        at === null ? first + count > this.#index && count > 0 : first > at.segment.first && count > 0,
      );
      if (segment === undefined || segment.synced === 0) {
        return null;
      }
      this.#skipTo(segment);
      this.#position = { segment, offset: await this.#offsetOf(segment, this.#index - segment.first) };
    }
  }

  #skipTo(segment: Segment): void {
    const missing = segment.first - this.#index;
    if (missing > 0) {
      if (this.#index > 0) {
        this.#options.logger.error({ sink: this.#options.sink.name, missing }, 'audit records are gone unsent');
      }
      this.#index = segment.first;
    }
  }

  /** Where line number `line` of a segment begins. */
  async #offsetOf(segment: Segment, line: number): Promise<number> {
    let offset = 0;
    let left = line;
    while (left > 0) {
      const bytes = await this.#readAt(segment, offset, CHUNK);
      if (bytes.length === 0) {
        return offset;
      }
      let end = 0;
      while (left > 0) {
        const next = bytes.indexOf(NEWLINE, end);
        if (next === -1) {
          break;
        }
        end = next + 1;
        left--;
      }
      offset += left === 0 ? end : bytes.length;
    }
    return offset;
  }

  async #readAt(segment: Segment, offset: number, size: number): Promise<Buffer> {
    const { path } = segment;
    if (this.#file?.path !== path) {
      await this.#file?.handle.close();
      this.#file = null;
      this.#file = { path, handle: await open(path, 'r') };
    }
    const buffer = Buffer.allocUnsafe(size);
    const { bytesRead } = await this.#file.handle.read(buffer, 0, size, offset);
    return buffer.subarray(0, bytesRead);
  }
}
