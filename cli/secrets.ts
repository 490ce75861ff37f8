import { readReceiver } from '../gateway/alerts/receiver.ts';
import type { ConfigDocument, SecretSource } from '../gateway/config/document.ts';
import { missingSecrets } from '../gateway/config/secret-uses.ts';
import type { FieldError } from '../operator/api/problem.ts';
import type { Loaded } from './manifests.ts';

export interface Secrets extends SecretSource {
  has(secret: string): boolean;
}

/** Secret manifests of a namespace, `data` and `stringData`. */
export function readSecrets(objects: readonly Loaded[], namespace: string): Secrets {
  const secrets = new Map<string, Map<string, Buffer>>();
  for (const { value } of objects) {
    const { kind, metadata, data, stringData } = value as {
      kind: string;
      metadata?: { name: string; namespace?: string };
      data?: Record<string, string>;
      stringData?: Record<string, string>;
    };
    if (kind !== 'Secret' || metadata === undefined || (metadata.namespace ?? 'default') !== namespace) continue;
    const keys = Object.entries(data ?? {}).map(([name, text]) => [name, Buffer.from(text, 'base64')] as const);
    const plain = Object.entries(stringData ?? {}).map(([name, text]) => [name, Buffer.from(text)] as const);
    secrets.set(metadata.name, new Map([...keys, ...plain]));
  }
  return { has: (secret) => secrets.has(secret), read: (secret, name) => secrets.get(secret)?.get(name) };
}

/** Secrets that a gateway reads: those that are not there, and those that lack a key or cannot be used. */
export function checkSecrets(
  document: ConfigDocument,
  secrets: Secrets,
): { readonly missing: readonly FieldError[]; readonly incomplete: readonly FieldError[] } {
  const absent = missingSecrets(document, secrets);
  const missing = absent
    .filter(({ secret }) => !secrets.has(secret))
    .map(({ path, secret }) => ({ path, message: `Secret ${secret} is not among the manifests` }));
  const incomplete = absent
    .filter(({ secret }) => secrets.has(secret))
    .flatMap(({ path, secret, missing: keys }) =>
      keys.map((key) => ({ path, message: `Secret ${secret} has no key ${key}` })),
    );
  const { alerts } = document.audit;
  const at = 'spec.audit.alerts.webhookSecretRef';
  if (alerts === null || absent.some(({ path }) => path === at)) return { missing, incomplete };
  const receiver = readReceiver(secrets, alerts.secret);
  return typeof receiver === 'string'
    ? { missing, incomplete: [...incomplete, { path: at, message: receiver }] }
    : { missing, incomplete };
}
