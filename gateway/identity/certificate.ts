import { X509Certificate } from 'node:crypto';
import type { DetailedPeerCertificate } from 'node:tls';
import type { AuthenticationResult } from './identity.ts';
import { groupProblem, isReservedName, usernameProblem } from './names.ts';
import type { Refusal } from './refusal.ts';
import { refuse } from './refusal.ts';
import { readSubjectName } from './subject-name.ts';

const RENEW = 'Ask for a new client certificate.';
const ONE_NAME = 'The subject of a client certificate needs exactly one common name (CN): the user name.';

/**
 * The identity of a client certificate: CN is the user, every O a group. Only for a certificate that TLS has
 * verified against the configured authorities (`socket.authorized`): no signature is checked here.
 * `now` is milliseconds since the epoch; no clock skew is granted, as TLS grants none.
 */
export function identityFromCertificate(
  peer: DetailedPeerCertificate | X509Certificate,
  now: number,
): AuthenticationResult {
  const certificate = toX509(peer);
  if (certificate === null) {
    return refuse(
      'NoCertificate',
      'the client sent no certificate',
      'Set sslcert and sslkey (or what your driver has).',
    );
  }
  const name = readSubjectName(certificate.raw);
  if (name === null) return refuse('Malformed', 'the subject of the client certificate cannot be read', RENEW);
  const username = readCommonName(name.commonNames);
  if (typeof username !== 'string') return username;
  const groups = readOrganizations(name.organizations);
  if ('ok' in groups) return groups;
  const expiresAt = certificate.validToDate.getTime();
  if (now >= expiresAt) return refuse('Expired', 'the client certificate has expired', RENEW);
  if (now < certificate.validFromDate.getTime()) {
    return refuse('NotYetValid', 'the client certificate is not valid yet', "Compare the gateway's clock with yours.");
  }
  return {
    ok: true,
    identity: {
      username,
      groups,
      issuer: 'certificate',
      method: 'Certificate',
      expiresAt,
      // Printed with escapes, one attribute a line.
      subject: certificate.subject.replaceAll('\n', ', '),
      credentialId: certificate.serialNumber,
    },
  };
}

function toX509(peer: DetailedPeerCertificate | X509Certificate): X509Certificate | null {
  if (peer instanceof X509Certificate) return peer;
  // A client without certificate shows as an empty object.
  return Buffer.isBuffer(peer.raw) ? new X509Certificate(peer.raw) : null;
}

function readCommonName(names: readonly (string | null)[]): string | Refusal {
  const [name, second] = names;
  if (name === undefined) return refuse('MissingClaim', 'the client certificate has no common name (CN)', ONE_NAME);
  // Which one is meant would be a matter of taste between us and whoever signed it.
  if (second !== undefined) return badName('has several common names (CN)');
  const problem = name === null ? 'is not text' : usernameProblem(name);
  return name === null || problem !== null ? badName(`has a common name (CN) that ${problem}`) : name;
}

function badName(problem: string): Refusal {
  return refuse('BadUsername', `the client certificate ${problem}`, ONE_NAME);
}

function readOrganizations(names: readonly (string | null)[]): readonly string[] | Refusal {
  const groups = new Set<string>();
  for (const name of names) {
    const problem = name === null ? 'is not text' : organizationProblem(name);
    if (name === null || problem !== null) {
      const message = `the client certificate has an organization (O) that ${problem}`;
      return refuse('Malformed', message, 'Every organization (O) of the subject is a group name.');
    }
    groups.add(name);
  }
  return [...groups];
}

/** A certificate with a Kubernetes group is a credential of the cluster itself: refused, not trimmed. */
function organizationProblem(name: string): string | null {
  return isReservedName(name) ? 'begins with "system:", which is reserved for Kubernetes' : groupProblem(name);
}
