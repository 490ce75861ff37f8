import type { JWTPayload } from 'jose';
import type { Person } from './claims.ts';
import type { Refusal } from './refusal.ts';
import { refuse } from './refusal.ts';

// RFC 1123 label and subdomain, as Kubernetes names namespaces and ServiceAccounts.
const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const NAME = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/**
 * Reads a projected ServiceAccount token's verified claims: user name and groups as the API server has them.
 * `sub` and the `kubernetes.io` claim must agree.
 */
export function readServiceAccount(payload: JWTPayload): Person | Refusal {
  const namespace = readString(payload, 'kubernetes.io', 'namespace');
  const name = readString(payload, 'kubernetes.io', 'serviceaccount', 'name');
  if (namespace === null || name === null) {
    return refuse(
      'MissingClaim',
      'the token is of the cluster but not a projected ServiceAccount token',
      'Mount one with a projected volume (serviceAccountToken), or run "kubectl create token".',
    );
  }
  const username = `system:serviceaccount:${namespace}:${name}`;
  if (!NAMESPACE.test(namespace) || !NAME.test(name) || payload.sub !== username) {
    return refuse(
      'BadUsername',
      "the token's subject is not the ServiceAccount that its claims name",
      'Mount a fresh ServiceAccount token.',
    );
  }
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'];
  return { ok: true, username, groups, reservedGroups: 0 };
}

function readString(payload: JWTPayload, ...path: readonly string[]): string | null {
  let value: unknown = payload;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return null;
    value = (value as Readonly<Record<string, unknown>>)[part];
  }
  return typeof value === 'string' ? value : null;
}
