import { readReceiver } from '../gateway/alerts/receiver.ts';
import type { SecretSource } from '../gateway/config/document.ts';
import type { FieldError } from '../operator/api/problem.ts';
import type { PostgresGateway } from '../operator/api/types.generated.ts';
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

interface Wanted {
  readonly path: string;
  readonly secret: string;
  readonly keys: readonly string[];
}

/** Secrets that the gateway names: those that are not there, and those that lack a key. */
export function checkSecrets(
  gateway: PostgresGateway,
  secrets: Secrets,
): { readonly missing: readonly FieldError[]; readonly incomplete: readonly FieldError[] } {
  const wanted = wantedBy(gateway);
  const missing = wanted
    .filter(({ secret }) => !secrets.has(secret))
    .map(({ path, secret }) => ({ path, message: `Secret ${secret} is not among the manifests` }));
  const incomplete = wanted
    .filter(({ secret }) => secrets.has(secret))
    .flatMap(({ path, secret, keys }) =>
      keys
        .filter((key) => secrets.read(secret, key) === undefined)
        .map((key) => ({ path, message: `Secret ${secret} has no key ${key}` })),
    );
  return { missing, incomplete: [...incomplete, ...unusable(gateway, secrets)] };
}

/** The Secret that tells where alerts go, if it cannot be used. */
function unusable({ spec }: PostgresGateway, secrets: Secrets): readonly FieldError[] {
  const name = spec.audit?.alerts?.webhookSecretRef?.name;
  if (name === undefined || !secrets.has(name)) return [];
  const receiver = readReceiver(secrets, name);
  return typeof receiver === 'string' ? [{ path: 'spec.audit.alerts.webhookSecretRef', message: receiver }] : [];
}

function wantedBy({ spec }: PostgresGateway): Wanted[] {
  const { upstream, tls, identity, audit } = spec;
  const authority = (path: string, reference: { name: string; key: string } | undefined): Wanted[] =>
    reference === undefined ? [] : [{ path: `${path}.caSecretRef`, secret: reference.name, keys: [reference.key] }];
  return [
    ...upstream.roles.map(({ secretRef }, i) => ({
      path: `spec.upstream.roles[${i}].secretRef`,
      secret: secretRef.name,
      keys: ['password'],
    })),
    ...authority('spec.upstream.tls', upstream.tls.caSecretRef),
    ...(tls.secretRef === undefined
      ? []
      : [{ path: 'spec.tls.secretRef', secret: tls.secretRef.name, keys: ['tls.crt', 'tls.key'] }]),
    ...(audit?.alerts?.webhookSecretRef === undefined
      ? []
      : [{ path: 'spec.audit.alerts.webhookSecretRef', secret: audit.alerts.webhookSecretRef.name, keys: [] }]),
    ...authority('spec.identity.certificates', identity.certificates?.caSecretRef),
    ...(identity.issuers ?? []).flatMap(({ caSecretRef }, i) => authority(`spec.identity.issuers[${i}]`, caSecretRef)),
  ];
}
