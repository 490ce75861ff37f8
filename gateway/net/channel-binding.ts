import { createHash, X509Certificate } from 'node:crypto';

/** DER of the object identifiers 2.16.840.1.101.3.4.2.n: the SHA-2 family. */
const SHA2_PREFIX = Buffer.from('06096086480165030402', 'hex');
const SHA2 = new Map([
  [1, 'sha256'],
  [2, 'sha384'],
  [3, 'sha512'],
  [4, 'sha224'],
]);

/**
 * The channel binding data `tls-server-end-point` (RFC 5929, section 4.1): the hash of the server's certificate, made
 * with the hash of the certificate's own signature, or SHA-256 where that is MD5 or SHA-1. Null where the signature
 * has no hash (Ed25519, Ed448): the RFC does not define the binding then.
 */
export function tlsServerEndPoint(certificate: Buffer): Buffer | null {
  const hash = signatureHash(new X509Certificate(certificate));
  return hash === null ? null : createHash(hash).update(certificate).digest();
}

function signatureHash(certificate: X509Certificate): string | null {
  const algorithm = certificate.signatureAlgorithm ?? '';
  const named = /sha-?(224|256|384|512)/i.exec(algorithm);
  if (named !== null) return `sha${named[1]}`;
  if (/rsassa-?pss/i.test(algorithm)) return pssHash(certificate.raw);
  return /md5|sha-?1/i.test(algorithm) ? 'sha256' : null;
}

/** RSASSA-PSS names its hash in the parameters (RFC 4055, section 3.1); the default there is SHA-1. */
function pssHash(certificate: Buffer): string {
  const fields = children(certificate, children(certificate, { start: 0, end: certificate.length })[0]!);
  const algorithm = fields[1]!;
  const at = certificate.subarray(algorithm.start, algorithm.end).indexOf(SHA2_PREFIX);
  const last = at < 0 ? undefined : certificate[algorithm.start + at + SHA2_PREFIX.length];
  return SHA2.get(last ?? 0) ?? 'sha256';
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** The contents of the DER elements inside a span; the certificate has been parsed by OpenSSL before. */
function children(der: Buffer, span: Span): Span[] {
  const spans: Span[] = [];
  for (let at = span.start; at < span.end; ) {
    const first = der[at + 1]!;
    const count = first < 0x80 ? 0 : first & 0x7f;
    const length = count === 0 ? first : der.readUIntBE(at + 2, count);
    const start = at + 2 + count;
    spans.push({ start, end: start + length });
    at = start + length;
  }
  return spans;
}
