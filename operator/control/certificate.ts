import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';

/** What the control port serves with, and what gateways trust: all PEM. */
export interface ServingCertificate {
  /** The authority that signs comes first; others are still trusted. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** The same with the authority's key; null: somebody else issues it, such as cert-manager. */
export interface Issued extends ServingCertificate {
  readonly caKey: string | null;
}

const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY = 86_400_000;
const AUTHORITY_LIFE = 3650 * DAY;
const LEAF_LIFE = 90 * DAY;
/** Clocks of nodes differ. */
const BACKDATED = 3_600_000;

/** Every name by which pods may know a Service; the first is the one that gateways dial. */
export function serviceNames(service: string, namespace: string): readonly string[] {
  const inNamespace = `${service}.${namespace}`;
  return [`${inNamespace}.svc`, service, inNamespace, `${inNamespace}.svc.cluster.local`];
}

/** An authority and a certificate by it. */
export async function issueAll(names: readonly string[], now: number): Promise<Issued> {
  const authority = await makeAuthority(now);
  return await issueLeaf({ ...authority, cert: '', key: '' }, names, now);
}

/** A new certificate by the authority that is there. */
export async function issueLeaf(issued: Issued, names: readonly string[], now: number): Promise<Issued> {
  const authority = new x509.X509Certificate(issued.ca);
  const signingKey = await importKey(issued.caKey ?? '');
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: new x509.Name([{ CN: [{ utf8String: (names[0] ?? '').slice(0, 64) }] }]),
      issuer: authority.subjectName,
      publicKey: keys.publicKey,
      signingKey,
      signingAlgorithm: EC,
      notBefore: new Date(now - BACKDATED),
      notAfter: new Date(Math.min(now + LEAF_LIFE, authority.notAfter.getTime())),
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
        await x509.AuthorityKeyIdentifierExtension.create(authority, false, webcrypto),
        new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns', value }))),
      ],
    },
    webcrypto,
  );
  return { ...issued, cert: certificate.toString('pem'), key: await exportKey(keys.privateKey) };
}

/**
 * A new authority in front of those that have not expired. The certificate stays the old one's: gateways learn of the new
 * authority, by their ConfigMap, long before anything is signed by it.
 */
export async function renewAuthority(issued: Issued, now: number): Promise<Issued> {
  const authority = await makeAuthority(now);
  const still = readBundle(issued.ca).filter(({ validToDate }) => validToDate.getTime() > now);
  return {
    ...issued,
    ca: [authority.ca, ...still.map(String)].map((pem) => pem.trim()).join('\n'),
    caKey: authority.caKey,
  };
}

/** The certificates of a bundle; throws for what is none. */
export function readBundle(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

/** Whether a private key in PEM belongs to a certificate. */
export function isKeyOf(certificate: X509Certificate, key: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

async function makeAuthority(now: number): Promise<{ readonly ca: string; readonly caKey: string }> {
  const keys = await generateKeys();
  const authority = await x509.X509CertificateGenerator.createSelfSigned(
    {
      // Distinct names, or a verifier that looks an issuer up by name finds the other one.
      name: new x509.Name([{ CN: [{ utf8String: `Postern control ${new Date(now).toISOString()}` }] }]),
      keys,
      signingAlgorithm: EC,
      notBefore: new Date(now - BACKDATED),
      notAfter: new Date(now + AUTHORITY_LIFE),
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return { ca: authority.toString('pem'), caKey: await exportKey(keys.privateKey) };
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify']);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    .export({ format: 'pem', type: 'pkcs8' })
    .toString();
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' });
  return await webcrypto.subtle.importKey('pkcs8', der, EC, false, ['sign']);
}
