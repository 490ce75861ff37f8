import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type net from 'node:net';
import tls from 'node:tls';
import { describe, expect, test } from 'vitest';
import { createCertificateAuthority } from './tls.ts';

describe('createCertificateAuthority', () => {
  test('issues certificates that verify in both directions', async () => {
    const authority = await createCertificateAuthority();
    const server = await authority.server(['localhost', '127.0.0.1']);
    const client = await authority.client('ana', { organizationalUnits: ['team "a", b'], emails: ['ana@example.com'] });
    const listener = tls.createServer({
      key: server.keyPem,
      cert: server.certPem,
      ca: authority.caPem,
      requestCert: true,
      rejectUnauthorized: true,
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const accepted = once(listener, 'secureConnection') as Promise<[tls.TLSSocket]>;
    const socket = tls.connect({
      host: '127.0.0.1',
      port: (listener.address() as net.AddressInfo).port,
      ca: authority.caPem,
      key: client.keyPem,
      cert: client.certPem,
    });
    const [peer] = await accepted;
    expect(peer.getPeerCertificate().subject).toMatchObject({ CN: 'ana', OU: 'team "a", b' });
    socket.destroy();
    listener.close();
  });

  test('carries any common name and the wanted validity', async () => {
    const authority = await createCertificateAuthority();
    const name = 'o\'neil, "x"\n=é+';
    const { certPem } = await authority.client(name, { notAfter: new Date(1000), notBefore: new Date(0) });
    const certificate = new X509Certificate(certPem);
    expect(certificate.toLegacyObject().subject.CN).toBe(name);
    expect(new Date(certificate.validTo).getTime()).toBe(1000);
  });
});
