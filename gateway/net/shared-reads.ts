import { type OnReadOpts, Socket } from 'node:net';

/** What one read takes at most; of all sockets, as each is copied out of it before the next. */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 << 10);

/**
 * Option `onread` of a socket without TLS: its bytes go past the stream's own allocation of 64 KiB for every read, however
 * few come. Nothing keeps what nobody listens to, so the socket must be paused from the beginning on (test: "what a server
 * says before it is asked is not lost"). `socket` is asked when bytes come: it is not there when its options are made.
 */
export function sharedReads(socket: () => Socket): OnReadOpts {
  return {
    buffer: READ_BUFFER,
    callback(bytes) {
      socket().emit('data', Buffer.from(READ_BUFFER.subarray(0, bytes)));
      return true;
    },
  };
}

/** Of Node's own making: how it makes a socket of a connection that its server accepted (lib/net.js, `onconnection`). */
interface Accepted {
  _handle: object | null;
}

interface AcceptedOptions {
  readonly handle: object;
  readonly allowHalfOpen: true;
  readonly pauseOnCreate: true;
  readonly onread: OnReadOpts;
}

export interface Adopted {
  readonly socket: Socket;
  /** What the old socket had read. */
  readonly rest: Buffer;
}

/**
 * Lets an accepted, paused socket without TLS read so too, which Node offers for sockets that it opens only: the
 * connection goes over to another socket, and the old one closes when that does, as they wait for it who count connections.
 * Null where something is under way in the old socket, or Node has changed: that stays as good as it was (test: "an
 * accepted connection is read into the shared buffer").
 */
export function adopt(accepted: Socket): Adopted | null {
  const old = accepted as unknown as Accepted;
  const handle = old._handle;
  const moving = accepted.writableLength > 0 || accepted.readableEnded || accepted.destroyed;
  if (moving || handle === null || typeof handle !== 'object' || !('useUserBuffer' in handle)) return null;
  const rest = accepted.read() as Buffer | null;
  const options: AcceptedOptions = {
    handle,
    allowHalfOpen: true,
    pauseOnCreate: true,
    onread: sharedReads(() => socket),
  };
  const socket: Socket = new Socket(options as unknown as ConstructorParameters<typeof Socket>[0]);
  old._handle = null;
  socket.once('close', () => accepted.destroy());
  return { socket, rest: rest ?? Buffer.alloc(0) };
}
