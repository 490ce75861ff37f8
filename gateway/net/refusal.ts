import type { Socket } from 'node:net';
import { encodeErrorResponse } from '../wire/backend.ts';

/** Why a connection is ended before a session exists, in the words the client gets. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
}

/** How long an ended connection may take to read its last message. */
const LINGER = 2_000;

/** Sends one FATAL ErrorResponse and ends the connection; `refusal.code` is the SQLSTATE. */
export function refuse(socket: Socket, refusal: Refusal): void {
  finish(socket, encodeErrorResponse({ severity: 'FATAL', ...refusal }));
}

/** Writes last bytes, half-closes, discards what still comes in and destroys the socket soon after. */
export function finish(socket: Socket, bytes?: Buffer): void {
  if (socket.destroyed) return;
  socket.on('error', () => {});
  const timer = setTimeout(() => socket.destroy(), LINGER);
  socket.once('close', () => clearTimeout(timer));
  // Unread input would turn the close into a reset, and the client would lose the message.
  socket.resume();
  if (socket.writableEnded) return;
  if (bytes === undefined) socket.end();
  else socket.end(bytes);
  socket.once('end', () => socket.destroySoon());
}
