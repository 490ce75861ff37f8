import * as nodeFs from 'node:fs';
import { syncDirectory } from './directory.ts';
import { AuditError, reasonOf } from './errors.ts';
import type { SpoolFs } from './options.ts';
import { type Opened, openSegments, type Segment, segmentPath } from './segments.ts';

const { O_APPEND, O_CREAT, O_RDWR, O_TRUNC } = nodeFs.constants;

interface Retired {
  readonly fd: number;
  readonly segment: Segment;
}

export interface SpoolOptions {
  readonly directory: string;
  readonly bytes: number;
  readonly segmentBytes: number;
  readonly fs: SpoolFs;
  /** Index of the first record that some sink has not taken. */
  readonly unshipped: () => number;
}

/**
 * The segment files of one log: whole batches in, each either all there or not at all. Knows nothing of waiting and of
 * retries; after a failed write the next one begins with a repair.
 */
export class Spool {
  /** Ascending; the last one is written to. */
  readonly segments: Segment[];
  readonly torn: Opened['torn'];
  readonly #options: SpoolOptions;
  #fd: number | null = null;
  #dirty = false;
  #syncing = false;
  #retired: Retired[] = [];
  #total: number;
  /** A segment that takes no more records although it is not full. */
  #sealed: Segment | null = null;

  constructor(options: SpoolOptions) {
    this.#options = options;
    const { segments, torn } = openSegments(options.directory);
    this.segments = segments;
    this.torn = torn;
    this.#total = segments.reduce((sum, segment) => sum + segment.size, 0);
  }

  /** Index of the next record. */
  get end(): number {
    const last = this.segments.at(-1);
    return last === undefined ? 0 : last.first + last.count;
  }

  /** Lets the next record begin a segment. */
  seal(): void {
    this.#sealed = this.segments.at(-1) ?? null;
  }

  get syncing(): boolean {
    return this.#syncing;
  }

  get dirty(): boolean {
    return this.#dirty || this.#retired.length > 0;
  }

  /** Writes `count` records, the first of them with index `first`; throws with nothing of them left behind. */
  write(data: Buffer, first: number, count: number): void {
    this.#makeRoom(data.length);
    const segment = this.#open(first);
    const fd = this.#fd as number;
    try {
      this.#writeAll(fd, data);
    } catch (error) {
      this.#undo(fd, segment, error);
      throw error;
    }
    segment.size += data.length;
    segment.count += count;
    this.#total += data.length;
    this.#dirty = true;
  }

  /**
   * Puts on disk what has been written before the call. After a failure the kernel may have dropped the pages and
   * called them clean: the segment is left, so that no later sync can vouch for them.
   */
  sync(done: (error: Error | null) => void): void {
    const current = this.segments.at(-1);
    const targets = [...this.#retired];
    if (this.#fd !== null && current !== undefined && this.#dirty) {
      targets.push({ fd: this.#fd, segment: current });
    }
    const sizes = targets.map(({ segment }) => segment.size);
    this.#dirty = false;
    this.#syncing = true;
    const step = (i: number, failure: Error | null): void => {
      const target = targets[i];
      if (failure !== null || target === undefined) {
        this.#syncing = false;
        this.#synced(targets, sizes, failure);
        done(failure);
        return;
      }
      this.#options.fs.fdatasync(target.fd, (error) => step(i + 1, error));
    };
    step(0, null);
  }

  /** Closes the files; what is not synced stays so. */
  close(): void {
    for (const { fd } of this.#retired) {
      this.#closeFd(fd);
    }
    this.#retired = [];
    this.#leave(null);
  }

  #synced(targets: readonly Retired[], sizes: readonly number[], failure: Error | null): void {
    for (const [i, { segment }] of targets.entries()) {
      segment.synced = failure === null ? (sizes[i] as number) : segment.size;
    }
    const current = targets.find(({ fd }) => fd === this.#fd);
    for (const { fd } of targets) {
      if (fd !== this.#fd) {
        this.#closeFd(fd);
      }
    }
    this.#retired = this.#retired.filter(({ fd }) => !targets.some((target) => target.fd === fd));
    if (failure !== null && current !== undefined) {
      this.#leave(failure);
      this.#sealed = current.segment;
    }
  }

  #writeAll(fd: number, data: Buffer): void {
    let at = 0;
    while (at < data.length) {
      const written = this.#options.fs.writeSync(fd, data, at, data.length - at);
      if (written === 0) {
        throw new Error('nothing could be written');
      }
      at += written;
    }
  }

  /** Takes back the part of a batch that went through; what cannot be taken back now is cut at the next open. */
  #undo(fd: number, segment: Segment, error: unknown): void {
    if (reasonOf(error) === 'EFBIG' && segment.size > 0) {
      // This file may not grow; another one may.
      this.#sealed = segment;
    }
    try {
      this.#options.fs.ftruncateSync(fd, segment.size);
    } catch {
      // The file is reopened and cut before anything else is written to it.
    }
    if (this.#syncing) {
      // The sync still works on this file: it is closed when that returns.
      this.#retired.push({ fd, segment });
      this.#fd = null;
      return;
    }
    this.#leave(error);
  }

  #leave(error: unknown): void {
    // After EBADF the number is nobody's, or by now somebody else's: closing it would close theirs.
    if (this.#fd !== null && reasonOf(error) !== 'EBADF') {
      this.#closeFd(this.#fd);
    }
    this.#fd = null;
  }

