import type { AccessPolicy, AccessRequest, MaskingRule, PostgresGateway } from '../../operator/api/types.generated.ts';
import { checkManifest, type Manifest } from '../../operator/api/validate.ts';

const header = (kind: string, name: string, namespace: string) => ({
  apiVersion: 'postern.dev/v1alpha1',
  kind,
  metadata: { name, namespace },
});

const TARGETS = [{ group: 'postern.dev', kind: 'PostgresGateway', name: 'orders' }];

/** The least that a gateway needs, and what the test says. */
export function gatewayYaml(spec: object = {}): Record<string, unknown> {
  return {
    ...header('PostgresGateway', 'orders', 'shop'),
    spec: {
      upstream: { host: 'db', roles: [{ name: 'ro', secretRef: { name: 'ro-login' } }], catalogRole: 'ro' },
      listeners: [{ name: 'token', port: 5432, authentication: 'Token' }],
      tls: { secretRef: { name: 'tls' } },
      identity: {
        issuers: [
          { name: 'corp', url: 'https://login.example.com', audiences: ['postern'], claims: { username: 'email' } },
        ],
      },
      ...spec,
    },
  };
}

export function policyYaml(name: string, spec: object = {}, namespace = 'shop'): Record<string, unknown> {
  return {
    ...header('AccessPolicy', name, namespace),
    spec: {
      targetRefs: TARGETS,
      subjects: [{ group: 'g' }],
      role: 'ro',
      rules: [{ name: 'read', action: 'Allow', statements: ['Select'], relations: ['public.*'] }],
      ...spec,
    },
  };
}

export function maskYaml(name: string, spec: object = {}): Record<string, unknown> {
  const columns = [{ schema: 'public', table: 'customers', column: 'email', mask: { type: 'Redact' } }];
  return { ...header('MaskingRule', name, 'shop'), spec: { targetRefs: TARGETS, columns, ...spec } };
}

export function requestYaml(name: string, spec: object = {}): Record<string, unknown> {
  const requester = { issuer: 'corp', user: 'ann' };
  return {
    ...header('AccessRequest', name, 'shop'),
    spec: { type: 'Access', gateway: 'orders', requester, access: { duration: '1h' }, ...spec },
  };
}

/** As the API server returns it; throws for what it would refuse. */
export function serve(object: Record<string, unknown>): Manifest {
  const checked = checkManifest(object);
  if (!checked.ok) throw new Error(checked.errors.map(({ path, message }) => `${path}: ${message}`).join('\n'));
  return checked.manifest;
}

export const gateway = (spec: object = {}) => serve(gatewayYaml(spec)) as PostgresGateway;
export const policy = (name: string, spec: object = {}, namespace = 'shop') =>
  serve(policyYaml(name, spec, namespace)) as AccessPolicy;
export const mask = (name: string, spec: object = {}) => serve(maskYaml(name, spec)) as MaskingRule;
export const request = (name: string, spec: object = {}) => serve(requestYaml(name, spec)) as AccessRequest;
