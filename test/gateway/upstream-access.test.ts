import { expect, test } from 'vitest';
import type { Revision } from '../../gateway/config/document.ts';
import { UpstreamAccess } from '../../gateway/upstream-access.ts';
import { encodeAuthentication } from '../../gateway/wire/backend.ts';
import { type Script, startScriptedServer } from '../kit/scripted-server.ts';

type Authentication = Parameters<typeof encodeAuthentication>[0];

/** What a server that asks for `request` gets from the catalogue connection: a message's name, or nothing. */
async function given(request: Authentication, authentication: readonly string[]): Promise<string> {
  let got = 'nothing';
  const script: Script = async (peer) => {
    await peer.opening('StartupMessage');
    peer.send(encodeAuthentication(request));
    got = await peer.expect('PasswordMessage').then(
      ({ name }) => name,
      () => 'nothing',
    );
  };
  const server = await startScriptedServer(script);
  const upstream = {
    hosts: [{ host: server.host, port: server.port }],
    tls: { mode: 'Disable', ca: null },
    authentication,
    connectTimeout: 5000,
    roles: [{ name: 'reader', secret: 'reader' }],
    catalogRole: 'reader',
  };
  const access = new UpstreamAccess(() => ({ document: { upstream } }) as unknown as Revision, {
    read: () => Buffer.from('hunter2'),
  });
  await expect(access.connectCatalog('shop')).rejects.toThrow();
  await server.close();
  return got;
}

test('a server that accepts a connection and says nothing is given up, by its name', async () => {
  const server = await startScriptedServer((peer) => peer.gone());
  const upstream = {
    hosts: [{ host: server.host, port: server.port }],
    tls: { mode: 'Disable', ca: null },
    authentication: ['ScramSha256'],
    connectTimeout: 200,
    roles: [],
    catalogRole: 'reader',
  };
  const access = new UpstreamAccess(() => ({ document: { upstream } }) as unknown as Revision, {
    read: () => undefined,
  });
  await expect(access.connectCatalog('shop')).rejects.toThrow(`127.0.0.1:${server.port}: timeout expired`);
  await server.close();
});

test('the catalogue’s password is given in the ways that the manifest names, and in no other', async () => {
  const [clear, md5] = [{ kind: 'CleartextPassword' }, { kind: 'MD5Password', salt: Buffer.alloc(4) }] as const;
  expect(await given(clear, ['ScramSha256'])).toBe('nothing');
  expect(await given(md5, ['ScramSha256'])).toBe('nothing');
  expect(await given(clear, ['ScramSha256', 'Password'])).toBe('PasswordMessage');
  expect(await given(md5, ['Md5'])).toBe('PasswordMessage');
});
