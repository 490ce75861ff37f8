import type { CertificateAuthority, KeyAndCertificate } from '../../test/kit/tls.ts';
import { DATABASE_HOST, ISSUER_URL, infraCa, ROLES } from './infra.ts';

/** Name of every site's gateway. */
export const GATEWAY = 'orders';
const TARGET_REFS = [{ group: 'postern.dev', kind: 'PostgresGateway', name: GATEWAY }];
const API_VERSION = 'postern.dev/v1alpha1';

/** The gateway in front of the tests' database; `change` replaces fields of its spec. */
export function gatewayObject(namespace: string, change: object = {}, name = GATEWAY): object {
  return {
    apiVersion: API_VERSION,
    kind: 'PostgresGateway',
    metadata: { name, namespace },
    spec: {
      replicas: 2,
      upstream: {
        host: DATABASE_HOST,
        tls: { mode: 'VerifyFull', caSecretRef: { name: 'infra-ca' } },
        roles: [
          { name: 'analyst_ro', secretRef: { name: 'orders-analyst-ro' } },
          { name: 'app_rw', secretRef: { name: 'orders-app-rw' } },
          { name: 'rotated', secretRef: { name: 'orders-rotated' } },
        ],
        catalogRole: 'analyst_ro',
      },
      listeners: [{ name: 'token', port: 5432, authentication: 'Token' }],
      tls: { secretRef: { name: 'orders-gateway-tls' } },
      identity: {
        issuers: [
          {
            name: 'corp',
            url: ISSUER_URL,
            audiences: ['postern'],
            claims: { username: 'email', groups: 'groups' },
            caSecretRef: { name: 'infra-ca' },
          },
          { name: 'cluster', kubernetes: { audience: 'postern' } },
        ],
      },
      limits: { drain: '20s' },
      pod: { resources: { requests: { cpu: '50m', memory: '192Mi' } } },
      ...change,
    },
  };
}

/** An AccessPolicy for the site's gateway. */
export function policyObject(namespace: string, name: string, spec: object): object {
  return {
    apiVersion: API_VERSION,
    kind: 'AccessPolicy',
    metadata: { name, namespace },
    spec: { targetRefs: TARGET_REFS, ...spec },
  };
}

const READ = {
  name: 'read',
  action: 'Allow',
  statements: ['Select', 'Cursor', 'Prepare', 'Transaction', 'Session', 'Explain'],
  relations: ['public.*'],
};
const SLEEP = { name: 'sleep', action: 'Allow', statements: ['Resource'] };
const NO_DDL = { name: 'no-ddl', action: 'Deny', statements: ['Ddl', 'Code', 'Grant', 'Role'] };

/** Analysts read (and may sleep), DBAs do anything, the ServiceAccount `nightly` of the namespace reads as well. */
export function policyObjects(namespace: string): readonly object[] {
  return [
    policyObject(namespace, 'analysts', analysts()),
    policyObject(namespace, 'dbas', {
      subjects: [{ group: 'dba' }],
      role: 'app_rw',
      rules: [{ name: 'everything', action: 'Allow', statements: ['Any'], relations: ['*.*'] }],
    }),
    policyObject(namespace, 'nightly', {
      subjects: [{ serviceAccount: { namespace, name: 'nightly' } }],
      role: 'analyst_ro',
      rules: [READ, NO_DDL],
    }),
  ];
}

/** What analysts may do: what they always may, and these rules. */
export function analysts(...rules: readonly object[]): object {
  return { subjects: [{ group: 'data-analysts' }], role: 'analyst_ro', rules: [READ, SLEEP, NO_DDL, ...rules] };
}

/** The Secrets that the gateway names. */
export async function secretObjects(namespace: string, authority: CertificateAuthority): Promise<readonly object[]> {
  return [
    roleSecret(namespace, 'orders-analyst-ro', 'analyst_ro', ROLES.analyst_ro),
    roleSecret(namespace, 'orders-app-rw', 'app_rw', ROLES.app_rw),
    roleSecret(namespace, 'orders-rotated', 'rotated', ROLES.rotated),
    tlsSecret(namespace, await serverCertificate(namespace, authority)),
    secret(namespace, 'infra-ca', 'Opaque', { 'ca.crt': await infraCa() }),
  ];
}

/** Password of a database role, as the gateway reads it. */
export function roleSecret(namespace: string, name: string, username: string, password: string): object {
  return secret(namespace, name, 'kubernetes.io/basic-auth', { username, password });
}

/** The gateway's certificate. */
export function tlsSecret(namespace: string, { certPem, keyPem }: KeyAndCertificate): object {
  return secret(namespace, 'orders-gateway-tls', 'kubernetes.io/tls', { 'tls.crt': certPem, 'tls.key': keyPem });
}

/** A certificate for the gateway's Service. */
export function serverCertificate(namespace: string, authority: CertificateAuthority): Promise<KeyAndCertificate> {
  return authority.server([`${GATEWAY}.${namespace}.svc`, `${GATEWAY}.${namespace}`]);
}

function secret(namespace: string, name: string, type: string, stringData: Readonly<Record<string, string>>): object {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, type, stringData };
}
