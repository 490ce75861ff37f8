import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { Certificates, type CertificatesConfig } from '../../gateway/net/certificates.ts';
import { ConnectionCounter, ListenError, listen } from '../../gateway/net/listener.ts';
import { createCertificateAuthority } from '../kit/tls.ts';
import { nextStartup, RawClient, secretsOf, startDoor, startup } from './support.ts';

function listener(port: number, host = '127.0.0.1') {
  const counter = new ConnectionCounter(() => ({ connections: 10, connectionsPerSource: 10 }));
  return listen({ host, port, counter, onConnection: (socket) => void socket.destroy() });
}

describe('listen', () => {
  test('a port in use: one clear error that says what to do', async () => {
    const first = await listener(0);
    const failure = await listener(first.port).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ListenError);
    expect((failure as ListenError).message).toMatch(new RegExp(`127.0.0.1:${first.port}.*in use.*another port`));
    first.close();
  });

  test('an address that this machine does not have', async () => {
    await expect(listener(0, '192.0.2.1')).rejects.toThrow('does not have that address');
  });

  test('closing stops accepting; connections that exist go on', async () => {
    const door = await startDoor({ mode: 'Optional' });
    const client = await RawClient.connect(door.port);
    client.write(startup());
    const { socket } = await nextStartup(door);
    door.stop();
    await expect(RawClient.connect(door.port)).rejects.toThrow('ECONNREFUSED');
    socket.write('still here');
    expect((await client.take(10)).toString()).toBe('still here');
    door.close();
  });

  test('a client that half-closes still gets its answer', async () => {
    const door = await startDoor({ mode: 'Optional' });
    const client = await RawClient.connect(door.port);
    client.socket.end(startup());
    const { socket } = await nextStartup(door);
    socket.resume();
    await once(socket, 'end');
    socket.end('answer');
    expect((await client.rest()).toString()).toBe('answer');
    door.close();
  });
});

describe('certificates', () => {
  async function certificates() {
    const [first, second] = [await createCertificateAuthority('first'), await createCertificateAuthority('second')];
    const [a, b] = [await first.server(['localhost']), await second.server(['localhost'])];
    const secrets = secretsOf({ 'tls/tls.crt': a.certPem, 'tls/tls.key': a.keyPem, 'ca/ca.crt': first.caPem });
    const errors: string[] = [];
    const onError = (message: string) => void errors.push(message);
    const config: CertificatesConfig = { secret: 'tls', minVersion: '1.2', clientCa: null };
    const options = { config: () => config, secrets, onError };
    return { b, secrets, errors, config, options };
  }

  test('are parsed once, and again when the Secret has changed', async () => {
    const { b, secrets, errors, options } = await certificates();
    const ours = new Certificates(options);
    const context = ours.context();
    expect(context).not.toBeNull();
    expect(ours.context()).toBe(context);
    secrets.set('tls/tls.crt', b.certPem);
    secrets.set('tls/tls.key', b.keyPem);
    expect(ours.context()).not.toBe(context);
    expect(errors).toEqual([]);
  });

  test('a new pair that does not fit leaves the old one in force, and is reported once', async () => {
    const { b, secrets, errors, options } = await certificates();
    const ours = new Certificates(options);
    const context = ours.context();
    secrets.set('tls/tls.crt', b.certPem);
    expect([ours.context(), ours.context()]).toEqual([context, context]);
    expect(errors.length).toBe(1);
    expect(errors[0]).toContain('stays in force');
    expect(errors[0]).not.toContain('PRIVATE');
    secrets.set('tls/tls.key', b.keyPem);
    expect(ours.context()).not.toBe(context);
  });

  test.each([
    ['a Secret without a key', { 'tls/tls.crt': 'x' }],
    ['an empty Secret', {}],
    ['garbage', { 'tls/tls.crt': 'x', 'tls/tls.key': 'y' }],
  ])('%s: no TLS, and a report', async (_name, entries) => {
    const { errors, options } = await certificates();
    expect(new Certificates({ ...options, secrets: secretsOf(entries) }).context()).toBeNull();
    expect(errors.length).toBe(1);
  });

  test('a missing or empty bundle of client authorities is never taken for the system’s authorities', async () => {
    const { secrets, errors, config, options } = await certificates();
    const withCa = (key: string) =>
      new Certificates({ ...options, config: () => ({ ...config, clientCa: { secret: 'ca', key } }) });
    expect(withCa('ca.crt').context()).not.toBeNull();
    secrets.set('ca/ca.crt', '\n');
    expect(withCa('ca.crt').context()).toBeNull();
    expect(withCa('no').context()).toBeNull();
    expect(errors.length).toBe(2);
  });

  test('a revision that names a Secret that is not there leaves the certificate; one that takes authorities away does not', async () => {
    const { errors, config, options } = await certificates();
    let current: CertificatesConfig = { ...config, clientCa: { secret: 'ca', key: 'ca.crt' } };
    const ours = new Certificates({ ...options, config: () => current });
    const context = ours.context();
    expect(context).not.toBeNull();
    current = { ...current, secret: 'absent' };
    expect(ours.context()).toBe(context);
    current = { ...current, clientCa: { secret: 'other', key: 'ca.crt' } };
    expect(ours.context()).toBeNull();
    expect(errors.length).toBe(2);
  });

  test('minVersion 1.3 refuses TLS 1.2', async () => {
    const door = await startDoor({ minVersion: '1.3' });
    const ca = door.authority.caPem;
    await expect(RawClient.connectTls(door.port, { ca, maxVersion: 'TLSv1.2' })).rejects.toThrow();
    (await RawClient.connectTls(door.port, { ca })).socket.destroy();
    door.close();
  });
});
