/**
 * Jobs that wait, client by client in turn: who floods waits behind themselves, and holds no more threads than `share`
 * (test: "a flood of one client holds up nobody else").
 */
export class FairQueue<T> {
  readonly #share: number;
  /** In the order of their turns. */
  readonly #waiting = new Map<string, T[]>();
  readonly #running = new Map<string, number>();

  constructor(share: number) {
    this.#share = share;
  }

  push(client: string, job: T): void {
    const jobs = this.#waiting.get(client);
    if (jobs === undefined) this.#waiting.set(client, [job]);
    else jobs.push(job);
  }

  /** The next job, which is running from now on; undefined: nobody's may start. */
  take(): T | undefined {
    for (const [client, jobs] of this.#waiting) {
      const running = this.#running.get(client) ?? 0;
      if (running >= this.#share) continue;
      const job = jobs.shift()!;
      this.#waiting.delete(client);
      if (jobs.length > 0) this.#waiting.set(client, jobs);
      this.#running.set(client, running + 1);
      return job;
    }
    return undefined;
  }

  /** A job of this client has ended. */
  done(client: string): void {
    const running = (this.#running.get(client) ?? 1) - 1;
    if (running > 0) this.#running.set(client, running);
    else this.#running.delete(client);
  }

  /** Everything that waits, which waits no longer. */
  drain(): T[] {
    const jobs = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    return jobs;
  }
}
