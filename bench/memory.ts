import { setTimeout as sleep } from 'node:timers/promises';
import type { WireClient } from '../test/kit/wire-client.ts';
import type { Contender } from './contenders.ts';
import { peakWhile, residentBytes } from './process-usage.ts';
import { open, read } from './raw-read.ts';

/** The proxy's memory with nobody connected, and with many sessions that do nothing. */
export interface IdleMemory {
  readonly contender: string;
  readonly sessions: number;
  readonly emptyBytes: number;
  readonly idleBytes: number;
}

/** Opens the sessions, each with one statement behind it, and looks at the proxy's memory when it has come to rest. */
export async function idleMemory(contender: Contender, pid: number, sessions: number): Promise<IdleMemory> {
  const emptyBytes = await residentBytes(pid);
  const clients: WireClient[] = [];
  try {
    while (clients.length < sessions) {
      const client = await open(contender);
      clients.push(client);
      await read(client, 'SELECT 1', 'text');
    }
    await sleep(3000);
    return { contender: contender.name, sessions, emptyBytes, idleBytes: await residentBytes(pid) };
  } finally {
    for (const client of clients) client.destroy();
  }
}

/** How a single value of many megabytes passed. */
export interface WideValue {
  readonly contender: string;
  readonly megabytes: number;
  readonly seconds: number;
  /** How far the proxy's memory rose above what it was before; null without a proxy. */
  readonly growthBytes: number | null;
}

export async function wideValue(contender: Contender, megabytes: number): Promise<WideValue> {
  const client = await open(contender);
  const { pid } = contender;
  const before = pid === undefined ? 0 : await residentBytes(pid);
  const sql = `SELECT repeat('x', ${megabytes * 1_048_576})`;
  const { result, peak } = await peakWhile(pid, 10, () => read(client, sql, 'text'));
  client.destroy();
  const growthBytes = pid === undefined ? null : Math.max(0, peak - before);
  return { contender: contender.name, megabytes, seconds: result.seconds, growthBytes };
}
