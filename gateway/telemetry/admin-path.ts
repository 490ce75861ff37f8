import { lstatSync, mkdirSync, rmSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';

/**
 * Makes way for a socket at `path`: its directory, and where a killed process has left its socket, that is removed.
 * Rejects where something lives there, or something that is no socket.
 */
export async function claimPath(path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error('something is there that is no socket; remove it, or choose another path');
  if (await isAnswered(path)) throw new Error('another process listens there; stop it, or choose another path');
  rmSync(path, { force: true });
}

/** Whether somebody listens; rejects where that cannot be told. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNREFUSED' || error.code === 'ENOENT' ? resolve(false) : reject(error),
    );
  });
}

/**
 * Listens on a socket of mode 0600. It has that mode from the beginning: to change it later would leave a moment for
 * others (test: "is for the gateway's own user alone").
 */
export async function listenOwnerOnly(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // A pipe is bound before `listen` returns.
    const before = process.umask(0o177);
    try {
      server.listen({ path }, () => {
        server.off('error', reject);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}
