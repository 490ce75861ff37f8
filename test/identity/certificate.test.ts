import { webcrypto, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import * as x509 from '@peculiar/x509';
import { beforeAll, describe, expect, it } from 'vitest';
import { identityFromCertificate } from '../../gateway/identity/certificate.ts';
import type { AuthenticationResult } from '../../gateway/identity/identity.ts';
import { readSubjectName } from '../../gateway/identity/subject-name.ts';
import { type CertificateAuthority, createCertificateAuthority } from '../kit/tls.ts';

let authority: CertificateAuthority;

beforeAll(async () => {
  authority = await createCertificateAuthority();
});

async function client(...parameters: Parameters<CertificateAuthority['client']>): Promise<X509Certificate> {
  return new X509Certificate((await authority.client(...parameters)).certPem);
}

/** A self-signed certificate with this subject, for what no honest authority signs. */
async function withSubject(subject: x509.JsonNameParams): Promise<X509Certificate> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    { name: new x509.Name(subject), keys, signingAlgorithm: algorithm },
    webcrypto,
  );
  return new X509Certificate(Buffer.from(certificate.rawData));
}

const reasonOf = (certificate: X509Certificate, now = Date.now()): string => {
  const result = identityFromCertificate(certificate, now);
  return result.ok ? 'Accepted' : result.reason;
};

