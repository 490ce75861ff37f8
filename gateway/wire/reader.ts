/**
 * Framing: chunks of a byte stream in, steps out. The reader knows headers only; bodies are for the decoders.
 *
 * Lifetime: a step lies on the pushed chunk and keeps its memory alive; `raw` and `body` are views on it. Whoever keeps
 * bytes beyond a chunk's use copies them. Only a message that spanned chunks is a copy (of itself, nothing else). Once
 * `next()` returned null the reader holds no view on any chunk.
 *
 * Memory held: at most twice the spill bound of the message at hand, however small the chunks it arrives in.
 */
import { ProtocolError } from './errors.ts';
import type { Direction } from './types.ts';
import { KNOWN_TYPES, messageName, tableOf } from './types.ts';

export type StepKind =
  /** A complete message. */
  | 'message'
  /** The first bytes (as many as the spill bound, header included) of a message of `total` bytes; runs follow. */
  | 'head'
  /** Bytes of streamed messages of one type, or of a spilled message after its head. */
  | 'run';

/**
 * One piece of the stream; the `raw` of all steps, joined, are exactly the bytes that were pushed. Most are relayed as
 * they are, so views are made only for those who look: a view costs as much as all the rest of framing.
 */
export class Step {
  readonly kind: StepKind;
  readonly type: number;
  /** The memory that holds it, from `start` up to `end`. */
  readonly chunk: Buffer;
  readonly start: number;
  readonly end: number;
  /** Messages that end in it. */
  readonly count: number;
  /** Bytes of the whole message; 0 for a run. */
  readonly total: number;
  /** The message that it ends in goes on in the next step. */
  readonly open: boolean;

  /** One by one: an object of them all would be made for each step, as many bytes again. */
  constructor(
    kind: Step['kind'],
    type: number,
    chunk: Buffer,
    start: number,
    end: number,
    count: number,
    total: number,
    open: boolean,
  ) {
    this.kind = kind;
    this.type = type;
    this.chunk = chunk;
    this.start = start;
    this.end = end;
    this.count = count;
    this.total = total;
    this.open = open;
  }

  get length(): number {
    return this.end - this.start;
  }

  /** All its bytes; those of a message with the header. */
  get raw(): Buffer {
    return this.chunk.subarray(this.start, this.end);
  }

  /** The same, with so many bytes that stand behind it in its chunk. */
  extended(bytes: number): Step {
    const { kind, type, chunk, start, end, count, total, open } = this;
    return new Step(kind, type, chunk, start, end + bytes, count, total, open);
  }

  /** A message without its header. */
  get body(): Buffer {
    return this.chunk.subarray(this.bodyStart, this.end);
  }

  /** Where the body begins in the chunk: it ends with the step. */
  get bodyStart(): number {
    return this.start + HEADER;
  }
}

/** What a reader accepts and how it delivers; the functions are asked again at every message, so limits may change. */
export interface ReaderOptions {
  /** Whose bytes these are; decides which type bytes are known. */
  readonly direction: Direction;
  /** Types delivered as runs and never buffered. */
  readonly streamed: ReadonlySet<number>;
  /** Messages of more bytes than this (header included) come as head and runs. */
  readonly spill: (type: number) => number;
  /** Greatest length field accepted (as PostgreSQL counts: without the type byte). */
  readonly maxLength: (type: number) => number;
}

/** Bytes of a message's type and length. */
export const HEADER = 5;
const EMPTY = Buffer.alloc(0);

