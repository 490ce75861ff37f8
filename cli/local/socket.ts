import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import type { DrainProgress, SessionList } from '../../gateway/telemetry/admin-socket.ts';
import { CommandError } from '../usage.ts';

export const DEFAULT_SOCKET = '/run/postern/admin.sock';

export async function listSessions(socketPath: string): Promise<SessionList> {
  return JSON.parse(await text(await send(socketPath, 'GET', '/sessions')));
}

export async function terminateSession(socketPath: string, id: string): Promise<void> {
  await text(await send(socketPath, 'DELETE', `/sessions/${encodeURIComponent(id)}`));
}

/** Calls back for each change until the gateway has drained. */
export async function drainGateway(
  socketPath: string,
  grace: number,
  told: (progress: DrainProgress) => void,
): Promise<void> {
  const response = await send(socketPath, 'POST', `/drain?grace=${grace}`);
  let rest = '';
  let drained = false;
  for await (const chunk of response.setEncoding('utf8')) {
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      const progress = JSON.parse(line) as DrainProgress;
      drained = progress.drained;
      told(progress);
    }
  }
  if (!drained) throw new CommandError('the gateway ended before it said that it was drained; see its log');
}

async function send(socketPath: string, method: string, path: string): Promise<IncomingMessage> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = request({ socketPath, method, path, agent: false }, resolve);
    sent.once('error', (error: NodeJS.ErrnoException) => reject(new CommandError(explain(error, socketPath))));
    sent.end();
  });
  if (response.statusCode! < 300) return response;
  const { error } = JSON.parse(await text(response)) as { error: string };
  throw new CommandError(error);
}

function explain({ code, message }: NodeJS.ErrnoException, path: string): string {
  switch (code) {
    case 'ENOENT':
      return `no gateway listens on ${path}: run this in the gateway's pod, or name its --admin-socket with --socket`;
    case 'ECONNREFUSED':
      return `the gateway that listened on ${path} is not running any more`;
    case 'EACCES':
      return `${path} is for the gateway's own user alone: run this in its pod`;
    default:
      return `the gateway does not answer on ${path}: ${message}`;
  }
}
