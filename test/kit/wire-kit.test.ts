import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { encodeErrorResponse, encodeReadyForQuery } from '../../gateway/wire/backend.ts';
import { encodeExecute, encodeQuery, encodeSync } from '../../gateway/wire/frontend.ts';
import { type Postgres, startPostgres } from './postgres.ts';
import { type Script, type ScriptedServer, startScriptedServer } from './scripted-server.ts';
import { createCertificateAuthority } from './tls.ts';
import { WireClient } from './wire-client.ts';

const query = (text: string) => encodeQuery(Buffer.from(text));
const finishers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const finish of finishers.splice(0).reverse()) await finish();
});

async function play(script: Script): Promise<ScriptedServer> {
  const server = await startScriptedServer(script);
  finishers.push(() => server.close());
  return server;
}

describe('WireClient against PostgreSQL', () => {
  let server: Postgres;

  beforeAll(async () => {
    server = await startPostgres({ tls: true, auth: 'password' });
    return () => server.stop();
  });

  test.each(['Off', 'Request', 'Direct'] as const)('logs in with TLS %s and keeps a transcript', async (mode) => {
    const client = await WireClient.connect({ port: server.port, tls: mode, tlsOptions: { ca: server.caPem } });
    const { user, password } = server.superuser;
    const greeting = await client.login({ user, password, minor: 2 });
    expect(greeting.at(-1)?.name).toBe('ReadyForQuery');
    const before = client.transcript.length;
    client.send(query('SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()'));
    await client.receiveUntil('ReadyForQuery');
    expect(client.transcript.slice(before).filter((line) => /DataRow|Ready/.test(line))).toEqual([
      mode === 'Off' ? "B\t15\tDataRow\t 1 5 'false'" : "B\t14\tDataRow\t 1 4 'true'",
      'B\t5\tReadyForQuery\t I',
    ]);
    client.destroy();
  });

  test('sees errors and the end of the connection', async () => {
    const client = await WireClient.connect({ port: server.port });
    const refused = await client.login({ user: 'postgres', password: 'wrong' });
    expect(refused.map(({ name }) => name)).toEqual(['Authentication', 'ErrorResponse']);
    await expect(client.receive()).rejects.toMatchObject({ name: 'ConnectionEnded' });
    await client.closed();
  });
});

describe('startScriptedServer', () => {
  test('plays its part, message by message', async () => {
    const server = await play(async (peer) => {
      await peer.acceptLogin({ application_name: 'x' });
      await peer.expect('Query');
      peer.send(encodeErrorResponse({ severity: 'ERROR', code: '57P01', message: 'no' }), encodeReadyForQuery('E'));
      await peer.expect('Execute');
      await peer.expect('Sync');
      peer.reset();
    });
    const client = await WireClient.connect({ port: server.port });
    await client.login({ user: 'u' });
    client.send(query('SELECT 1'));
    expect((await client.receiveUntil('ReadyForQuery')).map(({ name }) => name)).toEqual([
      'ErrorResponse',
      'ReadyForQuery',
    ]);
    client.send(encodeExecute('', 0), encodeSync());
    await expect(client.receive()).rejects.toMatchObject({ name: 'ConnectionEnded', message: /RESET/ });
    expect(server.connections).toBe(1);
  });

  test('speaks TLS', async () => {
    const authority = await createCertificateAuthority();
    const certificate = await authority.server(['127.0.0.1']);
    const server = await play(async (peer) => {
      await peer.opening('SSLRequest');
      await peer.startTls(certificate);
      await peer.acceptLogin();
      await peer.gone();
    });
    const client = await WireClient.connect({ port: server.port, tls: 'Request', tlsOptions: { ca: authority.caPem } });
    await client.login({ user: 'u' });
    client.destroy();
  });

  test('fails the test when the client does not keep to the script', async () => {
    const server = await startScriptedServer(async (peer) => {
      await peer.acceptLogin();
      await peer.expect('Sync');
    });
    const client = await WireClient.connect({ port: server.port });
    await client.login({ user: 'u' });
    client.send(query('SELECT 1'));
    await client.closed();
    await expect(server.close()).rejects.toThrow('expected Sync, got Query');
  });
});
