import type { Socket } from 'node:net';

const EMPTY = Buffer.alloc(0);

/** What ended a wait for bytes. */
export type Arrival = 'More' | 'Closed' | 'Aborted';

/**
 * Reads a socket chunk by chunk while connection set-up needs to look at bytes. The socket is paused but for the time
 * of a `more` call, so what is held is bounded by the caller's limit plus one chunk. `detach` gives the socket back.
 */
export class ByteSource {
  readonly #socket: Socket;
  #bytes: Buffer = EMPTY;
  #closed = false;
  #wake: (() => void) | null = null;
  readonly #onData = (chunk: Buffer): void => {
    this.#socket.pause();
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    this.#wake?.();
  };
  readonly #onClosed = (): void => {
    this.#closed = true;
    this.#wake?.();
  };

  /** `initial`: bytes of this socket that came earlier. */
  constructor(socket: Socket, initial: Buffer = EMPTY) {
    this.#socket = socket;
    this.#bytes = initial;
    // Stays for the socket's life: an error between two owners would otherwise end the process.
    socket.on('error', ignore);
    socket.pause();
    socket.on('data', this.#onData);
    socket.on('end', this.#onClosed);
    socket.on('close', this.#onClosed);
    this.#closed = socket.destroyed || socket.readableEnded;
  }

  /** Bytes received and not taken. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** Bytes that wait here or in the socket's own buffer. */
  get pending(): number {
    return this.#bytes.length + this.#socket.readableLength;
  }

  take(count: number): Buffer {
    const taken = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return taken;
  }

  /** Waits until bytes arrive, the peer closes or the signal aborts. */
  async more(signal: AbortSignal): Promise<Arrival> {
    const before = this.#bytes.length;
    if (!this.#closed && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        signal.addEventListener('abort', this.#wake, { once: true });
        this.#socket.resume();
      });
      if (this.#wake !== null) signal.removeEventListener('abort', this.#wake);
      this.#wake = null;
      this.#socket.pause();
    }
    if (this.#bytes.length > before) return 'More';
    return signal.aborted ? 'Aborted' : 'Closed';
  }

  /** Lets go of the socket, which stays paused, and returns what was not taken. */
  detach(): Buffer {
    this.#socket.off('data', this.#onData);
    this.#socket.off('end', this.#onClosed);
    this.#socket.off('close', this.#onClosed);
    const rest = this.#bytes;
    this.#bytes = EMPTY;
    return rest;
  }
}

function ignore(): void {}
