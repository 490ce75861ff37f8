import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import type net from 'node:net';
import readline from 'node:readline';

/** A program that ends with the process that started it, however that ended. */
export interface OwnedProcess {
  readonly pid: number;
  /** Waits for its end: the code it exited with; 128 + number where a signal ended it. */
  ended(): Promise<number>;
  signal(name: NodeJS.Signals): void;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** What it has written so far. */
  log(): Promise<string>;
}

/** The read ends when the other end of the pipe is closed. Shell, because that starts in a millisecond. */
const OWNER = `
log=$1; shift
exec 3<&0
exec 2>/dev/null
"$@" >>"$log" 2>&1 </dev/null 3<&- &
pid=$!
echo $pid
{ read -r _; kill -s KILL $pid; } <&3 >/dev/null 2>&1 &
reader=$!
wait $pid
echo $?
kill $reader
`;

/** Starts a program that writes to `logFile`. */
export async function startOwned(
  logFile: string,
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<OwnedProcess> {
  // Detached, or Ctrl-C at a terminal would end the owner before it has done its work.
  const owner = spawn('/bin/sh', ['-c', OWNER, 'owner', logFile, ...command], {
    env: { ...process.env, ...environment },
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = readline.createInterface({ input: owner.stdout })[Symbol.asyncIterator]();
  const pid = Number((await lines.next()).value);
  const code = lines.next().then(({ value }) => Number(value));
  const handles = [owner, owner.stdin as net.Socket, owner.stdout as net.Socket];
  // What a test forgot must not keep its process from ending; who waits for the end must.
  for (const handle of handles) handle.unref();
  const ended = (): Promise<number> => {
    for (const handle of handles) handle.ref();
    return code;
  };
  const signal = (name: NodeJS.Signals): void => {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended already.
    }
  };
  return {
    pid,
    ended,
    signal,
    async kill() {
      signal('SIGKILL');
      await ended();
    },
    log: () => readFile(logFile, 'utf8'),
  };
}
