import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

/** A certificate with its private key, both PEM. */
export interface KeyAndCertificate {
  readonly keyPem: string;
  readonly certPem: string;
}

/** A certificate authority that lives in memory and signs for tests. */
export interface CertificateAuthority {
  readonly caPem: string;
  /** Issues a server certificate for DNS names and IP addresses; the first name is the common name. */
  server(names: readonly string[], options?: IssueOptions): Promise<KeyAndCertificate>;
  /** Issues a client certificate with this common name, which may hold any characters. */
  client(commonName: string, options?: ClientOptions): Promise<KeyAndCertificate>;
}

/** Validity of an issued certificate; default: from a minute ago, for a day. */
export interface IssueOptions {
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

/** What else a client certificate may name: organizational units, DNS, e-mail and URI alternative names. */
export interface ClientOptions extends IssueOptions {
  readonly organizations?: readonly string[];
  readonly organizationalUnits?: readonly string[];
  readonly dns?: readonly string[];
  readonly emails?: readonly string[];
  readonly uris?: readonly string[];
}

const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const ADDRESS = /^[\d.]+$|:/;

interface Leaf extends IssueOptions {
  readonly subject: x509.Name;
  readonly usage: x509.ExtendedKeyUsage;
  readonly alternatives: x509.JsonGeneralNames;
}

/** Creates a certificate authority with an EC P-256 key; takes about a millisecond. */
export async function createCertificateAuthority(name = 'Test CA'): Promise<CertificateAuthority> {
  const keys = await generateKeys();
  const authority = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: new x509.Name([{ CN: [{ utf8String: name }] }]),
      keys,
      signingAlgorithm: EC,
      ...validity({}),
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );

  const issue = async (leaf: Leaf): Promise<KeyAndCertificate> => {
    const leafKeys = await generateKeys();
    const certificate = await x509.X509CertificateGenerator.create(
      {
        subject: leaf.subject,
        // The name object, not its text: Go compares issuer and subject byte by byte.
        issuer: authority.subjectName,
        publicKey: leafKeys.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: EC,
        ...validity(leaf),
        extensions: await leafExtensions(leaf, keys.publicKey, leafKeys.publicKey),
      },
      webcrypto,
    );
    return { keyPem: await exportKey(leafKeys.privateKey), certPem: certificate.toString('pem') };
  };

  return {
    caPem: authority.toString('pem'),
    server: (names, options = {}) =>
      issue({
        ...options,
        subject: new x509.Name([{ CN: [{ utf8String: names[0] ?? 'localhost' }] }]),
        usage: x509.ExtendedKeyUsage.serverAuth,
        alternatives: names.map((value) => ({ type: ADDRESS.test(value) ? 'ip' : 'dns', value })),
      }),
    client: (commonName, options = {}) =>
      issue({
        ...options,
        subject: clientSubject(commonName, options),
        usage: x509.ExtendedKeyUsage.clientAuth,
        alternatives: [
          ...(options.dns ?? []).map((value) => ({ type: 'dns' as const, value })),
          ...(options.emails ?? []).map((value) => ({ type: 'email' as const, value })),
          ...(options.uris ?? []).map((value) => ({ type: 'url' as const, value })),
        ],
      }),
  };
}

function clientSubject(commonName: string, options: ClientOptions): x509.Name {
  return new x509.Name([
    ...(options.organizations ?? []).map((value) => ({ O: [{ utf8String: value }] })),
    ...(options.organizationalUnits ?? []).map((value) => ({ OU: [{ utf8String: value }] })),
    { CN: [{ utf8String: commonName }] },
  ]);
}

/** Python 3.13 and later verify strictly: the key identifiers and critical constraints are required there. */
async function leafExtensions(
  leaf: Leaf,
  issuerKey: webcrypto.CryptoKey,
  key: webcrypto.CryptoKey,
): Promise<x509.Extension[]> {
  const extensions: x509.Extension[] = [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([leaf.usage]),
    await x509.SubjectKeyIdentifierExtension.create(key, false, webcrypto),
    await x509.AuthorityKeyIdentifierExtension.create(issuerKey, false, webcrypto),
  ];
  if (leaf.alternatives.length > 0) extensions.push(new x509.SubjectAlternativeNameExtension(leaf.alternatives));
  return extensions;
}

function validity(options: IssueOptions): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return {
    notBefore: options.notBefore ?? new Date(now - 60_000),
    notAfter: options.notAfter ?? new Date(now + 86_400_000),
  };
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify']);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)).toString('base64');
  return `-----BEGIN PRIVATE KEY-----\n${der.replace(/.{64}/g, '$&\n').trimEnd()}\n-----END PRIVATE KEY-----\n`;
}