describe('a client certificate', () => {
  it('names the user by CN and the groups by O', async () => {
    const certificate = await client('alice@example.com', {
      organizations: ['analysts', 'eu', 'eu'],
      organizationalUnits: ['not-a-group'],
      emails: ['root@example.com'],
    });
    expect(identityFromCertificate(certificate, Date.now())).toEqual({
      ok: true,
      identity: {
        username: 'alice@example.com',
        groups: ['analysts', 'eu'],
        issuer: 'certificate',
        method: 'Certificate',
        expiresAt: Date.parse(certificate.validTo),
        subject: 'O=analysts, O=eu, O=eu, OU=not-a-group, CN=alice@example.com',
        credentialId: certificate.serialNumber,
      },
    });
  });

  it('may have no organization: no groups', async () => {
    expect(identityFromCertificate(await client('app'), Date.now())).toMatchObject({ identity: { groups: [] } });
  });

  const carried = [`o'brien`, 'a"b\\c', 'a, O=dba', 'a+O=dba', 'a/O=dba', 'CN=root', 'Алиса', '#0c03', 'a=b;c<d>'];
  it.each(carried)('carries the name %s exactly and makes no group of it', async (name) => {
    const result = identityFromCertificate(await client(name), Date.now());
    expect(result).toMatchObject({ ok: true, identity: { username: name, groups: [] } });
  });

  it('reads each attribute of a name part that holds several', async () => {
    const certificate = await withSubject([{ CN: ['alice'], O: ['dba'] }, { O: ['eu'] }]);
    expect(identityFromCertificate(certificate, Date.now())).toMatchObject({
      identity: { username: 'alice', groups: ['dba', 'eu'] },
    });
  });

  it('shows the whole subject on one line, whatever a unit is called', async () => {
    const certificate = await withSubject([{ CN: ['alice'] }, { OU: [{ utf8String: 'x\nCN=root' }] }]);
    const result = identityFromCertificate(certificate, Date.now());
    expect(result.ok && result.identity.subject).toBe('CN=alice, OU=x\\0ACN=root');
  });

  it('reads the older text types', async () => {
    const certificate = await withSubject([
      { CN: [{ bmpString: 'Алиса' }] },
      { O: [{ printableString: 'dba' }] },
      { O: [{ ia5String: 'eu' }] },
    ]);
    expect(identityFromCertificate(certificate, Date.now())).toMatchObject({
      identity: { username: 'Алиса', groups: ['dba', 'eu'] },
    });
  });

  const refused: { name: string; subject: x509.JsonNameParams; reason: string }[] = [
    { name: 'two common names', subject: [{ CN: ['alice'] }, { CN: ['root'] }], reason: 'BadUsername' },
    { name: 'two common names in one part', subject: [{ CN: ['alice', 'root'] }], reason: 'BadUsername' },
    { name: 'no common name', subject: [{ O: ['dba'] }], reason: 'MissingClaim' },
    { name: 'an empty subject', subject: [], reason: 'MissingClaim' },
    { name: 'an empty common name', subject: [{ CN: [{ utf8String: '' }] }], reason: 'BadUsername' },
    { name: 'a newline', subject: [{ CN: [{ utf8String: 'alice\nO=dba' }] }], reason: 'BadUsername' },
    { name: 'an embedded NUL', subject: [{ CN: [{ utf8String: 'alice\0.evil' }] }], reason: 'BadUsername' },
    { name: 'an embedded NUL of two bytes', subject: [{ CN: [{ bmpString: 'alice\0x' }] }], reason: 'BadUsername' },
    { name: '300 bytes', subject: [{ CN: [{ utf8String: 'a'.repeat(300) }] }], reason: 'BadUsername' },
    { name: 'a name of Kubernetes', subject: [{ CN: ['system:admin'] }], reason: 'BadUsername' },
    { name: 'a group of Kubernetes', subject: [{ CN: ['a'], O: ['system:masters'] }], reason: 'Malformed' },
    { name: 'a group with a newline', subject: [{ CN: ['a'] }, { O: [{ utf8String: 'b\nc' }] }], reason: 'Malformed' },
  ];
  it.each(refused)('is refused: $name', async ({ subject, reason }) => {
    expect(reasonOf(await withSubject(subject))).toBe(reason);
  });

  it('counts between its dates only', async () => {
    const certificate = await client('alice', {
      notBefore: new Date('2026-01-01T00:00:00Z'),
      notAfter: new Date('2026-02-01T00:00:00Z'),
    });
    expect(reasonOf(certificate, Date.parse('2025-12-31T23:59:59Z'))).toBe('NotYetValid');
    expect(reasonOf(certificate, Date.parse('2026-01-01T00:00:00Z'))).toBe('Accepted');
    expect(reasonOf(certificate, Date.parse('2026-01-31T23:59:59Z'))).toBe('Accepted');
    expect(reasonOf(certificate, Date.parse('2026-02-01T00:00:00Z'))).toBe('Expired');
  });

  it('is refused: a text type that nobody reads alike', async () => {
    const { raw } = await withSubject([{ CN: [{ printableString: 'alice' }] }]);
    const teletex = Buffer.from(raw);
    // The subject's name comes after the issuer's, which here is the same.
    teletex[raw.lastIndexOf(Buffer.from([0x55, 0x04, 0x03])) + 3] = 0x14;
    expect(reasonOf(new X509Certificate(teletex))).toBe('BadUsername');
  });

  it('is read as TLS gives it, and its absence is told', async () => {
    const [server, own] = [await authority.server(['127.0.0.1']), await authority.client('alice')];
    const ca = authority.caPem;
    const options = { cert: server.certPem, key: server.keyPem, ca, requestCert: true, rejectUnauthorized: false };
    const listener = createServer(options);
    await once(listener.listen(0, '127.0.0.1'), 'listening');
    const { port } = listener.address() as AddressInfo;
    const present = async (credentials: object): Promise<AuthenticationResult> => {
      const accepted = once(listener, 'secureConnection') as Promise<[TLSSocket]>;
      const socket = connect({ host: '127.0.0.1', port, ca, ...credentials });
      const [peer] = await accepted;
      const result = identityFromCertificate(peer.getPeerCertificate(true), Date.now());
      socket.destroy();
      peer.destroy();
      return result;
    };
    expect(await present({ cert: own.certPem, key: own.keyPem })).toMatchObject({ identity: { username: 'alice' } });
    expect(await present({})).toMatchObject({ reason: 'NoCertificate' });
    await once(listener.close(), 'close');
  });
});

describe('the bytes of a certificate', () => {
  it('cut anywhere or changed anywhere never make the reader throw', async () => {
    const { raw } = await client('alice', { organizations: ['dba'] });
    for (let end = 0; end < raw.length; end += 1) expect(readSubjectName(raw.subarray(0, end))).toBeNull();
    for (let at = 0; at < raw.length; at += 1) {
      const changed = Buffer.from(raw);
      changed[at] = (changed[at] ?? 0) ^ 0xff;
      const name = readSubjectName(changed);
      expect(name === null || Array.isArray(name.commonNames)).toBe(true);
    }
  });
});
