import type { Socket } from 'node:net';

export interface ConnectionLimits {
  /** Connections that have not become a stream: all, and from one address. */
  readonly pending: number;
  readonly pendingPerAddress: number;
  /** Milliseconds from the connection to the stream: TLS, headers and review together. */
  readonly patience: number;
}

/**
 * Bounds what callers cost before they have shown who they are. A connection is known by its address and port: of the
 * TLS socket that a request comes from, node does not tell the one below it.
 */
export class PendingConnections {
  readonly #limits: ConnectionLimits;
  readonly #dropped: () => void;
  readonly #pending = new Map<string, () => void>();
  readonly #perAddress = new Map<string, number>();

  constructor(limits: ConnectionLimits, dropped: () => void) {
    this.#limits = limits;
    this.#dropped = dropped;
  }

  add(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const there = this.#perAddress.get(address) ?? 0;
    if (this.#pending.size >= this.#limits.pending || there >= this.#limits.pendingPerAddress)
      return this.#drop(socket);
    this.#perAddress.set(address, there + 1);
    const key = keyOf(socket);
    const timer = setTimeout(() => this.#drop(socket), this.#limits.patience);
    const settle = () => {
      if (!this.#pending.delete(key)) return;
      clearTimeout(timer);
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left > 0) this.#perAddress.set(address, left);
      else this.#perAddress.delete(address);
    };
    this.#pending.set(key, settle);
    socket.once('close', settle);
  }

  /** The connection has become a stream. */
  settle(socket: Socket): void {
    this.#pending.get(keyOf(socket))?.();
  }

  #drop(socket: Socket): void {
    this.#dropped();
    socket.destroy();
  }
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
