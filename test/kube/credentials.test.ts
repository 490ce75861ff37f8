import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createClient } from '../../operator/kube/client.ts';
import { systemClock } from '../../operator/kube/clock.ts';
import {
  type Access,
  createCredentials,
  loadCredentials,
  readServiceAccount,
} from '../../operator/kube/credentials.ts';
import { createCertificateAuthority } from '../kit/tls.ts';
import { startFakeApi } from './api-server.ts';
import { createManualClock } from './clocks.ts';
import { RULES } from './objects.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'kube-'));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const access = (token: string): Access => ({
  server: new URL('https://api'),
  proxy: null,
  tls: {},
  headers: { authorization: token },
});

describe('what was read', () => {
  test('is used for ten seconds, or until it is refused', async () => {
    const clock = createManualClock();
    const asked: boolean[] = [];
    const credentials = createCredentials(async (again) => access(`token ${asked.push(again)}`), clock);
    const token = async (): Promise<string> => (await credentials.current()).headers.authorization!;
    expect(await Promise.all([token(), token()])).toEqual(['token 1', 'token 1']);
    await clock.pass(9_999);
    expect(await token()).toBe('token 1');
    await clock.pass(1);
    expect(await token()).toBe('token 2');
    credentials.refused();
    expect(await token()).toBe('token 3');
    expect(await token()).toBe('token 3');
    expect(asked).toEqual([false, false, true]);
  });

  test('stays good where it cannot be read any more', async () => {
    const clock = createManualClock();
    let broken = true;
    const read = async (): Promise<Access> => {
      if (broken) throw new Error('no such file');
      return access('good');
    };
    const credentials = createCredentials(read, clock);
    await expect(credentials.current()).rejects.toThrow('no such file');
    broken = false;
    expect((await credentials.current()).headers.authorization).toBe('good');
    broken = true;
    await clock.pass(60_000);
    expect((await credentials.current()).headers.authorization).toBe('good');
  });
});

describe('of a pod', () => {
  const environment = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443' };

  test('are its token and the CA beside it', async () => {
    await writeFile(path.join(folder, 'token'), 'abc\n');
    await writeFile(path.join(folder, 'ca.crt'), 'PEM');
    expect(await readServiceAccount(folder, environment)).toEqual({
      server: new URL('https://10.0.0.1:443'),
      proxy: null,
      tls: { ca: 'PEM' },
      headers: { authorization: 'Bearer abc' },
    });
    const six = await readServiceAccount(folder, { ...environment, KUBERNETES_SERVICE_HOST: 'fd00::1' });
    expect(six.server.hostname).toBe('[fd00::1]');
  });

  test('need to know where the API server is', async () => {
    await expect(readServiceAccount(folder, {})).rejects.toThrow('KUBERNETES_SERVICE_HOST');
  });
});

/** What a client reaches by this kubeconfig: the headers of its request, or why it failed. */
async function reach(user: object, cluster: object = {}, root = '/'): Promise<Record<string, unknown> | string> {
  const authority = await createCertificateAuthority();
  const { keyPem, certPem } = await authority.server(['127.0.0.1', 'api.internal']);
  const api = await startFakeApi({ tls: { key: keyPem, cert: certPem } });
  const base64 = Buffer.from(authority.caPem).toString('base64');
  const config = {
    'current-context': 'here',
    contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
    clusters: [
      { name: 'c', cluster: { server: new URL(root, api.url).href, 'certificate-authority-data': base64, ...cluster } },
    ],
    users: [{ name: 'u', user }],
  };
  await writeFile(path.join(folder, 'config'), JSON.stringify(config));
  vi.stubEnv('KUBECONFIG', path.join(folder, 'config'));
  const client = createClient({ credentials: await loadCredentials(systemClock) });
  const call = client.get({ resource: RULES, namespace: 'shop', name: 'one' });
  const message = await call.then(
    () => '',
    (error: Error) => error.message,
  );
  await client.close();
  await api.close();
  const [seen] = api.seen;
  return seen === undefined ? message : { path: seen.path, ...seen.headers };
}

describe('of a kubeconfig', () => {
  test('a token', async () => {
    expect(await reach({ token: 'secret' })).toMatchObject({ authorization: 'Bearer secret' });
  });

  test('a name and a password', async () => {
    const expected = `Basic ${Buffer.from('ann:pw').toString('base64')}`;
    expect(await reach({ username: 'ann', password: 'pw' })).toMatchObject({ authorization: expected });
  });

  test('a program that knows a token', async () => {
    const credential = {
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: 't' },
    };
    const exec = { apiVersion: credential.apiVersion, command: 'echo', args: [JSON.stringify(credential)] };
    expect(await reach({ exec })).toMatchObject({ authorization: 'Bearer t' });
  });

  test('a file with a token, beside the kubeconfig', async () => {
    await mkdir(path.join(folder, 'tokens'));
    const file = path.join(folder, 'tokens', 'one');
    await writeFile(file, 'from-file');
    expect(await reach({ 'auth-provider': { name: 'tokenFile', config: { tokenFile: file } } })).toMatchObject({
      authorization: 'Bearer from-file',
    });
  });

  test('a server under a path, as behind a proxy of clusters', async () => {
    const seen = await reach({ token: 'x' }, {}, '/k8s/clusters/c-1/');
    expect(seen).toMatchObject({ path: '/k8s/clusters/c-1/apis/example.com/v1/namespaces/shop/rules/one' });
  });

  test('an HTTP proxy, which sees only where to', async () => {
    const targets: string[] = [];
    const proxy = http.createServer().on('connect', (request, socket) => {
      targets.push(request.url!);
      const [host, port] = request.url!.split(':');
      const onward = net.connect(Number(port), host, () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
      onward.pipe(socket).pipe(onward);
      for (const end of [onward, socket]) end.on('error', () => onward.destroy());
    });
    await once(proxy.listen(0, '127.0.0.1'), 'listening');
    const { port } = proxy.address() as net.AddressInfo;
    const seen = await reach({ token: 'secret' }, { 'proxy-url': `http://127.0.0.1:${port}` });
    proxy.close();
    expect(seen).toMatchObject({ authorization: 'Bearer secret' });
    expect(targets).toEqual([(seen as { host: string }).host]);
  });

  test('another name than the address is verified where it says so', async () => {
    expect(await reach({ token: 'x' }, { 'tls-server-name': 'api.internal' })).toMatchObject({
      authorization: 'Bearer x',
    });
    expect(await reach({ token: 'x' }, { 'tls-server-name': 'other' })).toContain("Host: other. is not in the cert's");
  });

  test('a server of another authority is not believed, unless told to', async () => {
    const other = Buffer.from((await createCertificateAuthority('other')).caPem).toString('base64');
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    expect(await reach({ token: 'x' }, { 'certificate-authority-data': other })).toMatch(/certificate/);
    const blind = { 'certificate-authority-data': undefined, 'insecure-skip-tls-verify': true };
    expect(await reach({ token: 'x' }, blind)).toMatchObject({ authorization: 'Bearer x' });
  });
});
