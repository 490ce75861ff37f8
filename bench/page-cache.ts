import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

/** Left free for the programs. */
const SPARE = 2 << 30;
const CHUNK = Buffer.alloc(16 << 20);

/** Memory that holds a file, and gives it up page by page to whoever needs it. */
export interface PageCache {
  readonly bytes: number;
  release(): Promise<void>;
}

/**
 * Fills the free memory with a file, as on a server that has run for a while. A virtual machine gets memory from its host
 * when it is written to for the first time (and gives back what is free): logs that come into such memory made half of
 * what the gateway takes for writing them, and that was the host's doing.
 */
export async function fillPageCache(): Promise<PageCache> {
  const file = path.join(await fs.mkdtemp(path.join(os.tmpdir(), 'postern-page-cache-')), 'file');
  const { bavail, bsize } = await fs.statfs(os.tmpdir());
  const most = Math.min((bavail * bsize) / 2, (await freeMemory()) - SPARE);
  const handle = await fs.open(file, 'w');
  let bytes = 0;
  while (bytes < most && (await freeMemory()) > SPARE) bytes += (await handle.write(CHUNK)).bytesWritten;
  await handle.sync();
  await handle.close();
  return { bytes, release: () => fs.rm(path.dirname(file), { recursive: true }) };
}

/** Bytes that hold nothing, not even a file. */
async function freeMemory(): Promise<number> {
  return Number(/^MemFree:\s+(\d+) kB/m.exec(await fs.readFile('/proc/meminfo', 'utf8'))?.[1]) * 1024;
}
