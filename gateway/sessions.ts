import type { Pump } from './net/pump.ts';
import { SQLSTATE } from './session/refusal.ts';

interface Entry {
  readonly username: string;
  /** Milliseconds of idleness allowed at present. */
  readonly idle: () => number;
}

const POLL = 50;

/** The open sessions of a gateway: how many of whom, which sit idle, and their end at a drain. */
export class Sessions {
  readonly #open = new Map<Pump, Entry>();
  readonly #perUsername = new Map<string, number>();

  add(pump: Pump, username: string, idle: () => number): void {
    this.#open.set(pump, { username, idle });
    this.#perUsername.set(username, this.count(username) + 1);
  }

  remove(pump: Pump): void {
    const entry = this.#open.get(pump);
    if (entry === undefined) return;
    this.#open.delete(pump);
    const left = this.count(entry.username) - 1;
    if (left > 0) this.#perUsername.set(entry.username, left);
    else this.#perUsername.delete(entry.username);
  }

  /** Open sessions of a user name. */
  count(username: string): number {
    return this.#perUsername.get(username) ?? 0;
  }

  /** Ends those that have been silent for too long: one in a transaction holds locks as well. */
  sweep(): void {
    for (const [pump, { idle }] of this.#open) {
      if (pump.silence() > idle()) pump.terminate('IdleTimeout', pump.idle ? IDLE : IDLE_IN_TRANSACTION);
    }
  }

  /** Ends every session as soon as its transaction is over, and at the deadline (milliseconds from now) the rest. */
  async drain(deadline: number): Promise<void> {
    const until = performance.now() + deadline;
    while (this.#open.size > 0) {
      for (const pump of [...this.#open.keys()])
        if (pump.idle || performance.now() >= until) pump.terminate('Drain', DRAINED);
      await new Promise((resolve) => setTimeout(resolve, POLL));
    }
  }
}

const IDLE = {
  code: SQLSTATE.idleSessionTimeout,
  message: 'terminating connection due to idle-session timeout',
};

const IDLE_IN_TRANSACTION = {
  code: SQLSTATE.idleInTransactionTimeout,
  message: 'terminating connection due to idle-in-transaction timeout',
};

const DRAINED = {
  code: SQLSTATE.adminShutdown,
  message: 'terminating connection due to administrator command',
  hint: 'The gateway is being stopped: connect again.',
};
