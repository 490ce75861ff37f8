import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import type { Analysis } from '../sql/facts.ts';
import { KnownTexts, type Lookup } from './known.ts';
import type { Answer } from './protocol.ts';
import { FairQueue } from './queue.ts';

export interface AnalyzerOptions {
  readonly workers: number;
  /** Longest text that is parsed, in bytes. */
  readonly statementBytes: number;
  /** Longest time for one text, in milliseconds. */
  readonly watchdog: number;
  readonly cacheBytes: number;
}

/** Texts to facts, by threads that may hang or break without harm to anybody else. */
export interface Analyzer {
  /**
   * The answer at once where it is known, else later. Never rejects. `text` is valid UTF-8 without NUL; `client` is whose
   * turn it takes.
   */
  analyze(text: Buffer, client: string): Analysis | Promise<Analysis>;
  close(): Promise<void>;
  readonly stats: { hits: number; misses: number; restarts: number; timeouts: number };
}

interface Job {
  readonly id: number;
  readonly lookup: Lookup;
  readonly client: string;
  readonly done: (analysis: Analysis) => void;
}

// V8's optimising compiler takes 500 MiB and most of a second for the grammar, and gains nothing: the time goes into
// trees, not into WASM. A pod with a modest limit would be killed at its first statements.
for (const flag of ['--no-wasm-tier-up', '--no-wasm-dynamic-tiering']) setFlagsFromString(flag);

/** Starts the threads and waits until they can parse. */
export async function createAnalyzer(options: AnalyzerOptions): Promise<Analyzer> {
  const pool = new Pool(options);
  await pool.start();
  return pool;
}

const CLOSED: Analysis = { kind: 'NotUnderstood', reason: 'the gateway is shutting down', hint: 'Connect again.' };
const SLOW: Analysis = {
  kind: 'NotUnderstood',
  reason: 'it takes too long to parse',
  hint: 'Make the statement shorter.',
};

class Pool implements Analyzer {
  readonly stats = { hits: 0, misses: 0, restarts: 0, timeouts: 0 };
  readonly #options: AnalyzerOptions;
  readonly #known: KnownTexts;
  readonly #pending = new Map<string, Promise<Analysis>>();
  readonly #waiting: FairQueue<Job>;
  readonly #threads: Thread[] = [];
  #closed = false;
  #nextId = 1;

  constructor(options: AnalyzerOptions) {
    this.#options = options;
    this.#known = new KnownTexts(options.cacheBytes);
    // One thread is always left for others, where there is more than one.
    this.#waiting = new FairQueue(Math.max(1, options.workers - 1));
  }

  async start(): Promise<void> {
    for (let i = 0; i < this.#options.workers; i++)
      this.#threads.push(new Thread(this.#options.watchdog, this.#callbacks));
    await Promise.all(this.#threads.map((thread) => thread.ready));
  }

  analyze(text: Buffer, client: string): Analysis | Promise<Analysis> {
    if (text.length > this.#options.statementBytes) {
      return {
        kind: 'NotUnderstood',
        reason: `it is longer than ${this.#options.statementBytes} bytes`,
        hint: 'Send data as parameters or by COPY; spec.limits.statementBytes sets the limit.',
      };
    }
    const found = this.#known.find(text);
    if ('kind' in found) {
      this.stats.hits += 1;
      return found;
    }
    this.stats.misses += 1;
    return this.#pending.get(found.exact) ?? this.#submit(found, client);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#waiting.drain()) job.done(CLOSED);
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }

  #submit(lookup: Lookup, client: string): Promise<Analysis> {
    if (this.#closed) return Promise.resolve(CLOSED);
    const promise = new Promise<Analysis>((done) => {
      const copy = { ...lookup, text: Buffer.from(lookup.text) };
      this.#waiting.push(client, { id: this.#nextId++, lookup: copy, client, done });
    });
    this.#pending.set(lookup.exact, promise);
    void promise.then(() => this.#pending.delete(lookup.exact));
    this.#dispatch();
    return promise;
  }

  #dispatch(): void {
    for (const thread of this.#threads) {
      if (!thread.free) continue;
      const job = this.#waiting.take();
      if (job === undefined) return;
      thread.run(job);
    }
  }

  readonly #callbacks: ThreadCallbacks = {
    free: () => this.#dispatch(),
    done: (job, { analysis, free, restarted }) => {
      this.#waiting.done(job.client);
      if (restarted) this.stats.restarts += 1;
      else this.#known.remember(job.lookup, analysis, free);
      job.done(analysis);
    },
    lost: (job, timedOut) => {
      this.stats.restarts += 1;
      if (timedOut) this.stats.timeouts += 1;
      if (job !== null) this.#waiting.done(job.client);
      job?.done(this.#closed ? CLOSED : SLOW);
    },
  };
}

interface ThreadCallbacks {
  readonly free: () => void;
  readonly done: (job: Job, answer: Answer & { kind: 'Done' }) => void;
  /** The thread had to be replaced while it worked on `job`. */
  readonly lost: (job: Job | null, timedOut: boolean) => void;
}

/** One worker thread with at most one text in it, replaced when it hangs or dies. */
class Thread {
  ready!: Promise<void>;
  readonly #watchdog: number;
  readonly #callbacks: ThreadCallbacks;
  #worker!: Worker;
  #job: Job | null = null;
  #timer: NodeJS.Timeout | null = null;
  #up = false;
  #closed = false;

  constructor(watchdog: number, callbacks: ThreadCallbacks) {
    this.#watchdog = watchdog;
    this.#callbacks = callbacks;
    this.#start();
  }

  get free(): boolean {
    return this.#up && this.#job === null;
  }

  run(job: Job): void {
    this.#job = job;
    this.#timer = setTimeout(() => this.#replace(true), this.#watchdog);
    this.#worker.postMessage({ id: job.id, text: job.lookup.text });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#worker.terminate();
  }

  #start(): void {
    this.#up = false;
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { resourceLimits: { stackSizeMb: 64 } });
    this.#worker = worker;
    worker.unref();
    this.ready = new Promise((resolve) => {
      worker.on('message', (answer: Answer) => {
        if (answer.kind === 'Done') return this.#finish(answer);
        this.#up = true;
        resolve();
        this.#callbacks.free();
      });
    });
    worker.on('error', () => this.#ended(worker));
    worker.on('exit', () => this.#ended(worker));
  }

  #finish(answer: Answer & { kind: 'Done' }): void {
    const job = this.#take();
    if (job !== null) this.#callbacks.done(job, answer);
    this.#callbacks.free();
  }

  #take(): Job | null {
    const job = this.#job;
    this.#job = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    return job;
  }

  #ended(worker: Worker): void {
    if (worker === this.#worker && !this.#closed) this.#replace(false);
    else if (this.#closed) this.#callbacks.lost(this.#take(), false);
  }

  #replace(timedOut: boolean): void {
    const [job, stuck] = [this.#take(), this.#worker];
    this.#start();
    void stuck.terminate();
    this.#callbacks.lost(job, timedOut);
  }
}
