import type { Activity } from './activity.ts';
import type { SessionContext } from './audit/record.ts';
import type { Pump } from './net/pump.ts';
import { SQLSTATE } from './session/refusal.ts';
import type { OpenSession } from './telemetry/admin-socket.ts';

interface Entry {
  readonly context: SessionContext;
  readonly activity: Activity;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Gives its place back. */
  readonly leave: () => void;
  /** Milliseconds of idleness allowed at present. */
  readonly idle: () => number;
}

const POLL = 50;

/** The open sessions of a gateway: how many of whom, which sit idle, and their end at a drain. */
export class Sessions {
  readonly #open = new Map<Pump, Entry>();
  readonly #perUsername = new Map<string, number>();
  readonly #listeners: (() => void)[] = [];
  /** Sessions that are over, whose connections to the server are not yet. */
  readonly #leaving = new Set<Promise<void>>();

  get size(): number {
    return this.#open.size;
  }

  /** Calls back when one has begun or ended. */
  subscribe(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /**
   * A place for one more session of a user name; null: there are `most`. It is taken before the database is dialled, or
   * many connections at once would all find room (test: "sessions that begin at the same time"). Returns how to leave it.
   */
  enter(username: string, most: number): (() => void) | null {
    const there = this.#perUsername.get(username) ?? 0;
    if (there >= most) return null;
    this.#perUsername.set(username, there + 1);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const others = (this.#perUsername.get(username) ?? 0) - 1;
      if (others > 0) this.#perUsername.set(username, others);
      else this.#perUsername.delete(username);
    };
  }

  add(pump: Pump, entry: Entry): void {
    this.#open.set(pump, entry);
    this.#tell();
  }

  /** A session is over; `serverGone` resolves when the server has noticed. */
  remove(pump: Pump, serverGone: Promise<void>): void {
    this.#open.get(pump)?.leave();
    this.#leaving.add(serverGone);
    void serverGone.then(() => this.#leaving.delete(serverGone));
    if (this.#open.delete(pump)) this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Those that are open, in the order of their beginning. */
  list(now: number): OpenSession[] {
    return [...this.#open].map(([pump, entry]) => describe(pump, entry, now));
  }

  /** Ends one in whatever state it is; false: there is none with that id. */
  terminate(id: string): boolean {
    const found = [...this.#open].find(([, { context }]) => context.id === id);
    found?.[0].terminate('Terminated', TERMINATED);
    return found !== undefined;
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
    // What still runs is being cancelled: it must not run on because nobody was left to see to it.
    await Promise.all(this.#leaving);
  }
}

function describe(pump: Pump, { context, activity, startedAt }: Entry, now: number): OpenSession {
  const { id, identity, role, database, listener, client, server } = context;
  const silence = pump.silence();
  const state = pump.idle ? 'Idle' : silence > 0 ? 'InTransaction' : 'Active';
  const since = state === 'Active' ? activity.runningSince : now - silence;
  return {
    id,
    user: identity.username,
    issuer: identity.issuer,
    role,
    database,
    applicationName: activity.applicationName,
    listener,
    client: endpoint(client),
    serverPid: server.pid,
    started: new Date(startedAt).toISOString(),
    state,
    since: since === null ? null : new Date(since).toISOString(),
    statements: activity.statements,
  };
}

function endpoint({ address, port }: SessionContext['client']): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

const IDLE = {
  code: SQLSTATE.idleSessionTimeout,
  message: 'terminating connection due to idle-session timeout',
};

const IDLE_IN_TRANSACTION = {
  code: SQLSTATE.idleInTransactionTimeout,
  message: 'terminating connection due to idle-in-transaction timeout',
};

const TERMINATED = {
  code: SQLSTATE.adminShutdown,
  message: 'terminating connection due to administrator command',
  hint: 'An administrator of the gateway has ended this session.',
};

const DRAINED = {
  code: SQLSTATE.adminShutdown,
  message: 'terminating connection due to administrator command',
  hint: 'The gateway is being stopped: connect again.',
};