/** The length field at `at`: of a message without its type. */
export function lengthAt(bytes: Buffer, at: number): number {
  // Four byte reads: measurably cheaper than readUInt32BE in the run loop. `>>> 0` keeps 2 GB and more positive.
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Splits one direction of a connection into steps; push a chunk, then call `next` until it returns null. */
export class MessageReader {
  readonly #options: ReaderOptions;
  readonly #known: Uint8Array;
  readonly #streamed: Uint8Array;
  #chunk: Buffer = EMPTY;
  #position = 0;
  #queue: Buffer[] = [];
  /** Bytes of a message whose beginning came in earlier chunks; the first `#held` are valid. */
  #partial: Buffer = EMPTY;
  #held = 0;
  /** Type and missing bytes of the streamed or spilled message we are inside of. */
  #type = 0;
  #left = 0;
  #failure: ProtocolError | null = null;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#known = KNOWN_TYPES[options.direction];
    this.#streamed = tableOf(options.streamed);
  }

  /** Bytes pushed and not yet delivered. */
  get buffered(): number {
    let sum = this.#held + this.#chunk.length - this.#position;
    for (const chunk of this.#queue) sum += chunk.length;
    return sum;
  }

  /** What is pushed next begins with a message. */
  get atBoundary(): boolean {
    const { length } = this.#chunk;
    return this.#left === 0 && this.#held === 0 && this.#position === length && this.#queue.length === 0;
  }

  /** Adds received bytes; ignored after an error. */
  push(chunk: Buffer): void {
    if (this.#failure !== null || chunk.length === 0) return;
    // Test: "chunks that are pushed between steps come out in the order in which they were pushed".
    if (this.#position < this.#chunk.length || this.#queue.length > 0) {
      this.#queue.push(chunk);
      return;
    }
    this.#chunk = chunk;
    this.#position = 0;
  }

  /** The next step, or null when more bytes are needed. A ProtocolError is final: every later call throws it again. */
  next(): Step | null {
    if (this.#failure !== null) throw this.#failure;
    while (this.#advance()) {
      const step = this.#step();
      if (step !== null) return step;
    }
    return null;
  }

  /** Passes over so many bytes: whole messages that stand in the chunk of the last step, behind it. */
  skip(bytes: number): void {
    this.#position += bytes;
  }

  /** Takes all unread bytes out, as one buffer, for handing the socket over to another protocol. */
  rest(): Buffer {
    const rest = Buffer.concat([
      this.#partial.subarray(0, this.#held),
      this.#chunk.subarray(this.#position),
      ...this.#queue,
    ]);
    this.#partial = EMPTY;
    this.#held = 0;
    this.#chunk = EMPTY;
    this.#position = 0;
    this.#queue = [];
    return rest;
  }

  /** Makes sure that the current chunk has unread bytes; lets go of a chunk that has none. */
  #advance(): boolean {
    if (this.#position < this.#chunk.length) return true;
    this.#chunk = this.#queue.shift() ?? EMPTY;
    this.#position = 0;
    return this.#chunk.length > 0;
  }

  #step(): Step | null {
    if (this.#left > 0) return this.#run(this.#type, this.#position + this.#left);
    if (this.#held > 0) return this.#resume();
    const available = this.#chunk.length - this.#position;
    if (available < HEADER) return this.#hold(available, HEADER);
    const type = this.#chunk[this.#position]!;
    const total = this.#checkHeader(this.#chunk, this.#position);
    if (this.#streamed[type] === 1) return this.#run(type, this.#position + total);
    const wanted = this.#wanted(type, total);
    if (available < wanted) return this.#hold(available, wanted);
    const start = this.#position;
    this.#position += wanted;
    return this.#deliver(total, this.#chunk, start, this.#position);
  }

  /** Goes on with a message whose first bytes are held. */
  #resume(): Step | null {
    if (this.#held < HEADER) {
      this.#hold(HEADER - this.#held, HEADER);
      if (this.#held < HEADER) return null;
    }
    const type = this.#partial[0]!;
    const total = this.#checkHeader(this.#partial, 0);
    const wanted = this.#streamed[type] === 1 ? HEADER : this.#wanted(type, total);
    this.#hold(wanted - this.#held, wanted);
    if (this.#held < wanted) return null;
    const held = this.#partial;
    this.#partial = EMPTY;
    this.#held = 0;
    if (this.#streamed[type] === 0) return this.#deliver(total, held, 0, wanted);
    this.#type = type;
    this.#left = total - HEADER;
    const open = this.#left > 0;
    return new Step('run', type, held, 0, wanted, open ? 0 : 1, 0, open);
  }

  /** A run from here: the message that ends at `end` and, for a streamed type, all that follow it in this chunk. */
  #run(type: number, end: number): Step {
    const chunk = this.#chunk;
    const size = chunk.length;
    let count = 0;
    if (this.#streamed[type] === 1) {
      const max = this.#options.maxLength(type);
      while (end <= size) {
        count += 1;
        if (end + HEADER > size || chunk[end] !== type) break;
        const length = lengthAt(chunk, end + 1);
        if (length < 4 || length > max) break; // reported by the next call, after the good bytes before it
        end += 1 + length;
      }
    } else if (end <= size) {
      count = 1;
    }
    this.#type = type;
    this.#left = Math.max(0, end - size);
    const start = this.#position;
    this.#position = Math.min(end, size);
    const open = this.#left > 0;
    return new Step('run', type, chunk, start, this.#position, count, 0, open);
  }

  /** The message at `start`, or what is delivered of it at first. */
  #deliver(total: number, chunk: Buffer, start: number, end: number): Step {
    const type = chunk[start]!;
    if (end - start === total) return new Step('message', type, chunk, start, end, 1, total, false);
    this.#type = type;
    this.#left = total - (end - start);
    return new Step('head', type, chunk, start, end, 0, total, true);
  }

  /** How many first bytes of a message make a step: all, or the spill bound. */
  #wanted(type: number, total: number): number {
    return Math.min(total, Math.max(HEADER, this.#options.spill(type)));
  }

  /** Whole size of the message whose header is at `at`; refused here, before anything is allocated for it. */
  #checkHeader(bytes: Buffer, at: number): number {
    const { direction, maxLength } = this.#options;
    const type = bytes[at]!;
    if (this.#known[type] === 0) this.#fail(`${direction} sent an ${messageName(direction, type)}`);
    const length = lengthAt(bytes, at + 1);
    const max = maxLength(type);
    if (length < 4 || length > max) {
      this.#fail(`invalid length ${length} of ${messageName(direction, type)}: allowed are 4 to ${max} bytes`);
    }
    return 1 + length;
  }

  #fail(message: string): never {
    this.#failure = new ProtocolError(message);
    this.rest();
    throw this.#failure;
  }

  #take(count: number): Buffer {
    const start = this.#position;
    this.#position += count;
    return this.#chunk.subarray(start, this.#position);
  }

  /** Copies up to `count` bytes behind those held. Grows by doubling up to `wanted`: a length field alone buys none. */
  #hold(count: number, wanted: number): null {
    const taken = this.#take(Math.min(count, this.#chunk.length - this.#position));
    const needed = this.#held + taken.length;
    if (needed > this.#partial.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, Math.min(wanted, 2 * needed)));
      this.#partial.copy(grown, 0, 0, this.#held);
      this.#partial = grown;
    }
    taken.copy(this.#partial, this.#held);
    this.#held = needed;
    return null;
  }
}
