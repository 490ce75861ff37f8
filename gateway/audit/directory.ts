import { randomUUID } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { AuditError, reasonOf } from './errors.ts';

/** Makes the entries of a directory durable: a new file's name is not, by syncing the file alone. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Replaces a small file so that a crash leaves the old one or the new one, never half of it. */
function writeWhole(path: string, content: string): void {
  const temporary = `${path}.new`;
  const fd = openSync(temporary, 'w', 0o600);
  try {
    writeFileSync(fd, content);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (reasonOf(error) === 'ENOENT') {
      return null;
    }
    throw error;
  }
}

/** When a process started, in clock ticks since boot; null: no such process, or no /proc to ask. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // proc(5): the second field is in parentheses and may contain any character; starttime is field 22.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function isRunning(pid: number, start: string | null): boolean {
  if (pid === process.pid) {
    // After a container's restart the new process often has the old one's number.
    return start !== null && start === startOf(pid);
  }
  const now = startOf(pid);
  if (now !== null) {
    return now === start;
  }
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux';
  } catch {
    return false;
  }
}

function lock(directory: string): () => void {
  const path = join(directory, 'lock');
  const held = readText(path);
  if (held !== null) {
    const [pid, start] = held.trim().split(' ');
    if (isRunning(Number(pid), start ?? null)) {
      throw new AuditError('InUse', `audit directory ${directory} is in use by process ${pid}`);
    }
    unlinkSync(path);
  }
  writeFileSync(path, `${process.pid} ${startOf(process.pid) ?? ''}\n`, { flag: 'wx', mode: 0o600 });
  return () => {
    try {
      unlinkSync(path);
    } catch {
      // A lock that stays behind names a process that is gone: the next start removes it.
    }
  };
}

function identityOf(directory: string, gateway: string): string {
  const path = join(directory, 'log.json');
  const known = readText(path);
  if (known === null) {
    const id = randomUUID();
    writeWhole(path, `${JSON.stringify({ gateway, id })}\n`);
    syncDirectory(directory);
    return id;
  }
  const identity = JSON.parse(known) as { readonly gateway?: unknown; readonly id?: unknown };
  if (typeof identity.id !== 'string' || !/^[0-9a-f-]{36}$/.test(identity.id)) {
    throw new AuditError('Directory', `${path} names no log`);
  }
  if (identity.gateway !== gateway) {
    throw new AuditError('WrongGateway', `audit directory ${directory} belongs to gateway ${identity.gateway}`);
  }
  return identity.id;
}

export interface LogDirectory {
  /** The log's id, made when the directory was first used. */
  readonly id: string;
  /** Where the log's segments are. */
  readonly path: string;
  release(): void;
}

/** Takes a directory for this process. Throws an AuditError that says what is wrong with it. */
export function openDirectory(directory: string, gateway: string): LogDirectory {
  let release: (() => void) | null = null;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    release = lock(directory);
    const id = identityOf(directory, gateway);
    const path = join(directory, id);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return { id, path, release };
  } catch (error) {
    release?.();
    if (error instanceof AuditError) {
      throw error;
    }
    throw new AuditError('Directory', `audit directory ${directory} cannot be used: ${reasonOf(error)}`, error);
  }
}
