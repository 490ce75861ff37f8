import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type AdminSocket,
  type AdminSocketOptions,
  openAdminSocket,
  type SessionList,
} from '../../gateway/telemetry/admin-socket.ts';
import { requestOver } from '../kit/unix-http.ts';

let directory: string;
let path: string;
const open: AdminSocket[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postern-admin-'));
  path = join(directory, 'run', 'admin.sock');
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  rmSync(directory, { recursive: true });
});

const NOBODY: SessionList = { gateway: 'shop/orders', pod: 'orders-1', revision: 'r', draining: false, sessions: [] };

async function start(options: Partial<AdminSocketOptions> = {}): Promise<AdminSocket> {
  const socket = await openAdminSocket({
    path,
    list: () => NOBODY,
    terminate: () => false,
    drain: () => {},
    ...options,
  });
  open.push(socket);
  return socket;
}

const mode = (of: string) => (lstatSync(of).mode & 0o777).toString(8);

describe('the socket', () => {
  test("is for the gateway's own user alone, as is the directory that it makes", async () => {
    const before = process.umask(0);
    try {
      await start();
      expect(process.umask()).toBe(0);
    } finally {
      process.umask(before);
    }
    expect(mode(path)).toBe('600');
    expect(mode(join(directory, 'run'))).toBe('700');
  });

  test('is gone when it is closed', async () => {
    await (await start()).close();
    expect(existsSync(path)).toBe(false);
  });

  test('that a killed process has left is replaced', async () => {
    const program = `process.umask(0); require('net').createServer().listen(process.argv[1], () => console.log('up'))`;
    path = join(directory, 'admin.sock');
    const child = spawn(process.execPath, ['-e', program, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    await expect(start()).rejects.toThrow('another process listens there');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(existsSync(path)).toBe(true);
    await start();
    expect(mode(path)).toBe('600');
    expect((await requestOver(path, 'GET', '/sessions')).status).toBe(200);
  });

  test('that is in use is left to its owner', async () => {
    await start();
    await expect(start()).rejects.toThrow('another process listens there');
    expect((await requestOver(path, 'GET', '/sessions')).status).toBe(200);
  });

  test('does not replace a file or a link', async () => {
    path = join(directory, 'admin.sock');
    writeFileSync(path, 'precious');
    await expect(start()).rejects.toThrow('something is there that is no socket');
    rmSync(path);
    symlinkSync(join(directory, 'elsewhere'), path);
    await expect(start()).rejects.toThrow('something is there that is no socket');
    expect(existsSync(join(directory, 'elsewhere'))).toBe(false);
  });

  test('with a path that no socket can have says so', async () => {
    path = join(directory, 'x'.repeat(120));
    await expect(start()).rejects.toThrow(/EINVAL|ENAMETOOLONG/);
  });
});

describe('what it answers', () => {
  test('sessions', async () => {
    await start();
    const { status, body } = await requestOver(path, 'GET', '/sessions');
    expect([status, JSON.parse(body)]).toEqual([200, NOBODY]);
  });

  test('the end of a session, by its id', async () => {
    const terminate = vi.fn((id: string) => id === 'one');
    await start({ terminate });
    expect((await requestOver(path, 'DELETE', '/sessions/one')).status).toBe(200);
    expect((await requestOver(path, 'DELETE', '/sessions/two')).status).toBe(404);
    expect(terminate.mock.calls).toEqual([['one'], ['two']]);
  });

  test('the drain, as it goes on; whoever asks again joins, and the gateway hears of it once', async () => {
    const drain = vi.fn();
    let left = 2;
    const sessions = () => Array.from({ length: left }, () => ({}) as SessionList['sessions'][number]);
    const socket = await start({ drain, list: () => ({ ...NOBODY, sessions: sessions() }) });
    const answers = ['/drain?grace=1.5', '/drain'].map((to) => requestOver(path, 'POST', to));
    await expect.poll(() => drain.mock.calls).toEqual([[1500]]);
    left = 1;
    await new Promise((resolve) => setTimeout(resolve, 400));
    left = 0;
    await socket.close();
    for (const { status, body } of await Promise.all(answers)) {
      expect(status).toBe(202);
      expect(body.trim().split('\n')).toEqual([
        '{"sessions":2,"drained":false}',
        '{"sessions":1,"drained":false}',
        '{"sessions":0,"drained":true}',
      ]);
    }
    expect(drain).toHaveBeenCalledTimes(1);
  });

  test('a client that does not wait for the drain does not stop it, one that does not read does not keep it', async () => {
    const drain = vi.fn();
    const socket = await start({ drain });
    const gone = connect({ path });
    gone.write('POST /drain HTTP/1.1\r\nhost: x\r\n\r\n');
    await expect.poll(() => drain.mock.calls.length).toBe(1);
    gone.destroy();
    const mute = connect({ path });
    mute.pause();
    mute.write('POST /drain HTTP/1.1\r\nhost: x\r\n\r\n');
    await new Promise((resolve) => setTimeout(resolve, 100));
    const begun = performance.now();
    await socket.close();
    expect(performance.now() - begun).toBeLessThan(3000);
    mute.destroy();
  });

  test.each([
    ['GET', '/'],
    ['GET', '/metrics'],
    ['GET', '/sessions/one'],
    ['GET', '//['],
    ['GET', '/sessions/one/two'],
    ['DELETE', '/sessions'],
    ['GET', '/drain'],
    ['POST', '/sessions'],
    ['POST', '/drain/one'],
    ['PUT', '/drain'],
  ])('%s %s is nothing', async (method, to) => {
    const drain = vi.fn();
    const terminate = vi.fn(() => true);
    await start({ drain, terminate });
    expect((await requestOver(path, method, to)).status).toBe(404);
    expect(drain).not.toHaveBeenCalled();
    expect(terminate).not.toHaveBeenCalled();
  });

  test.each(['-1', '301', 'soon', 'NaN', 'Infinity'])('a grace of %s drains nothing', async (grace) => {
    const drain = vi.fn();
    await start({ drain });
    expect((await requestOver(path, 'POST', `/drain?grace=${grace}`)).status).toBe(400);
    expect(drain).not.toHaveBeenCalled();
  });
});