  #closeFd(fd: number): void {
    try {
      this.#options.fs.closeSync(fd);
    } catch {
      // Closed already; all that mattered was synced.
    }
  }

  /** The segment to write to, its file open and exactly as long as the records in it. */
  #open(first: number): Segment {
    const current = this.segments.at(-1);
    if (current === undefined || current.size >= this.#options.segmentBytes || this.#sealed === current) {
      return this.#begin(first);
    }
    if (this.#fd === null && !this.#reopen(current)) {
      return this.#begin(first);
    }
    return current;
  }

  /** False: the file is gone or shorter than the records it held; nothing more goes into it. */
  #reopen(segment: Segment): boolean {
    const { fs } = this.#options;
    let fd: number;
    try {
      fd = fs.openSync(segment.path, O_RDWR | O_APPEND);
    } catch (error) {
      if (reasonOf(error) === 'ENOENT') {
        return false;
      }
      throw error;
    }
    try {
      const { size } = fs.fstatSync(fd);
      if (size < segment.size) {
        fs.closeSync(fd);
        return false;
      }
      if (size > segment.size) {
        fs.ftruncateSync(fd, segment.size);
      }
    } catch (error) {
      this.#closeFd(fd);
      throw error;
    }
    this.#fd = fd;
    this.#dirty = true;
    return true;
  }

  #begin(first: number): Segment {
    const { directory, fs } = this.#options;
    const path = segmentPath(directory, first);
    // What stands under this name holds no record of the log: a segment that was begun and failed before its first.
    const fd = fs.openSync(path, O_RDWR | O_APPEND | O_CREAT | O_TRUNC, 0o600);
    try {
      syncDirectory(directory);
    } catch (error) {
      this.#closeFd(fd);
      throw error;
    }
    const last = this.segments.at(-1);
    if (this.#fd !== null && last !== undefined) {
      this.#retired.push({ fd: this.#fd, segment: last });
    }
    if (last?.first === first) {
      this.segments.pop();
    }
    const segment: Segment = { path, first, count: 0, size: 0, synced: 0 };
    this.segments.push(segment);
    this.#fd = fd;
    return segment;
  }

  /** Removes the oldest segments that every sink has, until a batch fits. */
  #makeRoom(length: number): void {
    const { bytes, fs, unshipped } = this.#options;
    while (this.#total + length > bytes) {
      const [oldest, next] = this.segments;
      if (oldest === undefined || next === undefined || next.first > unshipped()) {
        throw new AuditError('SpoolFull', `the spool's ${bytes} bytes are full of records that no sink has taken`);
      }
      fs.unlinkSync(oldest.path);
      this.#total -= oldest.size;
      this.segments.shift();
    }
  }
}

/** The file operations as node has them. */
export const NODE_FS: SpoolFs = nodeFs;
