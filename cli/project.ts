import type { ConfigDocument, SecretSource } from '../gateway/config/document.ts';
import { validateManifest, withDefaults } from '../operator/api/validate.ts';
import { compile } from '../operator/plan/compile.ts';
import type { Manifest } from '../operator/plan/problems.ts';
import { type Loaded, loadManifests } from './manifests.ts';

/** A directory of manifests, checked and compiled. */
export type Project =
  | { readonly ok: true; readonly document: ConfigDocument; readonly secrets: SecretSource }
  /** Every problem at once: `file:line: kind/name: field: message`. */
  | { readonly ok: false; readonly errors: readonly string[] };

const OURS = new Set(['PostgresGateway', 'AccessPolicy', 'MaskingRule', 'AccessRequest']);

/** Reads, validates and compiles what belongs to one gateway; `name` is needed only where there are several. */
export function loadProject(paths: readonly string[], name: string | null): Project {
  const { objects, errors } = loadManifests(paths);
  const found = [...errors, ...objects.flatMap(check), ...duplicates(objects)];
  if (found.length > 0) return { ok: false, errors: found };
  const ours = objects.filter(({ value }) => OURS.has(String(value.kind)));
  const manifests = new Map(
    ours.map((loaded) => [withDefaults(withNamespace(loaded.value)) as unknown as Manifest, loaded]),
  );
  const ofKind = (kind: string): Manifest[] => [...manifests.keys()].filter((manifest) => manifest.kind === kind);
  const gateways = ofKind('PostgresGateway').filter(({ metadata }) => name === null || metadata.name === name);
  const [gateway] = gateways;
  if (gateway === undefined)
    return {
      ok: false,
      errors: [
        name === null
          ? 'no PostgresGateway is among the manifests'
          : `no PostgresGateway ${name} is among the manifests`,
      ],
    };
  if (gateways.length > 1)
    return {
      ok: false,
      errors: [`choose one with --gateway: ${gateways.map(({ metadata }) => metadata.name).join(', ')}`],
    };
  const plan = compile({
    gateway,
    policies: ofKind('AccessPolicy'),
    maskingRules: ofKind('MaskingRule'),
    clusterIssuer: null,
  });
  if (plan.document === null) {
    const at = new Map([...manifests].map(([manifest, loaded]) => [key(manifest), loaded]));
    return {
      ok: false,
      errors: plan.problems.map(({ object, path, message }) => {
        const loaded = at.get(`${object.kind}/${object.namespace}/${object.name}`)!;
        return describe(loaded, path, message);
      }),
    };
  }
  const secrets = secretsOf(objects, gateway.metadata.namespace);
  const missing = missingSecrets(plan.document, secrets);
  return missing.length > 0 ? { ok: false, errors: missing } : { ok: true, document: plan.document, secrets };
}

function withNamespace(value: Loaded['value']): Record<string, unknown> {
  const metadata = value.metadata as Record<string, unknown>;
  return { ...value, metadata: { namespace: 'default', ...metadata } };
}

function key({ kind, metadata }: Manifest): string {
  return `${kind}/${metadata.namespace}/${metadata.name}`;
}

function describe(loaded: Loaded, path: string, message: string): string {
  const { kind, metadata } = loaded.value as { kind?: string; metadata?: { name?: string } };
  return `${loaded.file}:${loaded.line(path)}: ${kind}/${metadata?.name}: ${path}: ${message}`;
}

function check(loaded: Loaded): string[] {
  const { kind, metadata } = loaded.value as { kind?: unknown; metadata?: { name?: unknown } };
  if (typeof kind !== 'string' || typeof metadata?.name !== 'string')
    return [`${loaded.file}:${loaded.line('')}: kind and metadata.name are needed`];
  if (!OURS.has(kind)) return [];
  return validateManifest(loaded.value).map(({ path, message }) => describe(loaded, path, message));
}

function duplicates(objects: readonly Loaded[]): string[] {
  const seen = new Set<string>();
  return objects.flatMap((loaded) => {
    const { kind, metadata } = loaded.value as { kind?: string; metadata?: { name?: string; namespace?: string } };
    const id = `${kind}/${metadata?.namespace ?? 'default'}/${metadata?.name}`;
    if (seen.has(id)) return [`${loaded.file}:${loaded.line('metadata.name')}: ${id} is there twice`];
    seen.add(id);
    return [];
  });
}

/** Secret manifests in the gateway's namespace, `data` and `stringData`. */
function secretsOf(objects: readonly Loaded[], namespace: string): SecretSource {
  const secrets = new Map<string, Map<string, Buffer>>();
  for (const { value } of objects) {
    const { kind, metadata, data, stringData } = value as {
      kind: string;
      metadata: { name: string; namespace?: string };
      data?: Record<string, string>;
      stringData?: Record<string, string>;
    };
    if (kind !== 'Secret' || (metadata.namespace ?? 'default') !== namespace) continue;
    const keys = Object.entries(data ?? {}).map(([name, text]) => [name, Buffer.from(text, 'base64')] as const);
    const plain = Object.entries(stringData ?? {}).map(([name, text]) => [name, Buffer.from(text)] as const);
    secrets.set(metadata.name, new Map([...keys, ...plain]));
  }
  return { read: (secret, name) => secrets.get(secret)?.get(name) };
}

function missingSecrets(document: ConfigDocument, secrets: SecretSource): string[] {
  const wanted = [
    ...document.upstream.roles.map(({ secret }) => ({ secret, key: 'password' })),
    ...(document.tls.secret === null
      ? []
      : ['tls.crt', 'tls.key'].map((name) => ({ secret: document.tls.secret!, key: name }))),
    ...(document.upstream.tls.ca === null ? [] : [document.upstream.tls.ca]),
  ];
  return wanted
    .filter(({ secret, key: name }) => secrets.read(secret, name) === undefined)
    .map(({ secret, key: name }) => `Secret ${secret}: key ${name} is not among the manifests`);
}
